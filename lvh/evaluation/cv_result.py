"""Results of a cross-validation: one for each fold, and scores over all folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from lvh.features import FeatureSet
from lvh.models.training import History
from lvh.validation.metrics import (
    THRESHOLD,
    Interval,
    Metrics,
    bootstrap_intervals,
    mean_and_std,
    score,
)
from lvh.validation.splits import Indices, Split, Threshold
from lvh.validation.thresholds import choose, held_out

Baseline = Callable[
    [npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]],
    npt.NDArray[np.float64],
]
"""Takes inputs and labels to learn from, and inputs to score; returns P(label = 1)."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold, trained and scored.

    Attributes:
        split: Which records had which part.
        y_score: Scores of `split.test`, in its order, shape (n_test,).
        metrics: Of those scores.
        history: Of the training.
        seconds: Wall time of training and scoring, without `setup_seconds`; an equal part of it
            where folds were trained side by side.
        threshold: Above which a score is predicted positive.
        setup_seconds: Wall time of imports, of building the model and of tracing it; an equal
            part of it in the same way.
    """

    split: Split
    y_score: npt.NDArray[np.float64]
    metrics: Metrics
    history: History
    seconds: float
    threshold: float = THRESHOLD
    setup_seconds: float = 0.0

    @property
    def y_pred(self) -> npt.NDArray[np.bool_]:
        """Predictions of `split.test`, in its order."""
        return self.y_score > self.threshold


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores over all folds.

    Attributes:
        mean: Mean over folds.
        std: Sample standard deviation over folds (divisor n - 1; the 2021 study's is n).
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
        folds: One result for each fold, in order of repeat and fold.
        summary: Of the model.
        baselines: Summary of each baseline on the same folds, by name.
        null: Mean scores under shuffled labels, one mapping for each shuffle; empty without a
            permutation test.
        p_values: Of the scores in it, by name.
        test: Positions of the test records, fold after fold.
        y_score: Out-of-fold scores in the order of `test`.
        y_pred: Out-of-fold predictions in the order of `test`, each by its fold's threshold.
    """

    folds: tuple[FoldResult, ...]
    summary: Summary
    baselines: Mapping[str, Summary]
    null: tuple[Mapping[str, float], ...] = ()
    p_values: Mapping[str, float] = field(default_factory=dict)

    test: Indices = field(init=False, repr=False, compare=False)
    y_score: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)
    y_pred: npt.NDArray[np.bool_] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Put the folds one behind the other."""
        for name in ("test", "y_score", "y_pred"):
            source = attrgetter("split.test" if name == "test" else name)
            object.__setattr__(self, name, np.concatenate(list(map(source, self.folds))))


def summarize(
    features: FeatureSet, folds: Sequence[FoldResult], baselines: Mapping[str, Summary]
) -> CVResult:
    """Summarize folds, in whatever order they were trained.

    Args:
        features: Inputs and labels.
        folds: All of them.
        baselines: From `baseline_summaries` on the same folds.
    """
    ordered = sorted(folds, key=lambda fold: fold.split.number)
    summary = _summary(
        features,
        [fold.split for fold in ordered],
        y_scores=[fold.y_score for fold in ordered],
        thresholds=[fold.threshold for fold in ordered],
    )
    return CVResult(folds=tuple(ordered), summary=summary, baselines=baselines)


def baseline_summaries(
    features: FeatureSet,
    splits: Sequence[Split],
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
    summaries = {}
    for name, baseline in baselines.items():
        thresholds = [
            choose(part, features.y, _baseline_scores(features, part, baseline))
            if part
            else THRESHOLD
            for part in parts
        ]
        y_scores = _baseline_scores(features, splits, baseline)
        summaries[name] = _summary(features, splits, y_scores=y_scores, thresholds=thresholds)
    return summaries


def _baseline_scores(
    features: FeatureSet, splits: Sequence[Split], baseline: Baseline
) -> list[npt.NDArray[np.float64]]:
    X, y = features.age_and_sex, features.y
    return [baseline(X[split.train], y[split.train], X[split.test]) for split in splits]


def _summary(
    features: FeatureSet,
    splits: Sequence[Split],
    *,
    y_scores: list[npt.NDArray[np.float64]],
    thresholds: list[float],
) -> Summary:
    y = features.y
    labels = [y[split.test] for split in splits]
    test = np.concatenate([split.test for split in splits])
    of_records = np.repeat(thresholds, list(map(len, labels)))
    subjects, y_score = features.subjects[test], np.concatenate(y_scores)
    mean, std = mean_and_std(list(map(score, labels, y_scores, thresholds)))
    pooled = bootstrap_intervals(y[test], y_score, subjects, of_records)
    if max(map(np.ptp, y_scores)) == 0:
        # A constant score in each fold ranks nothing. Pooled, the constants of different folds
        # would rank, and wrongly: a fold with more positives leaves fewer to train on.
        constant = bootstrap_intervals(y[test], np.zeros(len(test)), subjects)
        pooled |= {name: constant[name] for name in ("ap", "roc_auc", "recall_at_90")}
    return Summary(mean, std, pooled)
