"""From what was found fold by fold to what is told of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.config.run_settings import RunSettings
from lvh.evaluation.cv_result import FoldResult, baseline_summaries
from lvh.evaluation.fold_training import train_folds
from lvh.explanations.fold_importance import Name, OfFold
from lvh.explanations.importance import Drop, Resamples
from lvh.explanations.occlusion import Floats, Score, Signals
from lvh.explanations.wave_windows import View, times
from lvh.models.baselines import BASELINES
from lvh.models.training import Trainer
from lvh.runs.cache_key import fold_key
from lvh.runs.run import ExperimentData, new_trainer
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import Interval, bootstrap_intervals
from lvh.validation.splits import Split


@dataclass(frozen=True, slots=True)
class Row:
    """What a score loses without something.

    Attributes:
        kind: `lead` or `wave` that was taken from the signals; `input`, or `lead_inputs`,
            `wave_inputs` or `group` of them, which other records got.
        name: Of it.
        drop: Of the pooled scores.
    """

    kind: str
    name: str
    drop: Drop


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much of the importance lies where a criterion looks.

    Attributes:
        part: `waveform` or `inputs`.
        criterion: See `lvh.explanations.overlap`.
        share: Mean over records, of 1.
        even: What it would be if importance were even over all that the model reads.
        even_over_leads: What it would be if that of each wave were even over the leads.
    """

    part: str
    criterion: str
    share: Interval
    even: Interval
    even_over_leads: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """The mean over the records of each label, around the QRS peaks.

    Attributes:
        times: s from the peak, shape (n_times,).
        leads: Names.
        importance: Log-odds, shape (2, n_times, n_leads), of records without the label and with.
        beats: What the model reads, likewise.
        n_records: Of either label.
    """

    times: Floats
    leads: tuple[str, ...]
    importance: Floats
    beats: Floats
    n_records: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """How the scores compare with those that the run had kept.

    Attributes:
        n_folds: That were compared; the others are not kept by this code.
        largest: Difference of a probability.
    """

    n_folds: int
    largest: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What a run's models look at, out of fold.

    Attributes:
        n_folds: That were explained.
        n_scored: Records scored in them, a record of several repeats several times.
        scores: Pooled, of the model.
        baseline: Pooled, of age and sex on these folds.
        kept: Whether the models are those of the run.
        rows: Of what was taken away.
        agreement: With the criteria; empty without fiducials.
        saliency: None without signals or fiducials.
    """

    n_folds: int
    n_scored: int
    scores: Mapping[str, Interval]
    baseline: Mapping[str, Interval]
    kept: Kept
    rows: tuple[Row, ...]
    agreement: tuple[Agreement, ...]
    saliency: Saliency | None

    def of(self, *kinds: str) -> list[Row]:
        """Return rows of some kinds, the largest loss of average precision first."""
        found = [row for row in self.rows if row.kind in kinds]
        return sorted(found, key=lambda row: -row.drop.ap.estimate)


def trained_again(
    settings: RunSettings,
    prepared: ExperimentData,
    splits: Sequence[Split],
    on_epoch: Callable[[Split, int], None],
) -> Iterator[tuple[FoldResult, Score]]:
    """Train folds as the run did, and yield each with what its own model says of any inputs."""
    own: Trainer = new_trainer(settings, prepared.features, prepared.cohort.fs)

    def score(X: Signals) -> Floats:
        return own.predict([X])[0]

    # a threshold decides no score, so that none is chosen again
    results = train_folds(
        prepared.features, splits, own, seed=settings.seed, on_epoch=on_epoch, first_group=1
    )
    for result in results:
        yield result, score


def compared(
    settings: RunSettings, prepared: ExperimentData, results: Sequence[FoldResult]
) -> Kept:
    """Compare folds that were trained again with those that are kept."""
    store, data = FoldStore(Path(settings.store)), prepared.cohort.fingerprint
    differences = []
    for result in results:
        kept = store.load(fold_key(settings, data, result.split, prepared.splits), result.split)
        if kept is not None:
            differences.append(float(np.abs(kept.y_score - result.y_score).max()))
    return Kept(len(differences), max(differences, default=0.0))


def conclude(
    prepared: ExperimentData,
    results: Sequence[FoldResult],
    found: Sequence[OfFold],
    kept: Kept,
    view: View | None,
) -> Explanation:
    """Put folds together.

    Args:
        prepared: Of the run.
        results: Of its folds.
        found: In each of them.
        kept: From `compared`.
        view: Of the signals; None where there are none.
    """
    features = prepared.features
    scored = np.concatenate([one.split.scored for one in results])
    y, subjects = features.y[scored], features.subjects[scored]
    y_score = np.concatenate([one.y_score for one in found])
    resamples = Resamples(y, y_score, subjects)

    def joined(name: Name) -> Floats:
        return np.concatenate([one.without[name] for one in found], axis=1)

    rows = [Row(*name, resamples.drop(joined(name))) for name in found[0].without]
    agreement = []
    for part, criterion in found[0].shares:
        shares = np.concatenate([one.shares[part, criterion] for one in found])
        means = [resamples.mean(shares[:, at]) for at in range(3)]
        agreement.append(Agreement(part, criterion, *means))
    splits = tuple(one.split for one in results)
    return Explanation(
        n_folds=len(results),
        n_scored=len(scored),
        scores=bootstrap_intervals(y, y_score, subjects),
        baseline=baseline_summaries(features, splits, BASELINES)["age + sex"].pooled,
        kept=kept,
        rows=tuple(rows),
        agreement=tuple(agreement),
        saliency=_saliency(found, y, view, prepared.cohort.fs),
    )


def _saliency(
    found: Sequence[OfFold], y: npt.NDArray[np.int64], view: View | None, fs: float
) -> Saliency | None:
    if view is None or found[0].importance is None:
        return None
    importance = np.concatenate([one.importance for one in found if one.importance is not None])
    beats = np.concatenate([one.beats for one in found if one.beats is not None])
    return Saliency(
        times=times(view, fs),
        leads=view.leads,
        importance=_by_label(importance, y),
        beats=_by_label(beats, y),
        n_records=(int((y == 0).sum()), int((y == 1).sum())),
    )


def _by_label(values: Floats, y: npt.NDArray[np.int64]) -> Floats:
    """Average the records of either label that have a beat, lead by lead."""
    known = np.isfinite(values)
    return np.stack(
        [
            np.divide(
                np.where(known, values, 0)[y == label].sum(axis=0),
                known[y == label].sum(axis=0),
                out=np.full(values.shape[1:], np.nan),
                where=known[y == label].any(axis=0),
            )
            for label in (0, 1)
        ]
    )
