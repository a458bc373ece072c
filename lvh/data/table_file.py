"""A table of records: its cells as text, what its columns say, and the signals of its rows."""

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data import cache
from lvh.data.array_checks import check_names, signal_fault, unit_fault
from lvh.data.cohort import MAX_AGE
from lvh.data.lazy_array import LOADED_BYTES, Floats, Inputs, LazyArray, mapped
from lvh.data.readers.leads import (
    ReadOptions,
    lead_key,
    millivolts_per_unit,
    parse_age,
    parse_sex,
    sampling_frequency,
)
from lvh.data.readers.record import read_leads
from lvh.data.readers.table_record import open_signals
from lvh.errors import EnvironmentFault, InputError, excerpt
from lvh.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

    Columns = dict[str, pd.Series[str] | None]
    """By their role; None where the table has none."""

Texts = npt.NDArray[np.str_]

MISSING = ("", "nan", "na", "n/a", "null", "<na>")
"""Texts, in lower case, of a cell that says nothing."""
_FORMAT = 1  # of the cached arrays; raise it when their meaning changes
_MAX_BYTES = 256 * 1024 * 1024
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_COMMA_NUMBER = r"[+-]?[0-9]+(?:,[0-9]+)?(?:e[+-]?[0-9]+)?"
_YES, _NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
_UNKNOWN_SEX = (*MISSING, "u", "unknown", "x", "o", "other")
_MOST_NAMED = 12  # values of a column in a message


def read_table(path: Path) -> "pd.DataFrame":
    """Return the rows as text without outer spaces; a missing cell is empty.

    Commas, semicolons or tabs separate the columns, whichever is in the first row; decimal commas
    are read where semicolons or tabs do. A first column without a name is left out.
    """
    data = read_bytes(path, path.parent, _MAX_BYTES)
    try:
        table = _parquet(data) if path.suffix.lower() == ".parquet" else _text(data)
    except ImportError:
        raise EnvironmentFault(
            f"{path}: expected the package pyarrow. Received: none. pip install pyarrow"
        ) from None
    except (ValueError, OSError) as error:  # pandas and pyarrow raise several kinds of them
        reason = excerpt((str(error).strip() or type(error).__name__).splitlines()[0])
        raise InputError(f"{path}: expected a table in UTF-8. Received: {reason}") from None
    names = [str(name) for name in table.columns]
    if names and names[0] == "":  # the numbers of the rows, as pandas writes them
        table, names = table.iloc[:, 1:], names[1:]
    is_named = len(set(names)) == len(names) and all(name and name.isprintable() for name in names)
    if not is_named or not len(table):
        raise InputError(
            f"{path}: expected a row of different names, then a row a record. "
            f"Received: {excerpt(' '.join(names))} and {len(table)} rows"
        )
    return table.set_axis(names, axis=1).apply(lambda column: column.str.strip())


def is_missing(column: "pd.Series[str]") -> npt.NDArray[np.bool_]:
    """Return which cells say nothing."""
    return np.asarray(column.str.lower().isin(MISSING))


def numbers(column: "pd.Series[str]") -> npt.NDArray[np.float64] | None:
    """Return a column as numbers, NaN where they are missing; None if some are no numbers."""
    texts = column.mask(is_missing(column), "nan").str.lower()
    if texts.isin({"true", "false", "nan"}).all():
        texts = texts.replace({"true": "1", "false": "0"})
    is_number = texts.str.fullmatch(_NUMBER)
    values = texts.where(is_number, "nan").astype(float).to_numpy()
    is_all = (is_number | (texts == "nan")).all() and is_number.any()
    return values if is_all and not np.isinf(values).any() else None


def _text(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    text = data.decode("utf-8-sig")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((one for one in ("\t", ";", ",") if one in first), ",")
    rows = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False
    ).fillna("")
    table = rows.iloc[1:].reset_index(drop=True)
    for at, column in table.items():
        known = column[~is_missing(column)]
        if separator != "," and known.str.fullmatch(_COMMA_NUMBER, flags=re.IGNORECASE).all():
            table[at] = column.str.replace(",", ".")
    return table.set_axis(rows.iloc[0].str.strip().tolist(), axis=1)


def _parquet(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(data))
    named = [name for name in table.index.names if name is not None]  # columns as others are
    table = table.reset_index(named).reset_index(drop=True)
    return table.astype(object).where(table.notna(), "").astype(str)


def check_roles(columns: "Columns") -> None:
    """Refuse a label that is age, sex or a name too: features and a baseline would say it."""
    names = {role: column.name for role, column in columns.items() if column is not None}
    label = names.pop("label")
    for role, name in names.items():
        if name == label:
            raise InputError(
                f"data.{role}: expected another column than data.label. Received: {label}. "
                f"data.{role}=null says that there is none"
            )


def names_of(path: Path, columns: "Columns", n: int) -> list[str]:
    """Return the names of the records: their column, their files, or numbers from 1."""
    names = [str(at + 1) for at in range(n)]
    for column in (columns["path_column"], columns["record"]):
        names = names if column is None else column.tolist()
    try:
        check_names(names, n)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return names


def labels_of(
    path: Path, column: "pd.Series[str] | None", positive: str | None
) -> tuple[npt.NDArray[np.int64], Texts]:
    """Return the label of each row, and `no label` where it is missing, else an empty text."""
    assert column is not None  # it has no usual name
    missing, texts = is_missing(column), column.str.casefold()
    values = {*texts[~missing]}
    yes, no = _YES, _NO
    if positive is not None:
        yes = {positive.strip().casefold()}
        no = values - yes if len(values) == 2 else set()
    if not (values <= yes | no and values & yes and values & no):
        counts = column[~missing].value_counts().head(_MOST_NAMED)
        shown = ", ".join(f"{excerpt(one)} {n} times" for one, n in counts.items())
        raise InputError(
            f"data.label: expected 0 and 1, false and true, or no and yes in {path}: column "
            f"{column.name}. Received: {shown or 'nothing'}; data.positive=VALUE says which of "
            f"two values is the label, and is {positive}"
        )
    label = texts.isin(yes)
    return np.asarray(label, dtype=np.int64), np.where(missing, "no label", "")


def ages_and_men(
    path: Path, columns: "Columns", n: int
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


def other_columns(table: "pd.DataFrame", columns: "Columns") -> "pd.DataFrame":
    """Return the columns without a role: numbers where all that is there is a number, or text."""
    taken = {column.name for column in columns.values() if column is not None}
    others = table[[name for name in table if name not in taken]]
    return others.apply(lambda text: text if (values := numbers(text)) is None else values)


@dataclass(frozen=True, slots=True)
class TableSignals:
    """Signals of every row, and what is wrong with each; empty where nothing is."""

    values: Inputs
    leads: tuple[str, ...]
    fs: float
    faults: Texts


def read_files(paths: Sequence[Path | None], options: ReadOptions) -> TableSignals:
    """Read a file a record; what was read is in the cache until a file changes."""
    folders = {file.parent for file in paths if file is not None}
    states = [(str(folder), cache.folder_state(folder)) for folder in sorted(folders)]
    path = cache.cohort_path("table", _FORMAT, options, paths, states)
    arrays = cache.load_or_build(path, lambda: _parse(paths, options))
    leads = tuple(arrays["leads"].tolist())
    return TableSignals(arrays["signals"], leads, float(arrays["fs"]), arrays["faults"])


def read_array(path: Path, records: Sequence[str], options: ReadOptions) -> TableSignals:
    """Read one array with the signals of all records; a large `.npy` file is memory-mapped."""
    stored, n = open_signals(path), len(records)
    array, own_leads = stored.signals, tuple(map(lead_key, stored.leads))
    leads = options.leads or own_leads
    pairs = {"signals": (stored.records, (*records,)), "leads": (own_leads, leads)}
    for field, (own, given) in pairs.items():
        if own and own != given:
            raise InputError(
                f"data.{field}: expected {excerpt(own)}, as {path} says, in its order. "
                f"Received: {excerpt(given)}"
            )
    shape = array.shape[1:] if array.ndim == 3 else (*array.shape[1:], 1)
    is_turned = shape[-1] != len(leads) == shape[0]  # (n_records, n_leads, n_samples)
    is_array = array.dtype.kind in "iuf" and array.ndim in (2, 3) and len(array) == n
    if not (is_array and leads and shape[0 if is_turned else 1] == len(leads)):
        raise InputError(
            f"data.signals and data.leads: expected numbers of shape ({n}, n_samples, n_leads), or "
            f"({n}, n_samples) of one lead, and the names of the leads. Received: {array.dtype} of "
            f"shape {array.shape} and {len(leads)} names in {path}"
        )
    n_samples = shape[1 if is_turned else 0]
    fs = sampling_frequency(path, stored.fs, options)
    factor = millivolts_per_unit(path, leads[0], stored.unit, options)
    first = round(options.start * fs)
    last = n_samples if options.seconds is None else first + round(options.seconds * fs)
    if not first < last <= n_samples:
        raise InputError(
            f"data.start and data.seconds: expected a part of the {n_samples / fs:g} s in {path}. "
            f"Received: {options.start:g} and {options.seconds}"
        )

    def in_mv(values: npt.NDArray[Any], _: object = None) -> Floats:
        turned = np.swapaxes(values, 1, 2) if is_turned else values.reshape(len(values), *shape)
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is a flaw
            return (turned[:, first:last] * factor).astype(np.float32)

    part = (last - first, len(leads))
    is_large = 4 * n * part[0] * part[1] > LOADED_BYTES and path.suffix == ".npy"
    values: Inputs = in_mv(np.asarray(array)) if not is_large else mapped(path).map(in_mv, part)
    blocks = values.chunks() if isinstance(values, LazyArray) else [values]
    return TableSignals(values, leads, fs, _faults(blocks, leads, options))


def _parse(paths: Sequence[Path | None], options: ReadOptions) -> cache.Arrays:
    """Read a file a record; all have the same leads, sampling frequency and length."""
    leads, fs = tuple[str, ...](), 0.0
    records: dict[int, Floats] = {}  # by row
    for row, path in cache.shown(enumerate(paths), "reading"):
        if path is None:
            continue
        _, mv, own_leads, own_fs = read_leads(path, options.leads, options)
        if not records:
            leads, fs = own_leads, own_fs
        if sorted(own_leads) != sorted(leads) or own_fs != fs:
            raise InputError(
                f"{path}: expected the leads {' '.join(leads)} at {fs:g} Hz, as the first file "
                f"has; data.leads chooses some. Received: {' '.join(own_leads)} at {own_fs:g} Hz"
            )
        records[row] = mv[:, [own_leads.index(lead) for lead in leads]]
    lengths = {len(mv) for mv in records.values()}
    if not records or (options.seconds is None and len(lengths) > 1):
        raise InputError(
            "data.path_column and data.seconds: expected a file a record, and how much of each is "
            f"read where they differ in length. Received: files of {sorted(lengths)} samples"
        )
    n_samples = min(lengths) if options.seconds is None else round(options.seconds * fs)
    signals = np.zeros((len(paths), n_samples, len(leads)), np.float32)
    too_short = {row: "no file" for row in range(len(paths)) if row not in records}
    for row, mv in records.items():
        if len(mv) < n_samples:
            too_short[row] = f"shorter than {options.seconds:g} s"
        else:
            signals[row] = mv[:n_samples]
    faults = _faults([signals], leads, options).tolist()
    return {
        "signals": signals,
        "leads": np.array(leads),
        "fs": np.array(fs),
        "faults": np.array([too_short.get(row, fault) for row, fault in enumerate(faults)]),
    }


def _faults(blocks: Iterable[Floats], leads: Sequence[str], options: ReadOptions) -> Texts:
    """Say what is wrong with each record of some blocks; empty where nothing is."""
    is_voltage, first, faults = options.unit != "other", dict[bytes, int](), list[str]()
    for row, record in enumerate((one for block in blocks for one in block), start=1):
        fault = signal_fault(record, leads) or (unit_fault(record, leads) if is_voltage else "")
        original = first.setdefault(hashlib.sha256(record.tobytes()).digest(), row)
        if not fault and original != row:  # of another subject it would be in train and test
            fault = f"the very samples of row {original}"
        faults.append(fault)
    return np.array(faults)
