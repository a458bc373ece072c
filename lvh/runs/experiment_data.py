"""The data of a configuration, shared by all that agree in it: cohort, features and folds."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.config.run_settings import RunSettings
from lvh.data import SOURCES
from lvh.data.array_checks import EXTERNAL
from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.joining import join
from lvh.evaluation.cv_result import Summary, baseline_summaries
from lvh.features import FORMS, FeatureSet, check_cohort
from lvh.models import MODELS, Estimator
from lvh.models.backends import check_installed
from lvh.models.trainers import make_trainer
from lvh.models.trainers import threads as threads_of_model
from lvh.models.training import Trainer
from lvh.validation.inner_splits import InnerFolds, held_out
from lvh.validation.splits import CvSettings, Split, Threshold, external_split, splits

_LOADED = 4  # combinations of data, features and splits that stay in memory


@dataclass(frozen=True, slots=True, eq=False)
class ExperimentData:
    """Cohort, features and splits; configurations that agree in them share them."""

    cohort: Cohort
    features: FeatureSet
    splits: tuple[Split, ...]
    cv: CvSettings = field(default_factory=CvSettings)


def load_data(settings: RunSettings) -> ExperimentData:
    """Load records, make features and split, with every check that needs no training."""
    check_installed(settings.backend)
    sources = (settings.data, settings.external)
    states = tuple(one and SOURCES[one.name].state(one) for one in sources)
    data = _experiment_data(sources, states, settings.features, settings.cv)
    _check_model(settings, data)
    return data


def _check_model(settings: RunSettings, data: ExperimentData) -> None:
    """Raise InputError where a model does not fit to the records, or to those of a fold."""
    model, features = MODELS[settings.model.name], data.features
    if not isinstance(model, Estimator):
        model.check(settings.model, features.input_shape)
    elif f"model={settings.model.name}" not in settings.plugins:
        for split in data.splits:
            subjects, y = features.subjects[split.train], features.y[split.train]
            built: Any = model.build(settings.model, features.names, 0, subjects)
            parts = built.get_params() if hasattr(built, "get_params") else {}
            for inner in (*parts.values(), getattr(built, "folds", None)):
                if isinstance(inner, InnerFolds):
                    next(inner.split(None, y))  # raises here what it would in a training


def load_cohort(settings: RunSettings) -> Cohort:
    """Load the records of a configuration, without features."""
    data, external = settings.data, settings.external
    cohort = _cohort(data, SOURCES[data.name].state(data), "data")
    if external is None:
        return cohort
    return join(cohort, _cohort(external, SOURCES[external.name].state(external), "external"))


@lru_cache(maxsize=_LOADED)
def _experiment_data(sources: Any, states: Any, features: Any, cv: Any) -> ExperimentData:
    (data, external), (state, other_state) = sources, states
    cohorts = {"data": _cohort(data, state, "data")}
    if external is not None:
        cohorts["external"] = _cohort(external, other_state, "external")
    for group, cohort in cohorts.items():
        check_cohort(features.name, cohort, group)
    whole = cohorts["data"] if external is None else join(*cohorts.values())
    summarize_cohort(whole)  # checks it
    extracted: FeatureSet = FORMS[features.name].extract(whole, features)
    return ExperimentData(whole, extracted, folds_of(extracted, cv, extracted.y), cv)


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


@lru_cache(maxsize=2)
def _cohort(settings: Any, state: object, group: str) -> Cohort:
    return SOURCES[settings.name].cohort(settings, group)


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
    return threads_of_model(MODELS[settings.model.name], settings.train, settings.backend)
