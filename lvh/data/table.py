"""Anyone's own records: a table with a row a record, and their signals, if there are any."""

import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, Strict

from lvh.data import table_file
from lvh.data.array_checks import check_spellings, checked_faults
from lvh.data.cache import folder_state
from lvh.data.cohort import Cohort, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.readers.leads import ReadOptions, lead_key
from lvh.errors import InputError, LvhError, excerpt

if TYPE_CHECKING:
    import pandas as pd

METADATA = SourceMetadata(
    citation="Records of the user.",
    licence="that of the records",
    labels="As a column of the user's table says.",
)

_OPTION = re.compile(r"--(?=(?:unit|fs|leads|start|seconds)\b)")
LIKELY_SUBJECT = re.compile(
    r"mrn|pid|(?:patient|subject|person|participant|pat)s?(?:[ _-]?(?:id|no|nr|number|code|name))?",
    re.I,
)
"""Names of columns that look like those of subjects."""

_as_list = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
Leads = Annotated[tuple[str, ...], _as_list]
Value = Annotated[str, BeforeValidator(str)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=1e6, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Where the records are, and what the columns of their table are called.

    A column with its usual name may be missing; null takes no such column.

    Attributes:
        path: The table: .csv, .tsv, .txt or .parquet.
        label: Column of what is detected: 0 and 1, false and true, no and yes, or two texts.
        positive: The one of two texts that is the label; the other one is its absence.
        signals: A .npy file of shape (n_records, n_samples, n_leads), or (n_records, n_samples) of
            one lead, in the order of the table; or a .npz file with such an array `signals`, and
            maybe `leads`, `fs`, `unit`, and `records`, which must be those of the table.
        fs: Sampling frequency, Hz, where the files do not say it.
        leads: Names of the array's leads, in its order; of files, the leads that are read.
        unit: Of the signals; `other` is no voltage and stays as it is. By default what the files
            say, else mV.
        start: Seconds of each record that are skipped.
        seconds: How much of each record is read; None for all.
        record: Column of the records' names; by default the column of files, or numbers.
        subject: Column of the subjects, each of whom is in one fold.
        age: Column of ages, years.
        sex: Column of sexes: female, male, F, M.
        path_column: Column of files, each with the signals of its record; below the table's folder.
        flawed: Records without a label or a subject, with a flat lead, samples that are no finite
            number, spans that no ECG has in mV, fewer than `seconds`, or the very samples of
            another record, are dropped, or fail the run.
        delineation: `none`; or `found`: the fiducials that `lvh.data.delineation` finds.
        where: A condition on age, sex, columns that records fulfil: see `lvh.data.record_filter`.
    """

    path: str
    label: str
    name: Literal["table"] = "table"
    positive: Value | None = None
    signals: str | None = None
    fs: Annotated[float, Strict(), Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    leads: Leads = ()
    unit: Literal["mV", "uV", "V", "other"] | None = None
    start: Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    seconds: Seconds | None = None
    record: str | None = "record"
    subject: str | None = "subject"
    age: str | None = "age"
    sex: str | None = "sex"
    path_column: str | None = "path"
    flawed: Literal["drop", "fail"] = "drop"
    delineation: Literal["none", "found"] = "none"
    where: str = ""


_USUAL = {field.name: field.default for field in fields(TableSettings)}
_NO_SUBJECTS = "no column of subjects: each record counts as another subject"
_OF_SIGNALS = ("fs", "leads", "unit", "start", "seconds", "delineation")
_ROLES = ("label", "record", "subject", "age", "sex", "path_column")


def load(settings: TableSettings) -> Cohort:
    """Return the records of a table that can be used; age and sex may be unknown.

    Raises:
        InputError: A file is missing or malformed, a column missing, a value not of its column's
            kind, the label not one of two, or a record flawed where that fails the run.
    """
    path, table = _table(settings)
    columns = {role: _column(path, table, settings, role) for role in _ROLES}
    table_file.check_roles(columns)
    names = table_file.names_of(path, columns, len(table))
    label, faults = table_file.labels_of(path, columns["label"], settings.positive)
    if (subjects := columns["subject"]) is not None:
        missing = table_file.is_missing(subjects)
        check_spellings(f"{path}: column {subjects.name}", subjects[~missing].tolist())
        faults = np.where((faults == "") & missing, "no subject", faults)
    elif settings.subject is not None and (likely := [*filter(LIKELY_SUBJECT.fullmatch, table)]):
        raise InputError(
            f"data.subject: expected the column of subjects in {path}, all of whose records are in "
            f"one fold. Is it {likely[0]}? data.subject=null says that there is none"
        )
    signals = _signals(path, columns["path_column"], names, settings)
    faults = np.where(faults == "", signals.faults, faults)
    dropped, note = checked_faults(path, names, faults, settings.flawed)
    used = np.flatnonzero(faults == "")
    age, male = (part[used] for part in table_file.ages_and_men(path, columns, len(table)))
    cohort = Cohort.from_arrays(
        signals.values[used],
        label[used],
        groups=None if subjects is None else subjects.to_numpy()[used],
        fs=signals.fs,
        leads=signals.leads,
        age=age,
        male=male,
        label_name=settings.label,
        records=[names[at] for at in used.tolist()],
        name=path.name,
        unit="other" if settings.unit == "other" else "mV",
    )
    others = table_file.other_columns(table, columns).iloc[used].reset_index(drop=True)
    content = (*others, *(others[name].to_numpy() for name in others))
    notes = (note, _NO_SUBJECTS if subjects is None else "", cohort.note)
    cohort = replace(
        cohort,
        columns=others,
        dropped=dropped,
        note="; ".join(filter(None, notes)),
        fingerprint=fingerprint(cohort.fingerprint, settings.unit == "other", *content),
    )
    return with_fiducials(cohort) if settings.delineation == "found" else cohort


def state(settings: TableSettings) -> object:
    """Return names, sizes and times of change of the files that `load` would read."""
    path, table = _table(settings)
    paths = {path}
    if settings.signals is not None:
        paths.add(Path(os.path.expanduser(settings.signals)))
    elif (files := _column(path, table, settings, "path_column")) is not None:
        paths |= {(path.parent / os.path.expanduser(file)).parent for file in files}
    folders = [folder_state(one) for one in sorted(paths) if one.is_dir()]
    stats = [one.stat() for one in sorted(paths) if one.is_file()]
    return repr((folders, [(stat.st_mtime_ns, stat.st_size) for stat in stats]))


def file_of(settings: TableSettings, record: str) -> Path:
    """Return the file with the signals of a record."""
    path, table = _table(settings)
    columns = {role: _column(path, table, settings, role) for role in ("record", "path_column")}
    files = columns["path_column"]
    assert files is not None
    file: str = files[table_file.names_of(path, columns, len(table)).index(record)]
    return path.parent / os.path.expanduser(file)


def _signals(
    path: Path, files: "pd.Series[str] | None", names: list[str], settings: TableSettings
) -> table_file.TableSignals:
    """Return the signals of the records: of one array, of a file each, or none."""
    options = ReadOptions(
        unit=settings.unit,
        default_unit="mV",
        fs=settings.fs,
        leads=tuple(map(lead_key, settings.leads)),
        start=settings.start,
        seconds=settings.seconds,
    )
    if settings.signals is None and files is None:
        if unused := [name for name in _OF_SIGNALS if getattr(settings, name) != _USUAL[name]]:
            raise InputError(
                f"data.{unused[0]}: expected signals: data.signals=FILE.npy, or data.path_column= "
                f"the column of files in {path}. Received: a table of numbers alone"
            )
        n = len(names)
        return table_file.TableSignals(np.zeros((n, 0, 0), np.float32), (), 0.0, np.full(n, ""))
    try:
        if files is None or settings.signals is not None:
            return table_file.read_array(
                Path(os.path.expanduser(str(settings.signals))), names, options
            )
        is_there = ~table_file.is_missing(files)
        paths = [path.parent / os.path.expanduser(file) for file in files]
        return table_file.read_files(
            [one if is_there[at] else None for at, one in enumerate(paths)], options
        )
    except LvhError as error:  # readers name options of `lvh predict`
        raise type(error)(_OPTION.sub("data.", str(error))) from None


def _table(settings: TableSettings) -> "tuple[Path, pd.DataFrame]":
    path = Path(os.path.expanduser(settings.path)).resolve()
    return path, table_file.read_table(path)


def _column(
    path: Path, table: "pd.DataFrame", settings: TableSettings, role: str
) -> "pd.Series[str] | None":
    """Return the column of a role; None where there is none and none is asked for by name."""
    name = getattr(settings, role)
    if name is None or (name not in table and name == _USUAL[role]):
        return None
    if name not in table:
        raise InputError(
            f"data.{role}: expected a column of {path}: {', '.join(table.columns[:30])}. "
            f"Received: {excerpt(name)}"
        )
    return table[name]
