"""The space that is searched: one dimension for each swept override."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lvh.evaluation.results import Plain

Point = dict[str, Plain]


@dataclass(frozen=True, slots=True)
class Choice:
    """Values to choose from.

    Attributes:
        texts: As they stand right of `=` in an override, in the order typed.
    """

    texts: tuple[str, ...]

    def values(self) -> tuple[Plain, ...]:
        """Return numbers as numbers, so that they sort and plot, and all else as typed."""
        return tuple(dict.fromkeys(_plain(text) for text in self.texts))

    def distribution(self) -> BaseDistribution:
        """Return what Optuna samples from."""
        return CategoricalDistribution(self.values())

    def text(self, value: Plain) -> str:
        """Return a value as it was typed."""
        return next(text for text in self.texts if _plain(text) == value)


@dataclass(frozen=True, slots=True)
class Integers:
    """Whole numbers from `low` to `high`, both included.

    Attributes:
        low: The lowest.
        high: The highest; `low` plus a multiple of `step`.
        step: Between neighbours.
        log: Whether ratios count, not differences.
        listed: Whether a person listed them (`range`), and so means all to be tried.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False
    listed: bool = False

    def values(self) -> tuple[Plain, ...]:
        """Return all."""
        return tuple(range(self.low, self.high + 1, self.step))

    def distribution(self) -> BaseDistribution:
        """Return what Optuna samples from."""
        return IntDistribution(self.low, self.high, step=self.step, log=self.log)

    def text(self, value: Plain) -> str:
        """Return a value as an override has it."""
        return str(value)

    def at(self, share: float) -> int:
        """Return the value at a share of the way from low to high."""
        value = _between(self.low - 0.5, self.high + 0.5, share, log=self.log and self.low > 0)
        nearest = self.low + round((value - self.low) / self.step) * self.step
        return min(max(nearest, self.low), self.high)

    def share(self, value: float) -> float:
        """Return how far from low to high a value is."""
        return _share(self.low - 0.5, self.high + 0.5, value, log=self.log and self.low > 0)


@dataclass(frozen=True, slots=True)
class Reals:
    """Numbers from `low` to `high`.

    Attributes:
        low: The lowest.
        high: The highest.
        log: Whether ratios count, not differences.
    """

    low: float
    high: float
    log: bool = False

    def values(self) -> None:
        """Return None: there is no end of them."""
        return

    def distribution(self) -> BaseDistribution:
        """Return what Optuna samples from."""
        return FloatDistribution(self.low, self.high, log=self.log)

    def text(self, value: Plain) -> str:
        """Return a value as an override has it."""
        return repr(value)

    def at(self, share: float) -> float:
        """Return the value at a share of the way from low to high."""
        value = _between(self.low, self.high, share, log=self.log)
        return min(max(value, self.low), self.high)  # rounding may lead past an end

    def share(self, value: float) -> float:
        """Return how far from low to high a value is."""
        return _share(self.low, self.high, value, log=self.log)


Dimension = Choice | Integers | Reals
Space = Mapping[str, Dimension]
"""Dimensions by the name of the override, in the order typed."""


def size(space: Space) -> float:
    """Return the number of distinct points; infinite where there are reals."""
    values = [dimension.values() for dimension in space.values()]
    return math.prod(math.inf if one is None else len(one) for one in values)


def is_listed(space: Space) -> bool:
    """Return whether a person listed every value, so that they mean all to be tried."""
    return all(
        isinstance(one, Choice) or (isinstance(one, Integers) and one.listed)
        for one in space.values()
    )


def points(space: Space) -> Iterator[Point]:
    """Yield every point of a space without reals, the last dimension fastest."""
    values = [dimension.values() or () for dimension in space.values()]
    for point in itertools.product(*values):
        yield dict(zip(space, point, strict=True))


def overrides(space: Space, point: Mapping[str, Plain]) -> list[str]:
    """Return a point as overrides."""
    return [f"{name}={space[name].text(value)}" for name, value in point.items()]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return what Optuna samples each dimension from."""
    return {name: dimension.distribution() for name, dimension in space.items()}


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    return low * (high / low) ** share if log else low + share * (high - low)


def _share(low: float, high: float, value: float, *, log: bool) -> float:
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)


def _plain(text: str) -> Plain:
    """Read a number; leave all else as it was typed, without quotes."""
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    for kind in (int, float):
        try:
            number = kind(bare)
        except ValueError:
            continue
        return number if math.isfinite(number) else bare
    return bare
