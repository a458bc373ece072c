"""What is checked of what a user's code returns: a wrong number is worse than an error."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.config.plugins import Origin
from lvh.data.cohort import Cohort, fingerprint, part_of
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet, Kind
from lvh.features.feature_set import feature_set
from lvh.features.missing_values import Fill
from lvh.models import Architecture, Estimator

_ROUNDING = 1e-6  # of a probability, which is cut
_BLOCK = 64  # records
_TESTED = 3  # records of which the inputs are made a second time, without the others


class CheckedClassifier:
    """A classifier of a user, with the random state of a fold, whose probabilities are checked."""

    def __init__(self, origin: Origin, model: Any, random_state: int, *, margins: bool) -> None:
        """Take a new classifier; each `random_state` in it that is None becomes the given one."""
        self._origin, self.fitted = origin, model
        self._has_margins = margins and not hasattr(model, "predict_proba")
        scores = "decision_function" if self._has_margins else "predict_proba"
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, scores)):
            raise origin.refused(
                "expected a classifier with fit and predict_proba, which CalibratedClassifierCV "
                "of scikit-learn gives it; an object, not its class",
                excerpt(model),
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
        last = getattr(model, "_final_estimator", model)  # of a pipeline
        if type(last).__name__ in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
            raise origin.refused(
                "expected a classifier without a threshold of its own: cv.threshold has it",
                excerpt(last),
            )
        names = [name for name in params if name.rpartition("__")[2] == "random_state"]
        if unset := {name: random_state for name in names if params[name] is None}:
            model.set_params(**unset)

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
                margins = np.asarray(self.fitted.decision_function(X), np.float64)
                # the logistic function is 1 for all from 37 on, and their order would be lost
                halves = margins / (1 + np.abs(margins)) / 2
                scores = np.column_stack([0.5 - halves, 0.5 + halves])
            else:
                scores = np.asarray(self.fitted.predict_proba(X), np.float64)
        clipped: npt.NDArray[np.float64] = np.clip(scores, 0, 1)
        if scores.shape != (len(X), 2) or not np.allclose(scores, clipped, rtol=0, atol=_ROUNDING):
            raise self._origin.refused(
                f"predict_proba: expected probabilities of shape ({len(X)}, 2)",
                f"shape {scores.shape}, {excerpt(scores.ravel()[:4].tolist())}",
            )
        return clipped


def classifier_entry(
    origin: Origin, settings: type, new: Callable[..., Any], *, takes_any: bool = False
) -> Estimator:
    """Return the entry of a classifier that `new` makes, of arguments by their names."""

    def build(settings: Any, names: tuple[str, ...], random_state: int, subjects: Any) -> Any:
        with origin.calling():
            model = new(
                settings=settings, names=names, random_state=random_state, subjects=subjects
            )
        return CheckedClassifier(origin, model, random_state, margins=takes_any)

    return Estimator(settings, build, inputs=None if takes_any else "tabular", takes_any=takes_any)


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
    return Architecture(settings, build, inputs, is_own=False)


def check_network(origin: Origin, model: Any, input_shape: tuple[int, ...]) -> None:
    """Refuse a network that would not be trained as its layers say: see `lvh.models.backends`."""
    import keras

    if not (isinstance(model, keras.Model) and hasattr(model, "outputs")):
        raise origin.refused(
            "expected a keras.Sequential that begins with keras.Input(input_shape), or a "
            "keras.Model(inputs, outputs)",
            type(model).__name__,
        )
    shapes = [tuple(one.shape[1:]) for one in (*model.inputs, *model.outputs)]
    last = getattr(model.layers[-1], "activation", None)
    is_sigmoid = last is keras.activations.sigmoid
    dtypes = {one.dtype for one in model.trainable_variables}
    if shapes != [input_shape, (1,)] or not is_sigmoid or model.compiled or dtypes - {"float32"}:
        raise origin.refused(
            f"expected a network that is not compiled: inputs of shape {input_shape}, weights in "
            "float32 and one sigmoid output, shape (1,)",
            f"shapes {shapes}, activation of the last layer {getattr(last, '__name__', 'none')}, "
            f"compiled={model.compiled}, weights in {' and '.join(sorted(dtypes))}",
        )
    model(np.zeros((1, *input_shape), np.float32))  # which makes the losses
    layers = [one for one in model.layers if getattr(one, "kernel_regularizer", None)]
    penalties = [one.kernel_regularizer for one in layers if hasattr(one, "kernel")]
    strengths = {float(one.l2) for one in penalties if type(one) is keras.regularizers.L2}
    is_l2 = len(layers) == len(penalties) and len(strengths) <= 1
    is_l2 &= all(type(one) is keras.regularizers.L2 for one in penalties)
    constrained = [one.path for one in model.variables if getattr(one, "constraint", None)]
    n_others = len(model.losses) - len(layers)
    if not is_l2 or n_others or constrained:
        raise origin.refused(
            "expected no losses but the cross-entropy, no constraints, and no kernel_regularizer "
            "but keras.regularizers.L2, of one strength",
            f"{[one.get_config() for one in penalties]}, {n_others} other losses, constraints of "
            f"{constrained or 'nothing'}",
        )


def checked_features(
    origin: Origin,
    cohort: Cohort,
    values: Callable[[Cohort], Any],
    *,
    kind: Literal["tabular", "signal"],
    fill: Fill | None,
) -> FeatureSet:
    """Return the inputs that a function makes of a cohort as a feature set."""
    n, first = len(cohort.records), max(0, len(cohort.records) - _TESTED)

    def made(part: Cohort, label: int) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
        unlabelled = replace(part, label=np.full_like(part.label, label))
        return _array(origin, values(unlabelled), len(part.records), kind)

    # no function sees a label: here all are 0
    if isinstance(cohort.signals, LazyArray):  # of more records than fit into memory
        parts = [made(part_of(cohort, at, at + _BLOCK), 0) for at in range(0, n, _BLOCK)]
    else:
        parts = [made(cohort, 0)]
    X, names = np.concatenate([part for part, _ in parts]), parts[0][1]
    is_usable = np.isfinite(X) | (np.isnan(X) & bool(fill))
    if not is_usable.all():
        record = cohort.records[int(np.argwhere(~is_usable)[0, 0])]
        raise origin.refused(
            "expected finite numbers, or NaN with fill=", f"others in record {record}"
        )
    if first:
        alone, _ = made(part_of(cohort, first, n), 1)
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
    shape = (
        ("n_records", "n_inputs") if kind == "tabular" else ("n_records", "n_samples", "n_leads")
    )
    raw = np.asarray(array)
    is_shape = raw.ndim == len(shape) and raw.size > 0 and len(raw) == n_records
    if raw.dtype.kind not in "fiub" or not is_shape:
        raise origin.refused(
            f"expected numbers of shape ({', '.join(shape)}), with n_records={n_records}",
            f"{raw.dtype} of shape {raw.shape}",
        )
    with np.errstate(over="ignore"):  # an overflow is infinite, which is refused
        X = raw.astype(np.float32)
    n = X.shape[-1]
    numbered = [f"{origin.name}_{at}" for at in range(1, n + 1)]
    texts = tuple(map(str, numbered if names is None else names))
    if len({*texts}) < n or len(texts) != n or not all(map(str.isprintable, texts)):
        raise origin.refused(f"expected {n} different names, of the last axis", excerpt(texts))
    return X, texts


def checked_cohort(origin: Origin, cohort: Any) -> Cohort:
    """Return a cohort whose parts fit together, with the fingerprint of all that it holds."""
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
        raise InputError(f"{origin.what}: {error}") from None
    waves, table = own.delineation, own.columns
    columns = [] if table is None else [(name, table[name].to_numpy()) for name in table]
    parts = (own.unit, waves.symbols, waves.samples, waves.offsets, *chain(*columns))
    return replace(own, fingerprint=fingerprint(own.fingerprint, *parts))
