"""The search for a configuration: a study of Optuna that many processes may work on."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, Strict

from lvh.validation.bounds import Count, Processes, Seed

__all__ = ["SearchSettings"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a sweep chooses its points and which of them it trains to the end.

    Attributes:
        objectives: Scores to rank by, the first one first; see `lvh.search.results.Objective`.
            Several make a Pareto front.
        sampler: `grid` takes every point once; `tpe` and `random` propose points. `auto` takes
            `grid` if all dimensions are lists or ranges and `n_trials` is enough; else `tpe`.
        n_trials: How many trials the study is to have in the end, with those it has; None for
            every point of a grid, or 50.
        seed: Of the proposals, and of the order in which folds are run where trials may stop.
        budget: `full` trains every fold of every trial; `race` stops trials that are credibly
            worse than the leader; `halving` trains all folds for a few epochs first, and only the
            best 1/`reduction` of the trials so far continue; `both` does both.
        race: The old name of `budget=race`.
        reduction: How many times fewer epochs, and more trials, each earlier stage has.
        min_epochs: Epochs of the first stage; None for a ninth (at a reduction of 3) of all.
        pruner: Stops trials by one of Optuna's rules.
        burn_in: Folds that every trial gets before racing or `pruner` may stop it.
        storage: Database that holds the study; None for `studies.db` in the working directory.
        workers: Processes to start through a launcher that has no number of its own; None for one.
    """

    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("ap",)
    sampler: Literal["auto", "grid", "tpe", "random"] = "auto"
    n_trials: Count | None = None
    seed: Seed = 0
    budget: Literal["full", "race", "halving", "both"] = "full"
    race: Annotated[bool, Strict()] = False
    reduction: Annotated[int, Strict(), Field(ge=2)] = 3
    min_epochs: Count | None = None
    pruner: Literal["none", "wilcoxon", "median", "percentile"] = "none"
    burn_in: Annotated[int, Strict(), Field(ge=2)] = 3
    storage: str | None = None
    workers: Processes | None = None

    @property
    def may_stop(self) -> bool:
        """Whether a trial may end before all its folds have all epochs."""
        return self.halves or self.stops_at_folds

    @property
    def races(self) -> bool:
        """Whether a trial may end because it is credibly worse on the folds so far."""
        return self.race or self.budget in ("race", "both")

    @property
    def stops_at_folds(self) -> bool:
        """Whether a trial may end after any fold."""
        return self.races or self.pruner != "none"

    @property
    def halves(self) -> bool:
        """Whether trials have fewer epochs at first."""
        return self.budget in ("halving", "both")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs at the end of each stage of a trial, the last one with all of them.

        >>> SearchSettings(budget="halving").rungs(15), SearchSettings().rungs(15)
        ((2, 5, 15), (15,))
        """
        if not self.halves:
            return (epochs,)
        first = self.min_epochs or -(-epochs // self.reduction**2)
        rungs = [epochs]
        while rungs[0] > first:
            rungs.insert(0, max(first, -(-rungs[0] // self.reduction)))
        return tuple(rungs)
