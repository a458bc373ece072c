"""Explanations: which leads, waves and inputs the scores of a run's models depend on.

The folds of the run are trained again, and the model of each is asked about its test records.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lvh.data.cohort import Cohort, records_at
from lvh.data.labels import LVH
from lvh.data.lazy_array import Inputs, read
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.cv_result import AGE_AND_SEX, baseline_summaries
from lvh.explanations.importance import Context, FoldImportance, Pair, fold_importance
from lvh.explanations.occlusion import Floats, Score
from lvh.explanations.robustness import MOST, Change, responses, summarize_responses
from lvh.features import FORMS, fill_missing
from lvh.runs.cache_key import fold_key
from lvh.runs.experiment_data import ExperimentData, new_trainer
from lvh.tracking.fold_store import FoldStore
from lvh.validation import metrics as scoring
from lvh.validation.metrics import NAMES, Interval, Labels, Subjects
from lvh.validation.splits import Indices, Split, check_both_classes

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

Progress = Callable[[int, str, float], None]
"""Called with the number of the fold, what happens to it, and how much of that is done, of 1."""

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What a run's models look at, out of fold; tables are empty where there is nothing to say.

    A record of several repeats counts several times in `n_test`; `differences` are the largest ones
    of a score from the stored one, of each stored fold.
    """

    n_folds: int
    n_test: int
    ap: Interval
    baseline_ap: Interval | None
    importance: pd.DataFrame
    saliency: pd.DataFrame
    differences: tuple[float, ...] = ()
    robustness: pd.DataFrame = field(default_factory=pd.DataFrame)
    label_name: str = LVH


def explain_run(
    settings: "RunSettings",
    data: ExperimentData,
    splits: Sequence[Split],
    changes: Sequence[Change] = (),
    progress: Progress = lambda fold, action, done: None,
) -> Explanation:
    """Train folds as the run did and ask the model of each fold about its test records.

    InputError where these records have one class only: nothing ranks them, so nothing is lost.
    """
    features, context = data.features, Context(data.cohort, data.features, settings.features)
    scored = features.y[np.concatenate([split.test for split in splits])]
    check_both_classes("RUN: expected both classes in the test records of these folds", scored)
    trainer = new_trainer(settings, features, data.cohort.fs)
    epochs = settings.train.epochs if settings.is_network else 1
    folds, differences, tables = list[FoldImportance](), list[float](), list[pd.DataFrame]()
    n_once = sum(len(split.test) for split in splits if split.repeat == splits[0].repeat)

    def score(X: Inputs) -> Floats:
        return trainer.predict([X])[0]

    # no threshold is chosen again: it decides no score
    for result in train_folds(
        features,
        splits,
        trainer,
        seed=settings.seed,
        on_epoch=[lambda split, epoch: progress(len(folds), "training", epoch / epochs)],
        first_group=1,  # so that the trainer holds the model of this fold
    ):
        split = result.split
        _, test = fill_missing(features.fill, features.X[split.train], features.X[split.test])
        progress(len(folds), "explaining", 0)
        seed = (0, split.repeat, split.fold)
        of_fold = fold_importance(score, read(test), split.test, context, seed=seed)
        if changes and split.repeat == splits[0].repeat:
            progress(len(folds), "changing signals", 0)
            at = context.positions[split.test[:: -(-n_once // MOST)]]
            tables.append(_responses(score, at, split, changes, settings, data))
        folds.append(of_fold)
        key = fold_key(settings, data.cohort.fingerprint, split, data.splits)
        if (stored := FoldStore(Path(settings.store)).load(key, split)) is not None:
            differences.append(float(np.abs(stored.y_score - result.y_score).max()))
    robustness = summarize_responses(pd.concat(tables)) if tables else pd.DataFrame()
    explanation = summarize(context, splits, folds)
    return replace(explanation, differences=tuple(differences), robustness=robustness)


def _responses(
    score: Score,
    at: Indices,
    split: Split,
    changes: Sequence[Change],
    settings: "RunSettings",
    data: ExperimentData,
) -> pd.DataFrame:
    """Return what the model of a fold says of the records `at` of the cohort after each change."""
    fill, train = data.features.fill, data.features.X[split.train]

    def predict(cohort: Cohort) -> "pd.Series[float]":
        features = FORMS[settings.features.name].extract(cohort, settings.features)
        X = read(fill_missing(fill, train, features.X)[1])
        return pd.Series(score(X), index=features.records)

    few = records_at(data.cohort, at, read(data.cohort.signals[at]))
    return responses(few, changes, predict, seed=split.fold)


def summarize(
    context: Context, splits: Sequence[Split], folds: Sequence[FoldImportance]
) -> Explanation:
    """Pool the importances of all folds."""
    features, test = context.features, np.concatenate([split.test for split in splits])
    y, subjects = features.y[test], features.subjects[test]
    y_score = np.concatenate([fold.y_score for fold in folds])
    sizes = [len(split.test) for split in splits]
    changed = {
        key: np.concatenate([fold.changed[key] for fold in folds], axis=1)
        for key in folds[0].changed
    }
    baseline = baseline_summaries(features, splits).get(AGE_AND_SEX)
    return Explanation(
        n_folds=len(splits),
        n_test=len(test),
        ap=scoring.pooled_intervals(y, y_score, subjects, scoring.THRESHOLD, sizes)["ap"],
        baseline_ap=baseline.pooled["ap"] if baseline else None,
        importance=losses(y, y_score, subjects, changed),
        saliency=_saliency(context, folds, y),
        label_name=features.label_name,
    )


def losses(
    y: Labels, y_score: Floats, subjects: Subjects, changed: Mapping[Pair, Floats]
) -> pd.DataFrame:
    """Return what average precision loses by scores without something, with 95 % intervals.

    Subjects are resampled, for all losses the same. `changed` scores have shape (n_repeats, n).
    """
    # each once: the estimate itself stands first
    resamples = scoring.resampled(subjects, _RESAMPLES, seed=0)
    weights = np.concatenate([np.ones((1, len(y))), *resamples])

    def ap(scores: Floats) -> Floats:
        return scoring.weighted_scores(y, scores, weights)[NAMES.index("ap")]

    original, rows = ap(y_score), []
    for (kind, name), repeats in changed.items():
        loss = original - np.mean([ap(scores) for scores in repeats], axis=0)
        low, high = np.nanquantile(loss[1:], [0.025, 0.975])
        rows.append((kind, name, loss[0], low, high))
    columns = ["kind", "name", "ap_drop", "ap_drop_low", "ap_drop_high"]
    importance = pd.DataFrame(rows, columns=columns)
    return importance.sort_values("ap_drop", ascending=False, kind="stable")


def _saliency(context: Context, folds: Sequence[FoldImportance], y: Labels) -> pd.DataFrame:
    """Return the mean importance and the mean beat of each label and lead, over time."""
    layout, curves = context.layout, [fold.curves for fold in folds if fold.curves is not None]
    if layout is None or not curves:
        return pd.DataFrame()
    values, seconds, tables = np.concatenate(curves, axis=1), layout.beat / layout.fs, []
    for label in (0, 1):
        # leads without a whole beat are NaN
        means = np.ma.masked_invalid(values[:, y == label]).mean(axis=1).filled(np.nan)
        for column, lead in enumerate(layout.leads):
            importance, beat = means[:, :, column]
            curve = {"seconds": seconds, "importance": importance, "beat": beat}
            tables.append(pd.DataFrame({"label": label, "lead": lead, **curve}))
    return pd.concat(tables, ignore_index=True)
