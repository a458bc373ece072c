"""The feature set: the output of every feature form and the input of every model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import Inputs, LazyArray
from lvh.errors import InputError
from lvh.features.missing_values import Fill

Kind = Literal["tabular", "signal", "mixed"]


@dataclass(frozen=True)
class FeatureSet:
    """Inputs and labels of the records that can be used.

    Attributes:
        kind: `tabular`, X of shape (n_records, n_inputs); `signal`, X of shape
            (n_records, n_samples, n_leads); or `mixed`, X of shape (n_records, n_inputs), where
            each row ends with a signal, sample by sample.
        X: Inputs, float32; NaN marks a missing value outside signals. Of many records a
            `LazyArray`.
        y: Labels, shape (n_records,), int64.
        names: Names of the inputs or leads along the last axis of X.
        records: Record names, in the cohort's order.
        subjects: Subject of each record, shape (n_records,).
        age_and_sex: Age in years and 1 for male, shape (n_records, 2), for the baseline; NaN for
            a record of which one is unknown.
        fill: How missing values are filled, by `lvh.features.missing_values`.
        dropped: Names of the records that could not be used, each with the reason.
        signal_shape: Shape (n_samples, n_leads) of the signal in a row of `mixed` inputs; empty
            for the other kinds.
        label_name: What a label of 1 says.
    """

    kind: Kind
    X: Inputs
    y: npt.NDArray[np.int64]
    names: tuple[str, ...]
    records: tuple[str, ...]
    subjects: npt.NDArray[np.str_]
    age_and_sex: npt.NDArray[np.float64]
    fill: Fill | Literal["keep"] = "zero"
    dropped: tuple[tuple[str, str], ...] = ()
    signal_shape: tuple[int, ...] = ()
    label_name: str = "LVH"

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one record's input; if `mixed`, (n_tabular, n_samples, n_leads) of its parts."""
        if not self.signal_shape:
            return self.X.shape[1:]
        return self.X.shape[1] - math.prod(self.signal_shape), *self.signal_shape


def feature_set(
    cohort: Cohort,
    kind: Kind,
    X: Inputs,
    names: tuple[str, ...],
    *,
    fill: Fill = "zero",
    dropped: Mapping[int, str] | None = None,
) -> FeatureSet:
    """Make a feature set of the inputs `X` of all records of a cohort.

    `dropped` has the positions of records that cannot be used, each with the reason. Raises
    InputError if no record is left.
    """
    dropped = dropped or {}
    used = [at for at in range(len(cohort.records)) if at not in dropped]
    if not used:
        raise InputError(f"{cohort.name}: expected usable records. Received: none")
    if len(used) < len(X):
        X = X[np.array(used)]
    return FeatureSet(
        kind=kind,
        X=X if isinstance(X, LazyArray) else np.ascontiguousarray(X),
        y=cohort.label[used],
        names=names,
        records=tuple(cohort.records[at] for at in used),
        subjects=cohort.subjects[used],
        age_and_sex=np.column_stack([cohort.age, cohort.male]).astype(np.float64)[used],
        fill=fill,
        dropped=tuple((cohort.records[at], reason) for at, reason in dropped.items()),
        label_name=cohort.label_name,
    )
