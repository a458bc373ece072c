"""Anyone's own records: a table with a row a record, and their signals, if there are any."""

import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, Strict

from lvh.data import cache
from lvh.data.array_checks import check_names, check_spellings, checked_faults, refusal
from lvh.data.cohort import MAX_AGE, Cohort, SourceMetadata, fingerprint
from lvh.data.delineation import with_fiducials
from lvh.data.readers import ReadOptions, lead_key, parse_age, parse_sex
from lvh.data.table_file import (
    MISSING,
    TableSignals,
    Texts,
    files_state,
    is_missing,
    numbers,
    read_array,
    read_files,
    read_table,
)
from lvh.errors import InputError, LvhError, excerpt

if TYPE_CHECKING:
    import pandas as pd

METADATA = SourceMetadata(
    citation="Records of the user.",
    licence="that of the records",
    labels="As a column of the user's table says.",
)
LIKELY_SUBJECT = re.compile(
    r"mrn|pid|(?:patient|subject|person|participant|pat)s?(?:[ _-]?(?:id|no|nr|number|code|name))?",
    re.I,
)
"""Names of columns that look like those of subjects."""

_YES, _NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
_UNKNOWN_SEX = (*MISSING, "u", "unknown", "x", "o", "other")
_OPTION = re.compile(r"--(?=(?:unit|fs|leads|start|seconds)\b)")
_as_list = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)


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
    positive: Annotated[str, BeforeValidator(str)] | None = None
    signals: str | None = None
    fs: Annotated[float, Strict(), Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    leads: Annotated[tuple[str, ...], _as_list] = ()
    unit: Literal["mV", "uV", "V", "other"] | None = None
    start: Annotated[float, Strict(), Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    seconds: Annotated[float, Strict(), Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
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


def load(settings: TableSettings) -> Cohort:
    """Return the records of a table that can be used; age and sex may be unknown.

    Raises:
        InputError: A file is missing or malformed, a column missing, a value not of its column's
            kind, the label not one of two, or a record flawed where that fails the run.
    """
    table = _Table(settings)
    names, (label, faults), subjects = table.names(), table.labels(), table.subjects()
    if subjects is not None:
        faults = np.where((faults == "") & is_missing(subjects), "no subject", faults)
    known = table.ages_and_sexes()
    age = np.where(known["sex"] == "", np.nan, known["age"])
    signals = table.signals(names)
    faults = np.where(faults == "", signals.faults, faults)
    dropped, note = checked_faults(table.path, names, faults, settings.flawed)
    used = np.flatnonzero(faults == "")
    cohort = Cohort.from_arrays(
        signals.values[used],
        label[used],
        groups=None if subjects is None else subjects.to_numpy()[used],
        fs=signals.fs,
        leads=signals.leads,
        age=age[used],
        male=(known["sex"] == "male")[used],
        label_name=settings.label,
        records=[names[at] for at in used.tolist()],
        name=table.path.name,
        unit="other" if settings.unit == "other" else "mV",
    )
    others = table.others().iloc[used].reset_index(drop=True)
    content = (*others, *(others[name].to_numpy() for name in others))
    alone = "no column of subjects: each record counts as another subject"
    cohort = replace(
        cohort,
        columns=others,
        known={role: known[role][used] for role in known if table.columns[role] is not None},
        dropped=dropped,
        note="; ".join(filter(None, (note, alone if subjects is None else "", cohort.note))),
        fingerprint=fingerprint(cohort.fingerprint, settings.unit == "other", *content),
    )
    return with_fiducials(cohort) if settings.delineation == "found" else cohort


def state(settings: TableSettings) -> object:
    """Return names, sizes and times of change of the files that `load` would read."""
    table, signals = _Table(settings), settings.signals
    files = table.files() if signals is None else [Path(os.path.expanduser(signals))]
    return repr((cache.file_state(table.path), files_state(files)))


def file_of(settings: TableSettings, record: str) -> Path:
    """Return the file with the signals of a record."""
    table = _Table(settings)
    file = table.files()[table.names().index(record)]
    assert file is not None
    return file


class _Table:
    """The rows of a table as text, and its columns by their role, such as `label`."""

    def __init__(self, settings: TableSettings) -> None:
        self.settings = settings
        self.path = Path(os.path.expanduser(settings.path)).resolve()
        self.cells = read_table(self.path)
        roles = ("label", "record", "subject", "age", "sex", "path_column")
        self.columns = {role: self._column(role) for role in roles}
        for role, column in self.columns.items():  # else the inputs would hold the label
            if role != "label" and column is not None and column.name == settings.label:
                expected = f"another column than data.label, or data.{role}=null for none"
                raise refusal(f"data.{role}", expected, settings.label)

    def _column(self, role: str) -> "pd.Series[str] | None":
        """Return the column of a role; None where there is none and none is asked for by name."""
        name = getattr(self.settings, role)
        if name is None or (name not in self.cells and name == _USUAL[role]):
            return None
        if name not in self.cells:
            names = ", ".join(self.cells.columns[:30])
            raise refusal(f"data.{role}", f"a column of {self.path}: {names}", name)
        return self.cells[name]

    def names(self) -> list[str]:
        """Return the names of the records: their column, their files, or numbers from 1."""
        own, files = self.columns["record"], self.columns["path_column"]
        named = files if own is None else own
        numbered = map(str, range(1, len(self.cells) + 1))
        names = [*numbered] if named is None else named.tolist()
        try:
            check_names(names, len(names))
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None
        return names

    def labels(self) -> tuple[npt.NDArray[np.int64], Texts]:
        """Return the label of each row, and `no label` where it is missing, else an empty text."""
        column, positive = self.cells[self.settings.label], self.settings.positive
        missing, texts = is_missing(column), column.str.casefold()
        values = {*texts[~missing]}
        yes, no = _YES, _NO
        if positive is not None:
            yes = {positive.strip().casefold()}
            no = values - yes if len(values) == 2 else set()
        if not (values <= yes | no and values & yes and values & no):
            counts = excerpt(column[~missing].value_counts().to_dict())
            raise InputError(
                f"data.label: expected 0 and 1, false and true, or no and yes in {self.path}: "
                f"column {column.name}. Received: {counts}; data.positive=VALUE says which of two "
                f"values is the label, and is {positive}"
            )
        return np.asarray(texts.isin(yes), dtype=np.int64), np.where(missing, "no label", "")

    def subjects(self) -> "pd.Series[str] | None":
        """Return the subject of each row; None where the user says that there is none."""
        subjects = self.columns["subject"]
        likely = [*filter(LIKELY_SUBJECT.fullmatch, self.cells)]
        if subjects is not None:
            known = subjects[~is_missing(subjects)].tolist()
            check_spellings(f"{self.path}: column {subjects.name}", known)
        elif self.settings.subject is not None and likely:
            raise InputError(
                f"data.subject: expected the column of subjects in {self.path}. Is it {likely[0]}? "
                "data.subject=null says that there is none"
            )
        return subjects

    def ages_and_sexes(self) -> dict[str, npt.NDArray[Any]]:
        """Return ages in years, NaN where they are missing, and `male`, `female` or nothing."""
        ages, sexes = self.columns["age"], self.columns["sex"]
        years, men = (np.full(len(self.cells), np.nan) for _ in range(2))
        if ages is not None:
            years = np.array([parse_age(text) for text in ages])
            odd = ~is_missing(ages) & ~((years >= 0) & (years <= MAX_AGE))
            self._refuse(ages, odd, f"0 to {MAX_AGE:g} years")
        if sexes is not None:
            men = np.array([parse_sex(text) for text in sexes], dtype=float)  # None is NaN
            odd = np.isnan(men) & ~np.asarray(sexes.str.lower().isin(_UNKNOWN_SEX))
            self._refuse(sexes, odd, "female or male, or F or M")
        return {"age": years, "sex": np.select([men == 1, men == 0], ["male", "female"], "")}

    def _refuse(self, column: "pd.Series[str]", odd: npt.NDArray[np.bool_], expected: str) -> None:
        for at in np.flatnonzero(odd).tolist():
            where = f"{self.path}: row {at + 1}, column {column.name}"
            raise refusal(where, expected, column[at])

    def others(self) -> "pd.DataFrame":
        """Return the columns without a role: as numbers if every value is one, else as text."""
        taken = {column.name for column in self.columns.values() if column is not None}
        others = self.cells[[name for name in self.cells if name not in taken]]
        return others.apply(lambda text: text if (values := numbers(text)) is None else values)

    def files(self) -> list[Path | None]:
        """Return the file of each row; None where no column names files."""
        files = self.columns["path_column"]
        if files is None:
            return []
        pairs = zip(files, is_missing(files), strict=True)
        return [None if no else self.path.parent / os.path.expanduser(one) for one, no in pairs]

    def signals(self, names: list[str]) -> TableSignals:
        """Return the signals of the records: of one array, of a file each, or none."""
        settings, files = self.settings, self.files()
        options = ReadOptions(
            unit=settings.unit,
            default_unit="mV",
            fs=settings.fs,
            leads=tuple(map(lead_key, settings.leads)),
            start=settings.start,
            seconds=settings.seconds,
        )
        try:
            if settings.signals is not None:
                return read_array(Path(os.path.expanduser(settings.signals)), names, options)
            if files:
                return read_files(files, options)
        except LvhError as error:  # readers name options of `lvh predict`
            raise type(error)(_OPTION.sub("data.", str(error))) from None
        if unused := [name for name in _OF_SIGNALS if getattr(settings, name) != _USUAL[name]]:
            expected = "signals: data.signals=FILE.npy, or data.path_column= the column of files"
            raise refusal(f"data.{unused[0]}", expected, f"numbers alone in {self.path}")
        n = len(names)
        return TableSignals(np.zeros((n, 0, 0), np.float32), (), 0.0, np.full(n, ""))
