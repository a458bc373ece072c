"""The space that is searched, one dimension for each swept override, and the plan of a study."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice, product

import numpy as np
from optuna import Trial

from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.search import SearchSettings
from lvh.search.results import Objective

Point = dict[str, Plain]
"""Values by the name of the override; a dimension whose condition does not hold has none."""

_COUNTED = 1_000_000  # combinations up to which the points of a conditional space are counted
_DEFAULT_TRIALS = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """Values to choose from, as they stand right of `=` in an override, in the order typed."""

    texts: tuple[str, ...]
    is_listed = True

    def values(self) -> tuple[Plain, ...]:
        """Return numbers as numbers, so that they sort and plot, and all else as typed."""
        return _values(self.texts)

    def suggest(self, trial: Trial, name: str) -> Plain:
        """Let the sampler of a study choose a value."""
        return trial.suggest_categorical(name, self.values())

    def ends(self) -> tuple[Plain, ...]:
        """Return the first and the last value."""
        return self.values()[0], self.values()[-1]

    def text(self, value: Plain) -> str:
        """Return a value as it was typed."""
        return next(text for text in self.texts if _plain(text) == value)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers from `low` to `high`, both included, whole ones with a `step`; `log`: ratios count.

    `is_listed`: a user listed them (`range`), and so means all to be tried.
    """

    low: int | float
    high: int | float
    step: int | None = None
    log: bool = False
    is_listed: bool = False

    def values(self) -> Sequence[Plain] | None:
        """Return all whole numbers; None for real ones, of which there is no end."""
        if self.step is None:
            return None
        return range(int(self.low), int(self.high) + 1, self.step)

    def suggest(self, trial: Trial, name: str) -> Plain:
        """Let the sampler of a study choose a value."""
        if self.step is None:
            return trial.suggest_float(name, self.low, self.high, log=self.log)
        low, high = int(self.low), int(self.high)
        return trial.suggest_int(name, low, high, step=self.step, log=self.log)

    def ends(self) -> tuple[Plain, ...]:
        """Return the lowest and the highest value."""
        return self.low, self.high

    def text(self, value: Plain) -> str:
        """Return a value as an override has it."""
        return repr(value)


Dimension = Choice | Numbers


@dataclass(frozen=True, slots=True)
class Condition:
    """Where a dimension exists: under these options, as typed, of an unconditional choice."""

    parent: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """Dimensions by the name of the override, in the order typed."""

    dimensions: Mapping[str, Dimension]
    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions, in the order typed."""
        return tuple(self.dimensions)

    @property
    def is_listed(self) -> bool:
        """Whether a user listed every value, so that they mean all to be tried."""
        return all(dimension.is_listed for dimension in self.dimensions.values())

    @cached_property
    def size(self) -> float:
        """Number of distinct points; infinite where there are real numbers."""
        values = [dimension.values() for dimension in self.dimensions.values()]
        if any(listed is None for listed in values):
            return math.inf
        most = math.prod(len(listed or ()) for listed in values)
        return sum(1 for _ in self.points()) if self.conditions and most <= _COUNTED else most

    def points(self) -> Iterator[Point]:
        """Yield every point of a space without real numbers once, the last dimension fastest."""
        return self._combined([dimension.values() or () for dimension in self.dimensions.values()])

    def probes(self) -> Iterator[Point]:
        """Yield points to look at first: all that are listed, and of intervals the ends."""
        each = self.dimensions.values()
        return self._combined([(one.is_listed and one.values()) or one.ends() for one in each])

    def having(self, name: str) -> Point:
        """Return a point that has a dimension; of others the first value, if that is possible."""
        point: Point = {one: dimension.ends()[0] for one, dimension in self.dimensions.items()}
        for condition in self.conditions.get(name, ()):
            point[condition.parent] = _plain(condition.texts[0])
        return self.present(point)

    def _combined(self, values: Sequence[Sequence[Plain]]) -> Iterator[Point]:
        seen = set()
        for combination in product(*values):
            point = self.present(dict(zip(self.dimensions, combination, strict=True)))
            key = tuple(point.items())
            if key not in seen:
                yield point
            if self.conditions:  # without, no two combinations are the same point
                seen.add(key)

    def at(self, number: int) -> Point:
        """Return one point of those that `points` yields, from 0."""
        if self.conditions:
            return next(islice(self.points(), number, None))
        point: Point = {}
        for name in reversed(self.names):  # a huge space is never held in memory
            values = self.dimensions[name].values() or ()
            number, position = divmod(number, len(values))
            point[name] = values[position]
        return {name: point[name] for name in self.names}

    def suggest(self, trial: Trial) -> None:
        """Let the sampler of a study choose the point of a trial."""
        point: Point = {}
        for name in sorted(self.names, key=lambda name: name in self.conditions):
            if self._holds(name, point):
                point[name] = self.dimensions[name].suggest(trial, name)

    def texts(self, point: Mapping[str, Plain]) -> dict[str, str]:
        """Return the values of a point as they stand right of `=` in an override."""
        return {name: self.dimensions[name].text(value) for name, value in point.items()}

    def present(self, point: Point) -> Point:
        """Leave out the dimensions that the options of a point do not have."""
        return {name: value for name, value in point.items() if self._holds(name, point)}

    def _holds(self, name: str, point: Mapping[str, Plain]) -> bool:
        return all(
            self.dimensions[condition.parent].text(point[condition.parent]) in condition.texts
            for condition in self.conditions.get(name, ())
        )


@cache
def _values(texts: tuple[str, ...]) -> tuple[Plain, ...]:
    return tuple(dict.fromkeys(_plain(text) for text in texts))


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


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What a study asks, as it stores it, with the sampler and the number that `decided` chose."""

    space: Space
    search: SearchSettings
    title: str
    note: str
    n_folds: int
    label_name: str = "LVH"  # of what was stored before there were other labels

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Scores that it ranks by, the first one first."""
        return tuple(map(Objective, self.search.objectives))

    @property
    def total(self) -> int:
        """How many trials there are to be: no more than there are points."""
        return int(min(self.search.n_trials or _DEFAULT_TRIALS, self.space.size))

    def fold_order(self, n_folds: int) -> list[int]:
        """Return the order in which all trials run folds, shuffled where trials may stop."""
        if not self.search.may_stop:
            return list(range(n_folds))
        return [int(fold) for fold in np.random.default_rng(self.search.seed).permutation(n_folds)]


def decided(search: SearchSettings, space: Space) -> SearchSettings:
    """Return settings with the sampler that `auto` means, the number of trials, and no address."""
    sampler, n_trials = search.sampler, search.n_trials
    if sampler == "auto":
        all_fit = space.is_listed if n_trials is None else space.size <= n_trials
        sampler = "grid" if all_fit else "tpe"
    if sampler == "grid" and space.size == math.inf:
        raise InputError(
            "search.sampler: expected tpe or random: an interval of real numbers cannot be listed. "
            "Received: grid"
        )
    n_trials = n_trials or (int(space.size) if sampler == "grid" else _DEFAULT_TRIALS)
    return replace(search, sampler=sampler, n_trials=n_trials, storage=None, workers=None)
