"""The members of a final model as files: `.skops` for classifiers, `.keras` for networks.

Both are data, and nothing in them is run. Any Keras reads a `.keras` file in safe mode without this
package, which takes only the weights from it and builds the architecture itself.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.config.plugins import is_loaded
from lvh.errors import InputError, printable
from lvh.inference.model_description import Description
from lvh.models import MODELS, Classifier, Estimator
from lvh.models.backends import check_installed, cores, start
from lvh.validation.inner_splits import InnerFolds

if TYPE_CHECKING:
    import keras

MemberScores = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
"""From inputs, shape (n_records, ...), to probabilities, shape (n_records, n_members)."""

_BATCH = 32  # limits the memory of the widest convolution's output
_TRUSTED = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
]
"""Parts of the classifiers of `lvh.models`; skops trusts scikit-learn's estimators by itself.

Types of a plugin are trusted where a user has loaded the plugin.
"""


def member_names(description: Description) -> list[str]:
    """Return the names of the members' files; none for a model that is not fitted."""
    if description.settings.model.name == "criteria":
        return []
    suffix = ".keras" if description.is_network else ".skops"
    return [f"member-{number}{suffix}" for number in range(1, len(description.seeds) + 1)]


def write_member(path: Path, description: Description, state: Any) -> None:
    """Write a member: a fitted classifier of trusted types, or values of a network's variables."""
    if description.is_network:
        _write_network(path, description, state)
        return
    from skops.io import dump

    classifier = getattr(state, "fitted", state)  # nested selection holds what it selected
    _forget_subjects(classifier)
    dump(classifier, path)
    _read_classifier(path)


def read_members(description: Description, paths: Sequence[Path]) -> MemberScores:
    """Return a function from inputs to the probabilities of each member."""
    settings = description.settings
    model = MODELS[settings.model.name]
    if not isinstance(model, Estimator):
        return _read_networks(description, paths)
    members = [_read_classifier(path) for path in paths]
    if not members:  # published criteria, which are not fitted
        rule = model.build(settings.model, description.names, 0, np.zeros(0, dtype=np.str_))
        members = [rule] * len(description.seeds)

    def scores(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.column_stack([one.predict_proba(X.astype(np.float64))[:, 1] for one in members])

    return scores


def _read_classifier(path: Path) -> Classifier:
    from skops.io import get_untrusted_types, load

    try:
        own = [name for name in get_untrusted_types(file=path) if is_loaded(name)]
        model: Classifier = load(path, trusted=[*_TRUSTED, *own])
    except Exception as error:  # an altered file makes skops raise anything
        reason = printable(" ".join(str(error).split()))[:200]
        raise InputError(f"{path.name}: expected a classifier. Received: {reason}") from None
    if not hasattr(model, "predict_proba"):
        raise InputError(f"{path.name}: expected a classifier. Received: another object")
    return model


def _forget_subjects(part: Any) -> None:
    """Replace folds that keep subjects whole, inside of a classifier: only fitting needs them."""
    if isinstance(getattr(part, "cv", None), InnerFolds):
        part.cv = part.cv.n_folds
    is_list = isinstance(part, list | tuple)
    for inner in part if is_list else getattr(part, "__dict__", {}).values():
        _forget_subjects(inner)


def _build(description: Description) -> "keras.Model":
    architecture: Any = MODELS[description.settings.model.name]
    return architecture.build(description.settings.model, description.input_shape)


def _write_network(path: Path, description: Description, state: Any) -> None:
    """Write a network whose layers are Keras's own; it computes the same as ours."""
    import keras

    def own_layer(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return layer
        kinds: Any = [one for one in type(layer).__mro__ if not one.__module__.startswith("lvh.")]
        return kinds[0].from_config(layer.get_config())

    model = _build(description)
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)
    plain = keras.models.clone_model(model, clone_function=own_layer)
    plain.set_weights(model.get_weights())
    plain.save(path)


def _read_networks(description: Description, paths: Sequence[Path]) -> MemberScores:
    """Build one network, which predicts with the weights of each member."""
    backend = description.settings.backend
    check_installed(backend)
    start(backend, None, cores())
    from keras import ops

    network, members = _build(description), []
    for path in paths:
        try:
            network.load_weights(path)
        except Exception as error:  # an altered file makes HDF5 and Keras raise anything
            kind = type(error).__name__
            raise InputError(f"{path.name}: expected weights of this network: {kind}") from None
        members.append(network.get_weights())

    def scores(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        by_member, batches = [], [X[at : at + _BATCH] for at in range(0, len(X), _BATCH)]
        for weights in members:
            network.set_weights(weights)
            outputs = [ops.convert_to_numpy(network(one, training=False)) for one in batches]
            by_member.append(np.concatenate(outputs)[:, 0].astype(np.float64))
        return np.column_stack(by_member)

    return scores
