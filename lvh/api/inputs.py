"""What Python hands over as data, as features and splits: arrays, tables, features, a cohort."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.api.learners import Learner, NamedLearner
from lvh.config.command_line import CommandLine
from lvh.config.composition import compose, plain
from lvh.config.messages import explained
from lvh.config.run_settings import parsed
from lvh.data import SOURCES
from lvh.data.cohort import Cohort, fingerprint
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.features import FORMS, FeatureSet
from lvh.models import MODELS, Estimator
from lvh.runs.run import ExperimentData
from lvh.validation.given_splits import given_splits
from lvh.validation.splits import HONEST, CvSettings, Protocol, Split, Threshold, check_protocol
from lvh.validation.splits import splits as splits_of
from lvh.validation.thresholds import held_out


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Splits, and what belongs to them."""

    splits: tuple[Split, ...]
    protocol: Protocol = HONEST
    threshold: Threshold = "fixed"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a learner is trained on: its inputs, their sampling frequency in Hz, and the folds."""

    features: FeatureSet
    fs: float
    folds: Folds

    @property
    def fingerprint(self) -> str:
        """Hash of inputs, labels and subjects."""
        features = self.features
        X: Any = features.X
        parts: list[Any] = [X]
        if isinstance(X, FrameRows):
            frame: pd.DataFrame = X[:]
            parts = [pd.util.hash_pandas_object(frame, index=False).to_numpy()]
            parts += [[*frame.columns], [str(dtype) for dtype in frame.dtypes]]
        parts += [features.y, features.subjects, features.records, features.names, features.fill]
        return fingerprint(features.kind, self.fs, *parts)


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


def option(group: str, name: str, fields: Mapping[str, Any] | None = None) -> Any:
    """Return the checked settings of an option, as `group=name` composes it, with other fields."""
    command = CommandLine((f"{group}={name}",))
    try:
        node = plain(command.load())[group]
    except Exception as error:
        raise explained(error, command) from None
    registry: Mapping[str, Any] = SOURCES if group == "data" else FORMS
    return parsed(group, {**node, **(fields or {})}, registry[node["name"]].settings)


def training_data(
    learner: Learner, X: Any, y: Any, groups: Any, *, features: Any, cv: Any
) -> TrainingData:
    """Return the data that a learner is trained on.

    Args:
        learner: What is to be trained.
        X: A cohort, features, the data of an experiment, an array of shape (n_records, n_inputs)
            or (n_records, n_samples, n_leads), or a DataFrame with a row a record.
        y: Labels of an array or a DataFrame; None for the others, which have theirs.
        groups: Subjects of the records, in the same way; None: each record is a subject.
        features: Of a cohort: the name of a form or its settings; None for those of the model.
        cv: See `folds_of`; None for 7 folds, or those of the data of an experiment.

    Raises:
        InputError: They do not fit together, or to the learner.
    """
    fs, has_labels = 1.0, isinstance(X, (Cohort, FeatureSet, ExperimentData))
    for field, value in (("y", y), ("groups", groups)) if has_labels else ():
        if value is not None:
            raise InputError(
                f"{field}: expected None with a {type(X).__name__}, which has its own. "
                f"Received: {excerpt(value)}"
            )
    if features is not None and not isinstance(X, Cohort):
        raise InputError(
            f"features: expected None unless X is a Cohort. Received: {excerpt(features)}"
        )
    if isinstance(X, Cohort):
        form = _form(learner, features)
        _check_cohort(X, form.name)
        fs, own = X.fs, FORMS[form.name].extract(X, form)
    elif isinstance(X, ExperimentData):
        fs, own = X.cohort.fs, X.features
    else:
        own = X if isinstance(X, FeatureSet) else _from_arrays(X, y, groups)
    own = _fitting(learner, own)
    if cv is None and isinstance(X, ExperimentData):
        folds = Folds(X.splits, X.cv.protocol, X.cv.threshold)
    else:
        folds = folds_of(7 if cv is None else cv, own, own.subjects if has_labels else groups)
    if folds.protocol.leaks and not (learner.has_epochs and isinstance(learner, NamedLearner)):
        raise InputError(
            "cv.weights and cv.epoch: expected an honest protocol, unless the model is a network "
            f"of lvh. Received: {folds.protocol.leakage}"
        )
    return TrainingData(own, fs, folds)


def folds_of(cv: Any, features: FeatureSet, groups: Any) -> Folds:
    """Return the folds that `cv` means.

    Args:
        cv: Number of folds; `CvSettings` or a mapping of some of its fields; a splitter of
            scikit-learn; or pairs of train and test positions.
        features: What is split.
        groups: What a splitter gets as groups.

    Raises:
        InputError: It is none of these, or does not fit to the records.
    """
    y, subjects = features.y, features.subjects
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = {"folds": int(cv)}
    if not isinstance(cv, (CvSettings, Mapping)):
        return Folds(given_splits(cv, y, subjects, groups))
    given = asdict(cv) if isinstance(cv, CvSettings) else {**asdict(CvSettings()), **cv}
    settings: CvSettings = parsed("cv", given, CvSettings)
    check_protocol(settings)
    if settings.permutations or settings.scheme == "external":
        raise InputError(
            "cv: expected no permutations and no external records here; python -m lvh.run has "
            f"both. Received: {excerpt(cv)}"
        )
    folds = splits_of(y, subjects, settings)
    if settings.threshold != "fixed":
        for split in folds:
            held_out(split, y, subjects)  # raises here what it would after the first trainings
    return Folds(folds, settings.protocol, settings.threshold)


def inputs_of(learner: Learner, X: Any, y: Any, groups: Any) -> FeatureSet:
    """Return the inputs of arrays or a DataFrame as a learner takes them; see `training_data`."""
    return _fitting(learner, _from_arrays(X, y, groups))


def _check_cohort(cohort: Cohort, form: str) -> None:
    if FORMS[form].needs_delineation and not len(cohort.delineation.samples):
        others = [name for name, other in FORMS.items() if not other.needs_delineation]
        raise InputError(
            f"features={form}: expected records with a delineation. Received: {cohort.name}, which "
            f"has none. Choose features={' or '.join(others)}"
        )


def _form(learner: Learner, form: Any) -> Any:
    """Return the settings of a feature form."""
    if form is None and isinstance(learner, NamedLearner):
        return compose(CommandLine((f"model={learner.name}",))).settings.features
    if is_dataclass(form) and not isinstance(form, type):
        for name, one in FORMS.items():
            if isinstance(form, one.settings):
                return option("features", getattr(form, "name", name), asdict(form))
    if isinstance(form, str):
        return option("features", form)
    raise InputError(
        "features: expected what a model of your own gets of a cohort: one of "
        f"{', '.join(FORMS)}, or its settings. Received: {excerpt(form)}"
    )


def _fitting(learner: Learner, features: FeatureSet) -> FeatureSet:
    """Return the inputs as the learner takes them."""
    if learner.kind is not None and learner.kind != features.kind:
        entry = MODELS[learner.name]
        only = entry.form if isinstance(entry, Estimator) else None
        fitting = [name for name, one in FORMS.items() if one.kind == learner.kind]
        raise InputError(
            f"estimator: {learner.name} needs {learner.kind} inputs, of a cohort features="
            f"{only or ' or '.join(fitting)}. Received: {features.kind} ones of shape "
            f"{features.X.shape}"
        )
    X: Any = features.X
    if learner.is_given or isinstance(X, LazyArray):
        return features
    if isinstance(X, FrameRows):
        X = _numbers(X[:])
    if learner.has_epochs:
        X = np.asarray(X, np.float32)
    if np.isinf(X).any() or (features.kind == "signal" and np.isnan(X).any()):
        raise InputError(
            "X: expected finite numbers, or NaN for a missing one in a table. Received: "
            f"{int((~np.isfinite(X)).sum())} that are not"
        )
    fill = "mean" if features.fill == "keep" else features.fill
    return replace(features, X=X, fill=fill)


def _numbers(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    texts = [str(name) for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    if texts:
        raise InputError(
            f"X: expected columns of numbers. Received: {excerpt(', '.join(texts))}; leave them "
            "out, or use a pipeline of scikit-learn that encodes them"
        )
    return np.asarray(frame.to_numpy(np.float64, na_value=np.nan))


def _from_arrays(X: Any, y: Any, groups: Any) -> FeatureSet:
    _check_tables(X, y, groups)
    inputs: Any = FrameRows(X) if isinstance(X, pd.DataFrame) else np.asarray(X)
    n, n_axes = len(inputs) if inputs.shape else 0, len(inputs.shape)
    if n_axes not in (2, 3) or 0 in inputs.shape:
        raise InputError(
            "X: expected a Cohort, a FeatureSet, a DataFrame, or an array of shape (n_records, "
            f"n_inputs) or (n_records, n_samples, n_leads). Received: {type(X).__name__} of shape "
            f"{inputs.shape}"
        )
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "biuf":
        raise InputError(f"X: expected numbers. Received: an array of {inputs.dtype}")
    names = X.columns if isinstance(X, pd.DataFrame) else range(inputs.shape[-1])
    records = X.index if isinstance(X, pd.DataFrame) and X.index.is_unique else range(n)
    subjects = _subjects(groups, n)
    return FeatureSet(
        kind="tabular" if n_axes == 2 else "signal",
        X=inputs,
        y=_labels(y, n),
        names=tuple(map(str, names)),
        records=tuple(map(str, records)),
        subjects=subjects,
        age_and_sex=np.full((n, 2), np.nan),
        fill="keep",
        label_name=str(getattr(y, "name", None) or "label"),
    )


def _check_tables(X: Any, y: Any, groups: Any) -> None:
    """Refuse rows in another order, a label or a subject among the inputs, and masked values."""
    if isinstance(X, np.ma.MaskedArray):
        raise InputError("X: expected NaN for a missing value. Received: a masked array")
    for field, column in (("y", y), ("groups", groups)):
        if not isinstance(X, pd.DataFrame) or not isinstance(column, pd.Series):
            continue
        if column.name is not None and column.name in X.columns:
            raise InputError(
                f"X: expected inputs only. Received: a column {column.name}, the name of {field}"
            )
        if not column.index.equals(X.index):
            raise InputError(
                f"{field}: expected the index of X. Received: another one; give "
                f"{field}.to_numpy() if the rows are in the same order"
            )


def _labels(y: Any, n: int) -> npt.NDArray[np.int64]:
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) != n:
        raise InputError(f"y: expected {n} labels, one a record. Received: shape {labels.shape}")
    found = pd.unique(pd.Series(labels))
    if pd.isna(found).any() or not {*found.tolist()} <= {0, 1}:
        raise InputError(
            f"y: expected labels 0 and 1, or False and True. Received: {excerpt(found.tolist())}"
        )
    return labels.astype(np.int64)


def _subjects(groups: Any, n: int) -> npt.NDArray[np.str_]:
    if groups is None:
        return np.arange(n).astype(str)
    if np.shape(groups) != (n,):
        raise InputError(f"groups: expected {n}, one a record. Received: shape {np.shape(groups)}")
    codes, distinct = pd.factorize(pd.Series(list(groups), dtype=object))
    texts = np.array([str(one) for one in distinct])
    if (codes < 0).any() or len({*texts}) < len(texts):
        raise InputError(
            "groups: expected the name or the number of a subject for every record. Received: "
            f"{'a missing one' if (codes < 0).any() else 'different ones that look the same'}"
        )
    return np.asarray(texts[codes], np.str_)
