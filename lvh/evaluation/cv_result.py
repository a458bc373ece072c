"""Results of a cross-validation: one for each fold, and scores over all folds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lvh.features import FeatureSet
from lvh.models.training import History
from lvh.validation import metrics as scoring
from lvh.validation.inner_splits import choose_threshold, held_out
from lvh.validation.metrics import NO_SKILL, THRESHOLD, Floats, Interval, Labels, Metrics, Subjects
from lvh.validation.splits import Indices, Split, Threshold

AGE_AND_SEX = "age + sex"
"""Name of the baseline that needs them."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold, trained and scored.

    Attributes:
        y_score: Scores of `split.test`, in its order, shape (n_test,).
        seconds: Of training and scoring; an equal part of it where folds were trained at once.
        threshold: Above which a score is predicted positive.
        setup_seconds: Of imports, building and tracing, in the same way.
    """

    split: Split
    y_score: Floats
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
        std: Sample standard deviation over folds (divisor n - 1; in the original study n).
        pooled: Score of all out-of-fold predictions together, with its 95 % interval.
    """

    mean: Metrics
    std: Metrics
    pooled: Mapping[str, Interval]

    def as_baseline(self) -> dict[str, float]:
        """Return the means over folds, and `pooled_ap` with the ends of its interval."""
        ap = self.pooled["ap"]
        ends = {"pooled_ap": ap.estimate, "pooled_ap_low": ap.low, "pooled_ap_high": ap.high}
        return asdict(self.mean) | ends


@dataclass(frozen=True, eq=False)
class CVResult:
    """A cross-validation.

    Attributes:
        folds: In order of repeat and fold.
        scores: Of all folds.
        baselines: Summary of each baseline on the same folds, by name.
        records: Names of all records; positions in a split count in them.
        subjects: Subject of each of them, shape (n_records,).
        y_true: Labels of the test records, in the order of `test`.
        null: Mean scores under shuffled labels, one mapping for each shuffle; empty without a
            permutation test.
        p_values: Of the scores in it, by name.
    """

    folds: tuple[FoldResult, ...]
    scores: Summary
    baselines: Mapping[str, Summary]
    records: tuple[str, ...]
    subjects: Subjects
    y_true: Labels
    null: tuple[Mapping[str, float], ...] = ()
    p_values: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def test(self) -> Indices:
        """Positions of the test records, fold after fold; `y_score` and `y_pred` are of these."""
        return np.concatenate([fold.split.test for fold in self.folds])

    @cached_property
    def y_score(self) -> Floats:
        """Scores of the test records."""
        return np.concatenate([fold.y_score for fold in self.folds])

    @cached_property
    def y_pred(self) -> npt.NDArray[np.bool_]:
        """Predictions of the test records."""
        return np.concatenate([fold.y_pred for fold in self.folds])


def summarize(
    features: FeatureSet, folds: Sequence[FoldResult], baselines: Mapping[str, Summary]
) -> CVResult:
    """Summarize all folds; the order of their training does not matter."""
    ordered = sorted(folds, key=lambda fold: fold.split.number)
    return CVResult(
        folds=tuple(ordered),
        scores=_summary(features, [(one.split, one.y_score, one.threshold) for one in ordered]),
        baselines=baselines,
        records=features.records,
        subjects=features.subjects,
        y_true=np.concatenate([features.y[fold.split.test] for fold in ordered]),
    )


def baseline_summaries(
    features: FeatureSet, splits: Sequence[Split], threshold: Threshold = "fixed"
) -> dict[str, Summary]:
    """Score baselines, which know age and sex, on the folds of a cross-validation.

    Their thresholds are chosen as the model's are. Where age or sex of a record is unknown,
    `AGE_AND_SEX` is left out. `NO_SKILL` predicts by the prevalence of the training records. Its
    `ap`, `roc_auc` and `recall_at_90` are the expectations over random orders of the test records,
    and their pooled intervals hold the middle 95 % of these.
    """
    baselines = {NO_SKILL: _by_prevalence}
    if np.isfinite(features.age_and_sex).all():
        baselines[AGE_AND_SEX] = _by_age_and_sex
    summaries = {}
    for name, predict in baselines.items():
        scored = []
        for split in splits:
            chosen, y = THRESHOLD, features.y
            if threshold != "fixed":
                parts = held_out(split, y, features.subjects)
                chosen = choose_threshold(parts, y, [predict(features, part) for part in parts])
            scored.append((split, predict(features, split), chosen))
        summaries[name] = _summary(features, scored, at_random=name == NO_SKILL)
    return summaries


def _by_prevalence(features: FeatureSet, split: Split) -> Floats:
    return np.full(len(split.test), np.mean(features.y[split.train]))


def _by_age_and_sex(features: FeatureSet, split: Split) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = features.age_and_sex, features.y
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(X[split.train], y[split.train])
    return np.asarray(model.predict_proba(X[split.test])[:, 1])


def _summary(
    features: FeatureSet, scored: Sequence[tuple[Split, Floats, float]], *, at_random: bool = False
) -> Summary:
    """Summarize folds by their scores and thresholds; `at_random` as in a random order."""
    splits, y_scores, thresholds = zip(*scored, strict=True)
    labels = [features.y[split.test] for split in splits]
    test = np.concatenate([split.test for split in splits])
    y_true, y_score, subjects = features.y[test], np.concatenate(y_scores), features.subjects[test]
    sizes = [len(own) for own in labels]
    of_records = np.repeat(thresholds, sizes)
    of_folds = list(map(scoring.score, labels, y_scores, thresholds))
    pooled = scoring.pooled_intervals(y_true, y_score, subjects, of_records, sizes)
    if at_random:
        pooled |= scoring.intervals_at_random(y_true, test)
        expected = map(scoring.expected_at_random, labels)
        of_folds = [replace(fold, **own) for fold, own in zip(of_folds, expected, strict=True)]
    mean, std = scoring.mean_and_std(of_folds)
    return Summary(mean, std, pooled)
