"""What the signals alone tell: their range, their noise, what is flat, clipped or inconsistent."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOW = 0.5
"""Hz; what is slower is wander, as the AHA recommends to remove (Kligfield et al., Circulation 115,
2007)."""
CLIPPED = 0.04
"""s; a lead that stays so long, without a break, at its highest or lowest value is clipped."""
UNFIT = 0.1
"""mV; limb leads that fit one another differ by their rounding, and by noise of their own."""
_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number


@dataclass(frozen=True, slots=True)
class SignalFacts:
    """What was measured in every lead of every record, shape (n_records, n_leads) if not said.

    Attributes:
        low: Smallest value, mV.
        mean: Mean value, mV.
        high: Largest value, mV.
        noise: Standard deviation of white noise that would give the second differences, mV.
        wander: Root mean square of what is slower than `SLOW`, but for the mean, mV.
        flat: Whether all samples are equal.
        clipped: Whether the lead stays at an extreme for `CLIPPED`; not where it is flat.
        einthoven: Largest absolute value of i + iii - ii, shape (n_records,), mV.
        goldberger: Likewise of avr + (i + ii) / 2.
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


def signal_facts(cohort: Cohort) -> SignalFacts:
    """Measure every lead; a few times the memory of the signals is needed.

    The noise is estimated robustly, by the median of the absolute second differences
    (pseudo-residuals, after Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986): QRS hardly
    counts, and what is correlated from sample to sample, such as the mains, counts too little.
    """
    signals = np.asarray(cohort.signals, dtype=np.float64)
    low, high = signals.min(axis=1), signals.max(axis=1)
    differences = np.abs(np.diff(signals, n=2, axis=1))
    flat = low == high
    return SignalFacts(
        low=low,
        mean=signals.mean(axis=1),
        high=high,
        noise=np.median(differences, axis=1) / (_NORMAL * np.sqrt(6)),
        wander=_wander(signals, cohort.fs),
        flat=flat,
        clipped=~flat & _clipped(signals, low, high, cohort.fs),
        einthoven=_largest(cohort, signals, {"i": 1, "iii": 1, "ii": -1}),
        goldberger=_largest(cohort, signals, {"avr": 1, "i": 0.5, "ii": 0.5}),
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
    found = np.zeros(low.shape, dtype=np.bool_)
    for extreme in (low, high):
        stays = signals == extreme[:, None]
        runs = np.cumsum(stays, axis=1, dtype=np.int32)
        runs = np.concatenate([np.zeros_like(runs[:, :1]), runs], axis=1)
        found |= ((runs[:, length:] - runs[:, :-length]) == length).any(axis=1)
    return found


def _largest(cohort: Cohort, signals: Floats, weights: dict[str, float]) -> Floats:
    total = sum(
        weight * signals[:, :, cohort.leads.index(lead)] for lead, weight in weights.items()
    )
    return np.asarray(np.abs(total).max(axis=1))
