"""What a study is asked, kept in the study itself for whoever works on it or reads it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lvh.evaluation.results import Objective
from lvh.search.space import Choice, Dimension, Integers, Reals, Space, is_listed, size

_KINDS: dict[str, type[Choice] | type[Integers] | type[Reals]] = {
    "choice": Choice,
    "integers": Integers,
    "reals": Reals,
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a study is asked.

    Attributes:
        title: What a person reads: what is swept, on what.
        note: What a reader must know about the cohort, or empty.
        objectives: The first one ranks.
        space: What is searched.
        sampler: `grid`, `tpe`, `cmaes` or `random`.
        n_trials: How many trials there are to be in the end.
        seed: Of proposals and fold order.
        n_folds: Of a complete trial.
        race: Whether trials race over folds.
        pruner: Name of Optuna's pruner, or `none`.
        burn_in: Folds that every trial gets.
    """

    title: str
    note: str
    objectives: tuple[Objective, ...]
    space: Space
    sampler: Literal["grid", "tpe", "cmaes", "random"]
    n_trials: int
    seed: int
    n_folds: int
    race: bool
    pruner: Literal["none", "wilcoxon", "median", "percentile"]
    burn_in: int

    @property
    def stops(self) -> bool:
        """Whether a trial may end before its last fold."""
        return self.race or self.pruner != "none"

    @property
    def in_rounds(self) -> bool:
        """Whether all trials run a fold before one of them runs the next.

        A grid can, since its points are known beforehand; a sampler learns from trials that
        have ended.
        """
        return self.race and self.sampler == "grid"

    def order(self, n_folds: int) -> list[int]:
        """Return the order in which folds are run: the same for all trials.

        Shuffled where trials may stop, so that the first folds stand for all of them.
        """
        if not self.stops:
            return list(range(n_folds))
        return [int(at) for at in np.random.default_rng(self.seed).permutation(n_folds)]

    def dump(self) -> str:
        """Return all of it as JSON."""
        content = asdict(self)
        content["objectives"] = [objective.name for objective in self.objectives]
        content["space"] = [[name, *_dumped(one)] for name, one in self.space.items()]
        return json.dumps(content)

    @classmethod
    def load(cls, text: str) -> "Description":
        """Return what `dump` has written."""
        content: dict[str, Any] = json.loads(text)
        content["objectives"] = tuple(Objective(name) for name in content["objectives"])
        content["space"] = {name: _loaded(kind, fields) for name, kind, fields in content["space"]}
        return cls(**content)


def chosen_sampler(
    wanted: Literal["auto", "grid", "tpe", "cmaes", "random"], space: Space, n_trials: int | None
) -> Literal["grid", "tpe", "cmaes", "random"]:
    """Return the sampler that `auto` means for a space; any other name means itself."""
    if wanted != "auto":
        return wanted
    all_fit = is_listed(space) if n_trials is None else size(space) <= n_trials
    return "grid" if all_fit else "tpe"


def _dumped(dimension: Dimension) -> Sequence[Any]:
    kind = next(name for name, of in _KINDS.items() if isinstance(dimension, of))
    return kind, asdict(dimension)


def _loaded(kind: str, fields: dict[str, Any]) -> Dimension:
    if kind == "choice":
        return Choice(tuple(fields["texts"]))
    return _KINDS[kind](**fields)
