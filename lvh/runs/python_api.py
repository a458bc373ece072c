"""Experiments from Python: the same as the commands, without their files, and with own models."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lvh.config.groups import suggestion
from lvh.config.plugins import load_installed
from lvh.config.run_settings import RunSettings
from lvh.data import SOURCES
from lvh.errors import InputError, LvhError, excerpt
from lvh.reports.result_views import CVResult, StudyResult
from lvh.runs import experiment_data, python_inputs
from lvh.runs.experiment_data import ExperimentData
from lvh.runs.python_inputs import Learner, Train, check_scores, learner_of
from lvh.search import study
from lvh.tracking.run_dir import read_result
from lvh.validation.bounds import checked_seed
from lvh.validation.metrics import NAMES, SCALES

Metric = Callable[[Any, Any], float]
"""Takes labels and scores of the test records of a fold."""


def load_data(what: RunSettings | str, **fields: Any) -> Any:
    """Load records: a cohort by the name of a source, or all that an experiment needs.

    Args:
        what: Name of a source, such as `ludb`; or the settings of an experiment.
        **fields: Settings of the source, such as `root="ludb"`.

    Returns:
        A `Cohort` for the name of a source; for settings `ExperimentData`, which has the cohort,
        its features and the splits.

    >>> lvh.load_data("synthetic", records=42).signals.shape  # records, samples, leads
    (42, 5000, 12)
    >>> settings = lvh.settings("data=synthetic", "data.records=42", "features=voltage")
    >>> lvh.load_data(settings).features.X.shape
    (42, 71)
    """
    if isinstance(what, RunSettings):
        return experiment_data.load_data(what)
    load_installed()
    if what not in SOURCES:
        raise InputError(
            f"source: expected one of {', '.join(SOURCES)}{suggestion(what, SOURCES)}. "
            f"Received: {excerpt(what)}"
        )
    return SOURCES[what].cohort(python_inputs.option("data", what, fields))


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    groups: Any = None,
    *,
    features: Any = None,
    cv: Any = None,
    metrics: Sequence[str | Metric] | None = None,
    seed: int = 0,
    train: Train = None,
) -> CVResult:
    """Train and score every fold, and the baselines; nothing is written or tracked.

    No subject is in two parts of a fold, and nothing of a test record is in its model. The scores
    are those of the command with the same settings, and of scikit-learn's `cross_validate` on the
    same splits.

    Args:
        estimator: A name, such as `svm`, or the settings of a model; a classifier or a pipeline of
            scikit-learn; or a function that takes the shape of one input and returns a Keras model
            with one sigmoid output. With the settings of an experiment and its data (`settings`,
            `load_data`), these decide all else.
        X: A cohort; the data of an experiment; features; an array of shape (n_records, n_inputs)
            or (n_records, n_samples, n_leads); or a DataFrame with a row a record.
        y: Labels 0 and 1 of an array or a DataFrame, shape (n_records,).
        groups: Subjects of its records, shape (n_records,); None: each record is one.
        features: Of a cohort: a form, such as `raw`, or its settings; None for those that the
            command has with the model.
        cv: Number of folds; a mapping of fields of `CvSettings`; a splitter of scikit-learn; or
            pairs of train and test positions. None: the folds of the data of an experiment, or 7.
        metrics: Scores that tables show: names in `lvh.validation.metrics.NAMES`, or functions of
            labels and scores; None for all names. A classifier with no `predict_proba` has no
            `loss` and `brier`, and functions get its margins m as (1 + m / (1 + |m|)) / 2.
        seed: Of networks, and of a classifier whose `random_state` is None.
        train: How a network is trained, such as `{"epochs": 20}`.

    Raises:
        InputError: An argument is not as above, or does not fit to the others.
        LvhError: A model refuses its records.

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile([0, 0, 1, 1], 30)
    >>> X = y[:, None] + rng.normal(size=(120, 3))
    >>> result = lvh.cross_validate(LogisticRegression(), X, y, groups=np.arange(120) // 2)
    >>> len(result.to_frame()), bool(result.summary().loc["roc_auc", "mean"] > 0.7)
    (7, True)
    """
    names, own = _metrics(NAMES if metrics is None else metrics)
    if isinstance(estimator, RunSettings):
        others = {"groups": groups, "features": features, "cv": cv, "train": train}
        others |= {"y": y, "seed": seed or None}
        if given := [name for name, value in others.items() if value is not None]:
            raise InputError(f"{given[0]}: expected none with settings, which decide it")
        learner, seed = _of_settings(estimator, X), estimator.seed
    else:
        learner, seed = learner_of(estimator, train), checked_seed(seed)
    data = python_inputs.training_data(learner, X, y, groups, features=features, cv=cv)
    if metrics is None and not learner.has_probabilities:
        names = tuple(name for name in NAMES if not SCALES[name].needs_probabilities)
    check_scores(learner, names)
    result = python_inputs.cross_validated(learner, data, seed)
    ends = np.cumsum([len(fold.split.test) for fold in result.folds])[:-1]
    parts = [*zip(np.split(result.y_true, ends), np.split(result.y_score, ends), strict=True)]
    parts.append((result.y_true, result.y_score))
    values = {name: tuple(_value(name, own[name], *part) for part in parts) for name in own}
    return CVResult.of(result, shown=names, own=values)


def load_run(run: str | Path, uri: str | None = None) -> CVResult:
    """Return the result of a finished run of `python -m lvh.run`; the data are not needed.

    Args:
        run: Folder of the run, or its ID in MLflow, 32 digits.
        uri: Where MLflow has the ID; None for `MLFLOW_TRACKING_URI`, or `mlflow.db` in this
            directory.

    Raises:
        InputError: There is no such run, or it is not finished.

    >>> from pathlib import Path
    >>> folder = min(Path("outputs").rglob("run.json")).parent
    >>> len(lvh.load_run(folder).to_frame())
    3
    """
    return CVResult.of(read_result(run, uri or os.environ.get("MLFLOW_TRACKING_URI")))


def load_study(
    storage: str | None = None, name: str | None = None, store: str | Path = "outputs/folds"
) -> StudyResult:
    """Return a sweep, by default the latest one of this directory.

    Args:
        storage: Database, such as `sqlite:///studies.db`; None for `studies.db`.
        name: Of the study; None for the latest.
        store: Folder of the finished folds, which have the predictions.
    """
    return StudyResult.of(study.load(storage, name, store))


def _of_settings(settings: RunSettings, data: Any) -> Learner:
    if settings.cv.permutations:
        raise InputError(
            "cv.permutations: expected 0 here; python -m lvh.run makes the test. "
            f"Received: {settings.cv.permutations}"
        )
    of = [replace(data.cv, permutations=0), data.form] if isinstance(data, ExperimentData) else []
    if of != [settings.cv, settings.features]:
        raise InputError(
            "X: expected the data of these settings, lvh.load_data(settings). Received: "
            f"{'those of other features or splits' if of else type(data).__name__}"
        )
    return replace(learner_of(settings.model), train=settings.train, backend=settings.backend)


def _metrics(metrics: Sequence[str | Metric]) -> tuple[tuple[str, ...], dict[str, Metric]]:
    """Split metrics into names of ours and functions by their names."""
    given = [metrics] if isinstance(metrics, str) or callable(metrics) else metrics
    names = [metric for metric in given if not callable(metric)]
    calls = [metric for metric in given if callable(metric)]
    own = {str(getattr(call, "__name__", type(call).__name__)): call for call in calls}
    if not {*names} <= {*NAMES} or {*own} & {*NAMES} or len(own) < len(calls):
        raise InputError(
            f"metrics: expected some of {', '.join(NAMES)}, or functions of other, different "
            f"names. Received: {excerpt([*names, *own])}"
        )
    return tuple(dict.fromkeys(names)), own


def _value(name: str, metric: Metric, y_true: Any, y_score: Any) -> float:
    try:
        value = float(metric(y_true, y_score))
    except Exception as error:
        raise LvhError(f"metrics: {name} fails: {type(error).__name__}: {error}") from error
    if math.isinf(value):
        raise LvhError(f"metrics: expected a number of {name}, or NaN. Received: {value}")
    return value
