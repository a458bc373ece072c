"""`beat` and `fusion`: a slow second implementation, by hand, and the halves to the bit."""

import re
from dataclasses import replace
from statistics import fmean, median

import numpy as np
import pytest
from conftest import with_waves

from lvh.data.cohort import LEADS, part_of
from lvh.data.delineation import with_fiducials
from lvh.data.synthetic import SyntheticSettings, load
from lvh.errors import InputError
from lvh.features import voltage
from lvh.features.voltage import VoltageSettings
from lvh.features.waveforms import (
    SUSPICIOUS,
    BeatSettings,
    FusionSettings,
    closest_pairs,
    extract_beat,
    extract_fusion,
)

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
    features = extract_beat(cohort, replace(DEFAULT, average=average))
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
        ("(N)", [9, 100, 110]),  # less than 20 ms in front of its onset
        ("(N)", [11, 1, 12]),  # its window begins in front of the recording
        ("(N)", [4990, 4998, 4999]),  # and ends behind it
    ],
)
def test_an_incomplete_beat_is_left_out(cohort, symbols, samples):
    two = with_waves(part_of(cohort, 0, 2), {(0, LEADS.index("v1")): (symbols, samples)})
    features = extract_beat(two, SHORT)
    assert features.records == ("2",)
    assert features.dropped == (("1", "no complete beat in v1"),)
    assert np.isfinite(features.X).all()
    with pytest.raises(InputError, match=r"expected usable records\. Received: none"):
        extract_beat(part_of(two, 0, 1), SHORT)


def test_minmax_passes_over_dropped_records_and_names_flat_ones(cohort):
    minmax = replace(DEFAULT, scaling="minmax")
    broken = with_waves(cohort, {(3, 6): ("", [])})
    signals = cohort.signals.copy()
    signals[4, :, 6] = 0.5
    assert np.isfinite(extract_beat(broken, minmax).X).all()
    with pytest.raises(InputError, match=r"features\.scaling=minmax: .* a flat lead in record 5$"):
        extract_beat(replace(broken, signals=signals), minmax)


@pytest.mark.parametrize(("before", "after"), [(5.0, 5.002), (1e-9, 1e-9), (1e9, 0.1)])
def test_a_window_that_no_record_holds_is_refused(cohort, before, after):
    said = r"features\.before and features\.after: expected a window of 1 to 5000 samples at 500 Hz"
    with pytest.raises(InputError, match=said):
        extract_beat(cohort, replace(DEFAULT, before=before, after=after))


def test_a_noisy_scaled_copy_under_another_name_is_the_closest_pair():
    cohort = load(SyntheticSettings(records=10))
    signals = np.array(cohort.signals)
    noise = np.random.default_rng(0).normal(0, 0.01, signals[0].shape)
    signals[7] = (1.03 * np.roll(signals[2], 40, axis=0) + noise).astype(np.float32)
    first, second, *_ = closest_pairs(with_fiducials(replace(cohort, signals=signals)))
    assert {first.record, first.other} == {cohort.records[2], cohort.records[7]}
    assert not first.same_subject
    assert first.distance < SUSPICIOUS < second.distance


N_MEASURED = 71


def test_halves_are_those_of_voltage_and_beat(cohort):
    """Record 4 has no beat in v1, which `voltage` takes; record 7 has none at all."""
    settings = FusionSettings(average="mean", scaling="minmax", missing="zero")
    broken = {(3, 6): ("", []), **{(6, lead): ("", []) for lead in range(12)}}
    symbols, samples = cohort.delineation.lead(0, 0)
    at = [n for match in re.finditer(r"\(N\)", symbols) for n in range(*match.span())]
    broken[0, 0] = ("".join(symbols[n] for n in at), samples[at])  # T of lead i is missing
    patchy = with_waves(cohort, broken)
    measured = voltage.extract(patchy, VoltageSettings("voltage", "zero"))
    beats = extract_beat(patchy, replace(DEFAULT, average="mean", scaling="minmax"))
    features = extract_fusion(patchy, settings)
    assert (len(measured.records), len(beats.records)) == (39, 38)
    assert [name for name, _ in features.dropped] == ["4", "7"]
    rows = [measured.records.index(record) for record in features.records]
    n_samples, n_leads = beats.input_shape
    assert features.kind == "mixed"
    assert features.X.dtype == np.float32
    assert features.X.flags.c_contiguous
    assert features.input_shape == (N_MEASURED, n_samples, n_leads)
    assert np.isnan(measured.X).any()
    np.testing.assert_array_equal(features.X[:, :N_MEASURED], measured.X[rows])
    signals = features.X[:, N_MEASURED:].reshape(-1, n_samples, n_leads)
    np.testing.assert_array_equal(signals, beats.X)
    assert features.fill == settings.missing
    assert features.records == beats.records
    assert features.y.tolist() == np.delete(cohort.label, [3, 6]).tolist()
