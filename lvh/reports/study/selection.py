"""What the chosen configuration would score on new subjects, its choice included."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.evaluation.results import OutOfFold
from lvh.search.results import Objective, StudyResult
from lvh.validation.metrics import NAMES, Interval, weighted_scores

Floats = npt.NDArray[np.float64]

_CELLS_AT_ONCE = 2_000_000  # weights in memory, so that large cohorts fit


@dataclass(frozen=True, slots=True)
class BiasCorrected:
    """The score of a sweep's choice, without the flattery of having been chosen by it.

    Attributes:
        estimate: Mean score out of bag of what was chosen in the bag, with the 2.5 and 97.5 %
            quantiles over resamples; NaN if it was never defined.
        naive: Highest pooled score of any configuration, or the lowest where less is better:
            what choosing and reporting on the same predictions gives.
        naive_number: The trial that has it.
        chosen: Share of the resamples in which each trial was chosen, by number.
        n_subjects: That were resampled.
        n_rows: Predictions of each trial that took part.
    """

    estimate: Interval
    naive: float
    naive_number: int
    chosen: Mapping[int, float]
    n_subjects: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class _Shared:
    """Predictions of all complete trials on the rows that they share.

    Attributes:
        numbers: Of the trials.
        y_true: As each trial has them, shape (n_trials, n_rows).
        y_score: Shape (n_trials, n_rows).
        threshold: Of each score, shape (n_trials, n_rows).
        subject: Shape (n_rows,).
    """

    numbers: tuple[int, ...]
    y_true: npt.NDArray[np.int64]
    y_score: Floats
    threshold: Floats
    subject: npt.NDArray[np.str_]


def bias_corrected(
    study: StudyResult, resamples: int = 1000, seed: int = 0
) -> BiasCorrected | None:
    """Estimate the score of the best configuration with the bias of choosing it removed.

    Bootstrap bias corrected cross-validation: subjects are resampled, a configuration is
    chosen on the pooled out-of-fold predictions in the bag and scored on those out of it.
    Nothing is trained again. Source: Tsamardinos, Greasidou and Borboudakis, Bootstrapping the
    out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107
    (2018).

    Args:
        study: With the predictions of every complete trial.
        resamples: Of the subjects.
        seed: Of the resampling.

    Returns:
        The estimate, or None for a reason that `why_not` tells.
    """
    if why_not(study):
        return None
    shared, objective = _shared(study), study.objectives[0]
    distinct, member = np.unique(shared.subject, return_inverse=True)
    generator, parts = np.random.default_rng(seed), []
    shares = np.full(len(distinct), 1 / len(distinct))
    for n_rows in _blocks(resamples, len(member)):
        draws = generator.multinomial(len(distinct), shares, size=n_rows)
        parts.append(_resampled(shared, objective, draws[:, member]))
    chosen, scores = (np.concatenate(one) for one in zip(*parts, strict=True))
    pooled = _scores(shared, objective, np.ones((1, len(shared.subject))))[:, 0]
    best = int(np.argmax(_ranked(pooled, objective)))
    counts = np.bincount(chosen[chosen >= 0], minlength=len(shared.numbers))
    frequencies = counts / max(1, counts.sum())
    return BiasCorrected(
        estimate=_percentiles(scores),
        naive=float(pooled[best]),
        naive_number=shared.numbers[best],
        chosen=dict(zip(shared.numbers, frequencies.tolist(), strict=True)),
        n_subjects=len(distinct),
        n_rows=len(shared.subject),
    )


def why_not(study: StudyResult) -> str:
    """Return why there can be no bias-corrected estimate, or nothing if there can."""
    name, complete = study.objectives[0].name, study.complete
    if name not in NAMES:
        return f"{name} is not a score of predictions"
    if len(complete) < 2:
        return "it needs at least two complete configurations to choose from"
    missing = sorted(one.number for one in complete if one.number not in study.predictions)
    if missing:
        return f"predictions are missing of {len(missing)} of {len(complete)} configurations"
    shared = _shared(study)
    if (shared.y_true != shared.y_true[0]).any():
        return "the configurations have different labels for the same record"
    if len(np.unique(shared.subject)) < 2:
        return "the configurations share predictions of fewer than two subjects"
    return ""


def _shared(study: StudyResult) -> _Shared:
    numbers = tuple(sorted(trial.number for trial in study.complete))
    ones = [study.predictions[number] for number in numbers]
    rows = [_rows(one) for one in ones]
    keys = sorted(set.intersection(*map(set, rows)))
    at = np.array([[of[key] for key in keys] for of in rows], dtype=np.intp)
    return _Shared(
        numbers=numbers,
        y_true=np.array([one.y_true[of] for one, of in zip(ones, at, strict=True)]),
        y_score=np.array([one.y_score[of] for one, of in zip(ones, at, strict=True)]),
        threshold=np.array([one.threshold[of] for one, of in zip(ones, at, strict=True)]),
        subject=ones[0].subject[at[0]],
    )


def _rows(one: OutOfFold) -> dict[tuple[str, int], int]:
    """Return where each record and repeat is; the last place if it is there twice."""
    keys = zip(one.record.tolist(), one.repeat.tolist(), strict=True)
    return {key: at for at, key in enumerate(keys)}


def _blocks(resamples: int, n_rows: int) -> Iterator[int]:
    """Yield how many resamples are drawn at once, so that their weights fit in memory."""
    at_once = max(1, _CELLS_AT_ONCE // n_rows)
    return (min(at_once, resamples - at) for at in range(0, resamples, at_once))


def _resampled(
    shared: _Shared, objective: Objective, counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Choose in each bag, and score the choice out of it.

    Args:
        shared: Predictions.
        objective: What to choose by.
        counts: How often each row is in each bag, shape (n_resamples, n_rows).

    Returns:
        Position of the chosen trial, -1 where none has a defined score; and its score out of
        the bag. Both have shape (n_resamples,).
    """
    in_bag = _ranked(_scores(shared, objective, counts.astype(np.float64)), objective)
    chosen = np.where(np.isfinite(in_bag).any(axis=0), in_bag.argmax(axis=0), -1)
    out_of_bag = (counts == 0).astype(np.float64)
    scores = np.full(len(counts), np.nan)
    for at in np.unique(chosen[chosen >= 0]):
        mine = chosen == at
        scores[mine] = _score(shared, at, objective, out_of_bag[mine])
    return chosen, scores


def _scores(shared: _Shared, objective: Objective, weights: Floats) -> Floats:
    """Score every trial under every weighting, shape (n_trials, n_weightings)."""
    return np.array([_score(shared, at, objective, weights) for at in range(len(shared.numbers))])


def _score(shared: _Shared, at: int, objective: Objective, weights: Floats) -> Floats:
    scores = weighted_scores(shared.y_true[at], shared.y_score[at], weights, shared.threshold[at])
    return scores[NAMES.index(objective.name)]


def _ranked(scores: Floats, objective: Objective) -> Floats:
    """Turn scores so that more is better and an undefined one is never chosen."""
    return np.where(np.isnan(scores), -np.inf, scores if objective.maximize else -scores)


def _percentiles(scores: Floats) -> Interval:
    defined = scores[~np.isnan(scores)]
    if not defined.size:
        return Interval(np.nan, np.nan, np.nan)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(float(defined.mean()), float(low), float(high))
