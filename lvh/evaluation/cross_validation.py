"""Cross-validation: folds times training, and everything that comes out of it."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs
from lvh.errors import LvhError
from lvh.features import FeatureSet, filled
from lvh.models.training import FitJob, History, Trainer
from lvh.validation.metrics import (
    THRESHOLD,
    Interval,
    Metrics,
    bootstrap_intervals,
    mean_and_std,
    score,
)
from lvh.validation.splits import HONEST, Indices, Protocol, Split, Threshold
from lvh.validation.thresholds import choose, held_out

Baseline = Callable[
    [npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]],
    npt.NDArray[np.float64],
]


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold, trained and scored.

    Attributes:
        split: Which records had which part.
        y_score: Scores of `split.scored`, in its order, shape (n_scored,).
        metrics: Of those scores.
        history: Of the training.
        seconds: Wall time of training and scoring; an equal part of it where folds were trained
            side by side.
        threshold: Above which a score is predicted positive.
    """

    split: Split
    y_score: npt.NDArray[np.float64]
    metrics: Metrics
    history: History
    seconds: float
    threshold: float = THRESHOLD

    @property
    def y_pred(self) -> npt.NDArray[np.bool_]:
        """Predictions of `split.scored`, in its order."""
        return self.y_score > self.threshold


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores over all folds.

    Attributes:
        mean: Mean over folds.
        std: Sample standard deviation over folds (divisor n - 1; the report's is n).
        pooled: Score of all out-of-fold predictions together, with its 95 % interval. It ranks
            scores of different models together, which the mean over folds does not.
    """

    mean: Metrics
    std: Metrics
    pooled: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class CVResult:
    """A cross-validation.

    Attributes:
        folds: One result a fold, in order.
        summary: Of the model.
        baselines: Summary of each baseline on the very same folds, by name.
        null: Mean scores under shuffled labels, one mapping a shuffle; empty without a test.
        p_values: Of the scores in it, by name.
    """

    folds: tuple[FoldResult, ...]
    summary: Summary
    baselines: Mapping[str, Summary]
    null: tuple[Mapping[str, float], ...] = ()
    p_values: Mapping[str, float] = field(default_factory=dict)

    @property
    def scored(self) -> Indices:
        """Positions of the scored records, fold after fold."""
        return np.concatenate([fold.split.scored for fold in self.folds])

    @property
    def y_score(self) -> npt.NDArray[np.float64]:
        """Out-of-fold scores in the order of `scored`."""
        return np.concatenate([fold.y_score for fold in self.folds])

    @property
    def y_pred(self) -> npt.NDArray[np.bool_]:
        """Out-of-fold predictions in the order of `scored`, each by its fold's threshold."""
        return np.concatenate([fold.y_pred for fold in self.folds])


def fold_results(
    features: FeatureSet,
    splits: Sequence[Split],
    learner: Callable[[], Trainer],
    seed: int,
    recall: Callable[[Split], FoldResult | None],
    on_epoch: Callable[[Split, int], None],
    ahead: Callable[[], int] = lambda: sys.maxsize,
    protocol: Protocol = HONEST,
    threshold: Threshold = "fixed",
) -> Iterator[FoldResult]:
    """Train and score folds, in turn or side by side, as far as the caller asks.

    The scored records of a fold decide nothing in it: missing values are filled, the model is
    trained and, where asked, stopped without them. Under another protocol than the honest one
    they decide what it says; missing values are still filled without them.

    Args:
        features: Inputs and labels.
        splits: From `lvh.validation.splits.splits` on the same records, in any order.
        learner: Called when a fold has to be trained, so not at all if none has. What it
            returns starts anew in every fold, from a seed made of `seed`, repeat and fold.
        seed: Of the models.
        recall: Returns what an earlier run has made of a fold, or None.
        on_epoch: Called with the split and the epochs done in it.
        ahead: Returns how many folds may be trained before the caller has seen the first.
        protocol: Where it carries weights, the folds of a repeat come in their own order, and
            `recall` knows all of them or none.
        threshold: See `lvh.validation.splits.CvSettings`; `fixed` where weights are carried.
            Where folds inside the training part choose it, `on_epoch` is called for their epochs
            with 0.
    """

    def trained(group: Sequence[Split], own: Trainer) -> list[FoldResult]:
        return _trained(features, group, own, seed, on_epoch, protocol, threshold)

    if protocol.weights == "carried":
        yield from _carried(splits, learner, recall, trained)
        return
    waiting = list(splits)
    while waiting:
        known = recall(waiting[0])
        if known is not None:
            yield known
            del waiting[0]
            continue
        new = list(takewhile(lambda split: recall(split) is None, waiting[: ahead()]))
        own = learner()
        group = new[: own.max_parallel([len(split.train) for split in new])]
        yield from trained(group, own)
        del waiting[: len(group)]


def _carried(
    splits: Sequence[Split],
    learner: Callable[[], Trainer],
    recall: Callable[[Split], FoldResult | None],
    trained: Callable[[Sequence[Split], Trainer], list[FoldResult]],
) -> Iterator[FoldResult]:
    """Train one model a repeat, from fold to fold."""
    own: Trainer | None = None
    taught: tuple[int, int] | None = None
    for split in splits:
        known = recall(split)
        if known is not None:
            yield known
            continue
        if split.fold == 0:
            own = learner()
        elif own is None or taught != (split.repeat, split.fold - 1):
            raise ValueError(f"expected fold {split.fold - 1} to be trained before {split.fold}")
        yield from trained([split], own)
        taught = (split.repeat, split.fold)


def conclude(
    features: FeatureSet, results: Sequence[FoldResult], baselines: Mapping[str, Summary]
) -> CVResult:
    """Summarise folds, in whatever order they were trained.

    Args:
        features: Inputs and labels.
        results: Of all folds.
        baselines: From `baseline_summaries` on the same folds.
    """
    ordered = sorted(results, key=lambda result: (result.split.repeat, result.split.fold))
    splits = tuple(result.split for result in ordered)
    return CVResult(
        folds=tuple(ordered),
        summary=_summary(
            *(features, splits, [result.y_score for result in ordered]),
            [result.threshold for result in ordered],
        ),
        baselines=baselines,
    )


def baseline_summaries(
    features: FeatureSet,
    splits: tuple[Split, ...],
    baselines: Mapping[str, Baseline],
    threshold: Threshold = "fixed",
) -> dict[str, Summary]:
    """Score baselines, which know age and sex, on the folds of a cross-validation.

    Their thresholds are chosen as the model's are, by the same records.
    """
    parts = [
        held_out(split, features.y, features.subjects) if threshold != "fixed" else ()
        for split in splits
    ]
    found = {}
    for name, baseline in baselines.items():
        thresholds = [
            choose(of, features.y, _baseline_scores(features, of, baseline)) if of else THRESHOLD
            for of in parts
        ]
        y_scores = _baseline_scores(features, splits, baseline)
        found[name] = _summary(features, splits, y_scores, thresholds)
    return found


def _trained(
    features: FeatureSet,
    splits: Sequence[Split],
    learner: Trainer,
    seed: int,
    on_epoch: Callable[[Split, int], None],
    protocol: Protocol,
    threshold: Threshold,
) -> list[FoldResult]:
    """Train and score folds side by side."""
    started = time.perf_counter()
    y, validates = features.y, len(splits[0].validation) > 0
    thresholds = [THRESHOLD] * len(splits)
    if threshold != "fixed" and not validates:
        # before the folds' own trainings, which leave the learner as it scores
        thresholds = [_inner_threshold(features, one, learner, seed, on_epoch) for one in splits]
    given = [_lesson(features, split, _seed(seed, split), protocol) for split in splits]
    lessons, scored = zip(*given, strict=True)
    histories = learner.fit(lessons, lambda at, epoch: on_epoch(splits[at], epoch))
    y_scores = learner.predict(scored)
    for split, y_score in zip(splits, y_scores, strict=True):
        _check_finite(split, y_score)
    if threshold != "fixed" and validates:
        of_validation = learner.predict([lesson.X_validation for lesson in lessons])
        thresholds = [
            choose(held_out(split, y, features.subjects), y, [y_score])
            for split, y_score in zip(splits, of_validation, strict=True)
        ]
    seconds = (time.perf_counter() - started) / len(splits)
    return [
        FoldResult(split, y_score, score(y[split.scored], y_score, above), history, seconds, above)
        for split, y_score, history, above in zip(
            splits, y_scores, histories, thresholds, strict=True
        )
    ]


def _inner_threshold(
    features: FeatureSet,
    split: Split,
    learner: Trainer,
    seed: int,
    on_epoch: Callable[[Split, int], None],
) -> float:
    """Choose a threshold by folds inside the training part, side by side where they go so."""
    parts = held_out(split, features.y, features.subjects)
    left = [
        _lesson(features, part, _seed(seed, split, at), HONEST)
        for at, part in enumerate(parts, start=1)
    ]
    y_scores: list[npt.NDArray[np.float64]] = []
    while left:
        n = learner.max_parallel([len(lesson.y) for lesson, _ in left])
        lessons, scored = zip(*left[:n], strict=True)
        learner.fit(lessons, lambda at, epoch: on_epoch(split, 0))
        y_scores += learner.predict(scored)
        del left[:n]
    for part, y_score in zip(parts, y_scores, strict=True):
        _check_finite(part, y_score)
    return choose(parts, features.y, y_scores)


def _seed(seed: int, split: Split, *inner: int) -> np.random.SeedSequence:
    """Return the seed of a fold's model, or of one inside its training part, numbered from 1."""
    return np.random.SeedSequence([seed, split.repeat, split.fold, *inner])


def _lesson(
    features: FeatureSet, split: Split, own: np.random.SeedSequence, protocol: Protocol
) -> tuple[FitJob, Inputs]:
    """Return what a fold teaches, and the inputs of the records that it scores."""
    train, validation, scored = filled(
        features.fill,
        features.X[split.train],
        features.X[split.validation],
        features.X[split.scored],
    )
    y, subjects = features.y, features.subjects
    on_scored = protocol.epoch == "best_on_scored"
    job = FitJob(
        X=train,
        y=y[split.train],
        subjects=subjects[split.train],
        X_validation=scored if on_scored else validation,
        y_validation=y[split.scored if on_scored else split.validation],
        seed=own,
        warm_start=protocol.weights == "carried" and split.fold > 0,
        keep_most_accurate=on_scored,
    )
    return job, scored


def _check_finite(split: Split, y_score: npt.NDArray[np.float64]) -> None:
    n_bad = int((~np.isfinite(y_score)).sum())
    if n_bad:
        raise LvhError(
            f"fold {split.fold + 1}: expected finite scores. Received: {n_bad} of {len(y_score)} "
            "that are not. A lower train.learning_rate may help"
        )


def _baseline_scores(
    features: FeatureSet, splits: Sequence[Split], baseline: Baseline
) -> list[npt.NDArray[np.float64]]:
    X, y = features.age_and_sex, features.y
    return [baseline(X[split.train], y[split.train], X[split.scored]) for split in splits]


def _summary(
    features: FeatureSet,
    splits: tuple[Split, ...],
    y_scores: list[npt.NDArray[np.float64]],
    thresholds: list[float],
) -> Summary:
    y = features.y
    scores = [
        score(y[split.scored], y_score, above)
        for split, y_score, above in zip(splits, y_scores, thresholds, strict=True)
    ]
    mean, std = mean_and_std(scores)
    scored = np.concatenate([split.scored for split in splits])
    subjects = features.subjects[scored]
    of_each = np.repeat(thresholds, [len(split.scored) for split in splits])
    pooled = bootstrap_intervals(y[scored], np.concatenate(y_scores), subjects, of_each)
    if all(np.ptp(y_score) == 0 for y_score in y_scores):
        # a constant of each fold ranks nothing; pooled, the constants of the folds would, and
        # wrongly so: a fold with more positives leaves fewer to train on
        level = bootstrap_intervals(y[scored], np.zeros(len(scored)), subjects)
        pooled |= {name: level[name] for name in ("ap", "roc_auc", "recall_at_90")}
    return Summary(mean, std, pooled)
