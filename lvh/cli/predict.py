"""`lvh predict`: the predictions of a final model for some records."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from lvh.cli.command import ended
from lvh.data.cohort import Cohort
from lvh.data.delineation import delineate, is_doubtful
from lvh.data.lazy_array import read
from lvh.data.readers import record
from lvh.data.readers.leads import ReadOptions
from lvh.errors import InputError, LvhError, printable
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.inference import FinalModel, load
from lvh.inference.prediction import Prediction, show, words
from lvh.reports.ecg_plot import draw, picture_paths, save
from lvh.tracking import TrackingSettings


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
    names = [record.record_name(Path(path)) for path in options.record]
    return [*picture_paths(options.picture, names)]


def _predict(
    model: FinalModel, path: str, options: argparse.Namespace, picture: Path | None
) -> Prediction:
    description = model.description
    cohort = record.read(
        Path(path),
        age=options.age,
        male=None if options.sex is None else options.sex == "male",
        fs=description.fs if options.resample else None,
        options=ReadOptions(
            unit=options.unit,
            fs=options.fs,
            leads=options.leads,
            start=options.start,
            seconds=options.seconds,
        ),
    )
    if cohort.note:
        print(f"lvh: {printable(f'{path}: {cohort.note}')}", file=sys.stderr)
    try:
        predictions = model.predict(cohort)
    except InputError as error:
        hint = ""
        if cohort.fs != description.fs:
            hint = ". --resample converts it"
        elif description.needs_age_and_sex and not np.isfinite(cohort.age).all():
            hint = ". --age and --sex give them"
        raise InputError(f"{error}{hint}") from None
    cohort = _with_waves(predictions.cohort, options.fiducials)
    fiducials = cohort.delineation.origin if len(cohort.delineation.samples) else "none"
    (numbers,) = predictions.rows()
    prediction = Prediction(
        record=path,
        numbers=numbers,
        threshold=description.threshold,
        criteria=_criteria(cohort),
        fiducials=fiducials,
        doubtful=fiducials == "found" and is_doubtful(read(cohort.signals)[0], cohort.fs),
        male=bool(cohort.male[0]),
    )
    if picture is None:
        return prediction
    from lvh.explanations.importance import record_importance

    figure = draw(
        cohort.signals[0],
        cohort.fs,
        words(prediction, cohort, description),
        importance=record_importance(model, cohort) if options.explain else None,
        delineation=cohort.delineation if options.fiducials else None,
    )
    save(figure, picture)
    return replace(prediction, picture=str(picture))


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
    add = parser.add_argument
    add("record", nargs="+", help="WFDB header, table, EDF, BDF, DICOM, aECG, MUSE XML or .npy")
    add_model(parser)
    add("--resample", action="store_true", help="convert to the model's sampling frequency")
    add("--age", type=_between(0, 130), help="in years, if the file does not give it")
    add("--sex", choices=("female", "male"), help="if the file does not give it")
    add("--fs", type=_between(1e-3, 1e5), help="sampling frequency, Hz, if the file lacks it")
    add("--unit", choices=("mV", "uV", "V"), help="unit of voltages, if the file lacks it")
    add("--leads", type=_names, default=(), help="of an array, in order: i,ii,iii,avr,...")
    add("--start", type=_between(0, 1e7), default=0.0, help="first second to read")
    add("--seconds", type=_between(1e-3, 1e7), help="how many seconds to read (default: all)")
    add(
        "--picture",
        metavar="PATH",
        help="draw the ECG on paper of 25 mm/s and 10 mm/mV: a new .pdf, .svg or .png, or a "
        "folder that gets a PDF for each record",
    )
    add("--explain", action="store_true", help="colour what raises and lowers the prediction")
    add("--fiducials", action="store_true", help="mark onsets, peaks and offsets in the picture")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json")
    form.add_argument("--csv", dest="form", action="store_const", const="csv")
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a model, as `located` takes it."""
    parser.add_argument(
        "--model",
        default="models:/lvh@champion",
        help="folder, or address in MLflow (default: %(default)s)",
    )
    add_uri(parser)


def add_uri(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a store of MLflow."""
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _between(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}. Received: {text}")
        return float(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
