"""`columns`: the numbers of the table that the records come from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.errors import InputError, excerpt
from lvh.features.base import FeatureSet, feature_set
from lvh.features.imputation import Fill


@dataclass(frozen=True, slots=True)
class ColumnsSettings:
    """Settings of the columns.

    Attributes:
        columns: Which columns of numbers, in this order; by default all that have no role of their
            own in `data`, as the label and the subject have.
        missing: A missing value gets the mean over the training fold or zero.
    """

    name: Literal["columns"] = "columns"
    columns: tuple[str, ...] = ()
    missing: Fill = "mean"


def extract(cohort: Cohort, settings: ColumnsSettings) -> FeatureSet:
    """Return the columns of every record, shape (n_records, n_inputs).

    Raises:
        InputError: A column is missing, repeated, or text, or none is left; or one that nobody
            asked for by name says the label, or the number, of every record.
    """
    assert cohort.columns is not None
    numbers = cohort.columns.select_dtypes("number")
    names = settings.columns or tuple(map(str, numbers.columns))
    for name in names:
        if name not in numbers or names.count(name) > 1:
            kind = "text" if name in cohort.columns else "none of its columns"
            raise InputError(
                f"features.columns: expected some of {', '.join(numbers) or 'no column'}, which "
                f"have numbers in {cohort.name}, each once. Received: {excerpt(name)}, "
                f"{kind if names.count(name) == 1 else 'twice'}"
            )
    if not names:
        raise InputError(
            f"features=columns: expected a column of numbers in {cohort.name}. Received: "
            f"{excerpt(', '.join(cohort.columns)) if len(cohort.columns.columns) else 'none'}"
        )
    with np.errstate(over="ignore"):
        X = numbers[list(names)].to_numpy(dtype=np.float32)
    for name, values in zip(names, X.T, strict=True):
        if np.isinf(values).any():
            raise InputError(f"features.columns: {name}: expected numbers that float32 can hold")
        is_number_of_row = len(values) > 2 and bool((np.diff(values) == 1).all())
        if not settings.columns and (is_number_of_row or _says_label(values, cohort)):
            says = "the number" if is_number_of_row else f"the label {cohort.label_name}"
            raise InputError(
                f"features.columns: {name} says {says} of every record. "
                "Name the columns that are inputs, as in features.columns=[a,b]"
            )
    return feature_set(cohort, "tabular", X, names, fill=settings.missing)


def _says_label(values: npt.NDArray[np.float32], cohort: Cohort) -> bool:
    """Whether a column has one value in all records with the label, and another in the rest."""
    parts = [np.unique(values[cohort.label == label]) for label in (0, 1)]
    return all(len(part) == 1 for part in parts) and parts[0][0] != parts[1][0]
