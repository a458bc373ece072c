"""`voltage` and `morphology`: an independent reading, by hand, and what LUDB gives."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from conftest import with_waves
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cohort import LEADS, part_of
from lvh.errors import InputError
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import (
    MorphologySettings,
    VoltageSettings,
    extract,
    extract_morphology,
    measure,
    qrs_waves,
)

MEAN = VoltageSettings("voltage", missing="mean")


def independent_reading(qrs, fs):
    """Q, R and S by the definition of IEC 60601-2-25, annex FF, sample by sample."""
    deflections, end = [], 0
    for is_up, part in groupby(qrs, key=lambda value: value > 0):
        part = [abs(value) for value in part]
        end += len(part)
        seconds = sum(value >= 0.03 for value in part) / fs
        fall = max(part) - (part[-1] if end == len(qrs) else 0)
        comes_back = fall >= 0.03 and fall >= max(part) / 4
        largest = max(part) == max(abs(value) for value in qrs)
        if seconds >= 0.006 and (comes_back or largest):
            deflections.append(max(part) if is_up else -max(part))
    q = r = s = 0.0
    for value in deflections:
        if value > 0:
            r = max(r, value)
        elif r:
            s = max(s, -value)
        else:
            q = max(q, -value)
    return (q, r, s) if r else (q, 0.0, q)


def independent_lead(cohort, record, lead):
    """Medians of q, r, s, t and QRS of one lead, read symbol by symbol."""
    symbols, samples = cohort.delineation.lead(record, lead)
    signal = [float(value) for value in cohort.signals[record][:, lead]]
    found = [[], [], [], [], []]
    for at in range(len(symbols)):
        if symbols[at : at + 3] != "(N)":
            continue
        onset, offset = samples[at], samples[at + 2]
        before = signal[max(onset - 9, 0) : onset + 1]
        level = sum(before) / len(before)
        qrs = [value - level for value in signal[onset : offset + 1]]
        for kept, value in zip(found, independent_reading(qrs, cohort.fs), strict=False):
            kept.append(value)
        found[4].append((offset - onset) / cohort.fs)
        if symbols[at + 3 : at + 6] == "(t)":
            found[3].append(signal[samples[at + 4]] - level)
    return [float(np.median(values)) if values else float("nan") for values in found]


STEPS = st.sampled_from([-2, -1, -0.9, -0.5, -0.25, -0.02, 0, 0.02, 0.25, 0.5, 0.9, 1, 2])


@given(qrs=st.lists(STEPS, min_size=1, max_size=12), fs=st.sampled_from([100, 250, 500]))
@examples(max_examples=300)
def test_any_complex_has_the_q_r_and_s_of_the_independent_reading(qrs, fs):
    found = qrs_waves(np.array(qrs, dtype=float), fs)[:3]
    assert found == pytest.approx(independent_reading(qrs, fs))


def test_equals_the_independent_reading_in_columns_of_their_order(cohort):
    waves = measure(part_of(cohort, 0, 10))
    measured = np.stack([waves.q, waves.r, waves.s, waves.t, waves.qrs], axis=2)
    expected = [
        [independent_lead(cohort, record, lead) for lead in range(12)] for record in range(10)
    ]
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-6)
    features = extract(cohort, MEAN)
    assert features.kind == "tabular"
    assert features.X.shape == (40, 71)
    assert features.X.dtype == np.float32
    assert len(set(features.names)) == 71
    assert features.names[:7] == ("male", "age", "i_Q", "i_R", "i_S", "i_T", "i_QRS")
    assert features.names[-9:] == ("qrs_duration", *CRITERIA)
    assert features.X[:, 0].tolist() == cohort.male.tolist()
    assert np.array_equal(features.X[:, 1], (cohort.age / 100).astype(np.float32))
    np.testing.assert_allclose(features.X[:, 62], features.X[:, 6:62:5].max(axis=1))
    assert features.records == cohort.records
    assert features.y.tolist() == cohort.label.tolist()
    assert features.dropped == ()


def test_the_end_of_p_gives_points(cohort):
    one = part_of(cohort, 0, 1)
    signals = np.full((1, 5000, 12), 0.25, dtype=np.float32)
    signals[0, 1000:1020, 6] += 0.25
    signals[0, 1020:1045, 6] -= 0.125
    waves = {(0, lead): ("(N)(t)", [100, 120, 140, 200, 230, 250]) for lead in range(12)}
    without_p = with_waves(replace(one, signals=signals), waves)
    symbols, samples = without_p.delineation.lead(0, 6)
    with_p = with_waves(without_p, {(0, 6): (symbols + "(p)", [*samples, 1000, 1010, 1060])})
    measured = measure(with_p)
    # The level at the onset of P is a tenth of its 0.25 mV too high: 1 of 10 samples.
    assert measured.p_depth.tolist() == [pytest.approx(0.15)]
    assert measured.p_time.tolist() == [0.082]
    points = [CRITERIA["romhilt_estes"].value(measure(of))[0] for of in (with_p, without_p)]
    assert points[0] == points[1] + 3
    assert np.isnan(measure(without_p).p_depth).all()


def test_a_record_without_any_complex_is_dropped_with_the_reason(cohort):
    nothing = with_waves(cohort, {(3, lead): ("(p)", [1, 2, 3]) for lead in range(12)})
    features = extract(nothing, MEAN)
    assert features.dropped == (("4", "no complete (N) in any lead"),)
    kept = [record for record in range(40) if record != 3]
    assert np.array_equal(features.X, extract(cohort, MEAN).X[kept])
    with pytest.raises(InputError, match=r"expected usable records\. Received: none"):
        extract(part_of(nothing, 3, 4), MEAN)


@pytest.mark.ludb
def test_s_of_ludb_is_not_lost_to_the_rise_at_its_end(ludb):
    waves = measure(ludb)
    for name, record, expected in (("cornell", "116", 3.75), ("sokolow_lyon", "20", 4.08)):
        value = CRITERIA[name].value(waves)[ludb.records.index(record)]
        assert value == pytest.approx(expected, abs=0.03)


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
    features = extract_morphology(cohort, MorphologySettings("morphology", missing="mean"))
    return dict(zip(features.names, features.X[0].astype(float).tolist(), strict=True))


def test_times_axis_areas_and_angle_are_those_of_a_dipole(cohort):
    found = inputs(drawn(cohort, PLANE, PLANE, st=-0.125))
    times = {"rr": 0.9, "pr": 0.16, "p_duration": 0.08, "qt": 0.32, "i_R_time": 0.04}
    for name, value in (times | {f"{lead}_ST": -0.125 for lead in LEADS}).items():
        assert found[name] == pytest.approx(value)
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
