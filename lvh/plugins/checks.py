"""What is checked of that which a plugin returns: a wrong number is worse than an error."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, fingerprint, part_of
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet
from lvh.features.base import feature_set
from lvh.features.imputation import Fill
from lvh.plugins.loading import calling
from lvh.validation.metrics import Floats, Labels

_BLOCK = 64  # records
_TESTED = 3  # records of which the inputs are made a second time, without the others


def seeded(model: Any, random_state: int) -> Any:
    """Give a classifier and its parts the random state of a run, where they have None."""
    if hasattr(model, "get_params") and not isinstance(model, type):
        states = {
            name: random_state
            for name, value in model.get_params(deep=True).items()
            if value is None and name.rpartition("__")[2] == "random_state"
        }
        if states:
            model.set_params(**states)
    return model


class CheckedClassifier:
    """A plugin's classifier, whose probabilities are checked.

    Attributes:
        fitted: The classifier itself.
    """

    def __init__(self, what: str, module: str, model: Any) -> None:
        """Take a classifier, not fitted.

        Raises:
            InputError: It has no `fit` or no `predict_proba`.
        """
        self._what, self._module, self.fitted = what, module, model
        if isinstance(model, type) or not (
            hasattr(model, "fit") and hasattr(model, "predict_proba")
        ):
            received = "a class" if isinstance(model, type) else type(model).__name__
            if hasattr(model, "decision_function"):
                received += (
                    ", which has decision_function alone. CalibratedClassifierCV of scikit-learn "
                    "makes probabilities of it"
                )
            raise InputError(
                f"{what}: expected a classifier with fit and predict_proba. Received: {received}"
            )

    def fit(self, X: Floats, y: Labels) -> "CheckedClassifier":
        """Fit the classifier to records of both labels."""
        with calling(self._what, self._module):
            self.fitted.fit(X, y)
        classes = getattr(self.fitted, "classes_", None)
        if classes is not None and [*classes] != [0, 1]:
            raise InputError(
                f"{self._what}: expected the classes 0 and 1, in this order. Received: {[*classes]}"
            )
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        with calling(self._what, self._module):
            scores = np.asarray(self.fitted.predict_proba(X), np.float64)
        if scores.shape != (len(X), 2) or not ((scores >= 0) & (scores <= 1)).all():
            odd = scores[~((scores >= 0) & (scores <= 1))]
            received = odd[0] if scores.shape == (len(X), 2) else f"shape {scores.shape}"
            raise InputError(
                f"{self._what}: predict_proba: expected probabilities of shape ({len(X)}, 2). "
                f"Received: {received}"
            )
        return scores


def check_network(what: str, model: Any, input_shape: tuple[int, ...]) -> None:
    """Refuse a network that would not be trained as its layers say.

    Training knows one penalty: L2 on kernels, of one strength; see `lvh.models.backends`.

    Raises:
        InputError: It is no network with one sigmoid output, or has other losses or constraints.
    """
    import keras

    if not (isinstance(model, keras.Model) and hasattr(model, "outputs")):
        raise InputError(
            f"{what}: expected a keras.Sequential that begins with keras.Input(input_shape), or a "
            f"keras.Model(inputs, outputs). Received: {type(model).__name__}"
        )
    shapes = [tuple(one.shape[1:]) for one in (*model.inputs, *model.outputs)]
    last = getattr(model.layers[-1], "activation", None)
    if shapes != [input_shape, (1,)] or last is not keras.activations.sigmoid:
        raise InputError(
            f"{what}: expected inputs of shape {input_shape} and one sigmoid output, shape (1,). "
            f"Received: shapes {shapes}, activation of the last layer "
            f"{getattr(last, '__name__', 'none')}"
        )
    model(np.zeros((1, *input_shape), np.float32))
    penalties = [one.kernel_regularizer for one in model.layers if _has_penalty(one)]
    is_l2 = all(type(one) is keras.regularizers.L2 for one in penalties)
    is_l2 &= all(hasattr(one, "kernel") for one in model.layers if _has_penalty(one))
    if not is_l2 or len({float(one.l2) for one in penalties} if is_l2 else ()) > 1:
        raise InputError(
            f"{what}: expected no kernel_regularizer but keras.regularizers.L2, of one strength. "
            f"Received: {[one.get_config() for one in penalties]}"
        )
    constrained = [one.path for one in model.variables if getattr(one, "constraint", None)]
    if len(model.losses) != len(penalties) or constrained:
        raise InputError(
            f"{what}: expected no losses but the cross-entropy and kernel_regularizer, and no "
            f"constraints. Received: {len(model.losses) - len(penalties)} other losses, "
            f"constraints of {constrained or 'nothing'}"
        )


def _has_penalty(layer: Any) -> bool:
    return getattr(layer, "kernel_regularizer", None) is not None


def checked_features(
    what: str,
    cohort: Cohort,
    values: Callable[[Cohort], Any],
    *,
    kind: Literal["tabular", "signal"],
    fill: Fill | None,
) -> FeatureSet:
    """Return the inputs that a function makes of a cohort as a feature set.

    Raises:
        InputError: Shape, type or names are wrong, a value is not finite, or the inputs of a record
            depend on other records or on labels.
    """
    n = len(cohort.records)
    blocks: Iterable[Cohort] = [cohort]
    if isinstance(cohort.signals, LazyArray):  # of more records than fit into memory
        blocks = (part_of(cohort, at, at + _BLOCK) for at in range(0, n, _BLOCK))
    parts = [_array(what, values(block), len(block.records), kind) for block in blocks]
    if len({(part.shape[1:], names) for part, names in parts}) > 1:
        raise InputError(f"{what}: expected the same inputs of all records. Received: different")
    X, names = np.concatenate([part for part, _ in parts]), parts[0][1]
    is_missing = np.isnan(X) if fill else np.zeros((), bool)
    if not (np.isfinite(X) | is_missing).all():
        record = cohort.records[int(np.argwhere(~(np.isfinite(X) | is_missing))[0, 0])]
        allowed = "finite numbers, or NaN" if fill else "finite numbers (fill= allows NaN)"
        raise InputError(f"{what}: expected {allowed}. Received: others in record {record}")
    if first := max(0, n - _TESTED):
        some = part_of(cohort, first, n)
        alone, _ = _array(what, values(replace(some, label=1 - some.label)), n - first, kind)
        scale = 1e-5 * np.nanmax(np.abs(X), initial=0, axis=0)
        differs = ~np.isclose(X[first:], alone, rtol=1e-4, atol=scale, equal_nan=True)
        if alone.shape[1:] != X.shape[1:] or differs.any():
            raise InputError(
                f"{what}: expected inputs of a record that depend on no other record, no label and "
                "no chance: else a fold knows of its test records. Received: others for the last "
                f"{n - first} records alone, with other labels"
            )
    return feature_set(cohort, kind, X, names, fill=fill or "zero")


def _array(
    what: str, value: Any, n_records: int, kind: str
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    array, names = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    names = getattr(array, "columns", None) if names is None else names  # of a DataFrame
    expected = {"tabular": "(n_records, n_inputs)", "signal": "(n_records, n_samples, n_channels)"}
    raw = np.asarray(array)
    n_axes = len(expected[kind].split(","))
    if raw.dtype.kind not in "fiub" or raw.ndim != n_axes or not raw.size or len(raw) != n_records:
        raise InputError(
            f"{what}: expected numbers of shape {expected[kind]}, with n_records={n_records}. "
            f"Received: {raw.dtype} of shape {raw.shape}"
        )
    with np.errstate(over="ignore"):  # an overflow is infinite, which is refused
        X = raw.astype(np.float32)
    if names is None:
        stem = what.partition("=")[2].partition(":")[0]
        names = [f"{stem}_{number}" for number in range(1, X.shape[-1] + 1)]
    texts = tuple(map(str, names))
    if (
        len(texts) != X.shape[-1]
        or len({*texts}) < len(texts)
        or not all(map(str.isprintable, texts))
    ):
        raise InputError(
            f"{what}: expected {X.shape[-1]} different names, of the last axis. "
            f"Received: {excerpt(texts)}"
        )
    return X, texts


def checked_cohort(what: str, cohort: Any) -> Cohort:
    """Return a cohort whose parts fit together, with the fingerprint of all that it holds.

    Raises:
        InputError: A part is not as `lvh.Cohort` says.
    """
    if not isinstance(cohort, Cohort):
        raise InputError(f"{what}: expected a lvh.Cohort. Received: {type(cohort).__name__}")
    try:
        made = Cohort.from_arrays(
            cohort.signals,
            cohort.label,
            groups=cohort.subjects,
            fs=cohort.fs,
            leads=cohort.leads,
            age=cohort.age,
            male=cohort.male,
            label_name=cohort.label_name,
            records=cohort.records,
        )
        others = ("name", "note", "unit", "columns", "dropped", "delineation")
        own = replace(made, **{name: getattr(cohort, name) for name in others})
        summarize_cohort(own)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    waves, table = own.delineation, own.columns
    columns = [] if table is None else [(name, table[name].to_numpy()) for name in table]
    parts = (own.unit, waves.symbols, waves.samples, waves.offsets, *chain(*columns))
    return replace(own, fingerprint=fingerprint(own.fingerprint, *parts))
