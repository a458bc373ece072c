"""The final model: a folder of plain files, and its predictions.

A member is a `.skops` file of a classifier or a `.keras` file of a network. Both are data, and
nothing in them is run. Any Keras reads a `.keras` file in safe mode without this package, which
takes only the weights from it and builds the architecture itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.config.plugins import is_loaded
from lvh.data.array_checks import unit_fault
from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate
from lvh.data.lazy_array import read
from lvh.errors import EnvironmentFault, InputError, LvhError, printable
from lvh.features import FeatureSet
from lvh.files import read_bytes, write_text
from lvh.inference.model_description import Description, card, parse
from lvh.inference.training_records import Floats, Rows, TrainingRecords
from lvh.models import MODELS
from lvh.models.backends import check_installed, cores, start
from lvh.validation.inner_splits import InnerFolds

DESCRIPTION = "model.json"
CARD = "README.md"
TRAINING = "training.npz"
_MAX_BYTES = 512 * 1024 * 1024
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

MemberScores = Callable[[Rows], Floats]
"""From inputs, shape (n_records, ...), to probabilities, shape (n_records, n_members)."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions for the records of a cohort.

    Attributes:
        table: A row a record: `probability`, the mean over the members; `member_low` and
            `member_high`, their range; `calibrated`, the share of the out-of-fold records with
            such a probability that had the label, with its 95 % interval `calibrated_low` to
            `calibrated_high`; `positive`, whether the probability is above the threshold; what
            `TrainingRecords.compare` says; `fiducials`, the origin of those that are inputs; and
            `doubtful`, whether the bounds of QRS among them are in doubt.
        by_member: P(label = 1) by each member, shape (n_records, n_members).
        dropped: Records without a prediction, each with the reason.
        cohort: All records, with the fiducials that the features used.
    """

    table: pd.DataFrame
    by_member: Floats
    dropped: tuple[tuple[str, str], ...]
    cohort: Cohort

    @property
    def y_score(self) -> Floats:
        """P(label = 1) of each record, shape (n_records,)."""
        return np.asarray(self.table["probability"])

    @property
    def y_pred(self) -> npt.NDArray[np.bool_]:
        """Whether it is above the model's threshold, shape (n_records,)."""
        return np.asarray(self.table["positive"])


@dataclass(frozen=True, slots=True, eq=False)
class FinalModel:
    """A model that was fitted to all records of a run."""

    description: Description
    training: TrainingRecords
    member_scores: MemberScores

    def inputs(self, cohort: Cohort) -> tuple[Cohort, FeatureSet, Rows]:
        """Return records with the fiducials that are used, their features, and filled inputs."""
        description, fill = self.description, self.training.fill
        _check(description, cohort)
        cohort = _with_fiducials(description, cohort)
        features = description.form.extract(cohort, description.settings.features)
        if (features.input_shape, features.names) != (description.input_shape, description.names):
            raise InputError(
                f"{cohort.name}: expected inputs of shape {description.input_shape}. "
                f"Received: {features.input_shape}"
            )
        X = read(features.X)
        if n := len(fill):
            filled = np.where(np.isnan(X[:, :n]), fill, X[:, :n])
            X = np.concatenate([filled, X[:, n:]], axis=1)
        return cohort, features, X

    def predict(self, cohort: Cohort) -> Predictions:
        """Predict the label of each record; labels of the cohort are not used.

        Raises:
            InputError: The records differ from the training records in sampling frequency, leads,
                length or unit, or no record has all that the features need.
        """
        cohort, features, X = self.inputs(cohort)
        by_member = self.member_scores(X)
        y_score = by_member.mean(axis=1)
        if not np.isfinite(y_score).all():
            raise InputError(f"{cohort.name}: expected finite predictions. Received: NaN")
        calibrated, low, high = self.description.calibration.predict(y_score)
        columns = {
            "probability": y_score,
            "member_low": by_member.min(axis=1),
            "member_high": by_member.max(axis=1),
            "calibrated": calibrated,
            "calibrated_low": low,
            "calibrated_high": high,
            "positive": y_score > self.description.threshold,
        }
        table = pd.DataFrame(columns).join(self.training.compare(cohort, features))
        table.index = pd.Index(features.records, name="record")
        waves, used = cohort.delineation, self.description.form.needs_delineation
        doubtful = [cohort.records[at] for at in waves.doubtful] if used else []
        table["fiducials"] = waves.origin if used else "none"
        table["doubtful"] = table.index.isin(doubtful)
        return Predictions(table, by_member, features.dropped, cohort)


def save(
    folder: Path, description: Description, states: Sequence[Any], training: TrainingRecords
) -> Description:
    """Write the files of a final model, and its card; return the description with their digests.

    Raises:
        InputError: A classifier holds a type that `load` would refuse.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _member_names(description)
    np.savez_compressed(folder / TRAINING, allow_pickle=False, **asdict(training))
    write = _write_network if description.is_network else _write_classifier
    for name, state in zip(names, states, strict=False):
        write(folder / name, description, state)
    files = {name: sha256((folder / name).read_bytes()).hexdigest() for name in (TRAINING, *names)}
    description = replace(description, files=files)
    write_text(folder / CARD, card(description))
    write_text(folder / DESCRIPTION, description.to_json())
    return description


def load(folder: str | Path) -> FinalModel:
    """Read a final model; its files are data, and nothing in them is run.

    Raises:
        EnvironmentFault: The backend of its network is not installed.
        InputError: The folder holds no final model, or an altered one.
    """
    folder = Path(folder)
    try:
        text = read_bytes(folder / DESCRIPTION, folder, _MAX_BYTES)
        description = parse(text.decode("utf-8", errors="replace"))
        names = _member_names(description)
        if sorted(description.files) != sorted([TRAINING, *names]):
            raise InputError(f"files: expected {', '.join(names)}. Received: others")
        for name, digest in description.files.items():
            if sha256(read_bytes(folder / name, folder, _MAX_BYTES)).hexdigest() != digest:
                raise InputError(f"{name}: expected the file that was saved. Received: another")
        file = folder / TRAINING
        with _reading(TRAINING, "arrays"), np.load(file, allow_pickle=False) as arrays:
            training = TrainingRecords(**arrays)
        read_members = _network_scores if description.is_network else _classifier_scores
        scores = read_members(description, [folder / name for name in names])
    except (InputError, EnvironmentFault) as error:
        reason = str(error).removeprefix(f"{folder}/")
        raise type(error)(f"{folder}: expected a final model. {reason}") from None
    return FinalModel(description, training, scores)


@contextmanager
def _reading(name: str, expected: str) -> Iterator[None]:
    """Raise InputError for any error of a library that reads a file, which may be altered."""
    try:
        yield
    except LvhError:
        raise
    except Exception as error:
        reason = printable(" ".join(str(error).split()))[:200]
        raise InputError(f"{name}: expected {expected}. Received: {reason}") from None


def _check(description: Description, cohort: Cohort) -> None:
    """Refuse records that are not of the kind that a model was trained with."""
    signals, age_and_sex = read(cohort.signals), "age and sex, which are inputs of the model"
    has_all = not description.needs_age_and_sex or np.isfinite(cohort.age).all()
    for expected, received in (
        (f"{description.fs:g} Hz", f"{cohort.fs:g} Hz"),
        (f"the leads {' '.join(description.leads)}", f"the leads {' '.join(cohort.leads)}"),
        (f"the unit {description.unit}", f"the unit {cohort.unit}"),
        ("finite samples", "finite samples" if np.isfinite(signals).all() else "NaN or infinity"),
        (age_and_sex, age_and_sex if has_all else "a record without them"),
    ):
        if expected != received:
            raise InputError(f"{cohort.name}: expected {expected}. Received: {received}")
    for name, signal in zip(cohort.records, signals, strict=True):
        if cohort.unit == "mV" and (fault := unit_fault(signal, cohort.leads)):
            raise InputError(f"{cohort.name}: record {name}: {fault}")


def _with_fiducials(description: Description, cohort: Cohort) -> Cohort:
    """Return records with fiducials, if they are inputs: detected ones if the training had them."""
    waves = cohort.delineation
    takes = description.delineation in ("annotated", waves.origin)
    if not description.form.needs_delineation or (len(waves.samples) and takes):
        return cohort
    try:
        detected = delineate(read(cohort.signals), cohort.fs)
    except InputError as error:
        raise InputError(f"{cohort.name}: {error}") from None
    if not len(detected.samples):
        raise InputError(f"{cohort.name}: expected heartbeats. Received: signals without")
    return replace(cohort, delineation=detected)


def _member_names(description: Description) -> list[str]:
    """Return the names of the members' files; none for a model that is not fitted."""
    if description.settings.model.name == "criteria":
        return []
    suffix = ".keras" if description.is_network else ".skops"
    return [f"member-{number}{suffix}" for number in range(1, len(description.seeds) + 1)]


def _write_classifier(path: Path, description: Description, state: Any) -> None:
    """Write a fitted classifier, and check that it can be read."""
    from skops.io import dump

    classifier = getattr(state, "fitted", state)  # nested selection holds what it selected
    _forget_subjects(classifier)
    dump(classifier, path)
    _read_classifier(path)


def _read_classifier(path: Path) -> Any:
    from skops.io import get_untrusted_types, load

    with _reading(path.name, "a classifier"):
        own = [name for name in get_untrusted_types(file=path) if is_loaded(name)]
        model = load(path, trusted=[*_TRUSTED, *own])
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


def _classifier_scores(description: Description, paths: Sequence[Path]) -> MemberScores:
    """Return a function that scores records by each classifier."""
    members = [_read_classifier(path) for path in paths]
    if not members:  # published criteria, which are not fitted
        model: Any = MODELS[description.settings.model.name]
        rule = model.build(description.settings.model, description.names, 0, np.zeros(0, np.str_))
        members = [rule] * len(description.seeds)

    def scores(X: Rows) -> Floats:
        return np.column_stack([one.predict_proba(X.astype(np.float64))[:, 1] for one in members])

    return scores


def _build(description: Description) -> Any:
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


def _network_scores(description: Description, paths: Sequence[Path]) -> MemberScores:
    """Return a function that scores records by a network with the weights of each member."""
    backend = description.settings.backend
    check_installed(backend)
    start(backend, None, cores())
    from keras import ops

    members = []
    with _reading(DESCRIPTION, "settings of a network"):
        network = _build(description)
    for path in paths:
        with _reading(path.name, "weights of this network"):
            network.load_weights(path)
        members.append(network.get_weights())

    def scores(X: Rows) -> Floats:
        by_member, batches = [], [X[at : at + _BATCH] for at in range(0, len(X), _BATCH)]
        for weights in members:
            network.set_weights(weights)
            outputs = [ops.convert_to_numpy(network(one, training=False)) for one in batches]
            by_member.append(np.concatenate(outputs)[:, 0].astype(np.float64))
        return np.column_stack(by_member)

    return scores
