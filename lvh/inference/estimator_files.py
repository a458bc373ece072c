"""Fitted scikit-learn classifiers as `.skops` files, and their predictions."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError, printable
from lvh.models import Classifier
from lvh.validation.inner_splits import InnerFolds

SUFFIX = ".skops"

_PLAIN = {
    *("builtins.dict", "builtins.list", "builtins.str", "builtins.tuple"),
    *("numpy.float64", "numpy.int64", "numpy.uint64", "numpy.ndarray"),
    "numpy.random._generator.Generator",
}
_TRUSTED = {
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
"""Types in the classifiers of `lvh.models`; none of them calls a function that a file names.

skops trusts all of scikit-learn, also transformers that call any NumPy function.
"""


def dump(model: Any) -> bytes:
    """Return a fitted classifier as bytes, without the names of its training subjects.

    Raises:
        InputError: It holds a type that is not in the list of trusted ones.
    """
    from skops.io import dumps

    for part in _parts(model, set()):
        if isinstance(getattr(part, "cv", None), InnerFolds):
            part.cv = part.cv.n_folds  # only fitting needs the subjects
    data = cast(bytes, dumps(model))
    _check_types(data)
    return data


def load(data: bytes, n_inputs: int) -> Classifier:
    """Read a classifier that `dump` wrote.

    Raises:
        InputError: The file holds another type, or parts that do not fit together.
    """
    from skops.io import loads

    try:
        _check_types(data)
        model = loads(data, trusted=sorted(_TRUSTED))
        _check_model(model, n_inputs)
    except InputError:
        raise
    except Exception as error:  # an altered file makes skops raise anything
        reason = printable(" ".join(f"{type(error).__name__}: {error}".split()))
        raise InputError(f"expected a classifier of lvh. Received: {reason}"[:300]) from None
    return cast(Classifier, model)


def member_scores(
    models: Sequence[Classifier],
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
    """Return a function from inputs to P(LVH) by each classifier, (n_records, n_members)."""

    def predict(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        try:
            scores = [model.predict_proba(X.astype(np.float64))[:, 1] for model in models]
        except Exception as error:  # parts of an altered file do not fit together
            raise InputError(f"the model cannot predict: {type(error).__name__}") from None
        return np.column_stack(scores)

    return predict


def _check_types(data: bytes) -> None:
    """Refuse a file whose schema names a type that is not in the lists."""
    types: set[str] = set()

    def add_type(node: dict[str, Any]) -> None:
        if "__class__" in node:
            types.add(f"{node.get('__module__')}.{node['__class__']}")

    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InputError("expected an archive of skops. Received: another kind of file")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        json.loads(archive.read("schema.json"), object_hook=add_type)
    unknown = ", ".join(sorted(types - _PLAIN - _TRUSTED))
    if unknown:
        raise InputError(f"expected a classifier of lvh. Received: {printable(unknown)}"[:300])


def _parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a model and every object inside it, each once."""
    if id(part) in seen or isinstance(part, str | int | float | type(None)):
        return
    seen.add(id(part))
    yield part
    if isinstance(part, dict):
        inner: Any = part.values()
    elif isinstance(part, list | tuple):
        inner = part
    elif isinstance(part, np.ndarray):
        inner = part.ravel() if part.dtype == object else ()
    else:
        inner = vars(part).values() if hasattr(part, "__dict__") else ()
    for one in inner:
        yield from _parts(one, seen)


def _check_model(model: Any, n_inputs: int) -> None:
    received = getattr(model, "n_features_in_", None)
    if not hasattr(model, "predict_proba") or received != n_inputs:
        raise InputError(
            f"expected a classifier of {n_inputs} inputs. Received: {type(model).__name__} of "
            f"{received if isinstance(received, int) else 'none'}"
        )
    for part in _parts(model, set()):
        if hasattr(part, "support_vectors_") and not _fits(part, n_inputs):
            raise InputError(
                "expected a fitted classifier. Received: an SVC whose arrays do not fit together"
            )


def _fits(machine: Any, n_inputs: int) -> bool:
    """Compare the shapes of the arrays that libsvm reads without looking at their length."""
    n_vectors, n_support = len(machine.support_), machine._n_support
    arrays = (machine.support_vectors_, machine._dual_coef_, machine._intercept_)
    return bool(
        [one.shape for one in arrays] == [(n_vectors, n_inputs), (1, n_vectors), (1,)]
        and all(one.dtype == np.float64 for one in arrays)
        and (n_support >= 0).all()
        and n_support.shape == (2,)
        and n_support.sum() == n_vectors
        and machine.classes_.tolist() == [0, 1]
        and machine.kernel == "rbf"
    )
