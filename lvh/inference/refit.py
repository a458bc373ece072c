"""A run's way of learning once more, on all records: the model that is kept."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from typing import Any, cast

import numpy as np

from lvh.config.run_settings import RunSettings
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary, summarize
from lvh.features import fill_missing
from lvh.inference import Calibration, Description, Estimate, Evidence
from lvh.inference.model_description import FORMAT
from lvh.models.training import FitJob
from lvh.runs.cache_key import fold_key, run_key
from lvh.runs.run import ExperimentData, baselines_of, new_trainer, threads
from lvh.search.results import store_of, stores
from lvh.tracking import run_dir as artifacts
from lvh.tracking.fold_store import FoldStore
from lvh.validation.calibration import bootstrap_lines, line
from lvh.validation.inner_splits import Subjects
from lvh.validation.metrics import NAMES, Floats, Labels, chosen_threshold
from lvh.validation.splits import Indices

_MEDIAN = "median of the epochs that the folds kept, each of which stopped early"

OnEpoch = Callable[[int, int], None]
"""Takes which member it is, from 0, and how many of its epochs are done."""


def cross_validated(settings: RunSettings, prepared: ExperimentData, study: str = "") -> CVResult:
    """Return what the run came to, from its kept folds.

    Args:
        settings: Of the run.
        prepared: From `lvh.runs.run.load_data`.
        study: Whose folds they are, if it was begun anew they are its own; empty where that is
            not known: then any that are there are its.

    Raises:
        InputError: It is not finished, was made by other code, or under a protocol that leaks.
    """
    if settings.cv.protocol.leaks:
        raise InputError(
            "RUN: expected an honest protocol, whose scores say what the model is worth. "
            f"Received: {settings.cv.protocol.leakage}"
        )
    if settings.external is not None:
        raise InputError(
            "RUN: expected a run on one data set. Received: one with external="
            f"{settings.external.name}, which is for scoring alone"
        )
    places = [store_of(study, settings.store)] if study else stores(settings.store)
    data, splits = prepared.cohort.fingerprint, prepared.splits
    keys = [fold_key(settings, data, one, splits) for one in splits]
    most = max(map(FoldStore, places), key=lambda store: store.count_of(keys))
    found = [most.load(key, one) for key, one in zip(keys, splits, strict=True)]
    known = [one for one in found if one is not None]
    if len(known) < len(splits):
        raise InputError(
            f"RUN: expected a finished run of this code on this data, with {len(splits)} folds in "
            f"{settings.store}. Received: {len(known)}. Run it again from here, then choose it"
        )
    return summarize(prepared.features, known, baselines_of(prepared, settings.cv.threshold))


def refit(
    settings: RunSettings,
    prepared: ExperimentData,
    result: CVResult,
    n_members: int,
    on_epoch: OnEpoch = lambda member, epoch: None,
) -> tuple[Description, list[Any]]:
    """Learn from all records, as each fold's model learned from its training records.

    No record is left to stop a training: where validation records did, it has as many epochs as
    the folds kept in the median. A threshold that was chosen in each fold is chosen here by the
    out-of-fold predictions, which no model made of records that it had learned from.

    Args:
        settings: Of the run.
        prepared: From `lvh.runs.run.load_data`.
        result: From `cross_validated`.
        n_members: Models, each with the next seed.
        on_epoch: Follows the training.

    Returns:
        The description, and what each member learned; for `lvh.inference.keep`.
    """
    epochs_origin = _MEDIAN if settings.train.patience is not None else "as in the folds"
    settings = replace(settings, train=_train(settings, result.folds))
    features = prepared.features
    (X,) = fill_missing(features.fill, features.X)
    seeds = tuple(settings.seed + at for at in range(n_members))
    nothing = X[:0]
    lessons = [
        FitJob(
            X=X,
            y=features.y,
            subjects=features.subjects,
            X_validation=nothing,
            y_validation=features.y[:0],
            seed=np.random.SeedSequence(seed),
        )
        for seed in seeds
    ]
    own = new_trainer(settings, features, prepared.cohort.fs)
    taught: list[Any] = []
    chosen: list[str] = []
    scores: list[Any] = []
    while len(taught) < n_members:
        first = len(taught)
        n = own.max_parallel([len(one.y) for one in lessons[first:]])
        group = lessons[first : first + n]
        histories = own.fit(group, lambda at, epoch, first=first: on_epoch(first + at, epoch))  # type: ignore[misc]
        taught += own.state()
        chosen += [one.chosen for one in histories]
        scores += own.predict([X] * len(group))
    if all(np.array_equal(one, scores[0]) for one in scores):  # nothing in it is random
        taught, chosen, seeds = taught[:1], chosen[:1], seeds[:1]
    at, y_score, repeats = _out_of_fold(result)
    threshold, origin = _threshold(settings, features.y[at], y_score, repeats)
    cohort = prepared.cohort
    description = Description(
        format=FORMAT,
        name=settings.name,
        data=cohort.name,
        fingerprint=cohort.fingerprint,
        note=cohort.note,
        n_records=len(features.y),
        n_positive=int(features.y.sum()),
        features=asdict(settings.features),
        model=asdict(settings.model),
        backend=cast(Any, settings.backend),
        precision=settings.train.precision,
        fs=cohort.fs,
        leads=cohort.leads,
        names=features.names,
        input_shape=features.input_shape,
        fill=_fill(prepared),
        calibration=_calibration(features.y[at], y_score, features.subjects[at], repeats),
        threshold=threshold,
        threshold_origin=origin,
        seeds=seeds,
        epochs=settings.train.epochs if settings.is_network else None,
        epochs_origin=epochs_origin if settings.is_network else "",
        chosen=tuple(chosen),
        evidence=_evidence(settings, result),
        n_samples=cohort.signals.shape[1],
        chosen_run="",
        run_key=run_key(settings, cohort.fingerprint, prepared.splits),
        study="",
        n_candidates=1,
        chosen_by="",
        versions=artifacts.versions(settings.backend, threads(settings)),
        files={},
        delineation=cohort.delineation.origin,
    )
    return description, taught


def _train(settings: RunSettings, folds: tuple[FoldResult, ...]) -> Any:
    train = settings.train
    if train.patience is None:
        return train
    kept = [fold.history.kept_epoch for fold in folds]
    return replace(train, patience=None, epochs=round(statistics.median(kept)))


def _fill(prepared: ExperimentData) -> tuple[float, ...]:
    """Return what `filled` puts in place of a missing value of each input that may miss one."""
    features = prepared.features
    if features.kind == "signal":
        return ()
    missing = np.full((1, features.X.shape[1]), np.nan, dtype=np.float32)
    _, values = fill_missing(features.fill, features.X, missing)
    n_tabular = features.input_shape[0]
    return tuple(read(values)[0, :n_tabular].tolist())


def _out_of_fold(result: CVResult) -> tuple[Indices, Floats, int]:
    """Return the scored records, the mean score of each, and of how many repeats it is."""
    at, which, counts = np.unique(result.scored, return_inverse=True, return_counts=True)
    means = np.bincount(which, weights=result.y_score) / counts
    return at, means, result.folds[-1].split.repeat + 1


def _threshold(
    settings: RunSettings, y: Labels, y_score: Floats, repeats: int
) -> tuple[float, str]:
    if settings.cv.threshold == "fixed":
        return 0.5, "fixed"
    found = chosen_threshold(y, y_score)
    if not 0 <= found <= 1:
        raise InputError("cv.threshold: expected negatives out of fold to choose it by")
    averaged = f", each the mean of {repeats}" if repeats > 1 else ""
    return found, f"90 % specificity on the out-of-fold predictions{averaged}"


def _calibration(y: Labels, y_score: Floats, subjects: Subjects, repeats: int) -> Calibration:
    whole = line(y, y_score)
    resamples = bootstrap_lines(y, y_score, subjects)
    rounded = tuple((round(one.intercept, 6), round(one.slope, 6)) for one in resamples)
    return Calibration((whole.intercept, whole.slope), rounded, len(y), repeats)


def _evidence(settings: RunSettings, result: CVResult) -> Evidence:
    scores = {
        of: {name: _estimate(summary, name) for name in NAMES}
        for of, summary in {"model": result.summary, **result.baselines}.items()
    }
    last = result.folds[-1].split
    repeats = last.repeat + 1
    return Evidence(settings.cv.scheme, len(result.folds) // repeats, repeats, scores)


def _estimate(summary: Summary, name: str) -> Estimate:
    values = (
        getattr(summary.mean, name),
        getattr(summary.std, name),
        *astuple(summary.pooled[name]),
    )
    return Estimate(*(float(one) if math.isfinite(one) else None for one in values))
