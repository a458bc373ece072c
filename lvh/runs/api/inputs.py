"""What Python hands over as data, as features and splits: arrays, tables, features, a cohort."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from lvh.config.command_line import CommandLine
from lvh.config.composition import compose, plain
from lvh.config.messages import explained
from lvh.config.plugins.loading import REGISTRIES, load_installed
from lvh.config.run_settings import parsed
from lvh.data.array_checks import checked_labels, checked_subjects
from lvh.data.cohort import Cohort
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.evaluation import cross_validation
from lvh.evaluation.cv_result import CVResult
from lvh.features import FORMS, FeatureSet, check_cohort
from lvh.models import MODELS, Estimator
from lvh.models.training import check_train
from lvh.runs.api.learners import Learner
from lvh.runs.experiment_data import ExperimentData, folds_of
from lvh.validation.splits import CvSettings, Split, check_protocol, given_splits


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a learner is trained on: its inputs, their sampling frequency in Hz, and the folds."""

    features: FeatureSet
    fs: float
    splits: tuple[Split, ...]
    cv: CvSettings
    is_scaled: bool = False  # by the form of features, so that a signal is not in mV


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
    return cross_validation.cross_validate(
        data.features,
        more.pop("splits", data.splits),
        partial(learner.trainer, data.features, data.fs),
        seed=seed,
        cv=data.cv,
        **more,
    )


class FrameRows:
    """The rows of a DataFrame, selected by position."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Take the frame."""
        self._frame = frame
        self.shape = frame.shape

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._frame)

    def __getitem__(self, rows: Any) -> pd.DataFrame:
        """Return some rows as a DataFrame."""
        return self._frame.iloc[rows]


def option(group: str, name: str, changes: Mapping[str, Any] | None = None) -> Any:
    """Return the checked settings of an option, as `group=name` composes it, with changes."""
    load_installed()
    command = CommandLine((f"{group}={name}",))
    try:
        node = plain(command.load())[group]
    except Exception as error:
        raise explained(error, command) from None
    settings: type = REGISTRIES[group][node["name"]].settings
    return parsed(group, {**node, **(changes or {})}, settings)


def training_data(
    learner: Learner, X: Any, y: Any, groups: Any, *, features: Any, cv: Any
) -> TrainingData:
    """Return the data that a learner is trained on; see `lvh.cross_validate`."""
    has_labels = isinstance(X, (Cohort, FeatureSet, ExperimentData))
    no_form = None if isinstance(X, Cohort) else features
    for field, value in (("y", y), ("groups", groups)) * has_labels + (("features", no_form),):
        if value is not None:
            raise InputError(
                f"{field}: expected None with X as a {type(X).__name__}. Received: {excerpt(value)}"
            )
    fs, own, is_scaled = 1.0, X, False
    if isinstance(X, Cohort):
        form = _form(learner, features)
        check_cohort(form.name, X)
        fs, own = X.fs, FORMS[form.name].extract(X, form)
        is_scaled = getattr(form, "scaling", form.name) != "none"
    elif isinstance(X, ExperimentData):
        fs, own = X.cohort.fs, X.features
    elif not isinstance(X, FeatureSet):
        own = from_arrays(X, y, groups)
    own = fitting(learner, own)
    if cv is None and isinstance(X, ExperimentData):
        return TrainingData(own, fs, X.splits, X.cv)
    given = own.subjects if has_labels else groups
    return TrainingData(own, fs, *_splits(7 if cv is None else cv, own, given), is_scaled)


def _splits(cv: Any, features: FeatureSet, groups: Any) -> tuple[tuple[Split, ...], CvSettings]:
    """Return the folds that a number, `CvSettings` or some of its fields, or a splitter mean."""
    y = features.y
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = {"folds": int(cv)}
    if not isinstance(cv, (CvSettings, Mapping)):
        return given_splits(cv, y, features.subjects, groups), CvSettings()
    given = asdict(cv) if isinstance(cv, CvSettings) else dict(cv)
    settings: CvSettings = parsed("cv", {**asdict(CvSettings()), **given}, CvSettings)
    check_protocol(settings)
    if settings.permutations or settings.scheme == "external" or settings.leakage:
        raise InputError(
            "cv: expected no permutations, no external records and an honest protocol; "
            f"python -m lvh.run has the others. Received: {excerpt(cv)}"
        )
    return folds_of(features, settings, y), settings


def _form(learner: Learner, form: Any) -> Any:
    if form is None and not learner.is_given and learner.name in MODELS:
        return compose(CommandLine((f"model={learner.name}",))).settings.features
    if isinstance(form, str):
        return option("features", form)
    if any(type(form) is one.settings for one in FORMS.values()):
        return option("features", form.name, asdict(form))
    raise InputError(
        "features: expected what a model of your own gets of a cohort: one of "
        f"{', '.join(FORMS)}, or its settings. Received: {excerpt(form)}"
    )


def fitting(learner: Learner, features: FeatureSet) -> FeatureSet:
    """Return the inputs as the learner takes them."""
    kind = learner.entry.inputs
    only = learner.entry.form if isinstance(learner.entry, Estimator) else None
    if kind not in (None, features.kind) or (only is not None and "male" not in features.names):
        forms = [only] if only else [name for name, one in FORMS.items() if one.kind == kind]
        raise InputError(
            f"estimator: {learner.name} needs {kind} inputs, of a cohort features="
            f"{' or '.join(forms)}. Received: {features.kind} ones of shape {features.X.shape}"
        )
    X: Any = features.X
    if learner.is_given or isinstance(X, LazyArray):
        return features
    if isinstance(X, FrameRows):
        frame = X[:]
        kinds = frame.dtypes.items()
        if texts := [name for name, kind in kinds if not pd.api.types.is_numeric_dtype(kind)]:
            raise InputError(f"X: expected columns of numbers. Received: {excerpt(texts)}")
        X = np.asarray(frame.to_numpy(np.float64, na_value=np.nan))
    if learner.is_network:
        X = np.asarray(X, np.float32)
    if np.isinf(X).any() or (features.kind == "signal" and np.isnan(X).any()):
        raise InputError(
            "X: expected finite numbers, or NaN for a missing one in a table. Received: "
            f"{int((~np.isfinite(X)).sum())} that are not"
        )
    return replace(features, X=X, fill="mean" if features.fill == "keep" else features.fill)


def from_arrays(X: Any, y: Any, groups: Any) -> FeatureSet:
    """Return the inputs of arrays or a DataFrame; see `lvh.cross_validate`."""
    is_table = isinstance(X, pd.DataFrame)
    inputs: Any = FrameRows(X) if is_table else np.asarray(X)
    n, n_axes = len(inputs) if inputs.shape else 0, len(inputs.shape)
    is_odd = isinstance(X, np.ma.MaskedArray) or not (is_table or inputs.dtype.kind in "biuf")
    if is_odd or n_axes not in (2, 3) or 0 in inputs.shape:
        raise InputError(
            "X: expected a Cohort, a FeatureSet, a DataFrame, or an array of numbers, NaN for a "
            "missing one, of shape (n_records, n_inputs) or (n_records, n_samples, n_leads). "
            f"Received: {type(X).__name__} of {getattr(inputs, 'dtype', 'columns')}, shape "
            f"{inputs.shape}"
        )
    for field, column in (("y", y), ("groups", groups)) if is_table else ():
        if not isinstance(column, pd.Series):
            continue
        if column.name is not None and column.name in X.columns:
            raise InputError(
                f"X: expected inputs only. Received: a column {column.name}, the name of {field}"
            )
        if not column.index.equals(X.index):
            raise InputError(f"{field}: expected the index of X. Received: another one")
    names = X.columns if is_table else range(inputs.shape[-1])
    records = X.index if is_table and X.index.is_unique else range(n)
    return FeatureSet(
        kind="tabular" if n_axes == 2 else "signal",
        X=inputs,
        y=checked_labels(y, n),
        names=tuple(map(str, names)),
        records=tuple(map(str, records)),
        subjects=np.arange(n).astype(str) if groups is None else checked_subjects(groups, n),
        age_and_sex=np.full((n, 2), np.nan),
        fill="keep",
        label_name=str(getattr(y, "name", None) or "label"),
    )
