"""What the models of a run look at: its folds are trained again and asked about test records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.config.run_settings import RunSettings
from lvh.data.lazy_array import read
from lvh.evaluation.cv_result import FoldResult, baseline_summaries
from lvh.evaluation.fold_training import train_folds
from lvh.explanations.importance import (
    Context,
    ExplainedRecords,
    FoldImportance,
    Options,
    context_of,
    fold_importance,
)
from lvh.explanations.occlusion import Floats
from lvh.explanations.wave_windows import beat_times
from lvh.features import fill_missing
from lvh.models.classifiers import BASELINES
from lvh.runs.cache_key import fold_key
from lvh.runs.run import ExperimentData, new_trainer
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import NAMES, Interval, bootstrap_intervals, weighted_scores
from lvh.validation.splits import Split

Labels = npt.NDArray[np.int64]
Progress = Callable[[int, str, float], None]
"""Called with the number of the fold, what happens to it, and how much of that is done, of 1."""

_TAIL = 0.025  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Importance:
    """What the pooled scores lose without something: average precision, and area under the curve.

    Attributes:
        kind: `lead` or `wave`, which was taken from the signals; `input`, or `lead_inputs`,
            `wave_inputs` or `group` of inputs, which were permuted.
        name: Of the lead, wave, input or group.
    """

    kind: str
    name: str
    ap: Interval
    roc_auc: Interval


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of the importance of a part, `waveform` or `inputs`, lies where a criterion looks.

    `share` is the mean over records, of 1; it would be `even` if importance were even over all that
    the model reads, `even_over_leads` if that of each wave were even over the leads.
    """

    part: str
    criterion: str
    share: Interval
    even: Interval
    even_over_leads: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """The mean over the records of each label, around the QRS peaks.

    `times` are s from the peak; `importance` (log-odds) and `beats`, which the model reads, have
    shape (2, n_times, n_leads): of the `n_records` without the label, and of those with it.
    """

    times: Floats
    leads: tuple[str, ...]
    importance: Floats
    beats: Floats
    n_records: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What a run's models look at, out of fold.

    Attributes:
        n_folds: Folds that were explained.
        n_stored: Folds whose scores were in the fold store, to compare with.
        difference: Largest difference of a probability from the stored one.
        n_test: Test records of these folds; a record of several repeats counts several times.
        scores: Pooled, of the model.
        baseline: Pooled, of age and sex on these folds.
        importance: Of everything that was taken away or permuted.
        overlap: With the criteria; empty without fiducials.
        saliency: None without signals or fiducials.
    """

    n_folds: int
    n_stored: int
    difference: float
    n_test: int
    scores: Mapping[str, Interval]
    baseline: Mapping[str, Interval]
    importance: tuple[Importance, ...]
    overlap: tuple[Overlap, ...]
    saliency: Saliency | None

    def of(self, *kinds: str) -> list[Importance]:
        """Return the importance of some kinds, the largest loss of average precision first."""
        own = [one for one in self.importance if one.kind in kinds]
        return sorted(own, key=lambda one: -one.ap.estimate)


def explain_run(
    settings: RunSettings,
    data: ExperimentData,
    splits: Sequence[Split],
    options: Options,
    progress: Progress = lambda fold, action, done: None,
) -> Explanation:
    """Train folds as the run did and ask the model of each fold about its test records.

    Args:
        settings: Of the run.
        data: Its cohort, features and all splits.
        splits: The folds to explain.
        options: How closely to look.
        progress: Called during the training and the occlusion of each fold.

    Raises:
        InputError: The windows of `options` do not fit the signal.
    """
    features, context = data.features, context_of(data.cohort, data.features, settings.features)
    if context.layout is not None:
        context.cover(options)  # refused before training
    trainer = new_trainer(settings, features, data.cohort.fs)
    epochs = settings.train.epochs if settings.is_network else 1
    results: list[FoldResult] = []
    folds: list[FoldImportance] = []
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
        train, test = fill_missing(features.fill, features.X[split.train], features.X[split.test])
        # signals need no means, nor do they fit into memory
        means = np.zeros(0, np.float32) if features.kind == "signal" else read(train).mean(axis=0)
        found = fold_importance(
            lambda X: trainer.predict([X])[0],
            ExplainedRecords(read(test), means, split.test),
            context,
            options,
            seed=(0, split.repeat, split.fold),
            progress=lambda done, of: progress(len(folds), "explaining", done / of),
        )
        folds.append(found)
        results.append(result)
    return summarize(context, results, folds, _differences(settings, data, results))


def summarize(
    context: Context,
    results: Sequence[FoldResult],
    folds: Sequence[FoldImportance],
    differences: Sequence[float] = (),
) -> Explanation:
    """Pool folds.

    Args:
        context: Of the run.
        results: Of its folds.
        folds: What their models look at.
        differences: Of the scores of folds from those that are stored.
    """
    features = context.features
    test = np.concatenate([result.split.test for result in results])
    y, subjects = features.y[test], features.subjects[test]
    y_score = np.concatenate([fold.y_score for fold in folds])
    resamples = Resamples(y, y_score, subjects)
    overlap = []
    for part, criterion in folds[0].shares:
        shares = np.concatenate([fold.shares[part, criterion] for fold in folds])
        share, even, even_over_leads = (resamples.mean(column) for column in shares.T)
        overlap.append(Overlap(part, criterion, share, even, even_over_leads))
    return Explanation(
        n_folds=len(results),
        n_stored=len(differences),
        difference=max(differences, default=0.0),
        n_test=len(test),
        scores=bootstrap_intervals(y, y_score, subjects),
        baseline=baseline_summaries(features, tuple(result.split for result in results), BASELINES)[
            "age + sex"
        ].pooled,
        importance=tuple(
            resamples.importance(*name, np.concatenate([fold.changed[name] for fold in folds], 1))
            for name in folds[0].changed
        ),
        overlap=tuple(overlap),
        saliency=_saliency(context, folds, y),
    )


class Resamples:
    """Subjects drawn with replacement, the same draws for everything that is compared."""

    def __init__(
        self, y: Labels, y_score: Floats, subjects: npt.NDArray[np.str_], *, resamples: int = 1000
    ) -> None:
        """Draw subjects, each with all its predictions; labels and scores have shape (n,)."""
        distinct, member = np.unique(subjects, return_inverse=True)
        draws = np.random.default_rng(0).multinomial(
            len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples
        )
        all_once = np.ones((1, len(subjects)))  # the estimate itself stands first
        self._weights = np.concatenate([all_once, draws[:, member].astype(np.float64)])
        self._y = y
        self._scores = self._ranking(y_score)

    def importance(self, kind: str, name: str, changed: Floats) -> Importance:
        """Compare with the scores without something, shape (n_repeats, n), on each draw."""
        without = np.mean([self._ranking(repeat) for repeat in changed], axis=0)
        ap, roc_auc = (_interval(loss) for loss in self._scores - without)
        return Importance(kind, name, ap, roc_auc)

    def mean(self, values: Floats) -> Interval:
        """Average over predictions that have a value, shape (n,), with an interval."""
        known = np.isfinite(values)
        weights = self._weights * known
        total = weights.sum(axis=1)
        means = np.full(len(total), np.nan)
        np.divide(weights @ np.where(known, values, 0), total, out=means, where=total > 0)
        return _interval(means)

    def _ranking(self, y_score: Floats) -> Floats:
        """Return average precision and AUC on each draw, shape (2, 1 + resamples)."""
        scores = weighted_scores(self._y, y_score, self._weights)
        return np.stack([scores[NAMES.index(name)] for name in ("ap", "roc_auc")])


def _interval(values: Floats) -> Interval:
    """Make an interval of an estimate and, after it, its resamples."""
    defined = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(defined, [_TAIL, 1 - _TAIL]) if defined.size else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def _differences(
    settings: RunSettings, data: ExperimentData, results: Sequence[FoldResult]
) -> list[float]:
    """Compare the scores of folds that were trained again with those in the store."""
    store, fingerprint = FoldStore(Path(settings.store)), data.cohort.fingerprint
    differences = []
    for result in results:
        key = fold_key(settings, fingerprint, result.split, data.splits)
        if (stored := store.load(key, result.split)) is not None:
            differences.append(float(np.abs(stored.y_score - result.y_score).max()))
    return differences


def _saliency(context: Context, folds: Sequence[FoldImportance], y: Labels) -> Saliency | None:
    over_time = [fold.over_time for fold in folds if fold.over_time is not None]
    beats = [fold.beats for fold in folds if fold.beats is not None]
    if context.layout is None or not over_time:
        return None
    return Saliency(
        times=beat_times(context.layout, context.cohort.fs),
        leads=context.layout.leads,
        importance=_mean_by_label(np.concatenate(over_time), y),
        beats=_mean_by_label(np.concatenate(beats), y),
        n_records=(int((y == 0).sum()), int((y == 1).sum())),
    )


def _mean_by_label(values: Floats, y: Labels) -> Floats:
    """Average the records of each label that have a beat, lead by lead."""
    means = np.full((2, *values.shape[1:]), np.nan)
    known = np.isfinite(values)
    for label in (0, 1):
        own, count = y == label, known[y == label].sum(axis=0)
        total = np.where(known, values, 0)[own].sum(axis=0)
        np.divide(total, count, out=means[label], where=count > 0)
    return means
