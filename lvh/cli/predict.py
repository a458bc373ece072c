"""`lvh predict`: the predictions of a final model for some records."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from lvh.cli.command import (
    DEFAULT_MODEL,
    MODEL,
    between,
    command,
    model_folder,
    print_error,
)
from lvh.data.cohort import LEADS, Cohort
from lvh.data.delineation import delineate, library
from lvh.data.labels import LVH
from lvh.data.lazy_array import read
from lvh.data.readers import ReadOptions, record
from lvh.errors import EnvironmentFault, InputError, LvhError
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.inference import Description, FinalModel, load
from lvh.reports.terminal import say, show_facts, show_table
from lvh.runs.hints import say_next

Row = dict[str, Any]
"""The prediction of a record, by the columns of `--csv`."""


def _run(options: argparse.Namespace) -> int:
    if options.json and options.csv:
        raise InputError("--json and --csv: expected one of them")
    rows, codes, male = list[Row](), list[int](), False
    pictures: list[Path | None] = [None] * len(options.record)
    if options.picture is not None:
        from lvh.reports.ecg_plot import picture_paths  # needs matplotlib

        names = [record.record_name(Path(path)) for path in options.record]
        pictures = [*picture_paths(options.picture, names)]
    elif options.fiducials or options.explain:
        option = "explain" if options.explain else "fiducials"
        raise InputError(f"--{option}: expected --picture, in which it is drawn")
    with model_folder(options) as folder:
        model = load(folder)
    if options.picture is not None and model.description.unit != "mV":
        raise InputError("--picture: expected a model of signals in mV. Received: another unit")
    for path, picture in zip(options.record, pictures, strict=True):
        try:
            row, male = _predict(model, path, options, picture)
            rows.append(row)
        except LvhError as error:
            codes.append(print_error(str(error), error.exit_code))
    if options.json and rows:
        print(json.dumps(rows, indent=2))
    elif options.csv and rows:
        print(pd.DataFrame(rows).to_csv(index=False), end="")
    elif rows:
        _show(rows, model.description, male)
        model_name = None if options.model == DEFAULT_MODEL else options.model
        say_next("serve", model=model_name, uri=options.uri)
    return max(codes, default=0)


def _predict(
    model: FinalModel, path: str, options: argparse.Namespace, picture: Path | None
) -> tuple[Row, bool]:
    """Return the row of a record, and whether it is of a male."""
    description = model.description
    cohort = _read(path, options, description)
    try:
        predictions = model.predict(cohort)
    except InputError as error:
        hint = "" if cohort.fs == description.fs else ". --resample converts it"
        raise InputError(f"{error}{hint}") from None
    shows_criteria = _has_criteria(description)
    cohort = _with_waves(predictions.cohort, drawn=options.fiducials, criteria=shows_criteria)
    (prediction,) = predictions.table.to_dict("records")
    row: Row = {"record": path, **prediction, "threshold": description.threshold}
    if len(cohort.delineation.samples):  # for the criteria, where the model needs none
        row["fiducials"] = cohort.delineation.origin
        row["doubtful"] = bool(cohort.delineation.doubtful)
    row |= _criteria(cohort) if shows_criteria else {}
    if picture is not None:
        from lvh.explanations.importance import record_importance
        from lvh.reports.ecg_plot import Words, draw, save

        title, lines = _words(row, cohort, description)
        figure = draw(
            cohort.signals[0],
            cohort.fs,
            Words(title, lines, label=description.label),
            leads=cohort.leads,
            importance=record_importance(model, cohort) if options.explain else None,
            delineation=cohort.delineation if options.fiducials else None,
        )
        save(figure, picture)
        row["picture"] = str(picture)
    return row, bool(cohort.male[0])


def _read(path: str, options: argparse.Namespace, description: Description) -> Cohort:
    """Read a record as a model takes it."""
    cohort = record.read(
        Path(path),
        age=options.age,
        male=None if options.sex is None else options.sex == "male",
        fs=description.fs if options.resample else None,
        leads=description.leads,
        options=ReadOptions(
            unit="other" if description.unit == "other" else options.unit,
            fs=options.fs,
            leads=tuple(filter(None, options.leads.split(","))),
            start=options.start,
            seconds=options.seconds,
        ),
    )
    if cohort.note:
        print_error(f"{path}: {cohort.note}", 0)
    return cohort


def _with_waves(cohort: Cohort, *, drawn: bool, criteria: bool) -> Cohort:
    """Detect fiducials for the picture and the criteria, if the record has none yet."""
    needed = drawn or (criteria and np.isfinite(cohort.age).all())
    if len(cohort.delineation.samples) or not needed:
        return cohort
    try:
        return replace(cohort, delineation=delineate(read(cohort.signals), cohort.fs))
    except LvhError as error:  # too long, sampled too slowly, or by a package that is missing
        if drawn and isinstance(error, EnvironmentFault):
            raise
        print_error(f"criteria are not measured: {error}", 0)
        return cohort  # the prediction does not need them


def _has_criteria(description: Description) -> bool:
    """Return whether the criteria say something of a model's label, and of its signals, in mV."""
    return description.label == LVH and description.unit == "mV"


def _criteria(cohort: Cohort) -> Row:
    """Return the value of each criterion that can be measured, and whether it is met."""
    has_all = cohort.has_age_and_sex and {*LEADS} <= {*cohort.leads}
    if not len(cohort.delineation.samples) or not has_all:
        return {}  # without age and sex there is no threshold
    waves, row = measure(cohort), dict[str, Any]()
    for name, criterion in CRITERIA.items():
        value = criterion.value(waves)
        if np.isfinite(value[0]):
            row[name] = float(value[0])
            row[f"{name}_met"] = bool(criterion.positive(value, cohort.male)[0])
    return row


def _said(row: Row, description: Description) -> tuple[str, str, str]:
    """Return what a record's prediction says: its label, the calibrated share, the criteria."""
    says = f"{'' if row['positive'] else 'no '}{description.label}"
    calibrated = "{calibrated:.2f} ({calibrated_low:.2f} to {calibrated_high:.2f})".format(**row)
    met = [row[f"{name}_met"] for name in CRITERIA if name in row]
    return says, calibrated, f"{sum(met)} of {len(met)}" if met else "not measured"


def _show(rows: list[Row], description: Description, male: bool) -> None:
    table, shows_criteria = Table(), _has_criteria(description)
    table.add_column("record", overflow="fold")
    names = (f"P({description.label})", "lowest to highest", "calibrated, 95 %", "says")
    for name in (*names, "criteria met") if shows_criteria else names:
        table.add_column(name, no_wrap=True)
    for row in rows:
        says, calibrated, met = _said(row, description)
        members = f"{row['member_low']:.3f} to {row['member_high']:.3f}"
        cells = (escape(row["record"]), f"{row['probability']:.3f}", members, calibrated, says)
        table.add_row(*cells, *[met] * shows_criteria)
    show_table(table)
    if len(rows) == 1 and "_met" in " ".join(rows[0]):
        table = Table("criterion", "value", "met")
        for name, criterion in CRITERIA.items():
            if name in rows[0]:
                value = f"{rows[0][name]:.3g} {criterion.unit} ({criterion.bound(male)})"
                table.add_row(criterion.title, value, "yes" if rows[0][f"{name}_met"] else "no")
        show_table(table)
    _explain(rows, description)


def _explain(rows: list[Row], description: Description) -> None:
    """Say what a reader must know of the model and of each record."""
    note, label = f" ({description.note})" if description.note else "", description.label
    n_detected = sum(row["fiducials"] not in ("annotated", "none") for row in rows)
    detected = f"Fiducials of {n_detected} of {len(rows)} were detected by {library()}"
    doubtful = ", ".join(row["record"] for row in rows if row["doubtful"])
    learned = f", fiducials {description.delineation}" * description.form.needs_delineation
    show_facts(
        {
            "model": f"{description.name}, trained with {description.data}{note}{learned}; "
            f"seeds: {len(description.seeds)}",
            "threshold": f"it says {label} where P({label}) is above {description.threshold:.3g}",
            "calibrated": f"by {description.calibration.n_records} out-of-fold records; at another "
            "place it may differ",
            "fiducials": detected if n_detected else "",
            "doubtful": f"the bounds of QRS are in doubt in {doubtful}" if doubtful else "",
            "drawn": ", ".join(row["picture"] for row in rows if "picture" in row),
        }
    )
    for row in rows:
        if row["fitted_on"]:
            say(f"{row['record']}: the model was fitted on this record: it says nothing new of it")
        elif row["distance"] > 1 or row["outside"]:
            first, *others = row["outside"].split("; ")
            more = f" and {len(others)} more, in --json" if others else ""
            outside = f". Outside their range: {first}{more}" if first else ""
            say(
                f"{row['record']}: unlike the training records (distance {row['distance']:.1f}; "
                f"above 1 is unusual): what the model says may mean nothing{outside}",
                style="yellow" if row["distance"] > 1 else None,
            )
    say("help: not a medical device; docs/predictions.md says what the columns mean")


def _words(row: Row, cohort: Cohort, description: Description) -> tuple[str, tuple[str, ...]]:
    """Return the title of the ECG of a record, and the lines below it."""
    age, male = cohort.age[0], bool(cohort.male[0])
    who = f"{age:.0f} years, {'male' if male else 'female'}" if age == age else "age or sex unknown"
    met = [
        f"{one.title} {row[name]:.3g} {one.unit} ({one.bound(male)})"
        for name, one in CRITERIA.items()
        if row.get(f"{name}_met")
    ]
    says, calibrated, n_met = _said(row, description)
    criteria = [f"Criteria met, {n_met}{': ' if met else ''}{', '.join(met)}"]
    return (
        f"Record {cohort.records[0]}, {who}",
        (
            f"P({description.label}) {row['probability']:.3f}, {row['member_low']:.3f} to "
            f"{row['member_high']:.3f} by seed; threshold {row['threshold']:.3g}: "
            f"{says}; calibrated {calibrated}"
            + ("; the model was fitted on this record" if row["fitted_on"] else ""),
            *(criteria if _has_criteria(description) else []),
            f"{description.name}, trained with {description.data}",
        ),
    )


main = command(
    "predict",
    "Score ECG records with a model that lvh export has saved.",
    {
        "record": {
            "nargs": "+",
            "help": "WFDB header, table, EDF, BDF, DICOM, aECG, MUSE XML, .npz, .npy",
        },
        **MODEL,
        "--resample": {"action": "store_true", "help": "convert to the model's sampling frequency"},
        "--age": {"type": between(0, 130), "help": "in years, if the file does not give it"},
        "--sex": {"choices": ("female", "male"), "help": "if the file does not give it"},
        "--fs": {"type": between(1e-3, 1e5), "help": "Hz, if the file lacks it"},
        "--unit": {"choices": ("mV", "uV", "V"), "help": "of voltages, if the file lacks it"},
        "--leads": {"default": "", "help": "of an array, in order: i,ii,iii,avr,..."},
        "--start": {"type": between(0, 1e7), "default": 0.0, "help": "first second to read"},
        "--seconds": {"type": between(1e-3, 1e7), "help": "seconds to read (default: all)"},
        "--picture": {
            "metavar": "PATH",
            "help": "draw the ECG on paper of 25 mm/s and 10 mm/mV: a new .pdf, .svg or .png, or "
            "a folder that gets a PDF for each record",
        },
        "--explain": {"action": "store_true", "help": "colour what raises or lowers the score"},
        "--fiducials": {"action": "store_true", "help": "mark onsets, peaks and offsets"},
        "--json": {"action": "store_true", "help": "print JSON"},
        "--csv": {"action": "store_true", "help": "print CSV"},
    },
    _run,
)

if __name__ == "__main__":
    sys.exit(main())
