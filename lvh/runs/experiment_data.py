"""The data of a configuration, shared by all that agree in it: cohort, features and folds."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.config.run_settings import RunSettings
from lvh.data import SOURCES, join
from lvh.data.array_checks import EXTERNAL
from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.evaluation.cv_result import Summary, baseline_summaries
from lvh.features import FORMS, FeatureSet, check_cohort
from lvh.models import MODELS, Estimator
from lvh.models.backends import check_installed, threads_of
from lvh.models.trainers import automatic_threads, make_trainer
from lvh.models.training import Trainer
from lvh.validation.inner_splits import InnerFolds, held_out
from lvh.validation.splits import CvSettings, Split, Threshold, external_split, splits

_LOADED = 4  # cohorts, and combinations of data, features and splits, that stay in memory


@dataclass(frozen=True, slots=True, eq=False)
class ExperimentData:
    """Cohort, features and splits, with their settings; configurations that agree share them."""

    cohort: Cohort
    features: FeatureSet
    splits: tuple[Split, ...]
    cv: CvSettings
    form: Any
    """Settings of the features."""


def load_data(settings: RunSettings) -> ExperimentData:
    """Load records, make features and split, with every check that needs no training."""
    check_installed(settings.backend)
    cohorts = _cohorts(settings)
    for group, cohort in zip(("data", "external"), cohorts, strict=False):
        check_cohort(settings.features.name, cohort, group)
    data = _experiment_data(cohorts, settings.features, settings.cv)
    model = MODELS[settings.model.name]
    if not isinstance(model, Estimator):
        model.check(settings.model, data.features.input_shape)
    elif f"model={settings.model.name}" not in settings.plugins:
        _check_folds(model, settings, data)
    return data


def load_cohort(settings: RunSettings) -> Cohort:
    """Load the records of a configuration, without features."""
    return _joined(_cohorts(settings))


def folds_of(features: FeatureSet, cv: CvSettings, y: npt.NDArray[np.int64]) -> tuple[Split, ...]:
    """Return the folds of the records with labels `y`; raise InputError where there are none."""
    subjects = features.subjects
    if cv.scheme == "external":
        n_own = sum(not record.startswith(EXTERNAL) for record in features.records)
        folds: tuple[Split, ...] = (external_split(y, subjects, n_own, cv),)
    else:
        folds = splits(y, subjects, cv)
    if cv.threshold != "fixed":
        for split in folds:
            held_out(split, y, subjects)  # raises here what it would after the first trainings
    return folds


@lru_cache(maxsize=_LOADED)
def baselines_of(data: ExperimentData, threshold: Threshold) -> dict[str, Summary]:
    """Score the baselines on the same folds; configurations share the result."""
    return baseline_summaries(data.features, data.splits, threshold)


def new_trainer(settings: RunSettings, features: FeatureSet, fs: float) -> Trainer:
    """Return the trainer of a configuration; `fs` in Hz."""
    return make_trainer(
        MODELS[settings.model.name],
        settings.model,
        train=settings.train,
        backend=settings.backend,
        features=features,
        fs=fs,
    )


def threads(settings: RunSettings) -> int:
    """Return how many threads the trainings of this process have."""
    automatic = automatic_threads(MODELS[settings.model.name])
    return threads_of(settings.backend, settings.train.threads, automatic)


def _cohorts(settings: RunSettings) -> tuple[Cohort, ...]:
    """Return the records of `data`, and those of `external` if there are some."""
    cohorts = []
    for group, source in {"data": settings.data, "external": settings.external}.items():
        if source is not None:
            cohorts.append(_cohort(source, SOURCES[source.name].state(source), group))
    return tuple(cohorts)


@lru_cache(maxsize=_LOADED)
def _cohort(source: Any, state: object, group: str) -> Cohort:
    return SOURCES[source.name].cohort(source, group)


@lru_cache(maxsize=_LOADED)
def _joined(cohorts: tuple[Cohort, ...]) -> Cohort:
    joined = join(*cohorts) if len(cohorts) > 1 else cohorts[0]
    summarize_cohort(joined)  # checks it
    return joined


@lru_cache(maxsize=_LOADED)
def _experiment_data(cohorts: tuple[Cohort, ...], features: Any, cv: CvSettings) -> ExperimentData:
    cohort = _joined(cohorts)
    extracted: FeatureSet = FORMS[features.name].extract(cohort, features)
    return ExperimentData(cohort, extracted, folds_of(extracted, cv, extracted.y), cv, features)


def _check_folds(model: Estimator, settings: RunSettings, data: ExperimentData) -> None:
    """Raise InputError where a model could not be fitted to the training records of a fold."""
    features = data.features
    for split in data.splits:
        subjects, y = features.subjects[split.train], features.y[split.train]
        built: Any = model.build(settings.model, features.names, 0, subjects)
        parts = built.get_params() if hasattr(built, "get_params") else {}
        for inner in (*parts.values(), getattr(built, "folds", None)):
            if isinstance(inner, InnerFolds):
                next(inner.split(None, y))  # raises here what it would in a training
