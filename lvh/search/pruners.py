"""Which trials end before their last fold."""

import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, PercentilePruner, WilcoxonPruner
from optuna.trial import FrozenTrial, TrialState

from lvh.search.plan import StudyPlan
from lvh.search.racing import beaten

RECORDS = "records"
"""Attribute of a trial: digest of the records that its folds score, in their order."""


class RacingPruner(BasePruner):
    """Stops a trial that is credibly worse than the leader on the folds both have run.

    Trials that were stopped or failed, or were scored on other records, neither lead nor count.
    """

    def __init__(self, n_folds: int, burn_in: int) -> None:
        """Take how many folds a complete trial has, and how many every trial gets."""
        self._n_folds = n_folds
        self._burn_in = burn_in

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether a trial, whose reported values are scores of folds, is to be stopped."""
        racing = [
            one
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number
            and one.state in (TrialState.RUNNING, TrialState.COMPLETE)
            and one.user_attrs.get(RECORDS) == trial.user_attrs.get(RECORDS)
        ]
        scores = np.full((len(racing) + 1, self._n_folds), np.nan)
        for row, one in enumerate([trial, *racing]):
            for step, value in one.intermediate_values.items():
                scores[row, step] = value
        maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
        return bool(beaten(scores, maximize=maximize, burn_in=self._burn_in)[0])


def make_pruner(plan: StudyPlan) -> BasePruner:
    """Return the rule that a study stops trials by."""
    burn_in = plan.burn_in
    if plan.race:
        return RacingPruner(plan.n_folds, burn_in)
    if plan.pruner == "wilcoxon":
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            return WilcoxonPruner(p_threshold=0.1, n_startup_steps=burn_in)
    if plan.pruner == "median":
        return MedianPruner(n_startup_trials=3, n_warmup_steps=burn_in - 1)
    if plan.pruner == "percentile":
        return PercentilePruner(25.0, n_startup_trials=3, n_warmup_steps=burn_in - 1)
    return NopPruner()
