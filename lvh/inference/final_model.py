"""The final model: a folder of plain files, and its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.data.array_checks import unit_fault
from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate
from lvh.data.lazy_array import read
from lvh.errors import EnvironmentFault, InputError
from lvh.features import FeatureSet
from lvh.files import read_bytes, write_text
from lvh.inference.member_files import MemberScores, member_names, read_members, write_member
from lvh.inference.model_description import Description, card, parse
from lvh.inference.training_records import TrainingRecords, read_training_records

DESCRIPTION = "model.json"
CARD = "README.md"
TRAINING = "training.npz"
_MAX_BYTES = 512 * 1024 * 1024

Floats = npt.NDArray[np.float64]


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

    def inputs(self, cohort: Cohort) -> tuple[Cohort, FeatureSet, npt.NDArray[np.float32]]:
        """Return records with the fiducials that are used, their features, and filled inputs."""
        description, fill = self.description, self.training.fill
        _check(description, cohort)
        cohort = _with_fiducials(description, cohort)
        features = description.form.extract(cohort, description.settings.features)
        own, trained = ((one.input_shape, one.names) for one in (features, description))
        if own != trained:
            received = f"Received: {own[0]}"
            raise InputError(f"{cohort.name}: expected inputs of shape {trained[0]}. {received}")
        X = read(features.X)
        if len(fill):
            X = X.copy()
            X[:, : len(fill)] = np.where(np.isnan(X[:, : len(fill)]), fill, X[:, : len(fill)])
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
    names = member_names(description)
    training.write(folder / TRAINING)
    for name, state in zip(names, states, strict=False):
        write_member(folder / name, description, state)
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
        names = member_names(description)
        if sorted(description.files) != sorted([TRAINING, *names]):
            raise InputError(f"files: expected {', '.join(names)}. Received: others")
        for name, digest in description.files.items():
            if sha256(read_bytes(folder / name, folder, _MAX_BYTES)).hexdigest() != digest:
                raise InputError(f"{name}: expected the file that was saved. Received: another")
        training = read_training_records(folder / TRAINING)
        scores = read_members(description, [folder / name for name in names])
    except (InputError, EnvironmentFault) as error:
        reason = str(error).removeprefix(f"{folder}/")
        raise type(error)(f"{folder}: expected a final model. {reason}") from None
    except (ValueError, TypeError, KeyError) as error:
        kind = type(error).__name__
        raise InputError(f"{folder}: expected a final model of lvh. Received: {kind}") from None
    return FinalModel(description, training, scores)


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
