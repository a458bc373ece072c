"""What is checked of what a user's code returns: a wrong number is worse than an error.

A plugin and `lvh.cross_validate` share the entries of a classifier and of a network.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.config.plugins.origin import Origin
from lvh.data.cohort import Cohort, fingerprint, part_of
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet
from lvh.features.base import Fill, feature_set
from lvh.models import Architecture, Estimator, Kind

_ROUNDING = 1e-6  # of a probability, which is cut
_BLOCK = 64  # records
_TESTED = 3  # records of which the inputs are made a second time, without the others


class CheckedClassifier:
    """A classifier of a user, with the random state of a fold, whose probabilities are checked.

    Attributes:
        fitted: The classifier itself.
    """

    def __init__(self, origin: Origin, model: Any, random_state: int, *, margins: bool) -> None:
        """Take a new classifier; each `random_state` in it that is None becomes the given one.

        With `margins`, the logistic function of its `decision_function` is a probability.

        Raises:
            InputError: It is none, or a part of it is fitted.
        """
        self._origin, self.fitted = origin, model
        self._has_margins = not hasattr(model, "predict_proba")
        is_known = not self._has_margins or hasattr(model, "decision_function")
        if isinstance(model, type) or not (hasattr(model, "fit") and is_known):
            more = " or decision_function" if margins else ""
            raise origin.refused(
                f"expected a classifier with fit and predict_proba{more}",
                "a class" if isinstance(model, type) else type(model).__name__,
            )
        if self._has_margins and not margins:
            raise origin.refused(
                "expected a classifier with predict_proba, which CalibratedClassifierCV of "
                "scikit-learn gives it",
                f"{type(model).__name__}, which has decision_function alone",
            )
        params = model.get_params() if hasattr(model, "get_params") else {}
        for part in (model, *params.values()):
            is_fitted = "classes_" in getattr(part, "__dict__", ())
            if is_fitted or type(part).__name__ == "FrozenEstimator":
                raise origin.refused(
                    "expected a new classifier for each fold; a part that is fitted or frozen may "
                    "know test records",
                    excerpt(part),
                )
        unset = [name for name, value in params.items() if value is None]
        states = [name for name in unset if name.rpartition("__")[2] == "random_state"]
        if states:
            model.set_params(**dict.fromkeys(states, random_state))

    def fit(self, X: Any, y: npt.NDArray[np.int64]) -> "CheckedClassifier":
        """Fit the classifier to records of both labels."""
        with self._origin.calling():
            self.fitted.fit(X, y)
            classes = getattr(self.fitted, "classes_", None)
        if classes is not None and [*classes] != [0, 1]:
            raise self._origin.refused("expected the classes 0 and 1, in this order", [*classes])
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        with self._origin.calling():
            if self._has_margins:
                from scipy.special import expit  # type: ignore[import-untyped]

                margins = np.asarray(self.fitted.decision_function(X), np.float64)
                scores = np.column_stack([expit(-margins), expit(margins)])
            else:
                scores = np.asarray(self.fitted.predict_proba(X), np.float64)
        is_odd = ~((scores > -_ROUNDING) & (scores < 1 + _ROUNDING))
        if scores.shape != (len(X), 2) or is_odd.any():
            raise self._origin.refused(
                f"predict_proba: expected probabilities of shape ({len(X)}, 2)",
                scores[is_odd][0] if scores.shape == (len(X), 2) else f"shape {scores.shape}",
            )
        clipped: npt.NDArray[np.float64] = np.clip(scores, 0, 1)
        return clipped


def classifier_entry(
    origin: Origin, settings: type, new: Callable[..., Any], *, is_given: bool = False
) -> Estimator:
    """Return the entry of a classifier that `new` makes.

    It gets `settings`, `names`, `random_state` and `subjects` by name. With `is_given` the
    classifier gets inputs as they are, and may have margins only.
    """

    def build(settings: Any, names: tuple[str, ...], random_state: int, subjects: Any) -> Any:
        with origin.calling():
            model = new(
                settings=settings, names=names, random_state=random_state, subjects=subjects
            )
        return CheckedClassifier(origin, model, random_state, margins=is_given)

    return Estimator(settings, build, inputs=None if is_given else "tabular", is_given=is_given)


def network_entry(
    origin: Origin, settings: type, new: Callable[..., Any], inputs: Kind | None
) -> Architecture:
    """Return the entry of a network that `new` builds of `settings` and `input_shape`, by name."""

    def build(settings: Any, input_shape: tuple[int, ...]) -> Any:
        with origin.calling():  # the check calls the layers, which may be the user's
            model = new(settings=settings, input_shape=input_shape)
            check_network(origin, model, input_shape)
        return model

    # any shape: the user's own code says what does not fit
    return Architecture(settings, build, lambda settings, input_shape: None, inputs, is_own=False)


def check_network(origin: Origin, model: Any, input_shape: tuple[int, ...]) -> None:
    """Refuse a network that would not be trained as its layers say.

    Training knows one penalty: L2 on kernels, of one strength; see `lvh.models.backends`.

    Raises:
        InputError: It is no network with one sigmoid output, is compiled, or has other losses or
            constraints.
    """
    import keras

    if not (isinstance(model, keras.Model) and hasattr(model, "outputs")):
        raise origin.refused(
            "expected a keras.Sequential that begins with keras.Input(input_shape), or a "
            "keras.Model(inputs, outputs)",
            type(model).__name__,
        )
    shapes = [tuple(one.shape[1:]) for one in (*model.inputs, *model.outputs)]
    last = getattr(model.layers[-1], "activation", None)
    if shapes != [input_shape, (1,)] or last is not keras.activations.sigmoid:
        raise origin.refused(
            f"expected inputs of shape {input_shape} and one sigmoid output, shape (1,)",
            f"shapes {shapes}, activation of the last layer {getattr(last, '__name__', 'none')}",
        )
    if model.compiled:
        raise origin.refused("expected a network that is not compiled: train= sets it", "compiled")
    model(np.zeros((1, *input_shape), np.float32))
    penalized = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
    penalties = [one.kernel_regularizer for one in penalized]
    is_l2 = all(type(one) is keras.regularizers.L2 for one in penalties)
    is_l2 &= all(hasattr(one, "kernel") for one in penalized)
    if not is_l2 or len({float(one.l2) for one in penalties} if is_l2 else ()) > 1:
        raise origin.refused(
            "expected no kernel_regularizer but keras.regularizers.L2, of one strength",
            [one.get_config() for one in penalties],
        )
    constrained = [one.path for one in model.variables if getattr(one, "constraint", None)]
    n_others = len(model.losses) - len(penalties)
    if n_others or constrained:
        raise origin.refused(
            "expected no losses but the cross-entropy and kernel_regularizer, and no constraints",
            f"{n_others} other losses, constraints of {constrained or 'nothing'}",
        )


def checked_features(
    origin: Origin,
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
    # no function sees a label: here all are 0, below 1
    blocks = (replace(block, label=np.zeros_like(block.label)) for block in blocks)
    parts = [_array(origin, values(block), len(block.records), kind) for block in blocks]
    if len({(part.shape[1:], names) for part, names in parts}) > 1:
        raise origin.refused("expected the same inputs of all records", "different")
    X, names = np.concatenate([part for part, _ in parts]), parts[0][1]
    is_missing = np.isnan(X) if fill else np.zeros((), bool)
    if not (np.isfinite(X) | is_missing).all():
        record = cohort.records[int(np.argwhere(~(np.isfinite(X) | is_missing))[0, 0])]
        allowed = "finite numbers, or NaN" if fill else "finite numbers (fill= allows NaN)"
        raise origin.refused(f"expected {allowed}", f"others in record {record}")
    if first := max(0, n - _TESTED):
        some = part_of(cohort, first, n)
        alone, _ = _array(
            origin, values(replace(some, label=np.ones_like(some.label))), n - first, kind
        )
        scale = 1e-5 * np.nanmax(np.abs(X), initial=0, axis=0)
        differs = ~np.isclose(X[first:], alone, rtol=1e-4, atol=scale, equal_nan=True)
        if alone.shape[1:] != X.shape[1:] or differs.any():
            raise origin.refused(
                "expected inputs of a record that depend on no other record, no label and no "
                "chance: else a fold knows of its test records",
                f"others for the last {n - first} records alone, with other labels",
            )
    return feature_set(cohort, kind, X, names, fill=fill or "zero")


def _array(
    origin: Origin, value: Any, n_records: int, kind: str
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    array, names = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    names = getattr(array, "columns", None) if names is None else names  # of a DataFrame
    expected = {"tabular": "(n_records, n_inputs)", "signal": "(n_records, n_samples, n_channels)"}
    raw = np.asarray(array)
    n_axes = len(expected[kind].split(","))
    if raw.dtype.kind not in "fiub" or raw.ndim != n_axes or not raw.size or len(raw) != n_records:
        raise origin.refused(
            f"expected numbers of shape {expected[kind]}, with n_records={n_records}",
            f"{raw.dtype} of shape {raw.shape}",
        )
    with np.errstate(over="ignore"):  # an overflow is infinite, which is refused
        X = raw.astype(np.float32)
    n = X.shape[-1]
    if names is None:
        names = [f"{origin.name}_{at}" for at in range(1, n + 1)]
    texts = tuple(map(str, names))
    if len({*texts}) < n or len(texts) != n or not all(map(str.isprintable, texts)):
        raise origin.refused(f"expected {n} different names, of the last axis", excerpt(texts))
    return X, texts


def checked_cohort(origin: Origin, cohort: Any) -> Cohort:
    """Return a cohort whose parts fit together, with the fingerprint of all that it holds.

    Raises:
        InputError: A part is not as `lvh.Cohort` says.
    """
    if not isinstance(cohort, Cohort):
        raise origin.refused("expected a lvh.Cohort", type(cohort).__name__)
    same = ("fs", "leads", "age", "male", "label_name", "records", "unit")
    try:
        made = Cohort.from_arrays(
            cohort.signals,
            cohort.label,
            groups=cohort.subjects,
            **{name: getattr(cohort, name) for name in same},
        )
        others = ("name", "note", "columns", "dropped", "delineation")
        own = replace(made, **{name: getattr(cohort, name) for name in others})
        summarize_cohort(own)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    waves, table = own.delineation, own.columns
    columns = [] if table is None else [(name, table[name].to_numpy()) for name in table]
    parts = (own.unit, waves.symbols, waves.samples, waves.offsets, *chain(*columns))
    return replace(own, fingerprint=fingerprint(own.fingerprint, *parts))
