"""A cohort of a user's arrays: what they hold is what it holds, and damage is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lvh.data import join
from lvh.data.cohort import LEADS, Cohort, fingerprint
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.lazy_array import LazyArray, concatenate, read
from lvh.errors import InputError
from lvh.features.waveforms import RawSettings, extract_raw

X = np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
Y = [0, 1, 1, 0]


def made(X=X, y=Y, **more) -> Cohort:
    return Cohort.from_arrays(X, y, **{"fs": 250, "leads": ["II", "ecg"], "unit": "other", **more})


@given(
    signals=arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int16]),
        (3, 4, 2),
        elements=st.integers(-5000, 5000),
    ),
    y=st.lists(st.booleans(), min_size=3, max_size=3),
    groups=st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
def test_it_holds_what_the_arrays_hold(signals, y, groups):
    cohort = made(signals, y, groups=groups)
    np.testing.assert_array_equal(cohort.signals, signals)
    assert (cohort.leads, cohort.fs, cohort.records) == (("ii", "ecg"), 250, ("0", "1", "2"))
    assert cohort.label.tolist() == y
    assert cohort.subjects.tolist() == list(map(str, groups))
    assert not cohort.has_age_and_sex
    same = made(signals.astype(np.float32), np.array(y, np.int8), groups=np.array(groups))
    assert same.fingerprint == cohort.fingerprint
    changed = signals.copy()
    changed[1, 2, 1] += 1
    for other in (made(changed, y, groups=groups), made(signals, y, groups=groups, fs=251)):
        assert other.fingerprint != cohort.fingerprint
    before = signals.copy()
    signals += 1
    np.testing.assert_array_equal(cohort.signals, before)  # it has its own copy
    for values in (cohort.signals, cohort.label, cohort.age, cohort.subjects):
        with pytest.raises(ValueError, match="read-only"):  # a plugin that writes is refused
            values[:] = values[::-1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"X": X[:, :, 0]}, r"X and leads: expected the shape .* Received: \(4, 30\)"),
        ({"X": np.where(X > 2, np.nan, X)}, "X: expected finite numbers"),
        ({"unit": "uV"}, "unit: expected mV, or other"),
        ({"y": [0, 1, 2, 0]}, "y: expected 0 or 1"),
        ({"y": [0, 1, np.nan, 0]}, "y: expected 0 or 1"),
        ({"groups": "abc"}, "groups: expected 4 values"),
        ({"groups": ["a", "a ", "b", "c"]}, "groups: expected one spelling"),
        ({"groups": [1, "1", 2, 3]}, "groups: expected 4 values, .* look the same"),
        ({"groups": pd.Series([1, None, 2, 2], dtype="Int64")}, "groups: .* none missing"),
        ({"X": np.ma.masked_greater(X, 2)}, "X: expected finite numbers"),
        ({"label_name": "\x1b[1m"}, "label_name: expected a name"),
        ({"age": [50, "x", 1, 1], "male": [1] * 4}, "age: expected 4 values.* convert string"),
        ({"X": [[1, 2], [3]]}, "X: expected an array of numbers. Received: setting an array"),
        ({"age": [300] * 4, "male": [1] * 4}, "age and male: expected 0 to 130 years"),
        ({"age": [9] * 4, "male": pd.array([1, None, 0, 1])}, "age and male: .* 0 or 1"),
        ({"leads": ["ii", "II"]}, "leads: expected .* the different names of the leads"),
        ({"fs": 0}, "fs: expected a sampling frequency"),
        ({"records": list("aabc")}, "records: expected 4 different names"),
    ],
)
def test_damage_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        made(**more)


def test_age_and_sex_are_known_together_and_parts_must_fit():
    cohort = made(age=[50, np.nan, 60, 70], male=[True, True, False, True])
    np.testing.assert_array_equal(cohort.age, [50, np.nan, 60, 70])
    assert cohort.male.tolist() == [True, False, False, True]
    assert "age or sex of 1 of 4 records is unknown" in cohort.note
    assert not made(age=[50] * 4).has_age_and_sex
    for change in ({"label": np.zeros(3, int)}, {"subjects": np.array(["a"])}, {"leads": ("ii",)}):
        with pytest.raises(InputError, match="arrays: expected"):
            summarize_cohort(replace(made(), **change))
    with pytest.raises(InputError, match="expected records with the label label and without"):
        summarize_cohort(made(y=[1] * 4))


def test_raw_takes_all_leads_where_its_own_are_missing():
    assert extract_raw(made(), RawSettings()).names == ("ii", "ecg")
    assert extract_raw(made(), RawSettings(leads=("ecg",))).names == ("ecg",)
    assert extract_raw(made(), RawSettings(leads=LEADS)).names == ("ii", "ecg")  # `all`
    with pytest.raises(InputError, match=r"features\.leads: expected some of ii, ecg"):
        extract_raw(made(), RawSettings(leads=("v1", "ecg")))
    with pytest.raises(InputError, match=r"each once\. Received: ii, ecg, ii"):
        extract_raw(made(), RawSettings(leads=("ii", "ecg", "II")))
    more = made(np.zeros((4, 30, 13)) + X[:, :, :1], leads=[*LEADS, "vx"])
    assert extract_raw(more, RawSettings(leads=LEADS)).names == (*LEADS, "vx")
    assert extract_raw(more, RawSettings()).names == ("avl", "v1", "v5", "v6")


@given(
    shared=st.lists(st.integers(0, 3), unique=True, max_size=4),
    is_lazy=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_record_in_both_cohorts_is_refused(shared, is_lazy, seed):
    other = np.random.default_rng(seed + 1).normal(size=X.shape).astype(np.float32)
    other[shared] = X[shared[::-1]]
    external = made(other, groups=list("qrst"), records=list("qrst"))
    if is_lazy:
        lazy = LazyArray(np.arange(4), X.shape[1:], X.dtype, lambda at: other[at])
        external = replace(external, signals=lazy)
    with pytest.raises(InputError, match=r"external: expected .* unit mV, .* unit other, "):
        join(made(unit="mV"), external)
    if not shared:
        assert len(join(made(), external).records) == 8
    else:
        with pytest.raises(InputError, match=rf"external: expected no record .* {len(shared)} of"):
            join(made(), external)


@settings(max_examples=40)
@given(
    factor=st.sampled_from([1.0, 1e-3, 1e3, 1e6]),
    share=st.sampled_from([0.2, 0.8]),
    n=st.integers(5, 12),
    seed=st.integers(0, 99),
)
def test_signals_of_another_unit_are_refused(factor, share, n, seed):
    X = np.random.default_rng(seed).normal(0, 0.5, (n, 200, 2))
    X[: round(share * n)] *= factor
    given = {"y": np.arange(n) % 2, "fs": 250, "leads": ["ii", "v1"]}
    if factor == 1 or share < 0.5:  # an artifact or two
        assert Cohort.from_arrays(X, **given).unit == "mV"
        return
    with pytest.raises(InputError, match="Is this another unit"):
        Cohort.from_arrays(X, **given)
    np.testing.assert_array_equal(
        Cohort.from_arrays(X, unit="other", **given).signals, X.astype(np.float32)
    )


def doubled(n: int) -> LazyArray:
    return LazyArray(
        np.arange(n), (3,), np.dtype(np.int16), lambda at: np.repeat(2 * at[:, None], 3, 1)
    ).map(lambda values, at: values.astype(np.float32))


def test_concatenated_records_are_those_of_the_array_and_never_converted():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert isinstance(concatenate(array, array), np.ndarray)
    both = concatenate(array, doubled(200))
    expected = np.concatenate([array, doubled(200).read()])
    np.testing.assert_array_equal(read(both), expected)
    np.testing.assert_array_equal(both[np.array([8, 0])].read(), expected[[8, 0]])
    assert fingerprint("x", both) == fingerprint("x", expected)
    assert fingerprint("x", both[1:]) != fingerprint("x", expected)
    message = r"fewer records .* Received: 5 records of shape \(3,\)"
    for function in (np.asarray, np.isnan, np.median):
        with pytest.raises(InputError, match=message):
            function(doubled(5))


REPORT = RawSettings("raw", ("avl", "v1", "v5", "v6"), "minmax")
MILLIVOLTS = replace(REPORT, scaling="none")


def test_leads_are_scaled_alone_or_keep_millivolts(cohort):
    X = extract_raw(cohort, REPORT).X
    assert (X.min(axis=1) == 0).all()
    assert (X.max(axis=1) == 1).all()
    signal = cohort.signals[:, :, [4, 6, 10, 11]].astype(np.float64)
    low, high = signal.min(axis=1, keepdims=True), signal.max(axis=1, keepdims=True)
    # float32 rounds the difference and the quotient, 6e-8 each of values up to 1.
    np.testing.assert_allclose(X, (signal - low) / (high - low), rtol=0, atol=2e-7)
    X = extract_raw(cohort, MILLIVOLTS).X
    # The median of 5000 values is the mean of two; float32 rounds it at voltages of some mV.
    assert np.abs(np.median(X, axis=1)).max() < 1e-6
    np.testing.assert_allclose(np.diff(X, axis=1), np.diff(signal, axis=1), rtol=0, atol=2e-6)
    signals = cohort.signals.copy()
    signals[[4, 11], :, LEADS.index("v5")] = 0.5
    flat = replace(cohort, signals=signals)
    with pytest.raises(InputError, match="a flat lead in record 5, 12"):
        extract_raw(flat, REPORT)
    assert extract_raw(flat, replace(REPORT, leads=("i", "v6"))).X.shape == (40, 5000, 2)
