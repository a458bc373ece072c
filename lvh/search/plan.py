"""The plan of a study, which it stores for all its processes, and the sampler of its points."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from pydantic import TypeAdapter

from lvh.errors import InputError
from lvh.search import SearchSettings
from lvh.search.results import Objective
from lvh.search.space import Space

_DEFAULT_TRIALS = 50


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The question of a study; its sampler and number of trials are `decided`."""

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


PLAN_FORMAT = TypeAdapter(StudyPlan)


def decided(search: SearchSettings, space: Space) -> SearchSettings:
    """Return settings with the sampler that `auto` means, the number of trials, and no address."""
    sampler = search.sampler
    if sampler == "auto":
        n_trials = search.n_trials
        all_fit = space.is_listed if n_trials is None else space.size <= n_trials
        sampler = "grid" if all_fit else "tpe"
    if sampler == "grid" and space.size == float("inf"):
        raise InputError(
            "search.sampler: expected tpe or random: an interval of real numbers cannot be listed. "
            "Received: grid"
        )
    most = int(space.size) if sampler == "grid" else _DEFAULT_TRIALS
    n_trials = search.n_trials or most
    return replace(search, sampler=sampler, n_trials=n_trials, storage=None, workers=None)


def make_sampler(plan: StudyPlan, *draw: int, before: BaseSampler) -> BaseSampler:
    """Return the sampler of a study, with a seed for one trial, so that a resumed study agrees."""
    seed = int(np.random.SeedSequence([plan.search.seed, *draw]).generate_state(1)[0])
    if plan.search.sampler != "tpe":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        sampler = TPESampler(
            seed=seed, multivariate=True, group=bool(plan.space.conditions), constant_liar=True
        )
    if isinstance(before, TPESampler):  # else it would look for the space in all trials
        sampler._search_space = before._search_space
    return sampler
