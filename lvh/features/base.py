"""The feature set: the output of every feature form and the input of every model.

Missing inputs, such as those of p waves that a record does not have, are NaN until `fill_missing`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import Inputs, LazyArray, read
from lvh.errors import InputError

Kind = Literal["tabular", "signal", "mixed"]
Malformed = Literal["drop", "fail"]
Fill = Literal["mean", "zero"]


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
        fill: How missing values are filled, by `fill_missing`.
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


def incomplete_records(
    cohort: Cohort,
    leads: tuple[str, ...],
    lacking: npt.NDArray[np.bool_],
    pattern: str,
    malformed: Malformed,
) -> dict[int, str]:
    """Return the positions of the records that lack a pattern in some lead, each with the reason.

    `lacking` is of shape (n_records, n_leads). If they fail the run, raise InputError.
    """
    reasons = {
        record: f"no complete {pattern} in {' '.join(np.array(leads)[lacking[record]])}"
        for record in np.flatnonzero(lacking.any(axis=1)).tolist()
    }
    if reasons and malformed == "fail":
        listed = "; ".join(f"{cohort.records[at]}: {reason}" for at, reason in reasons.items())
        raise InputError(f"features.malformed=fail: expected none. Received: {listed}")
    return reasons


def find_pattern(symbols: str, pattern: str) -> npt.NDArray[np.int64]:
    """Return the positions in `symbols` at which `pattern` starts; matches do not overlap."""
    starts = [match.start() for match in re.finditer(re.escape(pattern), symbols)]
    return np.array(starts, dtype=np.int64)


def find_waves(symbols: str, samples: npt.NDArray[np.int32], pattern: str) -> npt.NDArray[np.int32]:
    """Return the samples of each match of `pattern`: shape (n_matches, len(pattern))."""
    starts = find_pattern(symbols, pattern)
    return np.asarray(samples[starts[:, None] + np.arange(len(pattern))])


def fill_missing(
    fill: Fill | Literal["keep"], train: Inputs, *others: Inputs
) -> tuple[Inputs, ...]:
    """Replace missing values of training and other records, from the training records alone.

    By `mean`, the input's mean over the training records that have it (zero where none has it); by
    `zero`; or `keep` them. Signals, which alone may be lazy, miss nothing.
    """
    if fill == "keep" or isinstance(train, LazyArray):
        return (train, *others)
    parts = (train, *(read(inputs) for inputs in others))
    if not any(np.isnan(part).any() for part in parts):
        return parts
    values = np.zeros(train.shape[1:], np.float32)
    if fill == "mean":
        present = ~np.isnan(train)
        totals = np.where(present, train, 0).sum(axis=0, dtype=np.float64)
        values = (totals / np.maximum(present.sum(axis=0), 1)).astype(np.float32)
    return tuple(np.where(np.isnan(part), values, part) for part in parts)
