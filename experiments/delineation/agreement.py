"""How well found waves agree with annotated ones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WAVES = "Npt"
POINTS = ("onset", "peak", "offset")
TOLERANCE_S = 0.15
"""As Kalyakulina et al. 2020 have it, after the ANSI/AAMI EC57 standard."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts and errors of one point of one wave.

    Attributes:
        annotated: How many are annotated.
        false: How many were found, between the first and the last annotation, where none is.
        errors: Found less annotated, s, of those that were matched.
    """

    annotated: int
    false: int
    errors: Floats

    @property
    def sensitivity(self) -> float:
        """Share of the annotated that was found."""
        return len(self.errors) / self.annotated if self.annotated else float("nan")

    @property
    def ppv(self) -> float:
        """Share of the found that is annotated."""
        n = len(self.errors) + self.false
        return len(self.errors) / n if n else float("nan")


def waves_of(symbols: str, samples: npt.NDArray[np.int32]) -> dict[str, Floats]:
    """Return onset, peak and offset of each wave, shape (n, 3); NaN where one is missing."""
    found: dict[str, list[tuple[float, float, float]]] = {wave: [] for wave in WAVES}
    for at, symbol in enumerate(symbols):
        if symbol in WAVES:
            onset = samples[at - 1] if at and symbols[at - 1] == "(" else np.nan
            closed = symbols[at + 1 : at + 2] == ")"
            found[symbol].append((onset, samples[at], samples[at + 1] if closed else np.nan))
    return {wave: np.array(one, dtype=np.float64).reshape(-1, 3) for wave, one in found.items()}


def agreement(annotated: Floats, found: Floats, span: tuple[float, float], fs: float) -> Agreement:
    """Match the points of one wave in one lead, the nearest pairs first, each once.

    Args:
        annotated: Samples, NaN where a point is missing.
        found: Samples, NaN where a point is missing.
        span: First and last sample that is annotated: annotators leave the first and the last
            heartbeats out, so that nothing found there is false.
        fs: Hz.
    """
    annotated, found = (one[np.isfinite(one)] for one in (annotated, found))
    distance = np.abs(annotated[:, None] - found[None])
    errors, matched = [], set()
    tolerance = TOLERANCE_S * fs
    while distance.size and distance.min() <= tolerance:
        one, other = np.unravel_index(distance.argmin(), distance.shape)
        errors.append((found[other] - annotated[one]) / fs)
        matched.add(int(other))
        distance[one], distance[:, other] = np.inf, np.inf
    others = [value for at, value in enumerate(found) if at not in matched]
    false = sum(span[0] <= value <= span[1] for value in others)
    return Agreement(len(annotated), int(false), np.array(errors))


def together(parts: list[Agreement]) -> Agreement:
    """Add up."""
    return Agreement(
        sum(one.annotated for one in parts),
        sum(one.false for one in parts),
        np.concatenate([one.errors for one in parts]),
    )
