"""`voltage`: amplitudes in mV, durations in s, and the clinical criteria."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.features.base import FeatureSet, feature_set, find_pattern
from lvh.features.criteria import CRITERIA, Measurements
from lvh.features.imputation import Fill

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.int32]

_LEVEL_S = 0.02  # one period of the mains at 50 Hz, which so cancels
_MIN_R = 1 / 20

WAVES = ("Q", "R", "S", "T", "QRS")


@dataclass(frozen=True, slots=True)
class VoltageSettings:
    """Settings of the measured input.

    Attributes:
        missing: An input that needs a wave which the delineation lacks gets the mean over
            the training fold or zero.
    """

    name: Literal["voltage"] = "voltage"
    missing: Fill = "mean"


def extract(cohort: Cohort, settings: VoltageSettings) -> FeatureSet:
    """Return sex, age, measured waves and criteria: 71 inputs for 12 leads.

    The columns are 1 for male, age in centuries (so that it is about as large as the others),
    lead by lead `WAVES` (depth of Q, height of R, depth of S, signed T, all in mV, and the
    duration of QRS in s), the duration of QRS in the widest lead, and the values of
    `lvh.features.criteria.CRITERIA` under their names. A value that needs a missing wave is NaN.
    A record without any complete QRS is dropped.

    Raises:
        InputError: No record is left.
    """
    waves = measure(cohort)
    names, X = voltage_inputs(cohort, waves)
    return feature_set(
        cohort,
        "tabular",
        X.astype(np.float32),
        names,
        fill=settings.missing,
        dropped=records_without_qrs(waves),
    )


def voltage_inputs(cohort: Cohort, waves: Measurements) -> tuple[tuple[str, ...], Floats]:
    """Return the names of the inputs, and all of them, shape (n_records, n_inputs)."""
    amplitudes = np.stack([waves.q, waves.r, waves.s, waves.t, waves.qrs], axis=2)
    X = np.column_stack(
        [
            cohort.male,
            cohort.age / 100,
            amplitudes.reshape(len(amplitudes), -1),
            waves.qrs_duration,
            *(criterion.value(waves) for criterion in CRITERIA.values()),
        ]
    )
    names = (
        "male",
        "age",
        *(f"{lead}_{wave}" for lead in cohort.leads for wave in WAVES),
        "qrs_duration",
        *CRITERIA,
    )
    return names, X


def records_without_qrs(waves: Measurements) -> dict[int, str]:
    """Return the positions of records that cannot be used, each with the reason."""
    without = np.flatnonzero(np.isnan(waves.qrs).all(axis=1))
    return {int(record): "no complete (N) in any lead" for record in without}


def measure(cohort: Cohort) -> Measurements:
    """Measure the waves of every record: medians over the beats of each lead.

    Q, R, S and the duration of QRS are taken from every complete `(N)`, T from every
    `(N)(t)`, P in v1 from every `(p)`. A lead that has none of them gets NaN.

    The baseline of QRS and T is the level at the onset of QRS, as the CSE Working Party
    recommends (Eur Heart J 6, 1985): so close by, it follows a wandering signal, and unlike
    the segment before P it is there without a P wave too. Here it is the mean of the 0.02 s
    that end at the onset.
    """
    shape = (len(cohort.records), len(cohort.leads))
    waves = np.full((*shape, 6), np.nan)
    p_end = np.full((len(cohort.records), 2), np.nan)
    v1 = cohort.leads.index("v1")
    for record in range(shape[0]):
        signals = cohort.signals[record]
        for lead in range(shape[1]):
            symbols, samples = cohort.delineation.lead(record, lead)
            signal = signals[:, lead].astype(np.float64)
            waves[record, lead, :5] = _complexes(signal, symbols, samples, cohort.fs)
            waves[record, lead, 5] = _t_peak(signal, symbols, samples, cohort.fs)
            if lead == v1:
                p_end[record] = _end_of_p(signal, symbols, samples, cohort.fs)
    q, r, s, qrs, r_time, t = np.moveaxis(waves, 2, 0)
    return Measurements(
        leads=cohort.leads,
        q=q,
        r=r,
        s=s,
        t=t,
        qrs=qrs,
        r_time=r_time,
        p_depth=p_end[:, 0],
        p_time=p_end[:, 1],
        male=cohort.male,
    )


def qrs_waves(qrs: Floats) -> tuple[float, float, float, int]:
    """Find Q, R and S in one complex.

    R is the highest point. Q is the deepest point before the complex first rises above a
    twentieth of its range, S the deepest one after; so in an rSR' the S is an S, and noise at
    the onset is no R. A complex that does not rise so far is a QS, whose depth counts as Q and
    as S (as in IEC 60601-2-51, annex GG, where however a wave is one from 0.03 mV).

    Args:
        qrs: From onset to offset, mV above the baseline.

    Returns:
        Depth of Q, height of R, depth of S, none negative, and the sample of R.
    """
    r_at = int(qrs.argmax())
    risen = np.flatnonzero(qrs > _MIN_R * np.ptp(qrs))
    before, after = (qrs[: risen[0]], qrs[risen[0] :]) if risen.size else (qrs, qrs)
    return _depth(before), max(float(qrs[r_at]), 0.0), _depth(after), r_at


def _complexes(signal: Floats, symbols: str, samples: Samples, fs: float) -> Floats:
    """Return q, r, s in mV, the duration of QRS and the time of R in s, as medians."""
    beats = []
    for start in find_pattern(symbols, "(N)"):
        onset, offset = samples[start], samples[start + 2]
        qrs = signal[onset : offset + 1] - level(signal, onset, fs)
        q, r, s, r_at = qrs_waves(qrs)
        beats.append((q, r, s, (offset - onset) / fs, r_at / fs))
    return np.median(beats, axis=0) if beats else np.full(5, np.nan)


def _t_peak(signal: Floats, symbols: str, samples: Samples, fs: float) -> float:
    peaks = [
        signal[samples[start + 4]] - level(signal, samples[start], fs)
        for start in find_pattern(symbols, "(N)(t)")
    ]
    return float(np.median(peaks)) if peaks else float("nan")


def _end_of_p(signal: Floats, symbols: str, samples: Samples, fs: float) -> Floats:
    """Return depth in mV and duration in s of the part of P after its peak, as medians.

    The baseline ends at the onset of P. The duration is that below the baseline.
    """
    ends = []
    for start in find_pattern(symbols, "(p)"):
        onset, offset = samples[start], samples[start + 2]
        p = signal[onset : offset + 1] - level(signal, onset, fs)
        end = p[p.argmax() :]
        ends.append((_depth(end), np.count_nonzero(end < 0) / fs))
    return np.median(ends, axis=0) if ends else np.full(2, np.nan)


def level(signal: Floats, onset: int, fs: float) -> float:
    """Return the baseline at an onset of QRS, in mV; see `measure`."""
    n_samples = round(_LEVEL_S * fs)
    return float(signal[max(onset + 1 - n_samples, 0) : onset + 1].mean())


def _depth(part: Floats) -> float:
    return float(-part.min(initial=0.0))
