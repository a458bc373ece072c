"""Fit the model of a cross-validated run to all records, and describe it by its folds."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lvh.config.run_settings import RunSettings
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, Summary, summarize
from lvh.features import FeatureSet, fill_missing
from lvh.inference.model_description import FORMAT, Calibration, Description, Settings
from lvh.models.training import FitJob
from lvh.runs.cache_key import fold_key, run_key
from lvh.runs.run import ExperimentData, baselines_of, new_trainer, threads
from lvh.search.results import store_of, stores
from lvh.tracking import run_dir
from lvh.tracking.fold_store import FoldStore
from lvh.validation.calibration import bootstrap_lines, line
from lvh.validation.metrics import NAMES, Floats, Labels, chosen_threshold

_MEDIAN = "median over the folds, which were stopped early"

OnEpoch = Callable[[int, int], None]
"""Takes the number of a member, from 0, and how many of its epochs are done."""


def cross_validated(settings: RunSettings, data: ExperimentData, study: str = "") -> CVResult:
    """Return the result of a finished run, from its folds in the store.

    Args:
        settings: Settings of the run.
        data: Records, features and splits of the run.
        study: Sweep that the run belongs to; empty where that is not known.

    Raises:
        InputError: A fold is missing, or the protocol of the run leaks.
    """
    if settings.cv.protocol.leaks:
        raise InputError(
            "RUN: expected an honest protocol, so that the scores of the folds hold for the "
            f"model. Received: {settings.cv.protocol.leakage}"
        )
    if settings.external is not None:
        raise InputError(
            "RUN: expected a run on one data set. Received: a run with external="
            f"{settings.external.name}, whose records are test records only"
        )
    splits = data.splits
    keys = [fold_key(settings, data.cohort.fingerprint, one, splits) for one in splits]
    places = [store_of(study, settings.store)] if study else stores(settings.store)
    store = max(map(FoldStore, places), key=lambda one: one.count_of(keys))
    folds = [store.load(key, split) for key, split in zip(keys, splits, strict=True)]
    known = [fold for fold in folds if fold is not None]
    if len(known) < len(splits):
        raise InputError(
            f"RUN: expected a finished run of this version on this data, with {len(splits)} folds "
            f"in {settings.store}. Received: {len(known)}. Run it again in this directory first"
        )
    return summarize(data.features, known, baselines_of(data, settings.cv.threshold))


def refit(
    settings: RunSettings,
    data: ExperimentData,
    result: CVResult,
    n_members: int,
    on_epoch: OnEpoch = lambda member, epoch: None,
) -> tuple[Description, list[Any]]:
    """Fit to all records, as each fold's model was fitted to its training records.

    No record is left to stop a training early: the number of epochs is then the median of the
    folds' epochs. A threshold that was chosen in each fold is chosen here by the out-of-fold
    predictions, which come from models that were not trained with the predicted record.

    Args:
        settings: Settings of the run.
        data: Records, features and splits of the run.
        result: From `cross_validated`.
        n_members: Number of models, each with the next seed.
        on_epoch: Called after every epoch.

    Returns:
        The description, and the state of each member, for `lvh.inference.save`. A model without
        randomness has one member.
    """
    epochs_origin = "as in the folds"
    if settings.train.patience is not None:
        epochs = round(statistics.median(fold.history.kept_epoch for fold in result.folds))
        settings = replace(settings, train=replace(settings.train, patience=None, epochs=epochs))
        epochs_origin = _MEDIAN
    seeds = tuple(settings.seed + number for number in range(n_members))
    states, chosen = _fit(settings, data, seeds, on_epoch)
    cohort, features = data.cohort, data.features
    indices, inverse, counts = np.unique(result.test, return_inverse=True, return_counts=True)
    y_score = np.bincount(inverse, weights=result.y_score) / counts
    y, subjects = features.y[indices], features.subjects[indices]
    repeats = result.folds[-1].split.repeat + 1
    own = line(y, y_score)
    threshold, threshold_origin = _threshold(settings, y, y_score, repeats)
    description = Description(
        format=FORMAT,
        name=settings.name,
        settings=Settings(
            features=settings.features,
            model=settings.model,
            cv=settings.cv,
            train=settings.train,
            backend=cast(Any, settings.backend),
        ),
        data=cohort.name,
        fingerprint=cohort.fingerprint,
        note=cohort.note,
        n_records=len(features.y),
        n_positive=int(features.y.sum()),
        fs=cohort.fs,
        leads=cohort.leads,
        delineation=cohort.delineation.origin,
        names=features.names,
        input_shape=features.input_shape,
        fill=_fill(features),
        calibration=Calibration(
            line=(own.intercept, own.slope),
            resamples=tuple(
                (round(one.intercept, 6), round(one.slope, 6))
                for one in bootstrap_lines(y, y_score, subjects)
            ),
            n_records=len(y),
            repeats=repeats,
        ),
        threshold=threshold,
        threshold_origin=threshold_origin,
        seeds=seeds[: len(states)],
        epochs_origin=epochs_origin if settings.is_network else "",
        chosen=tuple(chosen),
        n_folds=len(result.folds),
        scores={
            row: _scores(summary)
            for row, summary in {"model": result.summary, **result.baselines}.items()
        },
        chosen_run="",
        run_key=run_key(settings, cohort.fingerprint, data.splits),
        study="",
        n_candidates=1,
        chosen_by="",
        versions=run_dir.versions(settings.backend, threads(settings)),
        files={},
    )
    return description, states


def _fit(
    settings: RunSettings, data: ExperimentData, seeds: tuple[int, ...], on_epoch: OnEpoch
) -> tuple[list[Any], list[str]]:
    """Return the state of each member, and the candidate that it selected; one if all are equal."""
    features = data.features
    (X,) = fill_missing(features.fill, features.X)
    jobs = [
        FitJob(
            X=X,
            y=features.y,
            subjects=features.subjects,
            X_validation=X[:0],
            y_validation=features.y[:0],
            seed=np.random.SeedSequence(seed),
        )
        for seed in seeds
    ]
    trainer = new_trainer(settings, features, data.cohort.fs)
    states: list[Any] = []
    chosen: list[str] = []
    scores: list[Any] = []
    while len(states) < len(seeds):
        first = len(states)
        n_parallel = trainer.max_parallel([len(one.y) for one in jobs[first:]])
        group = jobs[first : first + n_parallel]
        histories = trainer.fit(group, lambda at, epoch, first=first: on_epoch(first + at, epoch))  # type: ignore[misc]
        states += trainer.state()
        chosen += [history.chosen for history in histories]
        scores += trainer.predict([X] * len(group))
    if all(np.array_equal(one, scores[0]) for one in scores):
        return states[:1], chosen[:1]
    return states, chosen


def _fill(features: FeatureSet) -> tuple[float, ...]:
    """Return the value that replaces a missing one, for each tabular input."""
    if features.kind == "signal":
        return ()
    missing = np.full((1, features.X.shape[1]), np.nan, dtype=np.float32)
    _, values = fill_missing(features.fill, features.X, missing)
    return tuple(read(values)[0, : features.input_shape[0]].tolist())


def _threshold(
    settings: RunSettings, y: Labels, y_score: Floats, repeats: int
) -> tuple[float, str]:
    if settings.cv.threshold == "fixed":
        return 0.5, "fixed"
    threshold = chosen_threshold(y, y_score)
    if not 0 <= threshold <= 1:
        raise InputError("cv.threshold: expected out-of-fold predictions of records without LVH")
    averaged = f", each the mean of {repeats}" if repeats > 1 else ""
    return threshold, f"90 % specificity on the out-of-fold predictions{averaged}"


def _scores(summary: Summary) -> dict[str, float]:
    """Return the scores over folds by the names that MLflow shows, without undefined ones."""
    scores: dict[str, float] = {}
    for name in NAMES:
        pooled = summary.pooled[name]
        scores[name] = getattr(summary.mean, name)
        scores[f"std_{name}"] = getattr(summary.std, name)
        ends = (f"pooled_{name}", f"pooled_{name}_low", f"pooled_{name}_high")
        scores |= zip(ends, (pooled.estimate, pooled.low, pooled.high), strict=True)
    return {name: float(score) for name, score in scores.items() if math.isfinite(score)}
