"""`python -m lvh.predict`: what a kept model says of some records."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.cohort import Cohort
from lvh.command import ended
from lvh.console import console, say
from lvh.errors import InputError, LvhError
from lvh.kept import Description, KeptModel, load
from lvh.tracking import TrackingSettings

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
        criteria: Value and verdict of each clinical criterion, where the record has fiducials.
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


def main(arguments: list[str] | None = None) -> int:
    """Score the records and return the exit code; one that is refused does not stop the others."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    codes = []
    with located(given.model, given.uri) as folder:
        model = load(folder)
    predictions = []
    for path in given.record:
        try:
            predictions.append(_predicted(model, path, given))
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


def _predicted(model: KeptModel, path: str, given: argparse.Namespace) -> Prediction:
    from lvh.sources.record import read

    male = None if given.sex is None else given.sex == "male"
    fs = model.description.fs if given.resample else None
    cohort = read(Path(path), age=given.age, male=male, fs=fs)
    try:
        scored = model.scored(cohort)
    except InputError as error:
        raise InputError(f"{error}{_hint(model.description, cohort)}") from None
    members = scored.by_member[0]
    return Prediction(
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
    )


def _hint(of: Description, cohort: Cohort) -> str:
    if cohort.fs != of.fs:
        return ". --resample converts it"
    if of.needs_age_and_sex and not np.isfinite(cohort.age).all():
        return ". --age and --sex give them"
    return ""


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
            f"{one.calibrated:.2f} ({one.calibrated_low:.2f} to {one.calibrated_high:.2f})",
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


def _plain(of: Prediction) -> dict[str, object]:
    row: dict[str, object] = {
        name: getattr(of, name)
        for name in (
            *("record", "probability", "member_low", "member_high", "calibrated"),
            *("calibrated_low", "calibrated_high", "threshold", "positive"),
        )
    }
    for name, (value, is_met) in of.criteria.items():
        row |= {name: value, f"{name}_met": is_met}
    return row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.predict",
        description="Score WFDB records of twelve leads by a model that lvh.select has kept.",
    )
    parser.add_argument("record", nargs="+", help="path of a header, with or without .hea")
    parser.add_argument(
        "--model", default=_CHAMPION, help="folder, or address in MLflow (default: %(default)s)"
    )
    parser.add_argument("--uri", help="as tracking.uri (default: mlflow.db in this directory)")
    parser.add_argument(
        "--resample", action="store_true", help="convert to the model's sampling frequency"
    )
    parser.add_argument("--age", type=_age, help="in years, where the header does not say it")
    parser.add_argument("--sex", choices=("female", "male"), help="likewise")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json")
    form.add_argument("--csv", dest="form", action="store_const", const="csv")
    return parser


def _age(text: str) -> float:
    age = float(text)
    if not 0 <= age <= 130:
        raise argparse.ArgumentTypeError(f"expected 0 to 130 years. Received: {text}")
    return age


if __name__ == "__main__":
    sys.exit(main())
