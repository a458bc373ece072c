"""`python -m lvh.predict`: what a kept model says of some records."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.cohort import Cohort
from lvh.command import ended
from lvh.console import console, say
from lvh.delineation import delineated, library
from lvh.errors import InputError, LvhError
from lvh.kept import Description, KeptModel, load
from lvh.paper import Words, draw, places, save
from lvh.tracking import TrackingSettings
from lvh.unread import read

_CHAMPION = "models:/lvh@champion"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said of one record.

    Attributes:
        record: Its path, as it was typed.
        probability: Of LVH, the mean over the model's members.
        member_low: The lowest of a member.
        member_high: The highest.
        calibrated: Share of the records with such a probability that had LVH, out of fold.
        calibrated_low: Lower end of its 95 % interval.
        calibrated_high: Upper end.
        threshold: Of the model.
        positive: Whether the probability is above it.
        criteria: Value and verdict of each clinical criterion that can be measured.
        fiducials: `annotated` in files beside the record, `found` here, or `none` were used.
        picture: Path of what was drawn; None where nothing was asked for.
    """

    record: str
    probability: float
    member_low: float
    member_high: float
    calibrated: float
    calibrated_low: float
    calibrated_high: float
    threshold: float
    positive: bool
    criteria: dict[str, tuple[float, bool]]
    fiducials: str
    picture: str | None = None


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
            print(f"lvh: {error}", file=sys.stderr)
            codes.append(error.exit_code)
    if predictions:
        _show(predictions, model.description, given.form)
    return max(codes, default=0)


@contextmanager
def located(model: str, uri: str | None) -> Iterator[Path]:
    """Give the folder of a model: one that is here, or fetched from a registry."""
    if ":/" not in model:
        yield Path(model)
        return
    from lvh.tracking.models import fetched, is_model_uri

    if not is_model_uri(model):
        raise InputError(f"--model: expected a folder, or models:/NAME@ALIAS. Received: {model}")
    with fetched(model, TrackingSettings("mlflow", uri, "lvh", None)) as folder:
        yield folder


def _pictures(given: argparse.Namespace) -> list[Path | None]:
    """Return where the picture of each record goes; None where none is asked for."""
    if given.picture is None:
        for option in ("fiducials", "explain"):
            if getattr(given, option):
                raise InputError(f"--{option}: expected --picture, in which it is drawn")
        return [None] * len(given.record)
    from lvh.sources.record import named

    return [*places(given.picture, [named(Path(path)) for path in given.record])]


def _predicted(
    model: KeptModel, path: str, given: argparse.Namespace, picture: Path | None
) -> Prediction:
    from lvh.explain.record import record_importance
    from lvh.sources import record
    from lvh.sources.recorded import Said

    male = None if given.sex is None else given.sex == "male"
    fs = model.description.fs if given.resample else None
    said = Said(given.unit, given.fs)
    cohort = record.read(Path(path), age=given.age, male=male, fs=fs, said=said)
    if cohort.note:
        print(f"lvh: {path}: {cohort.note}", file=sys.stderr)
    try:
        scored = model.scored(cohort)
    except InputError as error:
        raise InputError(f"{error}{_hint(model.description, cohort)}") from None
    members, cohort = scored.by_member[0], _measurable(scored.cohort)
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
    )
    if picture is None:
        return found
    figure = draw(
        cohort.signals[0],
        cohort.fs,
        _words(found, cohort, model.description),
        importance=record_importance(model, cohort) if given.explain else None,
        delineation=cohort.delineation if given.fiducials else None,
    )
    save(figure, picture)
    return replace(found, picture=str(picture))


def _words(of: Prediction, cohort: Cohort, by: Description) -> Words:
    """Say on the paper what is said of the record, and by what."""
    from lvh.criteria import CRITERIA

    age, male = cohort.age[0], bool(cohort.male[0])
    who = f"{age:.0f} years, {'male' if male else 'female'}" if age == age else "age or sex unknown"
    met = [
        f"{one.title} {of.criteria[name][0]:.3g} {one.unit} ({one.bound(male)})"
        for name, one in CRITERIA.items()
        if name in of.criteria and of.criteria[name][1]
    ]
    criteria = f"Criteria met, {len(met)} of {len(of.criteria)}: {', '.join(met) or 'none'}"
    return Words(
        f"Record {cohort.records[0]}, {who}",
        (
            f"P(LVH) {of.probability:.3f}, {of.member_low:.3f} to {of.member_high:.3f} by seed; "
            f"threshold {of.threshold:.3g}: {'LVH' if of.positive else 'no LVH'}; "
            f"calibrated {_calibrated(of)}",
            criteria if of.criteria else "Criteria: not measured",
            f"{by.name}, learned from {by.data}",
        ),
    )


def _calibrated(of: Prediction) -> str:
    return f"{of.calibrated:.2f} ({of.calibrated_low:.2f} to {of.calibrated_high:.2f})"


def _hint(of: Description, cohort: Cohort) -> str:
    if cohort.fs != of.fs:
        return ". --resample converts it"
    if of.needs_age_and_sex and not np.isfinite(cohort.age).all():
        return ". --age and --sex give them"
    return ""


def _measurable(cohort: Cohort) -> Cohort:
    """Find fiducials for the criteria, if the model needed none and the record has none."""
    if len(cohort.delineation.samples) or not np.isfinite(cohort.age).all():
        return cohort
    try:
        return replace(cohort, delineation=delineated(read(cohort.signals), cohort.fs))
    except InputError:  # too long, or sampled too slowly: the model has its say nevertheless
        return cohort


def _criteria(cohort: Cohort) -> dict[str, tuple[float, bool]]:
    """Return value and verdict of each criterion that can be measured."""
    from lvh.criteria import CRITERIA
    from lvh.features.amplitudes import measurements

    if not len(cohort.delineation.samples) or not np.isfinite(cohort.age).all():
        return {}  # thresholds are those of men or of women
    found = measurements(cohort)
    values = {name: one.value(found) for name, one in CRITERIA.items()}
    return {
        name: (float(value[0]), bool(CRITERIA[name].positive(value, cohort.male)[0]))
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def _show(predictions: Sequence[Prediction], of: Description, form: str) -> None:
    if form == "json":
        print(json.dumps([_plain(one) for one in predictions], indent=2))
        return
    if form == "csv":
        text = io.StringIO()
        rows = [_plain(one) for one in predictions]
        header = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        print(text.getvalue(), end="")
        return
    made = Table(box=SIMPLE_HEAD)
    made.add_column("record", overflow="fold")
    for name in ("P(LVH)", f"range of {len(of.seeds)}", "calibrated, 95 %", "says"):
        made.add_column(name, no_wrap=True)
    made.add_column("criteria met")
    for one in predictions:
        met = [name for name, (_, is_met) in one.criteria.items() if is_met]
        made.add_row(
            *(escape(one.record), f"{one.probability:.3f}"),
            f"{one.member_low:.3f} to {one.member_high:.3f}",
            _calibrated(one),
            "LVH" if one.positive else "no LVH",
            f"{len(met)} of {len(one.criteria)}" if one.criteria else "not measured",
        )
    console().print(made)
    note = f" ({of.note})" if of.note else ""
    say(
        f"{of.name}, learned from {of.data}{note}. It says LVH where P(LVH) is above "
        f"{of.threshold:.3g}. The range is that of models with other seeds. Calibrated: what share "
        f"of records with this P(LVH) had LVH among the {of.calibration.n_records} that were "
        "scored out of fold, and what so few leave open; at another place it may be another. "
        "Not a medical device."
    )
    found = sum(one.fiducials == "found" for one in predictions)
    if found:
        learned = "" if of.delineation == "found" else "; the model learned from annotated ones"
        told = learned if of.needs_delineation else ", for the criteria alone"
        say(f"Fiducials of {found} of {len(predictions)} were found by {library()}{told}.")


def _plain(of: Prediction) -> dict[str, object]:
    row: dict[str, object] = {
        name: getattr(of, name)
        for name in (
            *("record", "probability", "member_low", "member_high", "calibrated"),
            *("calibrated_low", "calibrated_high", "threshold", "positive", "fiducials"),
        )
    }
    for name, (value, is_met) in of.criteria.items():
        row |= {name: value, f"{name}_met": is_met}
    if of.picture is not None:
        row["picture"] = of.picture
    return row


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
    parser.add_argument("--uri", help="as tracking.uri (default: mlflow.db in this directory)")
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
