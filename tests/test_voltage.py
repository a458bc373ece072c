"""`voltage`: waves drawn by hand, a slow second implementation, and what LUDB gives."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import head, with_waves
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.errors import InputError
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import WAVES, VoltageSettings, extract, measure, qrs_waves

MEAN = VoltageSettings("voltage", missing="mean")
BASELINE = 0.25
"""Of every drawn lead, mV; like the waves a multiple of 1/64, so that float32 is exact."""


def drawn(cohort):
    """One record of one beat: R of 1 mV and T of 0.25 mV in every lead."""
    signal = np.full((5000, 12), BASELINE, dtype=np.float32)
    signal[120] += 1
    signal[230] += 0.25
    waves = {(0, lead): ("(N)(t)", [100, 120, 140, 200, 230, 250]) for lead in range(12)}
    return with_waves(replace(head(cohort, 1), signals=signal[None]), waves)


def inputs(cohort):
    """Inputs of the first record by name."""
    features = extract(cohort, MEAN)
    return dict(zip(features.names, features.X[0].tolist(), strict=True))


def slow_waves(qrs):
    """Q, R and S of a complex above its baseline, the plain way."""
    limit = (max(qrs) - min(qrs)) / 20
    q = s = 0.0
    risen = False
    for value in qrs:
        risen = risen or value > limit
        if risen:
            s = max(s, -value)
        else:
            q = max(q, -value)
    return (q, max(*qrs, 0.0), s) if risen else (q, max(*qrs, 0.0), q)


def slow_lead(cohort, record, lead):
    """Medians of q, r, s, t and QRS of one lead, read symbol by symbol."""
    symbols, samples = cohort.delineation.lead(record, lead)
    signal = [float(value) for value in cohort.signals[record, :, lead]]
    found = [[], [], [], [], []]
    for at in range(len(symbols)):
        if symbols[at : at + 3] != "(N)":
            continue
        onset, offset = samples[at], samples[at + 2]
        before = signal[max(onset - 9, 0) : onset + 1]
        level = sum(before) / len(before)
        values = slow_waves([value - level for value in signal[onset : offset + 1]])
        for kept, value in zip(found, values, strict=False):
            kept.append(value)
        found[4].append((offset - onset) / cohort.fs)
        if symbols[at + 3 : at + 6] == "(t)":
            found[3].append(signal[samples[at + 4]] - level)
    return [float(np.median(values)) if values else float("nan") for values in found]


def test_columns_and_their_names(cohort):
    features = extract(cohort, MEAN)

    assert features.kind == "tabular"
    assert features.X.shape == (40, 71)
    assert features.X.dtype == np.float32
    assert len(set(features.names)) == 71
    assert features.names[:7] == ("male", "age", "i_Q", "i_R", "i_S", "i_T", "i_QRS")
    assert features.names[-9:] == ("qrs_duration", *CRITERIA)
    assert features.X[:, features.names.index("male")].tolist() == cohort.male.tolist()
    assert np.array_equal(features.X[:, 1], (cohort.age / 100).astype(np.float32))
    assert features.records == cohort.records
    assert features.y.tolist() == cohort.label.tolist()
    assert features.dropped == ()
    assert features.fill == "mean"
    assert extract(cohort, VoltageSettings("voltage", "zero")).fill == "zero"


def test_the_end_of_p_gives_points(cohort):
    one = drawn(cohort)
    expected = inputs(one)["romhilt_estes"]
    signals = one.signals.copy()
    signals[0, 1000:1020, 6] += 0.25
    signals[0, 1020:1045, 6] -= 0.125
    symbols, samples = one.delineation.lead(0, 6)
    waves = {(0, 6): (symbols + "(p)", [*samples, 1000, 1010, 1060])}
    with_p = with_waves(replace(one, signals=signals), waves)
    of = measure(with_p)

    # The level at the onset of P is a tenth of its 0.25 mV too high: 1 of 10 samples.
    assert of.p_depth.tolist() == [pytest.approx(0.15)]
    assert of.p_time.tolist() == [0.082]
    assert inputs(with_p)["romhilt_estes"] == expected + 3
    assert np.isnan(measure(one).p_depth).all()


@pytest.mark.parametrize(
    ("qrs", "expected"),
    [
        ([0, -0.25, 2, -0.5, 0], (0.25, 2, 0.5, 2)),
        ([0, 0.5, -2, 0], (0, 0.5, 2, 1)),
        # QS: its depth is that of Q and that of S
        ([0, -1, -2, -0.5], (2, 0, 2, 0)),
        # no R rises to a twentieth of the range, as from noise at the onset
        ([0, 0.1, -2, 0], (2, 0.1, 2, 1)),
        # rSR': S lies before the highest point
        ([0, 0.5, -1.5, 2, 0], (0, 2, 1.5, 3)),
        # Qr, of avr
        ([0, -1.5, 0.5, 0], (1.5, 0.5, 0, 2)),
        ([0, -0.5, 1, -0.25, 0.5, -0.75, 0], (0.5, 1, 0.75, 2)),
        ([0.0], (0, 0, 0, 0)),
    ],
)
def test_complexes_by_hand(qrs, expected):
    assert qrs_waves(np.array(qrs, dtype=float)) == expected
    assert slow_waves([float(value) for value in qrs]) == expected[:3]


def test_a_record_without_any_complex_is_dropped_with_the_reason(cohort):
    nothing = with_waves(cohort, {(3, lead): ("(p)", [1, 2, 3]) for lead in range(12)})

    features = extract(nothing, MEAN)

    assert features.dropped == (("4", "no complete (N) in any lead"),)
    kept = [record for record in range(40) if record != 3]
    assert np.array_equal(features.X, extract(cohort, MEAN).X[kept])
    with pytest.raises(InputError, match=r"expected usable records\. Received: none"):
        extract(with_waves(head(cohort, 1), {(0, lead): ("", []) for lead in range(12)}), MEAN)


@given(scale=st.floats(0.1, 10))
@examples(max_examples=15)
def test_voltages_scale_with_the_signal(cohort, scale):
    few = head(cohort, 4)
    before = measure(few)

    after = measure(replace(few, signals=few.signals * np.float32(scale)))

    # float32 rounds voltages of some mV by 2e-7 each.
    for wave in "qrst":
        expected = getattr(before, wave) * scale
        np.testing.assert_allclose(getattr(after, wave), expected, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(after.p_depth, before.p_depth * scale, rtol=1e-5, atol=1e-6 * scale)
    assert np.array_equal(after.qrs, before.qrs, equal_nan=True)
    assert np.array_equal(after.r_time, before.r_time, equal_nan=True)
    # The other product adds 0.6 mV in women, and points do not scale.
    for name in set(CRITERIA) - {"cornell_product", "romhilt_estes"}:
        expected = CRITERIA[name].value(before) * scale
        np.testing.assert_allclose(CRITERIA[name].value(after), expected, rtol=1e-5)


def test_equals_the_slow_way(cohort):
    features = extract(cohort, MEAN)
    found = features.X[:, 2:62].reshape(-1, 12, 5)
    expected = [
        [slow_lead(cohort, record, lead) for lead in range(12)]
        for record in range(len(cohort.records))
    ]

    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    longest = np.max(np.array(expected)[..., 4], axis=1)
    np.testing.assert_allclose(features.X[:, 62], longest, rtol=0, atol=1e-6)


@pytest.mark.ludb
class TestLudb:
    def test_every_record_is_kept_and_what_is_missing(self, ludb):
        features = extract(ludb, MEAN)
        missing = np.isnan(features.X)

        assert features.X.shape == (200, 71)
        assert features.dropped == ()
        assert {
            features.records[record]: sorted(np.array(features.names)[missing[record]])
            for record in np.flatnonzero(missing.any(axis=1))
        } == {
            "38": ["v1_T"],
            "104": sorted(
                [
                    *(f"{lead}_{wave}" for lead in ("ii", "iii", "avr", "avf") for wave in WAVES),
                    *("qrs_duration", "sokolow_lyon_product", "cornell_product"),
                    *("gubner_ungerleider", "peguero_lo_presti", "romhilt_estes"),
                ]
            ),
            "112": ["v1_T", "v2_T"],
        }
