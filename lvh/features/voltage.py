"""`voltage`: amplitudes, durations and clinical criteria; `morphology`: ST, times, areas too."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, find_waves
from lvh.errors import InputError, excerpt
from lvh.features.criteria import CRITERIA, Measurements, qrs_axis
from lvh.features.feature_set import FeatureSet, feature_set
from lvh.features.missing_values import Fill

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.int32]

_LEVEL_S = 0.02  # one period of the mains at 50 Hz, which so cancels
_WAVE_MV, _WAVE_S = 0.03, 0.006  # the smallest wave of IEC 60601-2-25
_RETURN = 1 / 4  # of its height, by which a wave at the J point comes back

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

WAVES = ("Q", "R", "S", "T", "QRS")
LEAN = (*"sokolow_lyon v5_R v6_R avl_R v5_T v6_T i_T v6_ST age male".split(),)
"""Ten inputs that are measured alike in most hospitals: voltages, repolarization, age and sex."""


@dataclass(frozen=True, slots=True)
class MeasuredSettings:
    """Settings that every measured input has.

    Attributes:
        missing: An input that needs a wave which the delineation lacks gets the mean over
            the training fold or zero.
        inputs: `full`: all that are measured; `lean`: the ten of `LEAN`, of features=morphology.
        columns: Names of the inputs, in this order, instead of a named list.
    """

    name: str = ""
    missing: Fill = "mean"
    inputs: Literal["full", "lean"] = "full"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VoltageSettings(MeasuredSettings):
    """Settings of the measured input."""

    name: Literal["voltage"] = "voltage"


@dataclass(frozen=True, slots=True)
class MorphologySettings(MeasuredSettings):
    """Settings of the measured input."""

    name: Literal["morphology"] = "morphology"


def extract(cohort: Cohort, settings: VoltageSettings) -> FeatureSet:
    """Return sex, age, measured waves and criteria: 71 inputs for 12 leads.

    The columns are 1 for male, age in centuries, lead by lead `WAVES` (depth of Q, height of R,
    depth of S, signed T, all in mV, and the duration of QRS in s), the duration of QRS in the
    widest lead, and the values of `lvh.features.criteria.CRITERIA` under their names. A value that
    needs a missing wave is NaN. A record without any complete QRS is dropped; an InputError says
    that none is left, or that the settings name an unknown input.
    """
    return _measured_inputs(cohort, measure(cohort), {}, settings)


def extract_morphology(cohort: Cohort, settings: MorphologySettings) -> FeatureSet:
    """Return the 71 inputs of `voltage` and 34 more for 12 leads.

    These are, in this order: lead by lead the ST level 0.06 s after the end of QRS, in mV, and
    the time from its onset to the peak of R, in s; the interval between beats, the PR interval,
    the duration of P and the QT interval, in s, each the median of all leads; the product of
    depth and duration of the end of P in v1, in mV s; sine and cosine of the frontal axis of
    QRS; the areas of QRS and of T in space, in mV s, and the angle between them as a share of 180
    degrees. A value that needs a missing wave is NaN.
    """
    waves, of_leads = measure(cohort), _medians(cohort, _OF_MORPHOLOGY)
    axis = np.radians(qrs_axis(waves))
    order = [cohort.leads.index(lead) for lead in _KORS_LEADS]
    qrs, t = (of_leads[f"{wave}_area"][:, order] @ _KORS.T for wave in ("qrs", "t"))
    qrs_area, t_area = (np.linalg.norm(vector, axis=1) for vector in (qrs, t))
    with np.errstate(invalid="ignore", divide="ignore"):  # no area has no direction
        cosine = (qrs * t).sum(axis=1) / (qrs_area * t_area)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # all are NaN
        times = {name: np.nanmedian(of_leads[name], axis=1) for name in _TIMES}
    more = {
        f"{lead}_{name}": values[:, at]
        for at, lead in enumerate(cohort.leads)
        for name, values in (("ST", of_leads["st"]), ("R_time", waves.r_time))
    }
    more |= {
        **times,
        "v1_p_terminal_force": waves.p_depth * waves.p_time,
        "qrs_axis_sin": np.sin(axis),
        "qrs_axis_cos": np.cos(axis),
        "qrs_area": qrs_area,
        "t_area": t_area,
        "qrs_t_angle": np.arccos(np.clip(cosine, -1, 1)) / np.pi,
    }
    return _measured_inputs(cohort, waves, more, settings)


def _measured_inputs(
    cohort: Cohort, waves: Measurements, more: Mapping[str, Floats], settings: MeasuredSettings
) -> FeatureSet:
    """Return those inputs of `voltage`, and `more` by name, each (n_records,), that are wanted."""
    values = np.stack([waves.q, waves.r, waves.s, waves.t, waves.qrs], axis=2)
    of_leads = [f"{lead}_{wave}" for lead in cohort.leads for wave in WAVES]
    columns = {
        "male": cohort.male,
        "age": cohort.age / 100,
        **dict(zip(of_leads, values.reshape(len(values), -1).T, strict=True)),
        "qrs_duration": waves.qrs_duration,
        **{name: criterion.value(waves) for name, criterion in CRITERIA.items()},
        **more,
    }
    names = settings.columns or (LEAN if settings.inputs == "lean" else tuple(columns))
    wrong = [name for name in names if name not in columns or names.count(name) > 1]
    if wrong or (settings.columns and settings.inputs != "full"):
        near = get_close_matches([*wrong, ""][0], columns, n=3, cutoff=0.4) or [*columns][:4]
        raise InputError(
            "features.columns or features.inputs: expected one of them, and different inputs, such "
            f"as {', '.join(near)}; features=morphology has all of lean. Received: "
            f"{excerpt(wrong[0] if wrong else 'both')}"
        )
    X = np.column_stack([columns[name] for name in names]).astype(np.float32)
    without = np.flatnonzero(np.isnan(waves.qrs).all(axis=1)).tolist()
    dropped = dict.fromkeys(without, "no complete (N) in any lead")
    return feature_set(cohort, "tabular", X, names, fill=settings.missing, dropped=dropped)


def measure(cohort: Cohort) -> Measurements:
    """Measure the waves of every record: medians over the beats of each lead, NaN without any.

    Q, R, S and the duration of QRS are of every complete `(N)`, T of `(N)(t)`, P in v1 of `(p)`.
    The baseline of QRS and T is the level at the onset of QRS, as the CSE Working Party
    recommends (Eur Heart J 6, 1985): the mean of the 0.02 s that end there.
    """
    waves = _medians(cohort, _OF_WAVES)
    v1 = cohort.leads.index("v1") if "v1" in cohort.leads else 0  # without v1 nothing is measured
    p_end = {name: waves.pop(name)[:, v1] for name in ("p_depth", "p_time")}
    return Measurements(leads=cohort.leads, **waves, **p_end, male=cohort.male)


class _Lead(NamedTuple):
    """One lead of a record: its signal in mV, and the symbols and samples of its waves."""

    name: str
    signal: Floats
    symbols: str
    samples: Samples
    fs: float

    def find(self, pattern: str) -> Samples:
        """Return the samples of each match of a pattern of waves, a row a match."""
        return find_waves(self.symbols, self.samples, pattern)

    def level(self, onset: int) -> float:
        """Return the baseline at an onset of QRS, in mV; see `measure`."""
        n_samples = round(_LEVEL_S * self.fs)
        return float(self.signal[max(onset + 1 - n_samples, 0) : onset + 1].mean())

    def wave(self, start: int, end: int, onset: int) -> Floats:
        """Return the samples from `start` to `end` above the baseline at an onset."""
        return self.signal[start : end + 1] - self.level(onset)

    def complexes(self) -> Iterator[tuple[float, ...]]:
        """Yield q, r, s in mV, the duration of QRS and the time of R in s, of each beat."""
        for onset, _, offset in self.find("(N)"):
            q, r, s, r_at = qrs_waves(self.wave(onset, offset, onset), self.fs)
            yield q, r, s, (offset - onset) / self.fs, r_at / self.fs

    def t_waves(self) -> Iterator[float]:
        """Yield the voltage of each T, in mV."""
        for onset, _, _, _, peak, _ in self.find("(N)(t)"):
            yield self.signal[peak] - self.level(onset)

    def ends_of_p(self) -> Iterator[tuple[float, float]]:
        """Yield depth in mV and s below the baseline, after its peak, of each P in v1."""
        for onset, _, offset in self.find("(p)") if self.name == "v1" else ():
            p = self.wave(onset, offset, onset)
            end = p[p.argmax() :]
            yield _depth(end), np.count_nonzero(end < 0) / self.fs

    def st_levels(self) -> Iterator[float]:
        """Yield the level 0.06 s after the end of each QRS, in mV."""
        for onset, _, offset in self.find("(N)"):
            if (end := offset + round(_AFTER_J_S * self.fs)) < len(self.signal):
                yield self.signal[end] - self.level(onset)

    def areas(self, pattern: str) -> Iterator[float]:
        """Yield the area of the last wave of each match of a pattern, in mV s."""
        for beat in self.find(pattern):
            yield np.sum(self.wave(beat[-3], beat[-1], beat[0])) / self.fs

    def spans(self, pattern: str, end: int) -> Floats:
        """Return the s from the first to another fiducial of each match of a pattern."""
        beats = self.find(pattern)
        return (beats[:, end] - beats[:, 0]) / self.fs


_Measures = Mapping[tuple[str, ...], Callable[[_Lead], Iterable[float | tuple[float, ...]]]]
_OF_WAVES: _Measures = {
    ("q", "r", "s", "qrs", "r_time"): _Lead.complexes,
    ("t",): _Lead.t_waves,
    ("p_depth", "p_time"): _Lead.ends_of_p,
}
_OF_MORPHOLOGY: _Measures = {
    ("st",): _Lead.st_levels,
    ("qrs_area",): lambda lead: lead.areas("(N)"),
    ("t_area",): lambda lead: lead.areas("(N)(t)"),
    ("rr",): lambda lead: np.diff(lead.find("(N)")[:, 1]) / lead.fs,
    ("pr",): lambda lead: lead.spans("(p)(N)", 3),
    ("p_duration",): lambda lead: lead.spans("(p)", 2),
    ("qt",): lambda lead: lead.spans("(N)(t)", 5),
}


def _medians(cohort: Cohort, measures: _Measures) -> dict[str, Floats]:
    """Return the medians over beats of what is measured, (n_records, n_leads), by name."""
    shape = (len(cohort.records), len(cohort.leads))
    medians = {name: np.full(shape, np.nan) for names in measures for name in names}
    for record in range(len(cohort.records)):
        signals = cohort.signals[record].astype(np.float64)
        for at, lead in enumerate(cohort.leads):
            one = _Lead(lead, signals[:, at], *cohort.delineation.lead(record, at), cohort.fs)
            for names, measured in measures.items():
                if beats := [*measured(one)]:
                    values = np.median(np.reshape(beats, (-1, len(names))), axis=0)
                    for name, value in zip(names, values, strict=True):
                        medians[name][record, at] = value
    return medians


def qrs_waves(qrs: Floats, fs: float) -> tuple[float, float, float, int]:
    """Return depth of Q, height of R, depth of S in mV, and the sample of R, of one complex.

    A wave is, as in the CSE study and IEC 60601-2-25:2011, annex FF (2-51:2003, annex GG), a
    part on one side of the baseline with two opposite slopes, of 0.03 mV or more for at least
    0.006 s. So a last rise or fall to the J point is no wave, unless it comes back by 0.03 mV and
    a quarter of its height, or is the largest deflection of a complex that was cut short.

    R is the highest wave (R or R'), Q the deepest before the first R, S the deepest after it; none
    is negative. A complex without R is a QS, whose depth is that of Q and that of S.
    """
    size = np.abs(qrs)
    peaks = []
    parts = np.split(np.arange(len(qrs)), np.flatnonzero(np.diff(qrs > 0)) + 1)
    for part in parts:
        peak = int(part[size[part].argmax()])
        is_wave = np.count_nonzero(size[part] >= _WAVE_MV) >= _WAVE_S * fs
        if part is parts[-1] and size[peak] < size.max():
            is_wave &= size[peak] - size[-1] >= max(_WAVE_MV, _RETURN * size[peak])
        if is_wave:
            peaks.append(peak)
    above = [peak for peak in peaks if qrs[peak] > 0]
    if not above:
        depth = _depth(qrs[peaks])
        return depth, 0.0, depth, 0
    r_at = max(above, key=lambda peak: qrs[peak])
    q = _depth(qrs[[at for at in peaks if at < above[0]]])
    s = _depth(qrs[[at for at in peaks if at >= above[0]]])
    return q, float(qrs[r_at]), s, r_at


def _depth(part: Floats) -> float:
    return float(-part.min(initial=0.0))
