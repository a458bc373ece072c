"""What a kept model says of a record, and how that is told: table, JSON, CSV, words on paper."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.data.cohort import Cohort
from lvh.data.delineation import library
from lvh.features.criteria import CRITERIA
from lvh.inference import Description
from lvh.reports.ecg_plot import Words
from lvh.reports.progress import console, say


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
        male: Whose thresholds the criteria have.
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
    male: bool
    picture: str | None = None


def show(predictions: Sequence[Prediction], of: Description, form: str) -> None:
    """Print what is said of some records: as a table, or as `json` or `csv`."""
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
    files = [Path(one.record).name for one in predictions]
    names = files if len(set(files)) == len(files) else [one.record for one in predictions]
    for shown, one in zip(names, predictions, strict=True):
        met = [name for name, (_, is_met) in one.criteria.items() if is_met]
        made.add_row(
            *(escape(shown), f"{one.probability:.3f}"),
            f"{one.member_low:.3f} to {one.member_high:.3f}",
            _calibrated(one),
            "LVH" if one.positive else "no LVH",
            f"{len(met)} of {len(one.criteria)}" if one.criteria else "not measured",
        )
    console().print(made)
    if len(predictions) == 1 and predictions[0].criteria:
        console().print(_criteria(predictions[0]))
    pictures = [one.picture for one in predictions if one.picture is not None]
    if pictures:
        say(f"drawn: {', '.join(pictures)}")
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


def _criteria(of: Prediction) -> Table:
    made = Table("criterion", "value", "met", box=SIMPLE_HEAD)
    for name, (_, is_met) in of.criteria.items():
        made.add_row(CRITERIA[name].title, _measured(of, name), "yes" if is_met else "no")
    return made


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


def words(of: Prediction, cohort: Cohort, by: Description) -> Words:
    """Say on the paper what is said of the record, and by what."""
    age, sex = cohort.age[0], "male" if of.male else "female"
    who = f"{age:.0f} years, {sex}" if age == age else "age or sex unknown"
    met = [
        f"{CRITERIA[name].title} {_measured(of, name)}"
        for name, (_, is_met) in of.criteria.items()
        if is_met
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


def _measured(of: Prediction, name: str) -> str:
    one = CRITERIA[name]
    return f"{of.criteria[name][0]:.3g} {one.unit} ({one.bound(of.male)})"


def _calibrated(of: Prediction) -> str:
    return f"{of.calibrated:.2f} ({of.calibrated_low:.2f} to {of.calibrated_high:.2f})"
