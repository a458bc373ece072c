"""The final model: a folder of plain files with a description and weights, and its predictions."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.files import read_bytes, write_text, written_whole
from lvh.inference import estimator_files, network_files
from lvh.inference.model_description import Description, parse
from lvh.models import MODELS, Estimator
from lvh.models.backends import NO_BACKEND

DESCRIPTION = "model.json"
CARD = "README.md"
MLMODEL = "MLmodel"
_MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024
_MAX_MEMBER_BYTES = 512 * 1024 * 1024
_PLAUSIBLE_MV = (0.02, 30.0)  # peak to peak of each lead; not of microvolts, nor of a flat lead

Floats = npt.NDArray[np.float64]
MemberScores = Callable[[npt.NDArray[np.float32]], Floats]
"""From inputs, shape (n_records, ...), to probabilities, shape (n_records, n_members)."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions for the records of a cohort.

    Attributes:
        records: Names of the records.
        by_member: P(label = 1) by each member, shape (n_records, n_members).
        y_score: Mean over the members, shape (n_records,).
        y_pred: Whether `y_score` is above the model's threshold, shape (n_records,).
        calibrated: Share of the out-of-fold records with such a score that had the label, shape
            (n_records,).
        calibrated_low: Lower end of its 95 % interval.
        calibrated_high: Upper end.
        dropped: Records without a prediction, each with the reason.
        cohort: All records, with the fiducials that the features used.
    """

    records: tuple[str, ...]
    by_member: Floats
    y_score: Floats
    y_pred: npt.NDArray[np.bool_]
    calibrated: Floats
    calibrated_low: Floats
    calibrated_high: Floats
    dropped: tuple[tuple[str, str], ...]
    cohort: Cohort

    def rows(self) -> list[dict[str, Any]]:
        """Return the numbers of each record as plain values, by the names that users see."""
        columns: dict[str, npt.NDArray[Any]] = {
            "probability": self.y_score,
            "member_low": self.by_member.min(axis=1),
            "member_high": self.by_member.max(axis=1),
            "calibrated": self.calibrated,
            "calibrated_low": self.calibrated_low,
            "calibrated_high": self.calibrated_high,
            "positive": self.y_pred,
        }
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]


@dataclass(frozen=True, slots=True, eq=False)
class FinalModel:
    """A model that was fitted to all records of a run.

    Attributes:
        description: Everything about it except the weights.
        member_scores: From inputs without a missing value to the probabilities of each member.
    """

    description: Description
    member_scores: MemberScores

    def predict(self, cohort: Cohort) -> Predictions:
        """Predict the label of each record; labels of the cohort are not used.

        Raises:
            InputError: The records differ from the training records in sampling frequency, leads,
                length or unit, or no record has all that the features need.
        """
        description = self.description
        check(description, cohort)
        cohort = with_fiducials(description, cohort)
        features = description.form.extract(cohort, description.settings.features)
        shape, trained = (" x ".join(map(str, one.input_shape)) for one in (features, description))
        if shape != trained:
            raise InputError(
                f"{cohort.name}: expected inputs of shape {trained}, as in training. "
                f"Received: {shape}"
            )
        if features.names != description.names:
            raise InputError(f"{cohort.name}: expected the same inputs as in training")
        X = read(features.X)
        if description.fill:
            values = np.zeros(X.shape[1], np.float32)
            values[: len(description.fill)] = description.fill
            X = np.where(np.isnan(X), values, X)
        by_member = self.member_scores(X)
        if not np.isfinite(by_member).all():
            raise InputError(f"{cohort.name}: expected finite predictions. Received: NaN")
        y_score = by_member.mean(axis=1)
        calibrated, low, high = description.calibration.predict(y_score)
        return Predictions(
            records=features.records,
            by_member=by_member,
            y_score=y_score,
            y_pred=y_score > description.threshold,
            calibrated=calibrated,
            calibrated_low=low,
            calibrated_high=high,
            dropped=features.dropped,
            cohort=cohort,
        )

    def predict_proba(self, cohort: Cohort) -> Floats:
        """Return the probabilities of both labels, shape (n_records, 2), as scikit-learn does.

        Raises:
            InputError: See `predict`; or a record has no prediction.
        """
        predictions = self.predict(cohort)
        if predictions.dropped:
            raise InputError(
                "; ".join(f"record {name}: {why}" for name, why in predictions.dropped)
            )
        return np.column_stack([1 - predictions.y_score, predictions.y_score])


def check(description: Description, cohort: Cohort) -> None:
    """Refuse records that are not of the kind that a model was trained with.

    Raises:
        InputError: Names the difference.
    """
    if cohort.fs != description.fs:
        raise InputError(
            f"{cohort.name}: expected {description.fs:g} Hz, as in training. "
            f"Received: {cohort.fs:g} Hz"
        )
    if cohort.leads != description.leads:
        raise InputError(
            f"{cohort.name}: expected the leads {' '.join(description.leads)}. "
            f"Received: {' '.join(cohort.leads)}"
        )
    signals = read(cohort.signals)
    if not np.isfinite(signals).all():
        raise InputError(f"{cohort.name}: expected finite samples. Received: NaN or infinity")
    low, high = _PLAUSIBLE_MV
    for record, spans in zip(cohort.records, np.ptp(signals, axis=1), strict=True):
        for lead, span in zip(cohort.leads, spans.tolist(), strict=True):
            if not low <= span <= high:
                raise InputError(
                    f"{cohort.name}: record {record}: expected mV, so leads that span {low:g} to "
                    f"{high:g}. Received: {span:g} in {lead}. Is this another unit?"
                )
    if description.needs_age_and_sex and not np.isfinite(cohort.age).all():
        raise InputError(
            f"{cohort.name}: expected age and sex, which are inputs of the model. Received: a "
            "record without them"
        )


def with_fiducials(description: Description, cohort: Cohort) -> Cohort:
    """Return records with the fiducials of each lead, if the features need them.

    A model that was trained with annotated fiducials takes any that the cohort has; one that was
    trained with detected fiducials takes detected ones only.

    Raises:
        InputError: No fiducials can be detected.
    """
    waves = cohort.delineation
    takes = description.delineation in ("annotated", waves.origin)
    if not description.form.needs_delineation or (len(waves.samples) and takes):
        return cohort
    try:
        detected = delineate(read(cohort.signals), cohort.fs)
    except InputError as error:
        raise InputError(f"{cohort.name}: {error}") from None
    if not len(detected.samples):
        raise InputError(
            f"{cohort.name}: features={description.settings.features.name} needs the fiducials of "
            "each lead. Received: signals in which no heartbeats were found"
        )
    return replace(cohort, delineation=detected)


def save(folder: Path, description: Description, states: Sequence[Any]) -> Description:
    """Write a final model; `model.json` comes last and makes the folder valid.

    Args:
        folder: Created if it does not exist.
        description: `files` is filled in here.
        states: State of each member: a fitted classifier, or the values of a network's variables.

    Returns:
        The description as it was written.

    Raises:
        EnvironmentFault: The folder cannot be written.
        InputError: A classifier holds a type that `load` would refuse.
    """
    files: dict[str, str] = {}
    for name, state in zip(_member_files(description), states, strict=False):
        with written_whole(folder / name) as temporary:
            if description.is_network:
                settings = description.settings.model
                network_files.write(temporary, settings, description.input_shape, state)
            else:
                # nested selection holds the classifier that it selected
                temporary.write_bytes(estimator_files.dump(getattr(state, "fitted", state)))
            files[name] = _digest(temporary.read_bytes())
    description = replace(description, files=files)
    write_text(folder / DESCRIPTION, description.to_json())
    return description


def load(folder: Path) -> FinalModel:
    """Read a final model; its files are data, and nothing in them is run.

    Raises:
        EnvironmentFault: The backend of its network is not installed.
        InputError: The folder holds no final model, or an altered one.
    """
    description = read_description(folder)
    try:
        return FinalModel(description, _member_scores(folder, description))
    except InputError as error:
        if str(error).startswith(str(folder)):
            raise
        raise InputError(f"{folder / DESCRIPTION}: {error}") from None


def read_description(folder: Path) -> Description:
    """Read the description of a final model, and compare the digests of its files.

    Raises:
        InputError: There is no description, it is not valid, or a file was altered.
    """
    if not (folder / DESCRIPTION).is_file():
        raise InputError(
            f"{folder}: expected the folder of a final model, with {DESCRIPTION}. "
            f"Received: {'a file' if folder.is_file() else 'none'}"
        )
    text = read_bytes(folder / DESCRIPTION, folder, _MAX_DESCRIPTION_BYTES)
    try:
        description = parse(text.decode("utf-8", errors="replace"))
        expected = _member_files(description)
        if list(description.files) != expected:
            raise InputError(f"files: expected {', '.join(expected) or 'none'}. Received: others")
    except InputError as error:
        raise InputError(f"{folder / DESCRIPTION}: {error}") from None
    for name, digest in description.files.items():
        if _digest(read_bytes(folder / name, folder, _MAX_MEMBER_BYTES)) != digest:
            raise InputError(
                f"{folder / name}: expected the file that was saved. Received: another"
            )
    return description


def check_files(folder: Path, description: Description) -> None:
    """Refuse a folder with other files than a final model's, since all of them get published.

    Raises:
        InputError: Another file is there, the card is missing, or a link leads out of the folder.
    """
    ours = {DESCRIPTION, CARD, MLMODEL, *description.files}
    others = sorted({path.name for path in folder.iterdir()} - ours)
    if others:
        raise InputError(
            f"{folder}: expected the files of a final model only, since all of them are "
            f"registered. Received: {', '.join(others)!r:.80} too"
        )
    for name in (CARD, MLMODEL):
        read_bytes(folder / name, folder, _MAX_DESCRIPTION_BYTES)


def _member_scores(folder: Path, description: Description) -> MemberScores:
    settings, shape = description.settings, description.input_shape
    model, paths = MODELS[settings.model.name], [folder / name for name in description.files]
    if not isinstance(model, Estimator):
        model.check(settings.model, shape)
        if settings.backend == NO_BACKEND:
            raise InputError("settings.backend: expected that of a network. Received: none")
        return network_files.Networks(settings.model, shape, settings.backend, paths)
    members = [estimator_files.load(path.read_bytes(), len(description.names)) for path in paths]
    if not members:  # published criteria, which are not fitted
        rule = model.build(settings.model, description.names, 0, np.zeros(0, dtype=np.str_))
        members = [rule] * len(description.seeds)
    return estimator_files.member_scores(members)


def _member_files(description: Description) -> list[str]:
    """Return the names of the members' files; none for a model that is not fitted."""
    if description.settings.model.name == "criteria":
        return []
    suffix = network_files.SUFFIX if description.is_network else estimator_files.SUFFIX
    return [f"member-{number}{suffix}" for number in range(1, len(description.seeds) + 1)]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
