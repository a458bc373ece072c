"""What a study is asked; the study keeps it for all who work on it or read it."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lvh.search.results import Objective
from lvh.search.space import Space

SamplerName = Literal["grid", "tpe", "random"]
PrunerName = Literal["none", "wilcoxon", "median", "percentile"]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What a study is asked.

    Attributes:
        title: What a person reads: what is swept, on what.
        note: What a reader must know about the cohort, or empty.
        objectives: The first one ranks.
        space: What is searched.
        sampler: How points are chosen.
        n_trials: How many trials there are to be in the end.
        seed: Of proposals and fold order.
        n_folds: Of a complete trial.
        race: Whether trials race over folds.
        pruner: Optuna's rule that stops trials.
        burn_in: Folds that every trial gets.
    """

    title: str
    note: str
    objectives: tuple[Objective, ...]
    space: Space
    sampler: SamplerName
    n_trials: int
    seed: int
    n_folds: int
    race: bool
    pruner: PrunerName
    burn_in: int

    @property
    def total(self) -> int:
        """How many trials there are to be: no more than there are points."""
        return int(min(self.n_trials, self.space.size))

    @property
    def may_stop(self) -> bool:
        """Whether a trial may end before its last fold."""
        return self.race or self.pruner != "none"

    @property
    def check_after(self) -> int | None:
        """Folds after which a trial may be stopped for the first time; None for never."""
        return self.burn_in if self.may_stop else None

    def fold_order(self, n_folds: int) -> list[int]:
        """Return the order in which folds are run: the same for all trials.

        Shuffled where trials may stop, so that the first folds stand for all of them.
        """
        if not self.may_stop:
            return list(range(n_folds))
        return [int(fold) for fold in np.random.default_rng(self.seed).permutation(n_folds)]

    def dump(self) -> str:
        """Return all of it as JSON."""
        content = {name: getattr(self, name) for name in self.__slots__}
        content["objectives"] = [objective.name for objective in self.objectives]
        content["space"] = self.space.dump()
        return json.dumps(content)

    @classmethod
    def load(cls, text: str) -> "StudyPlan":
        """Return what `dump` has written."""
        content: dict[str, Any] = json.loads(text)
        content["objectives"] = tuple(Objective(name) for name in content["objectives"])
        content["space"] = Space.load(content["space"])
        return cls(**content)


def sampler_for(
    wanted: Literal["auto", "grid", "tpe", "random"], space: Space, n_trials: int | None
) -> SamplerName:
    """Return the sampler that `auto` means for a space; any other name means itself."""
    if wanted != "auto":
        return wanted
    all_fit = space.is_listed if n_trials is None else space.size <= n_trials
    return "grid" if all_fit else "tpe"
