"""What calls from Python give: a model to train, and data, features and splits for it."""

import inspect
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from numbers import Integral
from types import NoneType
from typing import Any, cast

import numpy as np
import pandas as pd

from lvh.config.command_line import CommandLine
from lvh.config.composition import compose, plain
from lvh.config.groups import defaults, suggestion
from lvh.config.plugin_checks import classifier_entry, network_entry
from lvh.config.plugins import REGISTRIES, Origin, load_installed, named
from lvh.config.run_settings import parsed
from lvh.data.array_checks import checked_labels, checked_subjects
from lvh.data.cohort import Cohort
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.evaluation import cross_validation
from lvh.evaluation.cv_result import CVResult, Summary
from lvh.features import FORMS, FeatureSet, check_cohort
from lvh.models import MODELS, Architecture, Estimator, current_name
from lvh.models.backends import NO_BACKEND, check_installed
from lvh.models.trainers import make_trainer
from lvh.models.training import Trainer, TrainSettings, check_train
from lvh.runs.experiment_data import ExperimentData, folds_of
from lvh.validation.metrics import NAMES, SCALES, Interval, mean_and_std
from lvh.validation.splits import CvSettings, Split, check_protocol, given_splits

Train = TrainSettings | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Learner:
    """Something to train: an entry of a registry, or one like it, and its settings."""

    name: str
    entry: Architecture | Estimator
    settings: Any
    train: TrainSettings
    backend: str | None = None
    has_probabilities: bool = True

    @property
    def is_network(self) -> bool:
        """Whether it is trained in epochs."""
        return not isinstance(self.entry, Estimator)

    @property
    def takes_any(self) -> bool:
        """Whether it gets inputs as a user gave them, with missing values and texts."""
        return isinstance(self.entry, Estimator) and self.entry.takes_any

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return what trains it, as `lvh run` does; fs in Hz."""
        entry, backend = self.entry, NO_BACKEND
        if not isinstance(entry, Estimator):
            keras = sys.modules.get("keras")
            in_use = "tensorflow" if keras is None else str(keras.backend.backend())
            backend = self.backend or in_use
            check_installed(backend)
            entry.check(self.settings, features.input_shape)
        return make_trainer(
            entry, self.settings, train=self.train, backend=backend, features=features, fs=fs
        )


def learner_of(
    estimator: Any, train: Train = None, params: Mapping[str, Any] | None = None
) -> Learner:
    """Return what a user wants to train; see `lvh.cross_validate`.

    `params` are changes: settings of a model of lvh, parameters of a classifier, further arguments
    of a function; settings of the training begin with `train.`.
    """
    load_installed()
    if train is not None and not isinstance(train, (Mapping, TrainSettings)):
        raise InputError(f"train: expected TrainSettings or a mapping. Received: {excerpt(train)}")
    given = asdict(train) if isinstance(train, TrainSettings) else dict(train or {})
    own = dict(params or {})
    for name in [one for one in own if one.startswith("train.")]:
        given[name.removeprefix("train.")] = own.pop(name)
    network = parsed("train", {**asdict(TrainSettings()), **given}, TrainSettings)
    is_ours = any(type(estimator) is entry.settings for entry in MODELS.values())
    if is_ours or (isinstance(estimator, str) and current_name(estimator) in MODELS):
        name = estimator.name if is_ours else current_name(estimator)
        usual = asdict(estimator) if is_ours else defaults(MODELS[name].settings)
        settings: Any = parsed("model", {**usual, "name": name, **own}, MODELS[name].settings)
        learner = Learner(name, MODELS[name], settings, network)
    elif inspect.isroutine(estimator) or isinstance(estimator, partial):
        origin = Origin(named("estimator", estimator), str(getattr(estimator, "__module__", "")))
        entry = network_entry(
            origin, NoneType, lambda settings, input_shape: estimator(input_shape, **own), None
        )
        learner = Learner(origin.what.partition(": ")[2], entry, None, network)
    elif hasattr(estimator, "get_params") and not isinstance(estimator, type):
        learner = _of_classifier(estimator, network, own)
    else:
        raise InputError(
            "estimator: expected a name, its settings, a classifier of scikit-learn's kind (an "
            "object, not its class) or a function that builds a Keras model"
            f"{suggestion(str(estimator), MODELS)}. Names are {', '.join(MODELS)}. "
            f"Received: {excerpt(estimator)}"
        )
    if not learner.is_network and (given or train is not None):
        raise InputError(f"train: expected None, for {learner.name} has no epochs")
    return learner


def _of_classifier(estimator: Any, train: TrainSettings, params: dict[str, Any]) -> Learner:
    from sklearn.base import clone

    model = clone(estimator)
    try:  # of what is no estimator it is a deep copy
        model.set_params(**{name: clone(value, safe=False) for name, value in params.items()})
    except (TypeError, ValueError) as error:
        raise InputError(f"space: {error}") from error
    name, has_probabilities = type(estimator).__name__, hasattr(model, "predict_proba")
    origin = Origin(named("estimator", type(estimator)), type(estimator).__module__)
    entry = classifier_entry(origin, NoneType, lambda **_: clone(model), takes_any=True)
    entry.build(None, (), 0, np.zeros(0, np.str_))  # raises what can be known before a training
    return Learner(name, entry, None, train, has_probabilities=has_probabilities)


def check_scores(learner: Learner, names: Iterable[str]) -> None:
    """Refuse scores that need probabilities where the learner has none."""
    for name in names if not learner.has_probabilities else ():
        scale = SCALES.get(name.removeprefix("pooled_").removeprefix("std_"))
        if scale is not None and scale.needs_probabilities:
            raise InputError(
                f"{name}: needs probabilities, which {learner.name} has none of. Choose another "
                "score, or put it into scikit-learn's CalibratedClassifierCV"
            )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a learner is trained on: its inputs, their sampling frequency in Hz, and the folds."""

    features: FeatureSet
    fs: float
    splits: tuple[Split, ...]
    cv: CvSettings
    is_scaled: bool  # by the form of features, so that a signal is not in mV


def cross_validated(learner: Learner, data: TrainingData, seed: int, **more: Any) -> CVResult:
    """Train and score every fold; `more` is of `lvh.evaluation.cross_validation`."""
    train, n_validation = learner.train, min(len(one.validation) for one in data.splits)
    check_train(train, n_validation, learner.is_network)
    is_wrong = data.features.kind != "signal" or (data.is_scaled and train.augment.is_in_mv)
    if train.augment.is_on and is_wrong:
        raise InputError(
            "train.augment: expected signals; for noise, wander and amplitude those of a form with "
            f"features.scaling=none, in mV. Received: {data.features.kind} inputs"
        )
    result = cross_validation.cross_validate(
        data.features,
        more.pop("splits", data.splits),
        partial(learner.trainer, data.features, data.fs),
        seed=seed,
        cv=data.cv,
        **more,
    )
    return result if learner.has_probabilities else _of_margins(result)


def _of_margins(result: CVResult) -> CVResult:
    """Return a result without the scores that need probabilities, which margins are not."""
    lacking = dict.fromkeys([name for name in NAMES if SCALES[name].needs_probabilities], math.nan)
    folds = [replace(fold, metrics=replace(fold.metrics, **lacking)) for fold in result.folds]
    mean, std = mean_and_std([fold.metrics for fold in folds])
    intervals = {name: Interval(math.nan, math.nan, math.nan) for name in lacking}
    scores = Summary(mean, std, {**result.scores.pooled, **intervals})
    return replace(result, folds=tuple(folds), scores=scores)


def training_data(
    learner: Learner, X: Any, y: Any, groups: Any, *, features: Any, cv: Any
) -> TrainingData:
    """Return the data that a learner is trained on; see `lvh.cross_validate`."""
    has_labels = isinstance(X, (Cohort, FeatureSet, ExperimentData))
    refused = {"y": y, "groups": groups} if has_labels else {}
    refused |= {} if isinstance(X, Cohort) else {"features": features}
    for field, value in refused.items():
        if value is not None:
            raise InputError(
                f"{field}: expected None with X as a {type(X).__name__}. Received: {excerpt(value)}"
            )
    fs, own, form = 1.0, X, None
    if isinstance(X, Cohort):
        form = _form(learner, features)
        check_cohort(form.name, X)
        fs, own = X.fs, FORMS[form.name].extract(X, form)
    elif isinstance(X, ExperimentData):
        fs, own, form = X.cohort.fs, X.features, X.form
    elif not isinstance(X, FeatureSet):
        own = from_arrays(X, y, groups)
    own = fitting(learner, own)
    is_scaled = form is not None and getattr(form, "scaling", form.name) != "none"
    if cv is None and isinstance(X, ExperimentData):
        return TrainingData(own, fs, X.splits, X.cv, is_scaled)
    splits, settings = _splits(7 if cv is None else cv, own, own.subjects if has_labels else groups)
    return TrainingData(own, fs, splits, settings, is_scaled)


def _splits(cv: Any, features: FeatureSet, groups: Any) -> tuple[tuple[Split, ...], CvSettings]:
    """Return the folds that a number, `CvSettings` or some of its fields, or a splitter mean."""
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = {"folds": int(cv)}
    if not isinstance(cv, (CvSettings, Mapping)):
        return given_splits(cv, features.y, features.subjects, groups), CvSettings()
    given = asdict(cv) if isinstance(cv, CvSettings) else cv
    settings: CvSettings = parsed("cv", {**asdict(CvSettings()), **given}, CvSettings)
    check_protocol(settings)
    if settings.permutations or settings.scheme == "external" or settings.leakage:
        raise InputError(
            "cv: expected no permutations, no external records and an honest protocol; "
            f"python -m lvh.run has the others. Received: {excerpt(cv)}"
        )
    return folds_of(features, settings, features.y), settings


def option(group: str, name: str, changes: Mapping[str, Any]) -> Any:
    """Return the checked settings of an option, as `group=name` composes it, with changes."""
    load_installed()
    node = plain(CommandLine((f"{group}={name}",)).load())[group]
    return parsed(group, {**node, **changes}, REGISTRIES[group][node["name"]].settings)


def _form(learner: Learner, form: Any) -> Any:
    """Return the settings of the features that a learner gets of a cohort."""
    if form is None and not learner.takes_any and learner.name in MODELS:
        return compose(CommandLine((f"model={learner.name}",))).settings.features
    if isinstance(form, str):
        return option("features", form, {})
    if any(type(form) is one.settings for one in FORMS.values()):
        return option("features", form.name, asdict(form))
    raise InputError(
        "features: expected what a model of your own gets of a cohort: one of "
        f"{', '.join(FORMS)}, or its settings. Received: {excerpt(form)}"
    )


def fitting(learner: Learner, features: FeatureSet) -> FeatureSet:
    """Return the inputs as the learner takes them."""
    kind, X = learner.entry.inputs, cast(Any, features.X)
    only = learner.entry.form if isinstance(learner.entry, Estimator) else None
    if kind not in (None, features.kind) or (only is not None and "male" not in features.names):
        forms = [only] if only else [name for name, one in FORMS.items() if one.kind == kind]
        raise InputError(
            f"estimator: {learner.name} needs {kind} inputs, of a cohort features="
            f"{' or '.join(forms)}. Received: {features.kind} ones of shape {X.shape}"
        )
    if learner.takes_any or isinstance(X, LazyArray):
        return features
    if isinstance(X, FrameRows):
        frame = X[:]
        kinds = frame.dtypes.items()
        if texts := [name for name, kind in kinds if not pd.api.types.is_numeric_dtype(kind)]:
            raise InputError(f"X: expected columns of numbers. Received: {excerpt(texts)}")
        X = frame.to_numpy(np.float64, na_value=np.nan)
    X = np.asarray(X, np.float32) if learner.is_network else X
    if np.isinf(X).any() or (features.kind == "signal" and np.isnan(X).any()):
        raise InputError(
            "X: expected finite numbers, or NaN for a missing one in a table. Received: "
            f"{int((~np.isfinite(X)).sum())} that are not"
        )
    return replace(features, X=X, fill="mean" if features.fill == "keep" else features.fill)


class FrameRows:
    """The rows of a DataFrame, selected by position."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Take the frame."""
        self._frame, self.shape = frame, frame.shape

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._frame)

    def __getitem__(self, rows: Any) -> pd.DataFrame:
        """Return some rows as a DataFrame."""
        return self._frame.iloc[rows]


def from_arrays(X: Any, y: Any, groups: Any) -> FeatureSet:
    """Return the inputs of arrays or a DataFrame; see `lvh.cross_validate`."""
    is_table = isinstance(X, pd.DataFrame)
    inputs: Any = FrameRows(X) if is_table else np.asarray(X)
    shape = inputs.shape
    is_odd = isinstance(X, np.ma.MaskedArray) or not (is_table or inputs.dtype.kind in "biuf")
    if is_odd or len(shape) not in (2, 3) or 0 in shape:
        raise InputError(
            "X: expected a Cohort, a FeatureSet, a DataFrame, or an array of numbers, NaN for a "
            "missing one, of shape (n_records, n_inputs) or (n_records, n_samples, n_leads). "
            f"Received: {type(X).__name__} of {getattr(inputs, 'dtype', 'columns')}, shape {shape}"
        )
    for field, column in {"y": y, "groups": groups}.items() if is_table else ():
        if isinstance(column, pd.Series) and column.name is not None and column.name in X.columns:
            raise InputError(
                f"X: expected inputs only. Received: a column {column.name}, the name of {field}"
            )
        if isinstance(column, pd.Series) and not column.index.equals(X.index):
            raise InputError(f"{field}: expected the index of X. Received: another one")
    n = shape[0]
    names = X.columns if is_table else range(shape[-1])
    of_rows = tuple(map(str, X.index)) if is_table else ()  # texts may be the same: 1 and "1"
    records = of_rows if len({*of_rows}) == n else tuple(map(str, range(n)))
    return FeatureSet(
        kind="tabular" if len(shape) == 2 else "signal",
        X=inputs,
        y=checked_labels(y, n),
        names=tuple(map(str, names)),
        records=records,
        subjects=np.arange(n).astype(str) if groups is None else checked_subjects(groups, n),
        age_and_sex=np.full((n, 2), np.nan),
        fill="keep",
        label_name=str(getattr(y, "name", None) or "label"),
    )
