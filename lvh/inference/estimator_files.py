"""Fitted scikit-learn classifiers as bytes of skops and back, let in part by part."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.models import Classifier
from lvh.validation.inner_splits import InnerFolds

MAX_BYTES = 512 * 1024 * 1024
"""Of a member, packed or not."""

_PLAIN = {
    *("builtins.dict", "builtins.list", "builtins.str", "builtins.tuple"),
    *("numpy.float64", "numpy.int64", "numpy.uint64", "numpy.ndarray"),
    "numpy.random._generator.Generator",
}
_OURS = {
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.calibration.CalibratedClassifierCV",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.ensemble._voting.VotingClassifier",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.svm._classes.SVC",
    "sklearn.tree._classes.ExtraTreeClassifier",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
}
"""All that the classifiers of `lvh.models` consist of; nothing in it calls what it is given."""


def dumped(model: Any) -> bytes:
    """Return a fitted classifier as bytes, without the names of the subjects it learned from."""
    from skops.io import dumps

    for part in _parts(model, set()):
        if isinstance(getattr(part, "cv", None), InnerFolds):
            part.cv = part.cv.n_folds  # has done its work
    data = cast(bytes, dumps(model))
    _check_types(data)  # here, not when somebody wants to use it
    return data


def loaded(data: bytes, n_inputs: int) -> Classifier:
    """Return the classifier that `dumped` made bytes of.

    Raises:
        InputError: Anything else: it holds a type that ours do not consist of, or parts that do
            not fit together, which scikit-learn's compiled code would follow anywhere.
    """
    from skops.io import loads

    try:
        _check_types(data)
        model = loads(data, trusted=sorted(_OURS))
        _check_parts(model, n_inputs)
    except InputError:
        raise
    except Exception as error:  # of an altered file, whatever it makes skops do
        told = " ".join(str(error).split())
        told = "".join(letter for letter in told if letter.isprintable())
        raise InputError(
            f"expected a classifier of ours. Received: {type(error).__name__}: {told}"[:300]
        ) from None
    return cast(Classifier, model)


def _check_types(data: bytes) -> None:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InputError("expected an archive of skops. Received: another kind of file")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(one.file_size for one in archive.infolist()) > MAX_BYTES:
            raise InputError(f"expected at most {MAX_BYTES} bytes when unpacked")
        schema = json.loads(archive.read("schema.json"))
    unknown = sorted(set(_types(schema)) - _PLAIN - _OURS)
    if unknown:
        told = ", ".join(one if one.isprintable() else repr(one) for one in unknown)
        raise InputError(f"expected a classifier of ours. Received: {told}"[:300])


def _types(node: Any) -> Iterator[str]:
    """Yield the type of every node of skops's schema."""
    if isinstance(node, dict):
        if "__class__" in node:
            yield f"{node.get('__module__')}.{node['__class__']}"
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, list):
        for value in node:
            yield from _types(value)


def _check_parts(model: Any, n_inputs: int) -> None:
    n_found = getattr(model, "n_features_in_", None)
    if not hasattr(model, "predict_proba") or n_found != n_inputs:
        raise InputError(
            f"expected a classifier of {n_inputs} inputs. Received: {type(model).__name__} of "
            f"{n_found if isinstance(n_found, int) else 'none'}"
        )
    for part in _parts(model, set()):
        check = _CHECKS.get(type(part).__name__)
        if check is not None:
            check(part, n_inputs)


def _parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a model and all that it consists of, each once."""
    if id(part) in seen or isinstance(part, str | int | float | type(None)):
        return
    seen.add(id(part))
    yield part
    if isinstance(part, dict | list | tuple):
        for one in part.values() if isinstance(part, dict) else part:
            yield from _parts(one, seen)
    elif isinstance(part, np.ndarray):
        for one in part.ravel() if part.dtype == object else ():
            yield from _parts(one, seen)
    elif hasattr(part, "__dict__"):
        yield from _parts(vars(part), seen)


def _check_tree(tree: Any, n_inputs: int) -> None:
    inner = tree.children_left >= 0
    _check_nodes(tree.children_left[inner], tree.children_right[inner], inner)
    _check_features(tree.feature[inner], n_inputs)


def _check_predictor(predictor: Any, n_inputs: int) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    left, right = (nodes[name][inner].astype(np.int64) for name in ("left", "right"))
    _check_nodes(left, right, inner)
    _check_features(nodes["feature_idx"][inner], n_inputs)
    _check(not nodes["is_categorical"].any())


def _check_machine(machine: Any, n_inputs: int) -> None:
    """Check the arrays that libsvm is given by their address."""
    if not hasattr(machine, "support_vectors_"):
        return  # the pattern that others were fitted after; it scores nothing
    vectors, counts = machine.support_vectors_, machine._n_support
    n_vectors = len(machine.support_)
    _check(vectors.shape == (n_vectors, n_inputs) and vectors.dtype == np.float64)
    _check(counts.shape == (2,) and bool((counts >= 0).all()) and int(counts.sum()) == n_vectors)
    for name in ("dual_coef_", "_dual_coef_"):
        coefficients = getattr(machine, name)
        _check(coefficients.shape == (1, n_vectors) and coefficients.dtype == np.float64)
    for name in ("intercept_", "_intercept_"):
        _check(getattr(machine, name).shape == (1,))
    _check(machine._probA.size == machine._probB.size == 0)
    _check(machine.classes_.tolist() == [0, 1] and not machine._sparse)
    _check(machine.kernel == "rbf" and np.isfinite(machine._gamma))


_CHECKS = {"Tree": _check_tree, "TreePredictor": _check_predictor, "SVC": _check_machine}


def _check_nodes(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], inner: npt.NDArray[np.bool_]
) -> None:
    """Refuse children that are not behind their parents, as they are in every tree that grew."""
    _check(len(inner) > 0)
    at = np.flatnonzero(inner)
    for children in (left, right):
        if (children <= at).any() or (children >= len(inner)).any():
            raise InputError("expected trees. Received: one whose nodes lead nowhere or back")


def _check_features(features: npt.NDArray[np.int64], n_inputs: int) -> None:
    _check(bool(((features >= 0) & (features < n_inputs)).all()))


def _check(fits: bool) -> None:
    if not fits:
        raise InputError("expected a classifier that was fitted. Received: parts that do not fit")
