"""`lvh predict`: the predictions of a final model for some records."""

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
from lvh.inference import Description, FinalModel, load
from lvh.inference.prediction import Prediction, show, words
from lvh.reports.ecg_plot import draw, picture_paths, save
from lvh.tracking import TrackingSettings

MODEL_HELP = "folder, or address in MLflow (default: %(default)s)"
URI_HELP = "as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)"


def main(arguments: list[str] | None = None) -> int:
    """Predict the records and return the exit code; a refused record does not stop the others."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    codes = []
    pictures = _pictures(options)
    with located(options.model, options.uri) as folder:
        model = load(folder)
    predictions = []
    for path, picture in zip(options.record, pictures, strict=True):
        try:
            predictions.append(_predict(model, path, options, picture))
        except LvhError as error:
            print(f"lvh: {printable(str(error))}", file=sys.stderr)
            codes.append(error.exit_code)
    if predictions:
        show(predictions, model.description, options.form)
    return max(codes, default=0)


@contextmanager
def located(model: str, uri: str | None) -> Iterator[Path]:
    """Yield the folder of a model: a local one, or one that is fetched from a registry."""
    if ":/" not in model:
        yield Path(model)
        return
    from lvh.inference.registry import fetch, is_model_uri

    if not is_model_uri(model):
        raise InputError(f"--model: expected a folder, or models:/NAME@ALIAS. Received: {model}")
    with fetch(model, TrackingSettings("mlflow", uri, "lvh")) as folder:
        yield folder


def _pictures(options: argparse.Namespace) -> list[Path | None]:
    """Return the path of each record's picture; None where none is asked for."""
    if options.picture is None:
        for option in ("fiducials", "explain"):
            if getattr(options, option):
                raise InputError(f"--{option}: expected --picture, in which it is drawn")
        return [None] * len(options.record)
    from lvh.data.readers.record import record_name

    return [*picture_paths(options.picture, [record_name(Path(path)) for path in options.record])]


def _predict(
    model: FinalModel, path: str, options: argparse.Namespace, picture: Path | None
) -> Prediction:
    cohort = _read(model.description, path, options)
    try:
        predictions = model.predict(cohort)
    except InputError as error:
        raise InputError(f"{error}{_hint(model.description, cohort)}") from None
    cohort = _with_waves(predictions.cohort, options.fiducials)
    (numbers,) = predictions.rows()
    prediction = Prediction(
        record=path,
        numbers=numbers,
        threshold=model.description.threshold,
        criteria=_criteria(cohort),
        fiducials=cohort.delineation.origin if len(cohort.delineation.samples) else "none",
        male=bool(cohort.male[0]),
    )
    if picture is None:
        return prediction
    from lvh.explanations.importance import record_importance

    figure = draw(
        cohort.signals[0],
        cohort.fs,
        words(prediction, cohort, model.description),
        importance=record_importance(model, cohort) if options.explain else None,
        delineation=cohort.delineation if options.fiducials else None,
    )
    save(figure, picture)
    return replace(prediction, picture=str(picture))


def _read(description: Description, path: str, options: argparse.Namespace) -> Cohort:
    from lvh.data.readers import record
    from lvh.data.readers.leads import ReadOptions

    cohort = record.read(
        Path(path),
        age=options.age,
        male=None if options.sex is None else options.sex == "male",
        fs=description.fs if options.resample else None,
        options=ReadOptions(options.unit, options.fs),
    )
    if cohort.note:
        print(f"lvh: {printable(f'{path}: {cohort.note}')}", file=sys.stderr)
    return cohort


def _hint(description: Description, cohort: Cohort) -> str:
    if cohort.fs != description.fs:
        return ". --resample converts it"
    if description.needs_age_and_sex and not np.isfinite(cohort.age).all():
        return ". --age and --sex give them"
    return ""


def _with_waves(cohort: Cohort, drawn: bool) -> Cohort:
    """Detect fiducials for the picture and the criteria, if the record has none yet."""
    needed = drawn or np.isfinite(cohort.age).all()
    if len(cohort.delineation.samples) or not needed:
        return cohort
    try:
        return replace(cohort, delineation=delineate(read(cohort.signals), cohort.fs))
    except InputError:  # too long, or sampled too slowly; the prediction does not need them
        return cohort


def _criteria(cohort: Cohort) -> dict[str, tuple[float, bool]]:
    """Return the value of each criterion that can be measured, and whether it is met."""
    from lvh.features.criteria import CRITERIA
    from lvh.features.voltage import measure

    if not len(cohort.delineation.samples) or not np.isfinite(cohort.age).all():
        return {}  # without age and sex there is no threshold
    amplitudes = measure(cohort)
    values = {name: criterion.value(amplitudes) for name, criterion in CRITERIA.items()}
    return {
        name: (float(value[0]), bool(CRITERIA[name].positive(value, cohort.male)[0]))
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvh predict",
        description="Predict LVH in 12-lead records with a model that lvh export has saved.",
    )
    parser.add_argument(
        "record", nargs="+", help="path of a WFDB header, with or without .hea, a .csv or an .edf"
    )
    parser.add_argument("--model", default="models:/lvh@champion", help=MODEL_HELP)
    parser.add_argument(
        "--uri", default=os.environ.get("MLFLOW_TRACKING_URI") or None, help=URI_HELP
    )
    parser.add_argument(
        "--resample", action="store_true", help="convert to the model's sampling frequency"
    )
    parser.add_argument("--age", type=_age, help="in years, where the file does not say it")
    parser.add_argument("--sex", choices=("female", "male"), help="where the file does not say it")
    parser.add_argument(
        "--fs", type=_fs, help="sampling frequency in Hz, where the file does not say it"
    )
    parser.add_argument(
        "--unit", choices=("mV", "uV", "V"), help="unit of voltages, where the file does not say it"
    )
    parser.add_argument(
        "--picture",
        metavar="PATH",
        help="draw the ECG on paper of 25 mm/s and 10 mm/mV: a new .pdf, .svg or .png, or a "
        "folder that gets a PDF for each record",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="colour the picture by what raises and lowers the prediction",
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
