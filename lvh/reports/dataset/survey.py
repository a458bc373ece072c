"""What is measured in every record of a data set, in one pass over blocks of records."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.features.base import find_pattern
from lvh.features.criteria import Measurements
from lvh.features.ntp import fiducial_means
from lvh.features.voltage import measure

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOW = 0.5
"""Hz; what is slower is wander, as the AHA recommends to remove (Kligfield et al., Circulation 115,
2007)."""
CLIPPED = 0.04
"""s; a lead that stays so long, without a break, at its highest or lowest value is clipped."""
UNFIT = 0.1
"""mV; limb leads that fit one another differ by their rounding, and by noise of their own."""
RUNS = {
    "no_qrs": "(N)",
    "no_p": "(p)",
    "no_t": "(t)",
    "no_qrs_t": "(N)(t)",
    "no_beat": "(N)(t)(p)",
}
"""What a lead may be without, and the run of symbols that it then never has."""
_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_BLOCK = 64  # records at once: 15 MB of signals in LUDB's shape, some ten times that on the way
_REGULAR = re.compile(r"(?:\([Npt]\))*")


@dataclass(frozen=True, slots=True)
class SignalStatistics:
    """Measurements of every lead of every record, shape (n_records, n_leads) if not said.

    Attributes:
        low: Smallest value, mV.
        mean: Mean value, mV.
        high: Largest value, mV.
        noise: Standard deviation of white noise that would give the second differences, mV.
        wander: Root mean square of what is slower than `SLOW`, but for the mean, mV.
        flat: Whether all samples are equal.
        clipped: Whether the lead stays at an extreme for `CLIPPED`; not where it is flat.
        einthoven: Largest absolute value of i + iii - ii, shape (n_records,), mV.
        goldberger: Largest absolute value of avr + (i + ii) / 2, shape (n_records,), mV.
    """

    low: Floats
    mean: Floats
    high: Floats
    noise: Floats
    wander: Floats
    flat: Bools
    clipped: Bools
    einthoven: Floats
    goldberger: Floats


@dataclass(frozen=True, slots=True)
class WaveStatistics:
    """Measurements of the delineated waves.

    Attributes:
        fiducials: Mean signal at the nine fiducials, shape (n_records, n_leads, 9), mV; see
            `lvh.features.ntp.fiducial_means`.
        waves: Amplitudes and durations.
        missing: Leads that lack each of `RUNS`, shape (n_records, n_leads).
        without_p: Leads without even a peak of a p wave, shape (n_records, n_leads).
        irregular: Leads with a peak that lacks onset or offset, or the like; same shape.
    """

    fiducials: Floats
    waves: Measurements
    missing: dict[str, Bools]
    without_p: Bools
    irregular: Bools


@dataclass(frozen=True, slots=True)
class Survey:
    """All measurements; `waves` is None for a source without delineation."""

    signals: SignalStatistics
    waves: WaveStatistics | None


def survey(cohort: Cohort, on_block: Callable[[int], None]) -> Survey:
    """Measure all records, some at a time: the signals are never in memory twice.

    Args:
        cohort: Of which `signals` is only asked for single records.
        on_block: Gets the number of records that are done.
    """
    signals, waves = [], []
    for part in blocks(cohort):
        signals.append(signal_statistics(part))
        if len(cohort.delineation.samples):
            waves.append(_wave_statistics(part))
        on_block(sum(len(one.low) for one in signals))
    return Survey(_joined(signals), _joined(waves) if waves else None)


def blocks(cohort: Cohort, n_records: int = _BLOCK) -> Iterator[Cohort]:
    """Yield consecutive parts of a cohort, each with signals of its own in memory."""
    n_leads = len(cohort.leads)
    for start in range(0, len(cohort.records), n_records):
        own = slice(start, start + n_records)
        records = cohort.records[own]
        offsets = cohort.delineation.offsets[start * n_leads : (start + len(records)) * n_leads + 1]
        yield replace(
            cohort,
            records=records,
            subjects=cohort.subjects[own],
            # one by one, for those of a large source are read only so
            signals=np.stack([cohort.signals[start + at] for at in range(len(records))]),
            delineation=replace(cohort.delineation, offsets=offsets),
            male=cohort.male[own],
            age=cohort.age[own],
            label=cohort.label[own],
        )


def signal_statistics(cohort: Cohort) -> SignalStatistics:
    """Measure every lead; a few times the memory of the signals is needed.

    The noise is estimated robustly, by the median of the absolute second differences
    (pseudo-residuals, after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986): QRS hardly
    counts, and what is correlated from sample to sample, such as the mains, counts too little.
    """
    signals = np.asarray(cohort.signals, dtype=np.float64)
    low, high = signals.min(axis=1), signals.max(axis=1)
    differences = np.abs(np.diff(signals, n=2, axis=1))
    i, ii, iii, avr = (
        signals[:, :, cohort.leads.index(lead)] for lead in ("i", "ii", "iii", "avr")
    )
    flat = low == high
    return SignalStatistics(
        low=low,
        mean=signals.mean(axis=1),
        high=high,
        noise=np.median(differences, axis=1) / (_NORMAL * np.sqrt(6)),
        wander=_wander(signals, cohort.fs),
        flat=flat,
        clipped=~flat & _clipped(signals, low, high, cohort.fs),
        einthoven=np.abs(i + iii - ii).max(axis=1),
        goldberger=np.abs(avr + 0.5 * i + 0.5 * ii).max(axis=1),
    )


def _wander(signals: Floats, fs: float) -> Floats:
    """Add the power of the Fourier components from the first to that below `SLOW`."""
    n_samples = signals.shape[1]
    frequencies = np.arange(1, n_samples // 2) * fs / n_samples
    angles = 2 * np.pi * np.outer(frequencies[frequencies < SLOW], np.arange(n_samples) / fs)
    components = np.exp(-1j * angles) @ signals
    return np.asarray(np.sqrt(2 * (np.abs(components) ** 2).sum(axis=1)) / n_samples)


def _clipped(signals: Floats, low: Floats, high: Floats, fs: float) -> Bools:
    length = max(3, round(CLIPPED * fs))
    clipped = np.zeros(low.shape, dtype=np.bool_)
    for extreme in (low, high):
        stays = signals == extreme[:, None]
        runs = np.cumsum(stays, axis=1, dtype=np.int32)
        runs = np.concatenate([np.zeros_like(runs[:, :1]), runs], axis=1)
        clipped |= ((runs[:, length:] - runs[:, :-length]) == length).any(axis=1)
    return clipped


def _wave_statistics(part: Cohort) -> WaveStatistics:
    shape = (len(part.records), len(part.leads))
    symbols = [part.delineation.lead(record, lead)[0] for record, lead in np.ndindex(shape)]

    def leads_where(is_so: Callable[[str], bool]) -> Bools:
        return np.array([is_so(one) for one in symbols], dtype=np.bool_).reshape(shape)

    return WaveStatistics(
        fiducials=fiducial_means(part, part.signals),
        waves=measure(part),
        missing={
            name: leads_where(lambda one, run=run: not find_pattern(one, run).size)  # type: ignore[misc]
            for name, run in RUNS.items()
        },
        without_p=leads_where(lambda one: "p" not in one),
        irregular=leads_where(lambda one: _REGULAR.fullmatch(one) is None),
    )


def _joined(parts: Sequence[Any]) -> Any:
    """Concatenate the arrays of several results, field by field."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, dict):
        return {key: _joined([one[key] for one in parts]) for key in first}
    if is_dataclass(first) and not isinstance(first, type):
        own = {one.name: [getattr(part, one.name) for part in parts] for one in fields(first)}
        return replace(first, **{name: _joined(values) for name, values in own.items()})
    return first  # the same in all: names of leads
