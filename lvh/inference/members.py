"""What a model has learned, as bytes and back: arrays without objects, or skops; never a pickle."""

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.inference import estimator_files as classifiers
from lvh.inference.estimator_files import MAX_BYTES
from lvh.inference.model_size import n_parameters
from lvh.models import MODELS, Classifier, Estimator
from lvh.models.backends import Program, check_installed, cores, new_program, start

Floats = npt.NDArray[np.float64]
Arrays = list[npt.NDArray[Any]]
Scores = Callable[[npt.NDArray[np.float32]], Floats]
"""From inputs, shape (n_records, ...), to probabilities, shape (n_records, n_members)."""

NETWORK = ".npz"
"""How the file of a network ends."""

_MOST_ARRAYS = 10_000
_BATCH = 32  # bounds the activations of the widest convolution


def suffix(model: str) -> str:
    """Return how the files of members end; empty where nothing is learned."""
    if not isinstance(MODELS[model], Estimator):
        return NETWORK
    return "" if model == "criteria" else ".skops"


def dumped(taught: Any) -> bytes:
    """Turn what `Trainer.state` returned into bytes."""
    if isinstance(taught, list):
        held = io.BytesIO()
        numbered = {str(at): value for at, value in enumerate(taught)}
        np.savez_compressed(held, allow_pickle=False, **numbered)
        return held.getvalue()
    return classifiers.dumped(getattr(taught, "fitted", taught))


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
        InputError: A file holds anything but the variables of this network, which is not made
            if it is larger than what they hold.
    """
    asked, most = n_parameters(model, shape), MAX_BYTES // len(files)
    held = []
    for data in files:
        held.append(_arrays(data))
        found = sum(one.size for one in held[-1])  # the states of its dropout too
        if not asked <= found <= most:
            raise InputError(
                f"model: expected {asked} numbers or more, as its settings ask, and at most "
                f"{most}. Received: {found}"
            )
    build = MODELS[model.name].build
    check_installed(backend)
    start(backend, None, cores())
    program = new_program(lambda: build(model, shape), _BATCH, precision)  # type: ignore[call-arg,arg-type]
    program.reset([np.random.SeedSequence(0)], None)
    expected = program.values(0)
    members = [_fitting(one, expected) for one in held]
    return lambda X: np.column_stack([_scored(program, one, X) for one in members])


def of_classifiers(models: Sequence[Classifier]) -> Scores:
    """Return what scores by some classifiers."""

    def scores(X: npt.NDArray[np.float32]) -> Floats:
        try:
            found = [model.predict_proba(X.astype(np.float64))[:, 1] for model in models]
        except Exception as error:  # of parts that do not fit; a file may have been altered
            raise InputError(f"the model cannot score: {type(error).__name__}") from None
        return np.column_stack(found)

    return scores


def _scored(program: Program, values: Arrays, X: npt.NDArray[np.float32]) -> Floats:
    program.assign(0, values)
    chunks = [program.scores([X[at : at + _BATCH]])[0] for at in range(0, len(X), _BATCH)]
    return np.concatenate(chunks).astype(np.float64)


def _arrays(data: bytes) -> Arrays:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = [f"{at}.npy" for at in range(len(infos))]
            if [one.filename for one in infos] != names or len(names) > _MOST_ARRAYS:
                raise InputError("expected numbered arrays. Received: other contents")
            if sum(one.file_size for one in infos) > MAX_BYTES:
                raise InputError(f"expected at most {MAX_BYTES} bytes when unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return [held[str(at)] for at in range(len(names))]
    except InputError:
        raise
    except Exception:  # of an altered file, whatever it makes NumPy and zlib do
        raise InputError("expected NumPy arrays without objects. Received: none") from None


def _fitting(found: Arrays, expected: Arrays) -> Arrays:
    if len(found) != len(expected):
        raise InputError(f"expected {len(expected)} arrays. Received: {len(found)}")
    for at, (one, of_build) in enumerate(zip(found, expected, strict=True)):
        if (one.shape, one.dtype) != (of_build.shape, of_build.dtype):
            raise InputError(
                f"array {at}: expected {of_build.dtype} of shape {of_build.shape}, as the model "
                f"has it. Received: {one.dtype} of shape {one.shape}"
            )
    return found
