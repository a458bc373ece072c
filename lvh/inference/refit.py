"""Fit the model of a cross-validated run to all records, and describe it by its folds."""

import math
import statistics
from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.data.cohort import records_at
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, Summary, summarize
from lvh.features import FORMS, FeatureSet, fill_missing
from lvh.inference.model_description import (
    FACTORS,
    FORMAT,
    Calibration,
    Description,
    Settings,
    data_fields,
    plugin_versions,
)
from lvh.models.training import FitJob, OnEpoch
from lvh.runs.cache_key import fold_key, run_key
from lvh.runs.experiment_data import ExperimentData, baselines_of, new_trainer, threads
from lvh.runs.lookup import Chosen
from lvh.tracking import run_dir
from lvh.tracking.fold_store import FoldStore, store_of, stores
from lvh.validation.calibration import line
from lvh.validation.metrics import NAMES, chosen_threshold, resampled

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_RESAMPLES = 1000  # of subjects, for the interval of the calibration
_MOST_CURVE = 20  # records of each label, so that measuring them takes a second or two


def cross_validated(settings: "RunSettings", data: ExperimentData, study: str = "") -> CVResult:
    """Return the result of a finished, honest run from the fold store, of a study if known."""
    needs_table = FORMS[settings.features.name].needs_columns  # which a single record lacks
    for expected, received in (
        ("an honest protocol", settings.cv.leakage),
        ("a run on one data set", settings.external and f"external={settings.external.name}"),
        ("a run on records with signals", "" if data.cohort.leads else f"{data.cohort.name}"),
        ("a run on inputs of signals", needs_table and f"features={settings.features.name}"),
    ):
        if received:
            raise InputError(f"RUN: expected {expected}. Received: {received}")
    splits = data.splits
    keys = [fold_key(settings, data.cohort.fingerprint, split, splits) for split in splits]
    places = [store_of(study, settings.store)] if study else stores(settings.store)
    store = max(map(FoldStore, places), key=lambda store: store.count_of(keys))
    folds = [store.load(key, split) for key, split in zip(keys, splits, strict=True)]
    stored = [fold for fold in folds if fold is not None]
    if len(stored) < len(splits):
        raise InputError(
            f"RUN: expected a finished run of this version on this data, with {len(splits)} folds "
            f"in {settings.store}. Received: {len(stored)}. Run it again in this directory first"
        )
    return summarize(data.features, stored, baselines_of(data, settings.cv.threshold))


def refit(
    settings: "RunSettings",
    data: ExperimentData,
    result: CVResult,
    *,
    n_members: int,
    chosen: Chosen,
    on_epoch: OnEpoch = lambda member, epoch: None,
) -> tuple[Description, list[Any]]:
    """Fit to all records, as each fold's model was; return description and state of each member.

    No record is left to stop a training early: the number of epochs is then the median of the
    folds' epochs. A threshold that was chosen in each fold is chosen here by the out-of-fold
    predictions, which come from models that were not trained with the predicted record. `on_epoch`
    is called with the number of a member, from 0.
    """
    train = settings.train
    if train.patience is not None:
        epochs = round(statistics.median(fold.history.kept_epoch for fold in result.folds))
        train = replace(train, epochs=epochs)
    seeds = tuple(settings.seed + number for number in range(n_members))
    fitted = replace(settings, train=replace(train, patience=None))
    states, selected, curve = _fit(fitted, data, seeds, on_epoch)
    calibration, threshold = _calibrated(settings, data, result)
    own = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    rows = {"model": result.scores, **result.baselines}
    description = Description(
        format=FORMAT,
        name=settings.name,
        settings=Settings(**{**own, "train": train}),
        **data_fields(data.cohort, data.features),
        calibration=calibration,
        threshold=threshold,
        seeds=seeds[: len(states)],
        chosen=tuple(selected),
        n_folds=len(result.folds),
        scores={row: _scores(summary) for row, summary in rows.items()},
        run_key=run_key(settings, data.cohort.fingerprint, data.splits),
        study=chosen.study,
        n_candidates=chosen.n_candidates,
        chosen_by=chosen.score,
        voltage_curve=curve,
        versions=run_dir.versions(settings.backend, threads(settings)) | plugin_versions(settings),
        files={},
    )
    return description, states


def _fit(
    settings: "RunSettings", data: ExperimentData, seeds: tuple[int, ...], on_epoch: OnEpoch
) -> tuple[list[Any], list[str], tuple[tuple[float, float], ...]]:
    """Return state, selected candidate and voltage curve; of one member if all are equal."""
    features = data.features
    (X,) = fill_missing(features.fill, features.X)
    louder = None if settings.is_network else _louder(settings, data)
    trainer = new_trainer(settings, features, data.cohort.fs)
    states, scores, selected = list[Any](), list[Any](), list[str]()
    curves: list[Any] = []
    for member, seed in enumerate(seeds):
        job = FitJob(
            X=X,
            y=features.y,
            subjects=features.subjects,
            seed=np.random.SeedSequence(seed),
        )
        (history,) = trainer.fit([job], lambda _, epoch, at=member: on_epoch(at, epoch))  # type: ignore[misc]
        states += trainer.state()
        selected.append(history.chosen)
        scores += trainer.predict([X])
        if louder is not None:
            p, y = (x.reshape(len(FACTORS), -1) for x in (*trainer.predict([louder.X]), louder.y))
            curves.append([(p * (y == label)).sum(1) / (y == label).sum(1) for label in (0, 1)])
    if all(np.array_equal(score, scores[0]) for score in scores):
        states, selected = states[:1], selected[:1]
    means = np.mean(curves, axis=0).round(4).tolist() if curves else ((), ())
    return states, selected, tuple(zip(*means, strict=True))


def _louder(settings: "RunSettings", data: ExperimentData) -> FeatureSet | None:
    """Return features of some training records, at each of `FACTORS`; None if a form has none."""
    own = np.flatnonzero(np.isin(data.cohort.records, data.features.records))
    some = np.concatenate([own[data.features.y == label][:_MOST_CURVE] for label in (0, 1)])
    factors = np.repeat(np.array(FACTORS, np.float32), len(some))[:, None, None]
    louder = np.tile(read(data.cohort.signals[some]), (len(FACTORS), 1, 1)) * factors
    cohort = records_at(data.cohort, np.tile(some, len(FACTORS)), louder)
    try:
        features: FeatureSet = FORMS[settings.features.name].extract(cohort, settings.features)
    except InputError:
        return None
    if len(features.y) < len(factors):
        return None
    return replace(features, X=fill_missing(data.features.fill, data.features.X, features.X)[1])


def _calibrated(
    settings: "RunSettings", data: ExperimentData, result: CVResult
) -> tuple[Calibration, float]:
    """Return the recalibration and the threshold that the out-of-fold predictions give."""
    features = data.features
    indices, inverse, counts = np.unique(result.test, return_inverse=True, return_counts=True)
    y_score = np.bincount(inverse, weights=result.y_score) / counts
    y, subjects = features.y[indices], features.subjects[indices]
    own, blocks = line(y, y_score), resampled(subjects, _RESAMPLES, seed=0)
    resamples = [line(y, y_score, weights) for block in blocks for weights in block]
    calibration = Calibration(
        line=(own.intercept, own.slope),
        resamples=tuple((round(fit.intercept, 6), round(fit.slope, 6)) for fit in resamples),
        n_records=len(y),
        repeats=result.folds[-1].split.repeat + 1,
    )
    threshold = 0.5 if settings.cv.threshold == "fixed" else chosen_threshold(y, y_score)
    if not 0 <= threshold <= 1:
        raise InputError(
            "cv.threshold: expected out-of-fold predictions of records without the label"
        )
    return calibration, threshold


def _scores(summary: Summary) -> dict[str, float]:
    """Return the scores over folds by the names that MLflow shows, without undefined ones."""
    scores: dict[str, float] = {}
    for name in NAMES:
        own = (getattr(summary.mean, name), getattr(summary.std, name))
        names = f"{name} std_{name} pooled_{name} pooled_{name}_low pooled_{name}_high".split()
        scores |= zip(names, own + astuple(summary.pooled[name]), strict=True)
    return {name: float(score) for name, score in scores.items() if math.isfinite(score)}
