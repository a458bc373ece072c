"""The space that is searched: one dimension for each swept override."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from optuna import Trial

from lvh.evaluation.results import Plain

Point = dict[str, Plain]
"""Values by the name of the override; a dimension whose condition does not hold has none."""


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

    def suggest(self, trial: Trial, name: str) -> Plain:
        """Let the sampler of a study choose a value."""
        return trial.suggest_categorical(name, self.values())

    def ends(self) -> tuple[Plain, Plain]:
        """Return the first and the last value."""
        return self.values()[0], self.values()[-1]

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

    def values(self) -> Sequence[Plain]:
        """Return all."""
        return range(self.low, self.high + 1, self.step)

    def suggest(self, trial: Trial, name: str) -> Plain:
        """Let the sampler of a study choose a value."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def text(self, value: Plain) -> str:
        """Return a value as an override has it."""
        return str(value)

    def ends(self) -> tuple[Plain, Plain]:
        """Return the lowest and the highest value."""
        return self.low, self.high


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

    def suggest(self, trial: Trial, name: str) -> Plain:
        """Let the sampler of a study choose a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def text(self, value: Plain) -> str:
        """Return a value as an override has it."""
        return repr(value)

    def ends(self) -> tuple[Plain, Plain]:
        """Return the lowest and the highest value."""
        return self.low, self.high


Dimension = Choice | Integers | Reals

_COUNTED = 1_000_000
"""Combinations up to which the points of a conditional space are counted one by one."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Where a dimension is there: only some options of another one have such a field.

    Attributes:
        parent: Name of the other dimension, a choice.
        texts: Its options that have it, as typed.
    """

    parent: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """Dimensions by the name of the override, in the order typed.

    Attributes:
        dimensions: What is searched.
        conditions: Of the dimensions that not every point has; all of them must hold.
    """

    dimensions: Mapping[str, Dimension]
    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions, in the order typed."""
        return tuple(self.dimensions)

    @property
    def is_conditional(self) -> bool:
        """Whether some dimensions are missing at some points."""
        return bool(self.conditions)

    @property
    def is_listed(self) -> bool:
        """Whether a person listed every value, so that they mean all to be tried."""
        return all(_is_listed(one) for one in self.dimensions.values())

    @cached_property
    def size(self) -> float:
        """Number of distinct points; infinite where there are real numbers."""
        values = [dimension.values() for dimension in self.dimensions.values()]
        if any(one is None for one in values):
            return math.inf
        most = math.prod(len(one or ()) for one in values)
        if self.is_conditional and most <= _COUNTED:
            return len(self._listed_points)
        return most

    def points(self) -> Iterator[Point]:
        """Yield every point of a space without real numbers once, the last dimension fastest."""
        values = [dimension.values() or () for dimension in self.dimensions.values()]
        seen = set()
        for combination in itertools.product(*values):
            point = self.present(dict(zip(self.dimensions, combination, strict=True)))
            if not self.is_conditional:
                yield point
            elif (key := tuple(point.items())) not in seen:
                seen.add(key)
                yield point

    def at(self, number: int) -> Point:
        """Return one point of those that `points` yields, from 0.

        Raises:
            IndexError: There are fewer.
        """
        if self.is_conditional:
            return self._listed_points[number]
        point: Point = {}
        for name in reversed(self.names):
            values = self.dimensions[name].values() or ()
            number, position = divmod(number, len(values))
            point[name] = values[position]
        if number:
            raise IndexError(number)
        return {name: point[name] for name in self.names}

    def probes(self) -> Iterator[Point]:
        """Yield points to look at first: all that are listed, and of intervals the ends."""
        values = [
            (one.values() if _is_listed(one) else None) or one.ends()
            for one in self.dimensions.values()
        ]
        for combination in itertools.product(*values):
            yield self.present(dict(zip(self.dimensions, combination, strict=True)))

    def suggest(self, trial: Trial) -> Point:
        """Let the sampler of a study choose the point of a trial."""
        point: Point = {}
        waiting = list(self.names)
        while waiting:  # a dimension comes after those that it depends on
            name = next(
                name
                for name in waiting
                if not any(one.parent in waiting for one in self.conditions.get(name, ()))
            )
            waiting.remove(name)
            if self._holds(name, point):
                point[name] = self.dimensions[name].suggest(trial, name)
        return {name: point[name] for name in self.names if name in point}

    def texts(self, point: Mapping[str, Plain]) -> dict[str, str]:
        """Return the values of a point as they stand right of `=` in an override."""
        return {name: self.dimensions[name].text(value) for name, value in point.items()}

    def dump(self) -> dict[str, Any]:
        """Return it in plain containers."""
        kinds = {name: type(one).__name__ for name, one in self.dimensions.items()}
        return {
            "dimensions": [[name, kinds[name], asdict(self.dimensions[name])] for name in kinds],
            "conditions": {
                name: [[one.parent, list(one.texts)] for one in conditions]
                for name, conditions in self.conditions.items()
            },
        }

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> "Space":
        """Return what `dump` has written."""
        return cls(
            {name: _dimension(kind, fields) for name, kind, fields in content["dimensions"]},
            {
                name: tuple(Condition(parent, tuple(texts)) for parent, texts in conditions)
                for name, conditions in content["conditions"].items()
            },
        )

    @cached_property
    def _listed_points(self) -> list[Point]:
        return list(self.points())

    def _holds(self, name: str, point: Mapping[str, Plain]) -> bool:
        return all(
            one.parent in point and self.dimensions[one.parent].text(point[one.parent]) in one.texts
            for one in self.conditions.get(name, ())
        )

    def present(self, point: Point) -> Point:
        """Leave out what is not there, and what depends on that."""
        while absent := [name for name in point if not self._holds(name, point)]:
            point = {name: value for name, value in point.items() if name not in absent}
        return point


def _is_listed(dimension: Dimension) -> bool:
    return isinstance(dimension, Choice) or (isinstance(dimension, Integers) and dimension.listed)


def _dimension(kind: str, fields: dict[str, Any]) -> Dimension:
    if kind == "Choice":
        return Choice(tuple(fields["texts"]))
    return Integers(**fields) if kind == "Integers" else Reals(**fields)


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
