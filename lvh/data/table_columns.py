"""The columns of a user's table: names, labels, ages and sexes of its records, and the rest."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import check_names, check_spellings
from lvh.data.cohort import MAX_AGE
from lvh.data.readers.leads import parse_age, parse_sex
from lvh.data.table_file import MISSING, is_missing, numbers
from lvh.data.table_signals import Texts
from lvh.errors import InputError, excerpt

if TYPE_CHECKING:
    import pandas as pd

_YES, _NO = {"1", "1.0", "true", "yes", "y"}, {"0", "0.0", "false", "no", "n"}
_UNKNOWN_SEX = (*MISSING, "u", "unknown", "x", "o", "other")
_MOST_NAMED = 12  # values of a column in a message


def check_roles(columns: "dict[str, pd.Series[str] | None]") -> None:
    """Refuse a label that is age, sex or a name too: features and a baseline would say it."""
    names = {role: column.name for role, column in columns.items() if column is not None}
    label = names.pop("label")
    for role, name in names.items():
        if name == label:
            raise InputError(
                f"data.{role}: expected another column than data.label. Received: {label}. "
                f"data.{role}=null says that there is none"
            )


def names_of(
    path: Path, table: "pd.DataFrame", columns: "dict[str, pd.Series[str] | None]"
) -> list[str]:
    """Return the names of the records: their column, their files, or numbers from 1."""
    names = [str(at + 1) for at in range(len(table))]
    for column in (columns["path_column"], columns["record"]):
        names = names if column is None else column.tolist()
    try:
        check_names(names, len(names))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return names


def subject_faults(path: Path, column: "pd.Series[str]") -> Texts:
    """Return `no subject` for each row without one, else an empty text."""
    missing = is_missing(column)
    check_spellings(f"{path}: column {column.name}", column[~missing].tolist())
    return np.where(missing, "no subject", "")


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
            f"{column.name}; or two values, of which data.positive=VALUE names the label. "
            f"Received: {shown or 'nothing'}, and data.positive={positive}"
        )
    label = texts.isin(yes)
    return np.asarray(label, dtype=np.int64), np.where(missing, "no label", "")


def ages_and_men(
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


def other_columns(
    table: "pd.DataFrame", columns: "dict[str, pd.Series[str] | None]"
) -> "pd.DataFrame":
    """Return the columns without a role: numbers where all that is there is a number, or text."""
    taken = {column.name for column in columns.values() if column is not None}
    others = table[[name for name in table if name not in taken]]
    return others.apply(lambda text: text if (values := numbers(text)) is None else values)
