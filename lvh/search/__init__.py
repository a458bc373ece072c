"""The search for a configuration: a study of Optuna that many processes may work on."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, Strict

from lvh.validation.bounds import Count, Processes

__all__ = ["SearchSettings"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a sweep chooses its points and which of them it trains to the end.

    Attributes:
        objectives: Scores to rank by, the first one first; see `lvh.search.results.Objective`.
            Several make a Pareto front.
        sampler: `grid` takes every point once; `tpe` and `random` propose points; `auto` is
            `grid` for a space that can be enumerated and is no larger than `n_trials`, else
            `tpe`.
        n_trials: How many trials the study is to have in the end, with those it has; None for
            every point of a grid, or 50.
        seed: Of the proposals, and of the order in which folds are run where trials may stop.
        race: Stop trials that are credibly worse than the leader on the folds both have run.
        pruner: Stops trials by one of Optuna's rules.
        burn_in: Folds that every trial gets before `race` or `pruner` may stop it.
        storage: Database that holds the study; None for `studies.db` in the working directory.
            `postgresql://...` serves several machines.
        workers: Processes to start through a launcher that has no number of its own, such as
            submitit's or ray's; None for one.
    """

    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("ap",)
    sampler: Literal["auto", "grid", "tpe", "random"] = "auto"
    n_trials: Count | None = None
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**32)] = 0
    race: Annotated[bool, Strict()] = False
    pruner: Literal["none", "wilcoxon", "median", "percentile"] = "none"
    burn_in: Annotated[int, Strict(), Field(ge=2)] = 3
    storage: str | None = None
    workers: Processes | None = None

    @property
    def may_stop(self) -> bool:
        """Whether a trial may end before its last fold."""
        return self.race or self.pruner != "none"
