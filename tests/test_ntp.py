"""`ntp`: against a slow second implementation, the original study's figures, and by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves
from hypothesis import given
from hypothesis import strategies as st

from lvh.data.cohort import part_of
from lvh.errors import InputError
from lvh.features.missing_values import fill_missing
from lvh.features.waveforms import NtpSettings, age_decades, fiducial_means, scale
from lvh.features.waveforms import extract_ntp as extract

DROP = NtpSettings("ntp", missing_p="mean", malformed="drop", scaling="minmax")
FAIL = replace(DROP, malformed="fail")
FLOAT32 = 1e-6
"""Values lie in [0, 1]; subtraction, division and storage in float32 err by 6e-8 each."""

# Lead i of records 1 to 3, "Measured on 1.0.1" in report.md.
MEASURED = """
.069580 .941259 .060839 .049767 .227622 .108159 .091725 .151865 .084033
.298611 .800595 .281911 .296131 .483466 .284557 .286872 .350364 .277447
.290113 .919441 .276132 .265479 .423602 .306258 .306092 .378828 .290779
"""


def slow_means(cohort, record, lead):
    """Mean scaled signal at the nine fiducials of one lead, the plain way."""
    symbols, samples = cohort.delineation.lead(record, lead)
    signal = [float(value) for value in cohort.signals[record, :, lead]]
    low, high = min(signal), max(signal)
    for pattern in (r"\(N\)\(t\)\(p\)", r"\(N\)\(t\)"):
        beats = [
            [(signal[samples[at]] - low) / (high - low) for at in range(match.start(), match.end())]
            for match in re.finditer(pattern, symbols)
        ]
        if beats:
            means = [sum(column) / len(column) for column in zip(*beats, strict=True)]
            return means + [float("nan")] * (9 - len(means))
    return [float("nan")] * 9


@pytest.mark.ludb
def test_ludb_as_measured(ludb):
    expected = np.array(MEASURED.split(), dtype=float).reshape(3, 9)
    features = extract(ludb, DROP)
    assert (
        np.abs(features.X[:3, 9:18] - expected).max() <= 0.5e-6 + FLOAT32
    )  # six digits are printed
    assert features.X.shape == (197, 117)
    assert features.X.dtype == np.float32
    assert features.dropped == (
        ("38", "no complete (N)(t) in v1"),
        ("104", "no complete (N)(t) in ii iii avr avf"),
        ("112", "no complete (N)(t) in v1 v2"),
    )
    assert features.records == tuple(r for r in ludb.records if r not in ("38", "104", "112"))
    assert features.y.sum() == 106


def test_inputs_equal_a_slow_implementation(cohort):
    expected = [
        [slow_means(cohort, record, lead) for lead in range(12)]
        for record in range(len(cohort.records))
    ]
    found = fiducial_means(cohort, scale(cohort.signals, "minmax", cohort.records))
    assert np.isnan(found).any()
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32)


def test_columns_have_their_names_and_order(cohort):
    features = extract(cohort, DROP)
    assert features.X.shape == (40, 117)
    assert features.names[:11] == (
        *("male", "age_10s", "age_20s", "age_30s", "age_40s", "age_50s", "age_60s", "age_70s"),
        *("age_80s", "i_N_onset", "i_N_peak"),
    )
    assert features.X[:, 0].tolist() == cohort.male.tolist()
    assert features.age_and_sex.tolist() == np.column_stack([cohort.age, cohort.male]).tolist()
    ages = np.array([0, 19, 20, 39, 79, 80, 120], dtype=float)
    assert age_decades(ages).argmax(axis=1).tolist() == [0, 0, 1, 2, 6, 7, 7]
    assert (age_decades(ages).sum(axis=1) == 1).all()


@given(symbols=st.lists(st.sampled_from(["(N)", "(t)", "(p)", "(", "t)"]), max_size=12))
def test_any_order_of_waves_has_the_means_of_a_slow_implementation(cohort, symbols):
    """Of a record that rises from 0 to 1, so that a mean tells which samples it is of."""
    ramp = np.broadcast_to(np.linspace(0, 1, 5000, dtype=np.float32)[:, None], (5000, 12))
    text = "".join(symbols)
    one = replace(part_of(cohort, 0, 1), signals=ramp[None])
    one = with_waves(one, {(0, 4): (text, range(0, 90 * len(text), 90))})
    expected = slow_means(one, 0, 4)
    np.testing.assert_allclose(fiducial_means(one, ramp[None])[0, 4], expected, atol=FLOAT32)


def test_malformed_records_are_dropped_with_the_reason(cohort):
    broken = with_waves(
        cohort, {(3, 6): ("(N)(p)", range(6)), (3, 11): ("", []), (7, 0): ("(N))(t)", range(7))}
    )
    whole = extract(cohort, DROP)
    features = extract(broken, DROP)
    assert features.dropped == (
        ("4", "no complete (N)(t) in v1 v6"),
        ("8", "no complete (N)(t) in i"),
    )
    kept = [record for record in range(40) if record not in (3, 7)]
    assert np.array_equal(features.X, whole.X[kept], equal_nan=True)
    assert features.y.tolist() == cohort.label[kept].tolist()
    assert features.age_and_sex.tolist() == whole.age_and_sex[kept].tolist()
    with pytest.raises(InputError, match=re.escape("4: no complete (N)(t) in v1 v6; 8: ")):
        extract(broken, FAIL)


def test_missing_values_are_filled_from_the_training_records_alone(cohort):
    train = np.array([[1, np.nan, np.nan], [3, 5, np.nan], [np.nan, 7, np.nan]], np.float32)
    test = np.array([[np.nan, np.nan, np.nan], [8, 9, 4]], np.float32)
    filled = fill_missing("mean", train, test)
    assert filled[0].tolist() == [[1, 6, 0], [3, 5, 0], [2, 7, 0]]
    assert filled[1].tolist() == [[2, 6, 0], [8, 9, 4]]
    assert fill_missing("mean", np.array([[2**30], [2**30 + 1], [np.nan]]))[0][2] == 2**30 + 0.5
    X = extract(cohort, DROP).X
    missing = np.isnan(X[30:])
    assert missing.any()
    for fill in ("mean", "zero"):
        first = fill_missing(fill, X[:30], X[30:])
        second = fill_missing(fill, X[:30], X[30:] * 7 + 3)
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1][missing], second[1][missing])
