"""The prediction of one record for people and programs: table, JSON, CSV, words on the ECG."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.data.cohort import Cohort
from lvh.data.delineation import library
from lvh.features.criteria import CRITERIA
from lvh.inference.model_description import Description
from lvh.reports.ecg_plot import Words
from lvh.reports.progress import console, say


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of one record.

    Attributes:
        record: Path of the record, as it was typed.
        numbers: From `lvh.inference.Predictions.rows`.
        threshold: Threshold of the model.
        criteria: Value of each clinical criterion that could be measured, and whether it is met.
        fiducials: Origin of the fiducials, or `none`.
        doubtful: Whether the bounds of QRS were found, and are in doubt.
        male: Sex, which decides the thresholds of the criteria.
        picture: Path of the figure; None where none was drawn.
    """

    record: str
    numbers: dict[str, Any]
    threshold: float
    criteria: dict[str, tuple[float, bool]]
    fiducials: str
    doubtful: bool
    male: bool
    picture: str | None = None

    def row(self) -> dict[str, object]:
        """Return plain values, for JSON and CSV."""
        numbers = dict(self.numbers)
        positive = numbers.pop("positive")
        row = {"record": self.record, **numbers, "threshold": self.threshold, "positive": positive}
        row |= {"fiducials": self.fiducials, "doubtful": self.doubtful}
        for name, (value, is_met) in self.criteria.items():
            row |= {name: value, f"{name}_met": is_met}
        return row if self.picture is None else {**row, "picture": self.picture}

    @property
    def label(self) -> str:
        """What the model says."""
        return "LVH" if self.numbers["positive"] else "no LVH"

    @property
    def calibrated(self) -> str:
        """Calibrated probability with its interval."""
        return "{calibrated:.2f} ({calibrated_low:.2f} to {calibrated_high:.2f})".format(
            **self.numbers
        )

    @property
    def met(self) -> list[str]:
        """Names of the criteria that are met."""
        return [name for name, (_, is_met) in self.criteria.items() if is_met]

    def measured(self, name: str) -> str:
        """Return the value of a criterion with its unit and threshold."""
        criterion = CRITERIA[name]
        return f"{self.criteria[name][0]:.3g} {criterion.unit} ({criterion.bound(self.male)})"


def show(predictions: Sequence[Prediction], description: Description, form: str | None) -> None:
    """Print predictions: as a table, or as `json` or `csv`."""
    rows = [prediction.row() for prediction in predictions]
    if form == "json":
        print(json.dumps(rows, indent=2))
    elif form == "csv":
        header = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(sys.stdout, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _show_table(predictions, description)


def _show_table(predictions: Sequence[Prediction], description: Description) -> None:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("record", overflow="fold")
    for name in ("P(LVH)", f"range of {len(description.seeds)}", "calibrated, 95 %", "says"):
        table.add_column(name, no_wrap=True)
    table.add_column("criteria met")
    names = [Path(one.record).name for one in predictions]
    if len(set(names)) < len(names):
        names = [one.record for one in predictions]
    for name, one in zip(names, predictions, strict=True):
        table.add_row(
            escape(name),
            "{probability:.3f}".format(**one.numbers),
            "{member_low:.3f} to {member_high:.3f}".format(**one.numbers),
            one.calibrated,
            one.label,
            f"{len(one.met)} of {len(one.criteria)}" if one.criteria else "not measured",
        )
    console().print(table)
    if len(predictions) == 1 and predictions[0].criteria:
        (one,) = predictions
        table = Table("criterion", "value", "met", box=SIMPLE_HEAD)
        for name, (_, is_met) in one.criteria.items():
            table.add_row(CRITERIA[name].title, one.measured(name), "yes" if is_met else "no")
        console().print(table)
    pictures = [one.picture for one in predictions if one.picture is not None]
    if pictures:
        say(f"drawn: {', '.join(pictures)}")
    note = f" ({description.note})" if description.note else ""
    say(
        f"{description.name}, trained with {description.data}{note}. It says LVH where P(LVH) is "
        f"above {description.threshold:.3g}. The range is that of models with other seeds. "
        "Calibrated: the share of records with this P(LVH) that had LVH among the "
        f"{description.calibration.n_records} out-of-fold records, with its uncertainty; at "
        "another place it may differ. Not a medical device."
    )
    n_detected = sum(one.fiducials not in ("annotated", "none") for one in predictions)
    if n_detected:
        end = ", for the criteria only"
        if description.form.needs_delineation:
            annotated = description.delineation == "annotated"
            end = "; the model was trained with annotated ones" if annotated else ""
        say(f"Fiducials of {n_detected} of {len(predictions)} were detected by {library()}{end}.")
    doubtful = ", ".join(one.record for one in predictions if one.doubtful)
    if doubtful:
        say(f"The bounds of QRS, and what is measured in it, are in doubt in {doubtful}.")


def words(prediction: Prediction, cohort: Cohort, description: Description) -> Words:
    """Return the text next to the ECG of a record."""
    age, sex = cohort.age[0], "male" if prediction.male else "female"
    who = f"{age:.0f} years, {sex}" if age == age else "age or sex unknown"
    met = [f"{CRITERIA[name].title} {prediction.measured(name)}" for name in prediction.met]
    criteria = f"Criteria met, {len(met)} of {len(prediction.criteria)}: {', '.join(met) or 'none'}"
    numbers = prediction.numbers
    return Words(
        f"Record {cohort.records[0]}, {who}",
        (
            f"P(LVH) {numbers['probability']:.3f}, {numbers['member_low']:.3f} to "
            f"{numbers['member_high']:.3f} by seed; threshold {prediction.threshold:.3g}: "
            f"{prediction.label}; calibrated {prediction.calibrated}",
            criteria if prediction.criteria else "Criteria: not measured",
            f"{description.name}, trained with {description.data}",
        ),
    )
