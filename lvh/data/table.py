"""Anyone's own records: a table with a row a record, and their signals, if there are any.

The signals are one NumPy array for all records, or a file a record. Records that cannot be used are
left out and counted, each with its reason, or fail the run.
"""

import logging
import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, Strict

from lvh.data.array_checks import check_names, check_spellings
from lvh.data.cache import folder_state
from lvh.data.cohort import MAX_AGE, Cohort, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.readers.leads import ReadOptions, lead_key, parse_age, parse_sex
from lvh.data.table_file import MISSING, is_missing, numbers, read_table
from lvh.data.table_signals import TableSignals, Texts, read_array, read_files
from lvh.errors import InputError, LvhError, excerpt

if TYPE_CHECKING:
    import pandas as pd

METADATA = SourceMetadata(
    citation="Records of the user.",
    licence="that of the records",
    labels="As a column of the user's table says.",
)

_YES, _NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
_UNKNOWN_SEX = (*MISSING, "u", "unknown", "x", "o", "other")
_OPTION = re.compile(r"--(?=(?:unit|fs|leads|start|seconds)\b)")
LIKELY_SUBJECT = re.compile(
    r"mrn|pid|(?:patient|subject|person|participant|pat)s?(?:[ _-]?(?:id|no|nr|number|code|name))?",
    re.I,
)
"""Names of columns that look like those of subjects."""
_MOST_NAMED = 12  # values of a column in a message

_log = logging.getLogger(__name__)

Leads = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Value = Annotated[str, BeforeValidator(lambda value: str(value))]
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
_OF_SIGNALS = ("fs", "leads", "unit", "start", "seconds", "delineation")
_ROLES = ("label", "record", "subject", "age", "sex", "path_column")


def load(settings: TableSettings) -> Cohort:
    """Return the records of a table that can be used; age and sex may be unknown.

    Raises:
        InputError: A file is missing or malformed, a column missing, a value not of its column's
            kind, the label not one of two, or a record flawed where that fails the run.
        EnvironmentFault: The package that reads the table or a record is not installed.
    """
    path = Path(os.path.expanduser(settings.path)).resolve()
    table = read_table(path)
    columns = {role: _column(path, table, settings, role) for role in _ROLES}
    _check_roles(columns)
    _check_used(path, table, columns, settings)
    names = _names(path, table, columns)
    label, faults = _labels(path, columns["label"], settings)
    if (subjects := columns["subject"]) is None:
        _check_no_subject(path, table, settings)
    else:
        known = subjects[~is_missing(subjects)].tolist()
        check_spellings(f"{path}: column {subjects.name}", known)
        faults = np.where((faults == "") & is_missing(subjects), "no subject", faults)
    try:
        signals = _signals(path, columns["path_column"], names, settings)
    except LvhError as error:  # readers name options of `lvh predict`
        raise type(error)(_OPTION.sub("data.", str(error))) from None
    faults = np.where(faults == "", signals.faults, faults)
    used, dropped = np.flatnonzero(faults == ""), _dropped(path, names, faults, settings)
    age, male = (part[used] for part in _ages_and_men(path, columns, len(table)))
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
    others = _other_columns(table, columns).iloc[used].reset_index(drop=True)
    content = [others[name].to_numpy() for name in others]
    notes = [
        f"{len(dropped)} of {len(table)} records left out as flawed" if dropped else "",
        "no column of subjects: each record counts as another subject" if subjects is None else "",
    ]
    cohort = replace(
        cohort,
        columns=others,
        dropped=tuple(dropped),
        note="; ".join(filter(None, [*notes, cohort.note])),
        fingerprint=fingerprint(cohort.fingerprint, settings.unit == "other", *others, *content),
    )
    if dropped:
        _log.warning("%s: %s", path, notes[0])
    return with_fiducials(cohort) if settings.delineation == "found" else cohort


def _check_used(
    path: Path,
    table: "pd.DataFrame",
    columns: "dict[str, pd.Series[str] | None]",
    settings: TableSettings,
) -> None:
    """Refuse settings of signals where there are none; say which columns may be meant."""
    if settings.signals is None and columns["path_column"] is None:
        for name in _OF_SIGNALS:
            if getattr(settings, name) != _USUAL[name]:
                raise InputError(
                    f"data.{name}: expected signals: data.signals=FILE.npy, or data.path_column= "
                    f"the column of files in {path}. Received: a table of numbers alone"
                )
    for role in ("age", "sex"):
        wanted = getattr(settings, role)
        same = [one for one in table.columns if one.casefold() == str(wanted).casefold()]
        if columns[role] is None and same:
            _log.warning("%s: data.%s=%s takes this column as the %s", path, role, same[0], role)


def _check_no_subject(path: Path, table: "pd.DataFrame", settings: TableSettings) -> None:
    """Refuse a table whose column of subjects has another name, unless there is to be none."""
    likely = [name for name in table if LIKELY_SUBJECT.fullmatch(name)]
    if settings.subject is not None and likely:
        raise InputError(
            f"data.subject: expected the column of subjects in {path}, all of whose records are in "
            f"one fold. Is it {likely[0]}? data.subject=null says that there is none"
        )


def _check_roles(columns: "dict[str, pd.Series[str] | None]") -> None:
    """Refuse a label that is age, sex or a name too: features and a baseline would say it."""
    names = {role: column.name for role, column in columns.items() if column is not None}
    label = names.pop("label")
    for role, name in names.items():
        if name == label:
            raise InputError(
                f"data.{role}: expected another column than data.label. Received: {label}. "
                f"data.{role}=null says that there is none"
            )


def _dropped(
    path: Path, names: list[str], faults: Texts, settings: TableSettings
) -> list[tuple[str, str]]:
    """Return the names of flawed records with their faults; refuse them where settings say so."""
    dropped = [(names[at], str(faults[at])) for at in np.flatnonzero(faults != "").tolist()]
    some_left = len(dropped) < len(names)
    if dropped and (settings.flawed == "fail" or not some_left):
        raise InputError(
            f"data.flawed={settings.flawed}: expected {'no flawed' if some_left else 'some usable'}"
            f" record in {path}. Received: {len(dropped)} flawed, the first {dropped[0][0]}: "
            f"{dropped[0][1]}"
        )
    return dropped


def state(settings: TableSettings) -> object:
    """Return names, sizes and times of change of the files that `load` would read."""
    path = Path(os.path.expanduser(settings.path)).resolve()
    paths = {path}
    if settings.signals is not None:
        paths.add(Path(os.path.expanduser(settings.signals)))
    elif (files := _column(path, read_table(path), settings, "path_column")) is not None:
        paths |= {(path.parent / os.path.expanduser(file)).parent for file in files}
    folders = [folder_state(one) for one in sorted(paths) if one.is_dir()]
    stats = [one.stat() for one in sorted(paths) if one.is_file()]
    return repr((folders, [(stat.st_mtime_ns, stat.st_size) for stat in stats]))


def _signals(
    path: Path, files: "pd.Series[str] | None", names: list[str], settings: TableSettings
) -> TableSignals:
    """Return the signals of the records: of one array, of a file each, or none."""
    options = ReadOptions(
        unit=settings.unit,
        default_unit="mV",
        fs=settings.fs,
        leads=tuple(map(lead_key, settings.leads)),
        start=settings.start,
        seconds=settings.seconds,
    )
    if settings.signals is not None:
        return read_array(Path(os.path.expanduser(settings.signals)), names, options)
    if files is None:
        n = len(names)
        return TableSignals(np.zeros((n, 0, 0), np.float32), (), 0.0, np.full(n, ""))
    is_there = ~is_missing(files)
    paths = [path.parent / os.path.expanduser(file) for file in files]
    return read_files([file if is_there[at] else None for at, file in enumerate(paths)], options)


def file_of(settings: TableSettings, record: str) -> Path:
    """Return the file with the signals of a record."""
    path = Path(os.path.expanduser(settings.path)).resolve()
    table = read_table(path)
    columns = {role: _column(path, table, settings, role) for role in ("record", "path_column")}
    files = columns["path_column"]
    assert files is not None
    file: str = files[_names(path, table, columns).index(record)]
    return path.parent / os.path.expanduser(file)


def _column(
    path: Path, table: "pd.DataFrame", settings: TableSettings, role: str
) -> "pd.Series[str] | None":
    """Return the column of a role; None where there is none and none is asked for by name."""
    name = getattr(settings, role)
    if name is None or (name not in table and name == _USUAL[role]):
        return None
    if name not in table:
        same = [one for one in table.columns if str(one).casefold() == str(name).casefold()]
        hint = f" (did you mean {same[0]}?)" if same else ""
        raise InputError(
            f"data.{role}: expected a column of {path}. Received: {excerpt(name)}; it has "
            f"{', '.join(table.columns[:30])}{hint}"
        )
    return table[name]


def _names(
    path: Path, table: "pd.DataFrame", columns: "dict[str, pd.Series[str] | None]"
) -> list[str]:
    """Return the names of the records: their column, their files, or numbers from 1."""
    given = (columns[role] for role in ("record", "path_column"))
    numbered = [str(at + 1) for at in range(len(table))]
    names = next((column.tolist() for column in given if column is not None), numbered)
    try:
        check_names(names, len(names))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return names


def _labels(
    path: Path, column: "pd.Series[str] | None", settings: TableSettings
) -> tuple[npt.NDArray[np.int64], Texts]:
    """Return the label of each row, and `no label` where it is missing, else an empty text."""
    assert column is not None  # it has no usual name
    missing, texts = is_missing(column), column.str.casefold()
    counts = column[~missing].value_counts()
    values = set(counts.index.str.casefold())
    positive = None if settings.positive is None else settings.positive.strip().casefold()
    shown = ", ".join(f"{excerpt(one)} {n} times" for one, n in counts.head(_MOST_NAMED).items())
    where = f"{path}: column {settings.label}"
    if positive is not None and (len(values) != 2 or positive not in values):
        raise InputError(
            f"data.positive: expected one of the two values of {where}. "
            f"Received: {excerpt(settings.positive)}; it has {shown or 'none'}"
        )
    if positive is None and not (values <= _YES | _NO and values & _YES and values & _NO):
        hint = "; data.positive=VALUE says which of the two is the label" * (len(values) == 2)
        raise InputError(
            f"data.label: expected 0 and 1, false and true, or no and yes in {where}. "
            f"Received: {shown or 'nothing'}{hint}"
        )
    label = texts.isin(_YES) if positive is None else texts == positive
    return np.asarray(label, dtype=np.int64), np.where(missing, "no label", "")


def _ages_and_men(
    path: Path, columns: "dict[str, pd.Series[str] | None]", n: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return ages in years, NaN where age or sex is missing, and who is a man."""
    ages, sexes = columns["age"], columns["sex"]
    years, men = np.full(n, np.nan), np.full(n, np.nan)
    if ages is not None:
        years = np.array([parse_age(text) for text in ages])
        odd = ~is_missing(ages) & ~((years >= 0) & (years <= MAX_AGE))
        _refuse(path, ages, odd, f"0 to {MAX_AGE:g} years")
    if sexes is not None:
        known = {True: 1.0, False: 0.0, None: np.nan}
        men = np.array([known[parse_sex(text)] for text in sexes])
        odd = np.isnan(men) & ~np.asarray(sexes.str.lower().isin(_UNKNOWN_SEX))
        _refuse(path, sexes, odd, "female or male, or F or M")
    return np.where(np.isnan(men), np.nan, years), men == 1


def _refuse(
    path: Path, column: "pd.Series[str]", odd: npt.NDArray[np.bool_], expected: str
) -> None:
    for at in np.flatnonzero(odd).tolist():
        raise InputError(
            f"{path}: row {at + 1}, column {column.name}: expected {expected}. "
            f"Received: {excerpt(column[at])}"
        )


def _other_columns(
    table: "pd.DataFrame", columns: "dict[str, pd.Series[str] | None]"
) -> "pd.DataFrame":
    """Return the columns without a role: numbers where all that is there is a number, or text."""
    taken = {column.name for column in columns.values() if column is not None}
    others = table[[name for name in table if name not in taken]]
    return others.apply(lambda text: text if (values := numbers(text)) is None else values)
