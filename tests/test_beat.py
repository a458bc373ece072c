"""`beat`: against a slow second implementation, on LUDB, and by hand."""

import re
from dataclasses import replace
from statistics import fmean, median

import numpy as np
import pytest
from conftest import with_waves

from lvh.data.cohort import LEADS, part_of
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
def test_beats_equal_a_slow_implementation(cohort, average, slow):
    features = extract(cohort, replace(DEFAULT, average=average))
    expected = [
        [slow_beat(cohort, record, lead, 125, 225, slow) for lead in range(12)]
        for record in range(40)
    ]
    found = features.X.transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32)


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
def test_an_incomplete_beat_is_left_out(cohort, symbols, samples):
    two = with_waves(part_of(cohort, 0, 2), {(0, LEADS.index("v1")): (symbols, samples)})
    features = extract(two, SHORT)
    assert features.records == ("2",)
    assert features.dropped == (("1", "no complete beat in v1"),)
    assert np.isfinite(features.X).all()
    with pytest.raises(InputError, match=r"expected usable records\. Received: none"):
        extract(part_of(two, 0, 1), SHORT)


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
