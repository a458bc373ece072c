"""`morphology`: the measured inputs of `voltage`, then ST, times, areas and axes."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lvh.data.cohort import Cohort
from lvh.features.base import FeatureSet, find_pattern
from lvh.features.criteria import qrs_axis
from lvh.features.voltage import (
    Floats,
    MeasuredSettings,
    Samples,
    each_lead,
    level,
    measure,
    measured_inputs,
    over_beats,
)

_AFTER_J_S = 0.06
_KORS_LEADS = ("i", "ii", "v1", "v2", "v3", "v4", "v5", "v6")
_KORS = np.array(
    [
        [0.38, -0.07, -0.13, 0.05, -0.01, 0.14, 0.06, 0.54],
        [-0.07, 0.93, 0.06, -0.02, -0.05, 0.06, -0.17, 0.13],
        [0.11, -0.23, -0.43, -0.06, -0.14, -0.20, -0.11, 0.31],
    ]
)
"""From eight leads to x, y and z, by regression: Kors et al., Eur Heart J 11, 1990."""
_TIMES = ("rr", "pr", "p_duration", "qt")
_SPATIAL = ("qrs_area", "t_area", "qrs_t_angle")


@dataclass(frozen=True, slots=True)
class MorphologySettings(MeasuredSettings):
    """Settings of the measured input."""

    name: Literal["morphology"] = "morphology"


def extract(cohort: Cohort, settings: MorphologySettings) -> FeatureSet:
    """Return the 71 inputs of `voltage` and 34 more for 12 leads.

    These are, in this order: lead by lead the ST level 0.06 s after the end of QRS, in mV, and
    the time from its onset to the peak of R, in s; the interval between beats, the PR interval,
    the duration of P and the QT interval, in s, each the median of all leads; the product of
    depth and duration of the end of P in v1, in mV s; sine and cosine of the frontal axis of
    QRS; the areas of QRS and of T in space, in mV s, and the angle between them as a share of 180
    degrees. A value that needs a missing wave is NaN.
    """
    waves = measure(cohort)
    st, times, areas = _measured(cohort)
    axis = np.radians(qrs_axis(waves))
    more = {
        f"{lead}_{name}": values[:, at]
        for at, lead in enumerate(cohort.leads)
        for name, values in (("ST", st), ("R_time", waves.r_time))
    }
    more |= dict(zip(_TIMES, times.T, strict=True))
    more["v1_p_terminal_force"] = waves.p_depth * waves.p_time
    more |= {"qrs_axis_sin": np.sin(axis), "qrs_axis_cos": np.cos(axis)}
    more |= dict(zip(_SPATIAL, _spatial(cohort, areas), strict=True))
    return measured_inputs(cohort, waves, more, settings)


def _measured(cohort: Cohort) -> tuple[Floats, Floats, Floats]:
    """Return ST in mV, (n_records, n_leads), `_TIMES` in s, (n_records, 4), and areas of QRS and T.

    Each is a median over beats, `_TIMES` over leads too; areas are (n_records, n_leads, 2), mV s.
    """
    shape, fs = (len(cohort.records), len(cohort.leads)), cohort.fs
    st, areas = np.full(shape, np.nan), np.full((*shape, 2), np.nan)
    times = np.full((*shape, len(_TIMES)), np.nan)
    for record, lead, signal, symbols, samples in each_lead(cohort):
        baseline = {
            int(start): level(signal, samples[start], fs) for start in find_pattern(symbols, "(N)")
        }
        (st[record, lead],) = over_beats(
            signal[end] - base
            for start, base in baseline.items()
            if (end := samples[start + 2] + round(_AFTER_J_S * fs)) < len(signal)
        )
        for column, (pattern, wave) in enumerate((("(N)", 0), ("(N)(t)", 3))):
            (areas[record, lead, column],) = over_beats(
                np.sum(signal[samples[at + wave] : samples[at + wave + 2] + 1] - baseline[at]) / fs
                for at in find_pattern(symbols, pattern).tolist()
            )
        times[record, lead] = _times(symbols, samples, fs)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # all are NaN
        return st, np.nanmedian(times, axis=1), areas


def _times(symbols: str, samples: Samples, fs: float) -> list[float]:
    peaks = samples[find_pattern(symbols, "(N)") + 1]
    p_before, p, qt = (find_pattern(symbols, pattern) for pattern in ("(p)(N)", "(p)", "(N)(t)"))
    spans = (
        np.diff(peaks),
        samples[p_before + 3] - samples[p_before],
        samples[p + 2] - samples[p],
        samples[qt + 5] - samples[qt],
    )
    return [float(over_beats(span / fs)[0]) for span in spans]


def _spatial(cohort: Cohort, areas: Floats) -> tuple[Floats, ...]:
    """Return `_SPATIAL` of every record, from the areas of its leads."""
    order = [cohort.leads.index(lead) for lead in _KORS_LEADS]
    qrs, t = (areas[:, order, wave] @ _KORS.T for wave in (0, 1))
    qrs_area, t_area = (np.linalg.norm(vector, axis=1) for vector in (qrs, t))
    with np.errstate(invalid="ignore", divide="ignore"):  # no area has no direction
        cosine = (qrs * t).sum(axis=1) / (qrs_area * t_area)
    return qrs_area, t_area, np.arccos(np.clip(cosine, -1, 1)) / np.pi
