"""`morphology`: waves drawn by hand, a dipole of known direction, and what LUDB gives."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves

from lvh.data.cohort import LEADS, part_of
from lvh.features import morphology
from lvh.features.morphology import MorphologySettings

MEAN = MorphologySettings("morphology", missing="mean")
PERIOD, ONSET = 450, 200  # samples
PEAK = np.array([0.25, 0.5, 1, 0.5, 0.25])
"""Of QRS, sample by sample; that of T is one sample."""
P, QRS, T = (-80, -40), (0, 40), (100, 160)  # onset and offset from the onset of QRS
PLANE = {"i": 1.0, "ii": 0.5, "iii": -0.5, "avr": -0.75, "avl": 0.75, "avf": 0.0}
"""A dipole that points to the left, as the limb leads see it; the chest leads see nothing."""


def drawn(cohort, qrs, t, st=0.0, symbols="(p)(N)(t)"):
    """One record of equal beats, mV at the peak of each wave by lead, above .25 mV."""
    one = part_of(cohort, 0, 1)
    signal = np.full((5000, 12), 0.25)
    waves = {}
    for lead, name in enumerate(LEADS):
        samples = []
        for number in range(10):
            onset = ONSET + PERIOD * number
            signal[onset + 18 : onset + 23, lead] += qrs.get(name, 0) * PEAK
            signal[onset + 130, lead] += t.get(name, 0)
            signal[onset + QRS[1] + 30, lead] += st  # 0.06 s after the end of QRS
            for start, end in (P, QRS, T):
                peak = 20 if (start, end) == QRS else (130 if (start, end) == T else -60)
                samples += [onset + start, onset + peak, onset + end]
        if "p" not in symbols:
            samples = [s for at, s in enumerate(samples) if at % 9 >= 3]
        waves[0, lead] = (symbols * 10, samples)
    return with_waves(replace(one, signals=signal[None].astype(np.float32)), waves)


def inputs(cohort):
    features = morphology.extract(cohort, MEAN)
    return dict(zip(features.names, features.X[0].astype(float).tolist(), strict=True))


def test_times_equal_those_of_drawn_waves(cohort):
    found = inputs(drawn(cohort, PLANE, PLANE, st=-0.125))
    assert found["rr"] == pytest.approx(0.9)
    assert found["pr"] == pytest.approx(0.16)
    assert found["p_duration"] == pytest.approx(0.08)
    assert found["qt"] == pytest.approx(0.32)
    assert found["i_R_time"] == pytest.approx(0.04)
    for lead in LEADS:
        assert found[f"{lead}_ST"] == pytest.approx(-0.125)


def test_axis_areas_and_angle_are_those_of_a_dipole(cohort):
    found = inputs(drawn(cohort, PLANE, PLANE))
    # x, y and z of Kors et al. for 1 mV in i and 0.5 mV in ii during one sample of 2 ms
    area = np.linalg.norm([0.38 - 0.035, -0.07 + 0.465, 0.11 - 0.115]) / 500
    assert found["qrs_axis_sin"] == pytest.approx(0, abs=1e-12)
    assert found["qrs_axis_cos"] == pytest.approx(1)
    assert found["qrs_area"] == pytest.approx(area * PEAK.sum(), rel=1e-6)
    assert found["t_area"] == pytest.approx(area, rel=1e-6)
    # of float32 voltages; arccos near 1 is steep
    assert found["qrs_t_angle"] == pytest.approx(0, abs=1e-3)
    strained = inputs(drawn(cohort, PLANE, {lead: -value for lead, value in PLANE.items()}))
    assert strained["qrs_t_angle"] == pytest.approx(1, abs=1e-3)
    found = inputs(drawn(cohort, PLANE, PLANE, symbols="(N)(t)"))
    missing = {name for name, value in found.items() if np.isnan(value)}
    assert missing == {"pr", "p_duration", "v1_p_terminal_force"}
