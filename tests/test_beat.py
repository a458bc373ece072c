"""`beat`: against a slow second implementation, on LUDB, and by hand."""

import re
from dataclasses import replace
from statistics import fmean, median

import numpy as np
import pytest
from conftest import head, with_waves

from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.features.beat import BeatSettings, extract

DEFAULT = BeatSettings("beat", LEADS, 0.25, 0.45, "median", "none", "drop")
SHORT = replace(DEFAULT, leads=("v1",), before=0.004, after=0.006)  # 2 samples and 3
FLOAT32 = 2e-6
"""Voltages are some mV; two differences and a mean in float32 err by about 5e-7 each."""


def slow_beat(cohort, record, lead, n_before, n_after, average):
    """Average beat of one lead, the plain way; empty where it has none."""
    symbols, samples = cohort.delineation.lead(record, lead)
    signal = [float(value) for value in cohort.signals[record, :, lead]]
    beats = []
    for match in re.finditer(r"\(N\)", symbols):
        onset, peak = int(samples[match.start()]), int(samples[match.start() + 1])
        if peak - n_before >= 0 and peak + n_after <= len(signal) and onset >= 10:
            level = median(signal[onset - 10 : onset])
            beats.append([v - level for v in signal[peak - n_before : peak + n_after]])
    return [average(column) for column in zip(*beats, strict=True)]


@pytest.mark.parametrize(("average", "slow"), [("median", median), ("mean", fmean)])
def test_equals_the_slow_way(cohort, average, slow):
    features = extract(cohort, replace(DEFAULT, average=average))

    expected = [
        [slow_beat(cohort, record, lead, 125, 225, slow) for lead in range(12)]
        for record in range(40)
    ]
    found = features.X.transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32)


@pytest.mark.ludb
class TestLudb:
    def test_shape_and_the_one_record_dropped(self, ludb):
        features = extract(ludb, DEFAULT)

        assert features.X.shape == (199, 350, 12)
        assert features.X.dtype == np.float32
        assert features.X.flags.c_contiguous
        assert np.isfinite(features.X).all()
        assert features.dropped == (("104", "no complete beat in ii iii avr avf"),)
        assert features.y.sum() == ludb.label.sum() - ludb.label[103]


def of_v1(cohort, symbols, samples, voltages):
    """One record with the beats given in v1, zero but for some samples."""
    one = with_waves(head(cohort, 1), {(0, LEADS.index("v1")): (symbols, samples)})
    signals = np.zeros((1, 5000, 12), np.float32)
    for sample, value in voltages.items():
        signals[0, sample, LEADS.index("v1")] = value
    return replace(one, signals=signals)


@pytest.mark.parametrize(("average", "expected"), [("median", 2), ("mean", 4)])
def test_the_median_forgets_an_extrasystole(cohort, average, expected):
    one = of_v1(
        cohort,
        "(N)(N)(N)",
        [90, 100, 110, 190, 200, 210, 290, 300, 310],
        {100: 2, 200: 8, 300: 2},
    )

    X = extract(one, replace(SHORT, average=average)).X

    assert X[0, :, 0].tolist() == [0, 0, expected, 0, 0]


def test_each_beat_stands_on_its_own_isoelectric_level(cohort):
    """A baseline that wanders by 5 mV between beats, and a spike of one sample in a segment."""
    one = of_v1(cohort, "(N)(N)", [90, 100, 110, 190, 200, 210], {100: 3})
    signals = one.signals.copy()
    signals[0, 150:, LEADS.index("v1")] += 5
    signals[0, [185, 200], LEADS.index("v1")] += 3

    X = extract(replace(one, signals=signals), SHORT).X

    assert X[0, :, 0].tolist() == [0, 0, 3, 0, 0]


@pytest.mark.parametrize(
    ("symbols", "samples"),
    [
        ("", []),
        ("N)", [100, 110]),
        ("(N)", [9, 100, 110]),  # less than 20 ms in front of its onset
        ("(N)", [11, 1, 12]),  # its window begins in front of the recording
        ("(N)", [4990, 4998, 4999]),  # and ends behind it
    ],
)
def test_what_is_no_complete_beat(cohort, symbols, samples):
    two = with_waves(head(cohort, 2), {(0, LEADS.index("v1")): (symbols, samples)})

    features = extract(two, SHORT)

    assert features.records == ("2",)
    assert features.dropped == (("1", "no complete beat in v1"),)
    assert np.isfinite(features.X).all()
    with pytest.raises(InputError, match=r"expected usable records\. Received: none"):
        extract(head(two, 1), SHORT)


def test_minmax_passes_over_dropped_records_and_names_flat_ones(cohort):
    minmax = replace(DEFAULT, scaling="minmax")
    broken = with_waves(cohort, {(3, 6): ("", [])})
    signals = cohort.signals.copy()
    signals[4, :, 6] = 0.5

    assert np.isfinite(extract(broken, minmax).X).all()
    with pytest.raises(InputError, match=r"features\.scaling: .* a flat lead in record 5$"):
        extract(replace(broken, signals=signals), minmax)


@pytest.mark.parametrize(("before", "after"), [(5.0, 5.002), (1e-9, 1e-9), (1e9, 0.1)])
def test_a_window_that_no_record_holds_is_refused(cohort, before, after):
    said = r"features\.before and features\.after: expected a window of 1 to 5000 samples at 500 Hz"

    with pytest.raises(InputError, match=said):
        extract(cohort, replace(DEFAULT, before=before, after=after))
