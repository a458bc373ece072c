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


class Sampler:
    """What proposes the points of a study."""

    def __init__(self, plan: StudyPlan) -> None:
        """Make Optuna's sampler, which remembers what it has seen of a study."""
        self._seed = plan.seed
        self._sampler: BaseSampler
        if plan.sampler == "grid":
            self._sampler = PlacedGridSampler(plan.space)
        elif plan.sampler == "random":
            self._sampler = RandomSampler(seed=0)
        else:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                self._sampler = TPESampler(
                    seed=0, multivariate=True, group=plan.space.is_conditional, constant_liar=True
                )

    def at(self, *draw: int) -> BaseSampler:
        """Return the sampler with a seed for one trial.

        So a study that was interrupted goes on with the same proposals as one that was not.

        Args:
            draw: What the seed depends on besides that of the study.
        """
        seed = int(np.random.SeedSequence([self._seed, *draw]).generate_state(1)[0])
        for sampler in (self._sampler, getattr(self._sampler, "_random_sampler", None)):
            if isinstance(sampler, RandomSampler | TPESampler):
                sampler._rng.rng.seed(seed)
        return self._sampler
