"""`python -m lvh.predict`: what a kept model says of some records."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from lvh.cli.command import ended
from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate
from lvh.data.lazy_array import read
from lvh.errors import InputError, LvhError, printable
from lvh.inference import Description, KeptModel, load
from lvh.inference.prediction import Prediction, show, words
from lvh.reports.ecg_plot import draw, picture_paths, save
from lvh.tracking import TrackingSettings

_CHAMPION = "models:/lvh@champion"


def main(arguments: list[str] | None = None) -> int:
    """Score the records and return the exit code; one that is refused does not stop the others."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    codes = []
    pictures = _pictures(given)
    with located(given.model, given.uri) as folder:
        model = load(folder)
    predictions = []
    for path, picture in zip(given.record, pictures, strict=True):
        try:
            predictions.append(_predicted(model, path, given, picture))
        except LvhError as error:
            print(f"lvh: {printable(str(error))}", file=sys.stderr)
            codes.append(error.exit_code)
    if predictions:
        show(predictions, model.description, given.form)
    return max(codes, default=0)


@contextmanager
def located(model: str, uri: str | None) -> Iterator[Path]:
    """Give the folder of a model: one that is here, or fetched from a registry."""
    if ":/" not in model:
        yield Path(model)
        return
    from lvh.tracking.run_lookup import fetched, is_model_uri

    if not is_model_uri(model):
        raise InputError(f"--model: expected a folder, or models:/NAME@ALIAS. Received: {model}")
    with fetched(model, TrackingSettings("mlflow", uri, "lvh")) as folder:
        yield folder


def _pictures(given: argparse.Namespace) -> list[Path | None]:
    """Return where the picture of each record goes; None where none is asked for."""
    if given.picture is None:
        for option in ("fiducials", "explain"):
            if getattr(given, option):
                raise InputError(f"--{option}: expected --picture, in which it is drawn")
        return [None] * len(given.record)
    from lvh.data.readers.record import record_name

    return [*picture_paths(given.picture, [record_name(Path(path)) for path in given.record])]


def _predicted(
    model: KeptModel, path: str, given: argparse.Namespace, picture: Path | None
) -> Prediction:
    from lvh.data.readers import record
    from lvh.data.readers.leads import ReadOptions
    from lvh.explanations.one_record import record_importance

    male = None if given.sex is None else given.sex == "male"
    fs = model.description.fs if given.resample else None
    options = ReadOptions(given.unit, given.fs)
    cohort = record.read(Path(path), age=given.age, male=male, fs=fs, options=options)
    if cohort.note:
        print(f"lvh: {printable(f'{path}: {cohort.note}')}", file=sys.stderr)
    try:
        scored = model.scored(cohort)
    except InputError as error:
        raise InputError(f"{error}{_hint(model.description, cohort)}") from None
    members, cohort = scored.by_member[0], _measurable(scored.cohort, given.fiducials)
    found = Prediction(
        record=path,
        probability=float(scored.y_score[0]),
        member_low=float(members.min()),
        member_high=float(members.max()),
        calibrated=float(scored.calibrated[0]),
        calibrated_low=float(scored.calibrated_low[0]),
        calibrated_high=float(scored.calibrated_high[0]),
        threshold=model.description.threshold,
        positive=bool(scored.y_pred[0]),
        criteria=_criteria(cohort),
        fiducials=cohort.delineation.origin if len(cohort.delineation.samples) else "none",
        male=bool(cohort.male[0]),
    )
    if picture is None:
        return found
    figure = draw(
        cohort.signals[0],
        cohort.fs,
        words(found, cohort, model.description),
        importance=record_importance(model, cohort) if given.explain else None,
        delineation=cohort.delineation if given.fiducials else None,
    )
    save(figure, picture)
    return replace(found, picture=str(picture))


def _hint(of: Description, cohort: Cohort) -> str:
    if cohort.fs != of.fs:
        return ". --resample converts it"
    if of.needs_age_and_sex and not np.isfinite(cohort.age).all():
        return ". --age and --sex give them"
    return ""


def _measurable(cohort: Cohort, drawn: bool) -> Cohort:
    """Find fiducials to be drawn or for the criteria, if the record has none by now."""
    needed = drawn or np.isfinite(cohort.age).all()
    if len(cohort.delineation.samples) or not needed:
        return cohort
    try:
        return replace(cohort, delineation=delineate(read(cohort.signals), cohort.fs))
    except InputError:  # too long, or sampled too slowly: the model has its say nevertheless
        return cohort


def _criteria(cohort: Cohort) -> dict[str, tuple[float, bool]]:
    """Return value and verdict of each criterion that can be measured."""
    from lvh.features.amplitudes import measure
    from lvh.features.criteria import CRITERIA

    if not len(cohort.delineation.samples) or not np.isfinite(cohort.age).all():
        return {}  # thresholds are those of men or of women
    found = measure(cohort)
    values = {name: one.value(found) for name, one in CRITERIA.items()}
    return {
        name: (float(value[0]), bool(CRITERIA[name].positive(value, cohort.male)[0]))
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.predict",
        description="Score records of twelve leads by a model that lvh.select has kept.",
    )
    parser.add_argument(
        "record", nargs="+", help="path of a WFDB header, with or without .hea, a .csv or an .edf"
    )
    parser.add_argument(
        "--model", default=_CHAMPION, help="folder, or address in MLflow (default: %(default)s)"
    )
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    parser.add_argument(
        "--resample", action="store_true", help="convert to the model's sampling frequency"
    )
    parser.add_argument("--age", type=_age, help="in years, where the file does not say it")
    parser.add_argument("--sex", choices=("female", "male"), help="likewise")
    parser.add_argument("--fs", type=_fs, help="sampling frequency in Hz, likewise")
    parser.add_argument("--unit", choices=("mV", "uV", "V"), help="of voltages, likewise")
    parser.add_argument(
        "--picture",
        metavar="PATH",
        help="draw the ECG on paper of 25 mm/s and 10 mm/mV: a new .pdf, .svg or .png, or a "
        "folder in which each record has a PDF",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="paint into the picture what speaks for LVH and against it, to the model",
    )
    parser.add_argument(
        "--fiducials", action="store_true", help="mark onsets, peaks and offsets in the picture"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json")
    form.add_argument("--csv", dest="form", action="store_const", const="csv")
    return parser


def _age(text: str) -> float:
    age = float(text)
    if not 0 <= age <= 130:
        raise argparse.ArgumentTypeError(f"expected 0 to 130 years. Received: {text}")
    return age


def _fs(text: str) -> float:
    fs = float(text)
    if not 0 < fs <= 100_000:
        raise argparse.ArgumentTypeError(f"expected 0 to 100000 Hz. Received: {text}")
    return fs


if __name__ == "__main__":
    sys.exit(main())
