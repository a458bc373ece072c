"""`columns`: the numbers of the table that the records come from."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.table import LIKELY_SUBJECT
from lvh.errors import InputError, excerpt
from lvh.features.feature_set import FeatureSet, feature_set
from lvh.features.missing_values import Fill

_MANY = 10  # records, of which whole numbers are not different by chance


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

    An InputError names a column that is missing, repeated or text; or one that nobody asked for by
    name, and that says the label, the number or the subject of every record.
    """
    assert cohort.columns is not None
    with np.errstate(over="ignore"):
        numbers = cohort.columns.select_dtypes("number").astype(np.float32)
    names = settings.columns or tuple(map(str, numbers.columns))
    wrong = [
        name
        for name in names
        if name not in numbers or names.count(name) > 1 or np.isinf(numbers[name]).any()
    ]
    if wrong or not names:
        raise InputError(
            f"features.columns: expected some of {', '.join(numbers) or 'no column'}, which have "
            f"numbers in {cohort.name}, of float32, each once. Received: {excerpt(wrong)}"
        )
    for name in [] if settings.columns else names:
        if says := _says(name, cohort.columns[name].to_numpy(), cohort):
            raise InputError(
                f"features.columns: {name} says {says} of every record. "
                "Name the columns that are inputs, as in features.columns=[a,b]"
            )
    X = numbers[list(names)].to_numpy()
    return feature_set(cohort, "tabular", X, names, fill=settings.missing)


def _says(name: str, values: npt.NDArray[np.float64], cohort: Cohort) -> str:
    """Return what a column knows of a record that is no measurement; empty if nothing."""
    if LIKELY_SUBJECT.fullmatch(name):
        return "the subject"
    if _are_row_numbers(values):
        return "the number"
    known = ~np.isnan(values)
    says_label = known.mean() > 0.5 and _decides(values[known], cohort.label[known])
    return f"the label {cohort.label_name}" if says_label or _decides(known, cohort.label) else ""


def _are_row_numbers(values: npt.NDArray[np.float64]) -> bool:
    """Whether values number the records: whole, in steps of one, or, of many, all different."""
    n, steps = len(values), np.diff(values)
    if n < 3 or not (values % 1 == 0).all():  # NaN is not whole
        return False
    is_dense = len(np.unique(values)) == n and np.ptp(values) < 2 * n
    is_ordered = (steps > 0).all() or (steps < 0).all()
    return bool((steps == 1).all() or (n >= _MANY and (is_dense or is_ordered)))


def _decides(values: npt.NDArray[Any], label: npt.NDArray[np.int64]) -> bool:
    """Whether a few values, such as codes, have one label each, and both labels are there."""
    distinct, at = np.unique(values, return_inverse=True)
    shares = np.bincount(at, weights=label) / np.bincount(at)
    is_code = 1 < len(distinct) <= max(2, len(values) / 10)
    return is_code and set(shares.tolist()) == {0.0, 1.0}
