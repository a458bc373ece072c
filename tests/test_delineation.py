"""Fiducials that are found: against known ones, and where there is nothing to find."""

import re

import numpy as np
import pytest

from lvh.data.cohort import LEADS, Cohort, Delineation, part_of
from lvh.data.delineation import MAX_SAMPLES, delineate, delineate_record, with_fiducials
from lvh.errors import InputError
from lvh.features.voltage import qrs_waves

N_RECORDS = 3
FS = 500.0


@pytest.fixture(scope="module")
def few(cohort) -> Cohort:
    return part_of(cohort, 0, N_RECORDS)


@pytest.fixture(scope="module")
def found(few) -> Delineation:
    return delineate(few.signals, few.fs)


def waves(of: Delineation, record: int, lead: int, wave: str) -> np.ndarray:
    symbols, samples = of.lead(record, lead)
    at = [one.start() for one in re.finditer(re.escape(f"({wave})"), symbols)]
    return np.array([samples[one : one + 3] for one in at], dtype=np.float64).reshape(-1, 3)


def errors(true: np.ndarray, found: np.ndarray, within: float = 75) -> np.ndarray:
    """Return found less true of the nearest found wave by its peak; NaN where none is near."""
    if not len(found):
        return np.full_like(true, np.nan)
    nearest = np.abs(found[None, :, 1] - true[:, None, 1]).argmin(axis=1)
    off = found[nearest] - true
    off[np.abs(off[:, 1]) > within] = np.nan
    return off


@pytest.mark.parametrize(
    ("wave", "least", "peak_ms", "bound_ms"), [("N", 0.99, 2, 20), ("t", 0.95, 10, 50)]
)
def test_known_fiducials_are_detected(wave, least, peak_ms, bound_ms, few, found):
    well_formed(found, few.signals.shape[1])
    off = np.concatenate(
        [
            errors(waves(few.delineation, record, lead, wave), waves(found, record, lead, wave))
            for record in range(N_RECORDS)
            for lead in range(len(LEADS))
        ]
    )
    assert np.isfinite(off[:, 1]).mean() >= least
    ms = np.nanmedian(np.abs(off), axis=0) * 1000 / few.fs
    assert ms[1] <= peak_ms
    assert max(ms[0], ms[2]) <= bound_ms


def drawn(*bumps: tuple[float, float, float], rr: float = 0.9, noise: float = 0.01) -> np.ndarray:
    """Ten seconds of equal beats in all leads: bumps of (time in s, width in s, mV), and noise."""
    t = np.arange(0, 10, 1 / FS)
    signal = np.zeros((len(t), 12))
    for beat in np.arange(0.5, 9.6, rr):
        for at, width, mv in bumps:
            bump = mv * np.exp(-(((t - beat - at) / width) ** 2) / 2)
            signal += bump[:, None] * np.linspace(1, 0.5, 12)
    return (signal + np.random.default_rng(0).normal(0, noise, signal.shape)).astype(np.float32)


RSR = ((0.0, 0.008, 0.4), (0.03, 0.01, -0.8), (0.085, 0.016, 1.2))
"""As v1 in a right bundle branch block: from -0.02 to 0.13 s."""
T = (0.32, 0.05, 0.4)


def test_p_is_found_where_the_atria_beat_and_waves_of_drawn_hearts_whole(cohort):
    signal = drawn(*RSR, T)
    of = delineate(signal[None], FS)
    qrs = waves(of, 0, 0, "N")
    assert len(qrs) >= 9
    assert np.all((qrs[:, 2] - qrs[:, 0]) / FS > 0.13)
    assert np.all((qrs[:, 2] - qrs[:, 0]) / FS < 0.18)
    onset, _, offset = qrs[3].astype(int)
    _, r, s, _ = qrs_waves(signal[onset : offset + 1, 0].astype(float), FS)
    assert (r, s) == (pytest.approx(1.2, abs=0.05), pytest.approx(0.75, abs=0.08))
    assert not of.doubtful
    signal = drawn((0.0, 0.012, 1.0), (0.24, 0.04, 1.2))
    n = [symbols.tobytes().count(b"N") for symbols, _ in delineate_record(signal, FS)[0]]
    assert set(n) <= {10, 11}
    signal = drawn(*RSR, T)
    expected = delineate(signal[None], FS)
    for beat in np.arange(0.5, 9.6, 0.9):
        signal[round((beat - 0.04) * FS)] += 3
    spiked = delineate(signal[None], FS)
    assert spiked.doubtful == (0,)
    off = errors(waves(expected, 0, 0, "N"), waves(spiked, 0, 0, "N"))
    assert np.nanmax(np.abs(off[:, [0, 2]])) <= 3
    signal = drawn((0.0, 0.005, 1.0), T)
    leads, is_doubtful = delineate_record(signal, FS)
    assert all(b"N" not in symbols.tobytes() for symbols, _ in leads)
    assert is_doubtful
    # A fibrillating heart has none, whatever stands in front of its QRS.
    has_p = ["p" in cohort.delineation.lead(record, 0)[0] for record in range(40)]
    beating, fibrillating = has_p.index(True), has_p.index(False)
    found = delineate(cohort.signals[[beating, fibrillating]], cohort.fs)
    assert all("p" not in found.lead(1, lead)[0] for lead in range(len(LEADS)))
    n_p = len(waves(cohort.delineation, beating, 1, "p"))
    assert found.lead(0, 1)[0].count("p") >= n_p - 1


def well_formed(of: Delineation, n_samples: int) -> None:
    for record in range((len(of.offsets) - 1) // of.n_leads):
        for lead in range(of.n_leads):
            symbols, samples = of.lead(record, lead)
            assert re.fullmatch(r"(\([Npt]\))*", symbols)
            assert (np.diff(samples) > 0).all()  # in order, and no wave inside another
            assert not len(samples) or (samples[0] >= 0 and samples[-1] < n_samples)


@pytest.mark.parametrize("spoil", [0.0, np.nan], ids=str)
def test_a_lead_that_says_nothing_has_no_waves(spoil, few):
    signal = few.signals[0].copy()
    signal[slice(None) if spoil == 0 else 2000, 4] = spoil
    one = delineate(signal[None], few.fs)
    well_formed(one, len(signal))
    assert one.lead(0, 4)[0] == ""
    assert one.lead(0, 0)[0].count("N") >= 5


@pytest.mark.parametrize("n_samples", [0, 3, 499, 600, 5000])
def test_noise_and_short_records_end_in_well_formed_waves(n_samples):
    noise = np.random.default_rng(0).normal(0, 1e3, (n_samples, 12)).astype(np.float32)
    for signal in (noise, np.zeros_like(noise)):
        well_formed(delineate(signal[None], FS), n_samples)


@pytest.mark.parametrize("fs", [0.0, 99.9, 1000.1, float("nan")])
def test_other_sampling_frequencies_and_long_records_are_refused(fs, few):
    with pytest.raises(InputError, match=r"found at 100 to 1000 Hz.* Received: "):
        delineate_record(few.signals[0], fs)
    with pytest.raises(InputError, match=rf"at most {MAX_SAMPLES} samples.* 100001"):
        delineate_record(np.zeros((MAX_SAMPLES + 1, 12), np.float32), 500.0)


@pytest.mark.usefixtures("own_cache")
def test_it_says_whose_its_fiducials_are_and_is_another_cohort(few, found):
    one = with_fiducials(few)
    np.testing.assert_array_equal(one.delineation.samples, found.samples)
    assert (one.delineation.origin, few.delineation.origin) == ("found", "annotated")
    assert one.fingerprint != few.fingerprint
    assert one.note.startswith(few.note)
