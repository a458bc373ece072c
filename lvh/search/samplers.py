"""What proposes points: never one that the study has already."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from cmaes import CMA
from optuna import Study, samplers
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lvh.search.space import Choice, Point, Space, points, size

_ATTEMPTS = 50
"""Proposals of a sampler that may repeat a point before one is drawn at random."""


class NewPoints(samplers.BaseSampler):
    """Asks another sampler until it proposes a point that the study does not have.

    It is made anew for every trial, from a seed of its own: a study that was interrupted goes
    on with the same proposals as one that was not.
    """

    def __init__(self, kind: str, space: Space, seed: int) -> None:
        """Take the sampler's name.

        Args:
            kind: `grid`, `tpe`, `cmaes` or `random`.
            space: What is searched.
            seed: Of this trial's proposals.
        """
        self._kind = kind
        self._space = space
        self._base = _made(kind, space, seed)
        self._random = samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: all dimensions are proposed together."""
        return {name: dimension.distribution() for name, dimension in self._space.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose a point.

        Raises:
            LookupError: The study has them all.
        """
        seen = {_key(one.params) for one in study.get_trials(deepcopy=False) if one.params}
        if self._kind == "grid" or len(seen) >= size(self._space):
            return self._first(seen)
        for attempt in range(2 * _ATTEMPTS):
            base = self._base if attempt < _ATTEMPTS else self._random
            proposed = self._proposed(base, study, trial, search_space)
            if _key(proposed) not in seen:
                return proposed
        return self._first(seen)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Never asked: the whole space is proposed together."""
        raise NotImplementedError

    def _first(self, seen: set[tuple[tuple[str, Any], ...]]) -> Point:
        if size(self._space) < np.inf:
            for point in points(self._space):
                if _key(point) not in seen:
                    return point
        raise LookupError("every point is in the study")

    def _proposed(
        self,
        base: samplers.BaseSampler,
        study: Study,
        trial: FrozenTrial,
        space: Mapping[str, BaseDistribution],
    ) -> Point:
        together = base.infer_relative_search_space(study, trial)
        chosen = dict(base.sample_relative(study, trial, together))
        for name, distribution in space.items():
            if name not in chosen:
                chosen[name] = base.sample_independent(study, trial, name, distribution)
        return {name: chosen[name] for name in space}


class Cma(samplers.BaseSampler):
    """Covariance matrix adaptation (Hansen and Ostermeier, 2001), replayed from the trials.

    Optuna's own keeps the strategy's state in the database, pickled; loading that would run
    whatever another user of the database put there. The trials say all that is needed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        """Take the space; its choices have no order and are drawn at random."""
        self._numbers = {name: one for name, one in space.items() if not isinstance(one, Choice)}
        self._seed = seed
        self._random = samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the dimensions that are numbers."""
        return {name: one.distribution() for name, one in self._numbers.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the strategy, after telling it every whole generation of the complete trials."""
        if not self._numbers:
            return {}
        n = len(self._numbers)
        cma = CMA(np.full(n, 0.5), 0.25, bounds=np.tile([0.0, 1.0], (n, 1)), seed=self._seed)
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        size_ = cma.population_size
        for at in range(0, len(done) - size_ + 1, size_):
            generation = done[at : at + size_]
            cma.tell([(self._unit(one.params), sign * (one.value or 0.0)) for one in generation])
        self._seed = (self._seed + 1) % 2**32  # asked again, it must answer otherwise
        cma.reseed_rng(self._seed)
        asked = cma.ask()
        return {
            name: one.at(float(share))
            for (name, one), share in zip(self._numbers.items(), asked, strict=True)
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Draw a choice at random."""
        return self._random.sample_independent(study, trial, name, distribution)

    def _unit(self, params: Mapping[str, Any]) -> npt.NDArray[np.float64]:
        return np.array([one.share(params[name]) for name, one in self._numbers.items()])


def _made(kind: str, space: Space, seed: int) -> samplers.BaseSampler:
    if kind == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    return Cma(space, seed) if kind == "cmaes" else samplers.RandomSampler(seed=seed)


def _key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    # 1, 1.0 and True are equal in Python, and no two options of one dimension differ so
    return tuple(sorted((name, value) for name, value in point.items()))
