"""A folder with a description and what was learned, and the scores of records by it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.files import read_bytes, write_text, written_whole
from lvh.inference.estimator_files import MAX_BYTES, loaded
from lvh.inference.members import NETWORK, Scores, dumped, networks, of_classifiers, suffix
from lvh.inference.model_description import MAX_SAMPLES, Description, parsed
from lvh.models import MODELS, Estimator
from lvh.models.backends import NO_BACKEND
from lvh.models.backends.weights import SUFFIX, exported

DESCRIPTION = "model.json"
CARD = "README.md"
_MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024
_MAX_ALL_BYTES = 4 * MAX_BYTES  # of all members, packed
_PLAUSIBLE_MV = (0.02, 30.0)  # peak to peak, of each lead; microvolts and flat lines are out


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Probabilities of some records.

    Attributes:
        records: Their names.
        by_member: P(label = 1) by each member, shape (n_records, n_members).
        y_score: Their mean, shape (n_records,).
        y_pred: Whether it is above the model's threshold, shape (n_records,).
        calibrated: What share of the records with such a score had the label, out of fold, shape
            (n_records,).
        calibrated_low: Lower end of its 95 % interval, shape (n_records,).
        calibrated_high: Upper end.
        dropped: Records that cannot be scored, each with the reason.
        cohort: All of them, with the fiducials that were used.
    """

    records: tuple[str, ...]
    by_member: npt.NDArray[np.float64]
    y_score: npt.NDArray[np.float64]
    y_pred: npt.NDArray[np.bool_]
    calibrated: npt.NDArray[np.float64]
    calibrated_low: npt.NDArray[np.float64]
    calibrated_high: npt.NDArray[np.float64]
    dropped: tuple[tuple[str, str], ...]
    cohort: Cohort


@dataclass(frozen=True, slots=True, eq=False)
class KeptModel:
    """A model that was chosen, learned from all records, and can be used.

    Attributes:
        description: What it is.
        scores: From inputs without a missing one to the probabilities of each member.
    """

    description: Description
    scores: Scores

    def scored(self, cohort: Cohort) -> Scored:
        """Score records, whose labels are of no account.

        Raises:
            InputError: They differ from what the model has learned from in sampling frequency,
                leads, length or unit, or none can be scored.
        """
        check(self.description, cohort)
        cohort = with_fiducials(self.description, cohort)
        features = FORMS[self.description.features["name"]].extract(
            cohort, self.description.feature_settings
        )
        if features.input_shape != self.description.input_shape:
            raise InputError(
                f"{cohort.name}: expected inputs of shape {_shape(self.description.input_shape)}, "
                f"which the model has learned from. Received: {_shape(features.input_shape)}"
            )
        if features.names != self.description.names:
            raise InputError(f"{cohort.name}: expected the inputs that the model has learned from")
        X = read(features.X)
        fill = self.description.fill
        if fill:
            values = np.zeros(X.shape[1], np.float32)
            values[: len(fill)] = fill
            X = np.where(np.isnan(X), values, X)
        by_member = self.scores(X)
        if not np.isfinite(by_member).all():
            raise InputError(f"{cohort.name}: the model comes to no number for it")
        y_score = by_member.mean(axis=1)
        return Scored(
            features.records,
            by_member,
            y_score,
            y_score > self.description.threshold,
            *self.description.calibration.of(y_score),
            features.dropped,
            cohort,
        )


def check(description: Description, cohort: Cohort) -> None:
    """Refuse records that are not of the kind that a model has learned from.

    Raises:
        InputError: Says in what they differ.
    """
    if cohort.fs != description.fs:
        raise InputError(
            f"{cohort.name}: expected {description.fs:g} Hz, which the model has learned from. "
            f"Received: {cohort.fs:g} Hz"
        )
    if cohort.leads != description.leads:
        raise InputError(
            f"{cohort.name}: expected the leads {' '.join(description.leads)}. "
            f"Received: {' '.join(cohort.leads)}"
        )
    signals = read(cohort.signals)
    if not np.isfinite(signals).all():
        raise InputError(f"{cohort.name}: expected finite samples. Received: some that are not")
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
            f"{cohort.name}: expected age and sex, which the model needs. Received: a record "
            "without them"
        )


def with_fiducials(description: Description, cohort: Cohort) -> Cohort:
    """Return records with the fiducials of each lead, if a model needs them.

    Where it has learned from annotated ones, those of the records are taken if they have any; else
    they are found, and for a model that has learned from found ones always.

    Raises:
        InputError: There are none to find.
    """
    waves = cohort.delineation
    if not description.needs_delineation:
        return cohort
    if len(waves.samples) and waves.origin in (description.delineation, "found"):
        return cohort
    try:
        found = delineate(read(cohort.signals), cohort.fs)
    except InputError as error:
        raise InputError(f"{cohort.name}: {error}") from None
    if not len(found.samples):
        raise InputError(
            f"{cohort.name}: features={description.features['name']} needs the fiducials of each "
            "lead. Received: signals in which no heartbeats were found"
        )
    return replace(cohort, delineation=found)


def keep(folder: Path, description: Description, taught: Sequence[Any]) -> Description:
    """Write a model; `model.json` last, without which there is none.

    Beside each network lies the same as a file for Keras, which `load` does not look at.

    Args:
        folder: Made if it is not there.
        description: Whose `files` is filled in here.
        taught: From `lvh.models.training.Trainer.state`, one a member.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    end = suffix(description.model["name"])
    files: dict[str, str] = {}
    for number, one in enumerate(taught if end else (), start=1):
        data = dumped(one)
        name = f"member-{number}{end}"
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(data)
        files[name] = _digest(data)
    if end == NETWORK:
        model, of = MODELS[description.model["name"]], description
        build = partial(model.build, of.model_settings, of.input_shape)  # type: ignore[arg-type]
        for name, data in zip(files, exported(build, taught), strict=True):
            with written_whole((folder / name).with_suffix(SUFFIX)) as temporary:
                temporary.write_bytes(data)
    whole = replace(description, files=files)
    write_text(folder / DESCRIPTION, whole.dumped())
    return whole


def load(folder: Path) -> KeptModel:
    """Read a model that `keep` wrote; what is read is data, and nothing of it is run.

    Raises:
        InputError: Anything else, or a file that is not what it was.
    """
    if not (folder / DESCRIPTION).is_file():
        raise InputError(
            f"{folder}: expected the folder of a model that lvh.select has kept, with "
            f"{DESCRIPTION}. Received: {'a file' if folder.is_file() else 'none'}"
        )
    text = read_bytes(folder / DESCRIPTION, folder, _MAX_DESCRIPTION_BYTES)
    try:
        description = parsed(text.decode("utf-8", errors="replace"))
        return KeptModel(description, _scores(description, _files(folder, description)))
    except InputError as error:
        if str(error).startswith(str(folder)):
            raise
        raise InputError(f"{folder / DESCRIPTION}: {error}") from None


def check_alone(folder: Path, description: Description) -> None:
    """Refuse a folder with more in it than a kept model, before all of it goes elsewhere.

    Raises:
        InputError: It has other files, or no card, or what `load` does not read leads out of it.
    """
    ours = [Path(name) for name in description.files if name.endswith(NETWORK)]
    unread = {CARD, *(one.with_suffix(SUFFIX).name for one in ours)}
    found = {one.name for one in folder.iterdir()}
    others = sorted(found - {DESCRIPTION, *unread, *description.files})
    if others:
        raise InputError(
            f"{folder}: expected the files of a kept model and no others, for all of them are "
            f"registered. Received: {', '.join(others)!r:.80} too"
        )
    read_bytes(folder / CARD, folder, _MAX_DESCRIPTION_BYTES)
    for name in sorted(unread & found - {CARD}):
        read_bytes(folder / name, folder, MAX_BYTES)


def _files(folder: Path, description: Description) -> Mapping[str, bytes]:
    end = suffix(description.model["name"])
    n_files = len(description.seeds) if end else 0
    expected = [f"member-{number}{end}" for number in range(1, n_files + 1)]
    if list(description.files) != expected:
        raise InputError(f"files: expected {', '.join(expected) or 'none'}. Received: others")
    found: dict[str, bytes] = {}
    for name in expected:
        left = _MAX_ALL_BYTES - sum(map(len, found.values()))
        found[name] = read_bytes(folder / name, folder, min(MAX_BYTES, left))
    for name, data in found.items():
        if _digest(data) != description.files[name]:
            raise InputError(f"{folder / name}: expected the file that was kept. Received: another")
    return found


def _scores(description: Description, files: Mapping[str, bytes]) -> Scores:
    model, settings = MODELS[description.model["name"]], description.model_settings
    shape, members = description.input_shape, list(files.values())
    _check_shape(description)
    if isinstance(model, Estimator):
        if members:
            return of_classifiers([loaded(data, len(description.names)) for data in members])
        nobody = np.zeros(0, dtype=np.str_)
        judge = model.build(settings, description.names, 0, nobody)  # has nothing to learn
        return of_classifiers([judge] * len(description.seeds))
    model.check(settings, shape)
    if description.backend == NO_BACKEND:
        raise InputError("backend: expected that of a network. Received: none")
    return networks(settings, shape, description.backend, description.precision, members)


def _check_shape(description: Description) -> None:
    """Refuse a shape that the names do not bear out, before a network of that size is made."""
    shape, n_names = description.input_shape, len(description.names)
    kind = FORMS[description.features["name"]].kind
    fits = {
        "tabular": shape == (n_names,),
        "signal": len(shape) == 2 and shape[-1] == n_names and 0 < shape[0] <= MAX_SAMPLES,
        "mixed": len(shape) == 3 and min(shape) > 0 and shape[0] + shape[1] * shape[2] == n_names,
    }
    n_filled = {"tabular": n_names, "signal": 0, "mixed": shape[0] if shape else 0}[kind]
    if fits[kind] and len(description.fill) != n_filled:
        raise InputError(f"fill: expected {n_filled} numbers. Received: {len(description.fill)}")
    if not fits[kind]:
        raise InputError(
            f"input_shape: expected that of {n_names} {kind} inputs. Received: {_shape(shape)}"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
