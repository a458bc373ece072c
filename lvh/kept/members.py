"""What a model has learned, as bytes and back: arrays without objects, or skops; never a pickle."""

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lvh.backends import Program, check_installed, cores, new_program, start
from lvh.errors import InputError
from lvh.models import MODELS, Classifier, Estimator

Floats = npt.NDArray[np.float64]
Arrays = list[npt.NDArray[Any]]
Scores = Callable[[npt.NDArray[np.float32]], Floats]
"""From inputs, shape (n_records, ...), to probabilities, shape (n_records, n_members)."""

MAX_BYTES = 512 * 1024 * 1024
_BATCH = 32  # bounds the activations of the widest convolution
_TRUSTED = frozenset(
    {
        "lvh.inner.InnerFolds",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
"""Types beyond skops's own list that our classifiers consist of; all hold numbers and names."""


def suffix(model: str) -> str:
    """Return how the files of members end; empty where nothing is learned."""
    if not isinstance(MODELS[model], Estimator):
        return ".npz"
    return "" if model == "criteria" else ".skops"


def dumped(taught: Any) -> bytes:
    """Turn what `Learner.taught` returned into bytes."""
    if isinstance(taught, list):
        held = io.BytesIO()
        numbered = {str(at): value for at, value in enumerate(taught)}
        np.savez_compressed(held, allow_pickle=False, **numbered)
        return held.getvalue()
    from skops.io import dumps

    return cast(bytes, dumps(getattr(taught, "fitted", taught)))


def networks(
    model: Any, shape: tuple[int, ...], backend: str, precision: str, files: Sequence[bytes]
) -> Scores:
    """Return what scores by several networks of one build.

    Args:
        model: Settings.
        shape: Of one record's input.
        backend: That computes.
        precision: Of its layers.
        files: From `dumped`, one a member.

    Raises:
        InputError: A file holds anything but the variables of this network.
    """
    build = MODELS[model.name].build
    check_installed(backend)
    start(backend, None, cores())
    program = new_program(lambda: build(model, shape), _BATCH, precision)  # type: ignore[call-arg,arg-type]
    program.begin_anew([np.random.SeedSequence(0)], None)
    expected = program.values(0)
    members = [_arrays(data, expected) for data in files]
    return lambda X: np.column_stack([_scored(program, one, X) for one in members])


def classifiers(files: Sequence[bytes], n_inputs: int) -> Scores:
    """Return what scores by several classifiers of so many inputs.

    Raises:
        InputError: A file is none of skops's, or holds a type that ours do not consist of.
    """
    return of_classifiers([_classifier(data, n_inputs) for data in files])


def of_classifiers(models: Sequence[Classifier]) -> Scores:
    """Return what scores by some classifiers."""
    return lambda X: np.column_stack(
        [model.predict_proba(X.astype(np.float64))[:, 1] for model in models]
    )


def _scored(program: Program, values: Arrays, X: npt.NDArray[np.float32]) -> Floats:
    program.assign(0, values)
    chunks = [program.scores([X[at : at + _BATCH]])[0] for at in range(0, len(X), _BATCH)]
    return np.concatenate(chunks).astype(np.float64)


def _arrays(data: bytes, expected: Arrays) -> Arrays:
    names = [f"{at}.npy" for at in range(len(expected))]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if [one.filename for one in infos] != names:
                raise InputError(f"expected {len(expected)} arrays. Received: other contents")
            if sum(one.file_size for one in infos) > MAX_BYTES:
                raise InputError(f"expected at most {MAX_BYTES} bytes when unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            found = [held[str(at)] for at in range(len(expected))]
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError, NotImplementedError):
        raise InputError("expected NumPy arrays without objects. Received: none") from None
    for at, (one, of_build) in enumerate(zip(found, expected, strict=True)):
        if (one.shape, one.dtype) != (of_build.shape, of_build.dtype):
            raise InputError(
                f"array {at}: expected {of_build.dtype} of shape {of_build.shape}, as the model "
                f"has it. Received: {one.dtype} of shape {one.shape}"
            )
    return found


def _classifier(data: bytes, n_inputs: int) -> Classifier:
    from skops.io import get_untrusted_types, loads

    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InputError("expected an archive of skops. Received: another kind of file")
    try:
        unknown = sorted(set(get_untrusted_types(data=data)) - _TRUSTED)
        if unknown:
            raise InputError(f"expected a classifier of ours. Received: {', '.join(unknown)[:200]}")
        model = loads(data, trusted=sorted(_TRUSTED))
    except InputError:
        raise
    except Exception as error:  # of an altered file, whatever it makes skops do
        raise InputError(
            f"expected a classifier of ours. Received: one that skops refuses ({error})"[:300]
        ) from None
    if not hasattr(model, "predict_proba") or getattr(model, "n_features_in_", 0) != n_inputs:
        raise InputError(
            f"expected a classifier of {n_inputs} inputs. Received: {type(model).__name__} of "
            f"{getattr(model, 'n_features_in_', 'none')}"
        )
    _check_trees(model, n_inputs, set())
    return cast(Classifier, model)


def _check_trees(part: Any, n_inputs: int, seen: set[int]) -> None:
    """Refuse trees whose nodes lead outside or back: scikit-learn would follow them anywhere."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if type(part).__name__ == "Tree":
        inner = part.children_left >= 0
        _check_nodes(part.children_left[inner], part.children_right[inner], inner)
        _check_range(part.feature[inner], n_inputs)
    elif type(part).__name__ == "TreePredictor":
        inner = part.nodes["is_leaf"] == 0
        left, right = (part.nodes[name][inner].astype(np.int64) for name in ("left", "right"))
        _check_nodes(left, right, inner)
        _check_range(part.nodes["feature_idx"][inner], n_inputs)
        if part.nodes["is_categorical"].any():
            raise InputError("expected trees on numbers. Received: one on categories")
    elif isinstance(part, dict | list | tuple):
        for one in part.values() if isinstance(part, dict) else part:
            _check_trees(one, n_inputs, seen)
    elif isinstance(part, np.ndarray):
        for one in part.ravel() if part.dtype == object else ():
            _check_trees(one, n_inputs, seen)
    elif hasattr(part, "__dict__"):
        _check_trees(vars(part), n_inputs, seen)


def _check_nodes(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], inner: npt.NDArray[np.bool_]
) -> None:
    """Refuse children that are not behind their parents, as they are in every tree that grew."""
    at = np.flatnonzero(inner)
    for children in (left, right):
        if (children <= at).any() or (children >= len(inner)).any():
            raise InputError("expected trees. Received: one whose nodes lead nowhere or back")


def _check_range(features: npt.NDArray[np.int64], n_inputs: int) -> None:
    if (features < 0).any() or (features >= n_inputs).any():
        raise InputError("expected trees of this many inputs. Received: one that asks for others")
