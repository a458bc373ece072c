"""The result of a sweep: its trials, their folds, and its objectives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import TypeAdapter

from lvh.evaluation.results import OutOfFold, Plain
from lvh.validation.metrics import SCALES

State = Literal["complete", "leaking", "stopped", "failed", "open"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A score that a sweep ranks by: one of `lvh.validation.metrics.NAMES`, its mean over folds.

    With `pooled_` before it, its value over all folds together; with `std_`, its deviation between
    folds. `seconds` are those of all folds.
    """

    name: str

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        if self.name == "seconds" or self.name.startswith("std_"):
            return False
        scale = SCALES.get(self.name.removeprefix("pooled_"))
        return scale is None or scale.maximize


@dataclass(frozen=True, slots=True)
class FoldScore:
    """One fold of one trial; only folds with an equal `test`, a digest of records, are paired."""

    repeat: int
    fold: int
    metrics: Mapping[str, float]
    seconds: float
    n_train: int
    n_test: int
    test: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of training one configuration, which is written once, into its study.

    Attributes:
        state: `complete`; never on a leaderboard: `leaking`, by its protocol, `stopped` early, or
            `failed`; or `open`, which is being trained or was interrupted.
        values: Of the objectives; empty unless complete.
        folds: Those that are done, in the order in which they were, and `fold_keys` of the store.
        baselines: Mean scores on the same folds, by baseline and score; empty unless complete.
        run_key: Of its run, in the fold store and in the tracking store, or empty.
        error: Why it failed or was stopped, or what leaks; or empty.
    """

    state: State
    values: tuple[float, ...] = ()
    folds: tuple[FoldScore, ...] = ()
    fold_keys: tuple[str, ...] = ()
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    run_key: str = ""
    error: str = ""


OUTCOME_FORMAT = TypeAdapter(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(Outcome):
    """One configuration of a sweep, in the order of proposal: its point, and its outcome."""

    number: int
    params: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A sweep, finished or not; `predictions`, by trial, are the stored ones of complete trials."""

    name: str
    title: str
    note: str
    objectives: tuple[Objective, ...]
    dimensions: tuple[str, ...]
    n_folds: int
    trials: tuple[Trial, ...]
    predictions: Mapping[int, OutOfFold]
    label_name: str = "LVH"  # of what was stored before there were other labels

    @property
    def complete(self) -> tuple[Trial, ...]:
        """Complete trials, best by the first objective first; an undefined score last."""
        sign = -1.0 if self.objectives[0].maximize else 1.0
        done = [trial for trial in self.trials if trial.state == "complete"]
        return tuple(sorted(done, key=lambda one: np.nan_to_num(sign * one.values[0], nan=np.inf)))
