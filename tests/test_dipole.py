import numpy as np
import pytest

from lvh.data import dipole
from lvh.data.cohort import LEADS
from lvh.data.dipole import N_SAMPLES, Heart, draw_recording

P, N, T = range(3)
SEVERITIES = [0.0, 1.0, 20.0]


def draw(seed=0, severity=0.0, fibrillating=False, noise=0.02, male=True):
    return draw_recording(np.random.default_rng(seed), Heart(male, severity, fibrillating), noise)


@pytest.fixture
def clean(monkeypatch):
    """Leave the beats alone in the recording."""
    monkeypatch.setattr(dipole, "_background", lambda *_: np.zeros((N_SAMPLES, 8)))


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("fibrillating", [False, True])
def test_peaks_are_the_largest_deflections_of_the_clean_lead(severity, fibrillating):
    for seed in range(2):
        signal, waves = draw(seed, severity, fibrillating)
        size = np.abs(signal)
        for onset, peaks, offset in zip(waves.onsets, waves.peaks, waves.offsets, strict=True):
            if onset < 0 or offset >= N_SAMPLES:
                continue
            at_peak = size[peaks, np.arange(len(LEADS))]
            # The generator looks at one beat; the tails of its neighbours may add 1 microvolt.
            assert (at_peak >= size[onset + 1 : offset].max(axis=0) - 0.001).all()
            assert size[onset:offset].max() > 0.02


def test_noise_is_as_large_as_asked():
    noises = []
    for seed in range(40):
        (quiet, quiet_waves), (loud, loud_waves) = (draw(seed, noise=size) for size in (0.0, 0.1))
        noises.append((loud - quiet)[:, [0, 1, 6, 7, 8, 9, 10, 11]].std())
        assert np.array_equal(quiet_waves.peaks, loud_waves.peaks)
    # Both have the same beats and wander. The level is log-normal over subjects with median .1
    # and sigma .3, so that its median over 40 has a standard error of 6 %.
    assert np.median(noises) == pytest.approx(0.1, rel=0.2)
