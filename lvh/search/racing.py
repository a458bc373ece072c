"""Racing over folds, halving over epochs, Optuna's pruners: which trials end before the others."""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, PercentilePruner, WilcoxonPruner
from optuna.trial import FrozenTrial, TrialState
from scipy.special import stdtrit  # type: ignore[import-untyped]

from lvh.search import SearchSettings
from lvh.search.space import StudyPlan

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEVEL = 0.05
"""Error level of one check. Over 35 folds of identical trials the total error is about .1."""
_ROUNDING = 1e-9  # of a singular value, relative to the largest one
_RACED = {7: 0.8, 10: 0.75, 21: 0.64, 35: 0.52}
"""Share of the training that racing leaves, by folds."""
RECORDS = "records"
"""Attribute of a trial: digest of the records that its folds score, in their order."""


class BudgetPruner(BasePruner):
    """Races trials over the folds of a stage, and lets the best of a stage into the next one.

    The values of a trial are the scores of its folds, stage after stage. Trials that were scored on
    other records do not count.
    """

    def __init__(self, n_folds: int, *, burn_in: int | None, reduction: int) -> None:
        """Take the number of folds of a stage; without a `burn_in` there is no racing."""
        self._n_folds, self._burn_in, self._reduction = n_folds, burn_in, reduction

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether a trial is to be stopped after the last score that it has."""
        n_folds, last = self._n_folds, max(trial.intermediate_values)
        steps = range(last - last % n_folds, last - last % n_folds + n_folds)  # of its stage
        sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1

        def scores(one: FrozenTrial) -> list[float]:
            values = one.intermediate_values  # fewer than all where it was stopped
            return [sign * values[step] for step in steps if step in values]

        others = [
            other
            for other in study.get_trials(deepcopy=False)
            if other.user_attrs.get(RECORDS) == trial.user_attrs.get(RECORDS)
            and other.state != TrialState.FAIL
            and other.number != trial.number
        ]
        if last == steps[-1]:
            rivals = [np.array(of) for other in others if (of := scores(other))]
            return is_behind(np.array(scores(trial)), rivals, self._reduction)
        if self._burn_in is None:
            return False
        racing = [one for one in others if one.state in (TrialState.RUNNING, TrialState.COMPLETE)]
        table = [scores(one) for one in (trial, *racing)]
        padded = [[*row, *[math.nan] * (n_folds - len(row))] for row in table]
        return bool(beaten(np.array(padded), maximize=True, burn_in=self._burn_in)[0])


def is_behind(scores: Floats, others: Sequence[Floats], reduction: int) -> bool:
    """Return whether a trial is not among the best 1 / reduction of those that ended a stage.

    That is successive halving without waiting for the slowest (Li et al., A System for Massively
    Parallel Hyperparameter Tuning, 2020, algorithm 2). Others with fewer scores count as worse.
    """
    mean = np.nanmean(scores)
    complete = [other for other in others if len(other) == len(scores)]
    n_better = sum(bool(np.nanmean(other) > mean) for other in complete)
    return n_better >= max(1, (len(others) + 1) // reduction)


def usual_shares(
    search: SearchSettings, rungs: Sequence[int], n_folds: int, n_trials: int
) -> Floats:
    """Return the share of its whole training that each of `n_trials` usually has, in their order.

    Halving lets the k-th trial that ends a stage pass with a chance of max(1, k // reduction) / k,
    where the order of trials says nothing about them. What racing leaves is the mean of
    experiments/racing/results.csv.
    """
    shares, reach = np.zeros(n_trials), np.ones(n_trials)
    for start, end in pairwise((0, *rungs)):
        shares += reach * (end - start) / rungs[-1]
        k = np.cumsum(reach)
        reach = reach * np.maximum(1, (k + _ROUNDING) // search.reduction) / k
    if search.races:
        usual = np.interp(n_folds, [*_RACED], [*_RACED.values()])
        shares[1:] *= max(usual, min(1, search.burn_in / n_folds))
    return shares


def share_trained(trial: FrozenTrial, rungs: Sequence[int], n_folds: int) -> float:
    """Return the share of its whole training that a trial has had so far."""
    done = max(trial.intermediate_values, default=-1) + 1
    if trial.state == TrialState.COMPLETE or not done:
        return float(trial.state.is_finished())
    return float(np.interp(done / n_folds, range(len(rungs) + 1), (0, *rungs)) / rungs[-1])


def make_pruner(plan: StudyPlan) -> BasePruner:
    """Return the rule that a study stops trials by."""
    search, burn_in = plan.search, plan.search.burn_in
    if search.races or search.halves:
        own = burn_in if search.races else None
        return BudgetPruner(plan.n_folds, burn_in=own, reduction=search.reduction)
    if search.pruner == "none":
        return NopPruner()
    if search.pruner == "wilcoxon":
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            return WilcoxonPruner(p_threshold=0.1, n_startup_steps=burn_in)
    percent = 50.0 if search.pruner == "median" else 25.0
    return PercentilePruner(percent, n_startup_trials=3, n_warmup_steps=burn_in - 1)


def beaten(scores: Floats, *, maximize: bool, burn_in: int, level: float = LEVEL) -> Flags:
    """Return which trials are credibly worse than the leader, so that they can stop.

    With s_ij the score of trial i in fold j, trials and folds have additive effects,
    s_ij = a_i + b_j + e_ij, fitted by least squares; the leader has the best a_i. A trial that
    shares k of all n folds with the leader, and is d behind it in their mean, is beaten if

        d / sqrt(2 s^2 (1 / k - 1 / n)) > t(1 - level / (m - 1); v)

    s^2 is the residual variance and v its degrees of freedom, pooled over the m trials with
    burn_in folds or more (Kuhn, Futility Analysis in the Cross-Validation of Machine Learning
    Models, 2014, arXiv:1405.6974). The -1 / n is ours, the correction for a finite population:
    what is predicted is the mean over these n folds, of which k are known. m - 1 is Bonferroni's
    correction for many rivals; the folds at which one looks again are not corrected for.

    Args:
        scores: Shape (n_trials, n_folds), in the order in which folds are run; NaN where there is
            none. Leave out trials that were stopped: they could lead.
        maximize: Whether higher scores are better.
        burn_in: Folds that a trial must have done to be beaten, or to lead.
        level: Chance that one look stops a trial that all folds would have put first, where
            it is no better than its rivals.

    Returns:
        Shape (n_trials,). Never true for the leader, a trial with fewer than `burn_in` scores
        or one that has all of them; nowhere true where scores show no variance to judge by.
    """
    result = np.zeros(len(scores), dtype=np.bool_)
    done = np.isfinite(scores)
    rows = np.nonzero(done.sum(axis=1) >= burn_in)[0]
    if len(rows) < 2:
        return result
    values = np.where(done, scores if maximize else -scores, np.nan)[rows]
    effects, variance, freedom = _two_way(values, done[rows])
    if variance == 0:
        return result
    leader = int(np.argmax(effects))
    shared = done[rows] & done[rows[leader]]
    k, n = shared.sum(axis=1), scores.shape[1]
    behind = np.where(shared, values[leader] - values, 0).sum(axis=1)
    # multiplied by k: a trial that shares no fold with the leader is then never beaten
    width = np.sqrt(2 * variance * k * (1 - k / n))
    critical = stdtrit(freedom, 1 - level / (len(rows) - 1))
    unfinished = done[rows].sum(axis=1) < n
    result[rows] = unfinished & (behind > critical * width) & (behind > 0)
    return result


def _two_way(values: Floats, done: Flags) -> tuple[Floats, float, int]:
    """Return the effect of each trial by least squares, residual variance, degrees of freedom."""
    used = done.any(axis=0)
    values, done = values[:, used], done[:, used]
    counts = done.sum(axis=1)
    weights = 1 / counts
    filled = np.where(done, values, 0)
    means = filled.sum(axis=1) * weights
    # trial effects eliminated: what is left is one small system in the fold effects
    present = done.astype(np.float64)
    system = np.diag(present.sum(axis=0)) - present.T @ (present * weights[:, None])
    inverse = np.linalg.pinv(system, rcond=_ROUNDING, hermitian=True)
    rank = int(np.linalg.matrix_rank(system, hermitian=True, rtol=_ROUNDING))
    of_folds = inverse @ (filled.sum(axis=0) - present.T @ means)
    effects = means - (present @ of_folds) * weights
    residuals = np.where(done, filled - effects[:, None] - of_folds, 0)
    freedom = int(counts.sum()) - len(counts) - rank
    squares = float((residuals**2).sum())
    rounding = counts.sum() * (10 * np.finfo(np.float64).eps * np.abs(filled).max(initial=0)) ** 2
    variance = squares / freedom if freedom > 0 and squares > rounding else 0.0
    return effects, variance, freedom
