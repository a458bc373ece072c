"""What chooses the point of a trial."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from lvh.search.attempts import place
from lvh.search.plan import StudyPlan
from lvh.search.space import Point, Space


class PlacedGridSampler(BaseSampler):
    """Gives each trial the point of its place, so that no two processes can choose the same.

    Optuna's BruteForceSampler looks at what other trials have, and two processes that ask at
    once get the same point; its price grows with the study (experiments/speed/claims.csv). A
    trial's number is given out by the database, each once.
    """

    def __init__(self, space: Space) -> None:
        """Take the space, without real numbers."""
        self._space = space
        self._point: tuple[int, Point] = (-1, {})

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: dimensions are given one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing, as above."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Return one dimension of the trial's point."""
        if self._point[0] != trial.number:
            number = place(trial.number, study.get_trials(deepcopy=False))
            self._point = trial.number, self._space.at(number)
        return self._point[1][name]


def make_sampler(plan: StudyPlan, *draw: int) -> BaseSampler:
    """Return what proposes the next point.

    It is made for every trial from a seed of its own, so that a study that was interrupted goes
    on with the same proposals as one that was not.

    Args:
        plan: Of the study.
        draw: What the seed depends on besides that of the study.
    """
    if plan.sampler == "grid":
        return PlacedGridSampler(plan.space)
    seed = int(np.random.SeedSequence([plan.seed, *draw]).generate_state(1)[0])
    if plan.sampler == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        return TPESampler(
            seed=seed, multivariate=True, group=plan.space.is_conditional, constant_liar=True
        )
