"""A table of records as text: CSV, TSV or Parquet, each cell as it was written."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lvh.errors import EnvironmentFault, InputError, excerpt
from lvh.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "nan", "na", "n/a", "null", "<na>")
"""Texts, in lower case, of a cell that says nothing."""
_MAX_BYTES = 256 * 1024 * 1024
_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_COMMA_NUMBER = r"[+-]?[0-9]+(?:,[0-9]+)?(?:e[+-]?[0-9]+)?"


def read_table(path: Path) -> "pd.DataFrame":
    """Return the rows as text without outer spaces; a missing cell is empty.

    Commas, semicolons or tabs separate the columns, whichever is in the first row; decimal commas
    are read where semicolons or tabs do. A first column without a name is left out.

    Raises:
        InputError: The file is no table, or two columns have one name.
        EnvironmentFault: The package that reads Parquet is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path}: expected one of {', '.join(_SUFFIXES)}. Received: {path.suffix}")
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
    if not (is_number | (texts == "nan")).all() or not is_number.any():
        return None
    values = np.asarray(texts.astype(float), dtype=np.float64)
    return values if not np.isinf(values).any() else None


def _text(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    text = data.decode("utf-8-sig")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((one for one in ("\t", ";", ",") if one in first), ",")
    rows = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False
    ).fillna("")
    table = rows.iloc[1:].set_axis(rows.iloc[0].str.strip().tolist(), axis=1)
    table = table.reset_index(drop=True)
    if separator != ",":
        for at, (_, column) in enumerate(table.items()):  # two may have one name
            known = column[~is_missing(column)]
            if known.str.fullmatch(_COMMA_NUMBER, flags=re.IGNORECASE).all():
                table.isetitem(at, column.str.replace(",", "."))
    return table


def _parquet(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(data))
    named = [name for name in table.index.names if name is not None]  # columns as others are
    table = table.reset_index(named).reset_index(drop=True)
    return table.astype(object).where(table.notna(), "").astype(str)
