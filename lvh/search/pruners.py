"""Which trials end before their last fold."""

import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from lvh.search.description import Description
from lvh.search.racing import beaten
from lvh.search.records import folds_of

_RACING = (TrialState.RUNNING, TrialState.COMPLETE)


def is_beaten(number: int, trials: Sequence[FrozenTrial], description: Description) -> bool:
    """Return whether a trial that races is credibly worse than the leader.

    Args:
        number: Of the trial.
        trials: Of its study; those that were stopped or failed, or scored on other
            records, neither lead nor count.
        description: Of the study.
    """
    mine = [fold.scored for one in trials if one.number == number for fold in folds_of(one)]
    racing = [
        one
        for one in trials
        if one.state in _RACING
        and all(fold.scored == scored for fold, scored in zip(folds_of(one), mine, strict=False))
    ]
    objective = description.objectives[0]
    scores = np.full((len(racing), description.n_folds), np.nan)
    for row, trial in enumerate(racing):
        values = [fold.metrics[objective.name] for fold in folds_of(trial)]
        scores[row, : len(values)] = values
    lost = beaten(scores, maximize=objective.maximize, burn_in=description.burn_in)
    return bool(lost[[one.number for one in racing].index(number)])


def pruner(description: Description) -> optuna.pruners.BasePruner:
    """Return Optuna's rule that a study stops trials by."""
    burn_in = description.burn_in
    if description.pruner == "wilcoxon":
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=burn_in)
    if description.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=burn_in - 1)
    if description.pruner == "percentile":
        return optuna.pruners.PercentilePruner(25.0, n_startup_trials=3, n_warmup_steps=burn_in - 1)
    return optuna.pruners.NopPruner()
