"""The training records of a final model: their hashes, and the ranges of their inputs.

A prediction says whether the record is one of them, which inputs are outside their range, and how
far it is from the nearest. Of a signal, the inputs are four values of each lead.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from lvh.data.cohort import Cohort
from lvh.features import FeatureSet, fill_missing

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_WITHIN_REACH = 0.95  # share of the training records that have another one within reach


@dataclass(frozen=True, eq=False)
class TrainingRecords:
    """The records that a model was fitted on.

    `reach` is the distance within which 95 % of these records have another one: a sum over the
    values, in standard deviations.
    """

    names: npt.NDArray[np.str_]  # of the values
    values: Rows  # inputs of each record, NaN where missing, shape (n_records, n_values)
    fill: Rows  # values that replace missing tabular inputs, shape (n_tabular,)
    hashes: npt.NDArray[np.uint64]  # of each lead of each record, shape (n_records, n_leads)
    reach: Floats

    @property
    def means(self) -> Rows:
        """Mean of each tabular input, shape (n_tabular,)."""
        means: Rows = np.ma.masked_invalid(self.values[:, : len(self.fill)]).mean(axis=0).filled(0)
        return means

    def compare(self, cohort: Cohort, features: FeatureSet) -> pd.DataFrame:
        """Return `fitted_on`, `distance` and `outside` of each record: docs/predictions.md."""
        _, values = _values(features)
        known = np.ma.masked_invalid(self.values)
        low, high = known.min(axis=0).filled(np.nan), known.max(axis=0).filled(np.nan)
        outside = [
            "; ".join(
                f"{self.names[at]} {row[at]:.3g} ({low[at]:.3g} to {high[at]:.3g})"
                for at in np.flatnonzero((row < low) | (row > high))
            )
            for row in values
        ]
        distances = self.nearest(values) / self.reach
        # half of the leads are enough: rounding may change the others
        hashes = _hashes(cohort, features)
        fitted_on = [(self.hashes == own).mean(axis=1).max() >= 0.5 for own in hashes]
        return pd.DataFrame({"fitted_on": fitted_on, "distance": distances, "outside": outside})

    def nearest(self, values: Rows | None = None) -> Floats:
        """Return the distance of rows from the nearest record, or of each record from another."""
        scaler = StandardScaler().fit(self.values.astype(np.float64))
        parts = (self.values, self.values if values is None else values)
        own, rows = (np.nan_to_num(scaler.transform(one.astype(np.float64))) for one in parts)
        neighbours = NearestNeighbors(n_neighbors=1, metric="manhattan").fit(own)
        distances, _ = neighbours.kneighbors(None if values is None else rows)
        return np.asarray(distances[:, 0])


def training_records(cohort: Cohort, features: FeatureSet) -> TrainingRecords:
    """Return the inputs, hashes and reach of the records that a model is fitted on."""
    names, values = _values(features)
    missing = np.full((1, features.X.shape[1]), np.nan, np.float32)
    n_tabular = 0 if features.kind == "signal" else features.input_shape[0]
    fill = np.zeros(0, np.float32)
    if n_tabular:
        _, filled = fill_missing(features.fill, features.X, missing)
        fill = np.asarray(filled)[0, :n_tabular]
    data = TrainingRecords(np.array(names), values, fill, _hashes(cohort, features), np.array(1.0))
    reach = np.quantile(data.nearest(), _WITHIN_REACH)
    return replace(data, reach=np.array(reach if reach > 0 else 1.0))


def _values(features: FeatureSet) -> tuple[list[str], Rows]:
    """Return tabular inputs, and lowest, median, highest and mean step of each lead of a signal."""
    if features.kind == "tabular":
        return list(features.names), np.asarray(features.X)
    shape = features.signal_shape or features.input_shape
    n = features.input_shape[0] if features.kind == "mixed" else 0
    leads = list(features.names[n : n + shape[1]])
    if n:  # of the first sample, as `v1_0`
        leads = [name.rpartition("_")[0] for name in leads]
    rows = []
    for at in range(len(features.records)):
        flat = np.asarray(features.X[at]).ravel()
        signal = flat[n:].reshape(shape)
        middle, steps = np.median(signal, axis=0), np.abs(np.diff(signal, axis=0)).mean(axis=0)
        ends = signal.min(axis=0), signal.max(axis=0)
        rows.append(np.concatenate([flat[:n], ends[0], middle, ends[1], steps]))
    kinds = ("lowest", "median", "highest", "mean step")
    names = [f"{lead} {kind}" for kind in kinds for lead in leads]
    return [*features.names[:n], *names], np.stack(rows)


def _hashes(cohort: Cohort, features: FeatureSet) -> npt.NDArray[np.uint64]:
    """Hash the leads of records in whole microvolts, which no reader or unit changes.

    In another unit a lead may be too small or too large for these: its own values count then.
    """
    used = set(features.records)
    hashes = []
    for at, record in enumerate(cohort.records):
        if record in used:
            signal = np.asarray(cohort.signals[at], np.float64)
            with np.errstate(invalid="ignore"):
                whole = np.rint(signal * 1000).astype("<i4")
            pairs = zip(whole.T, signal.T, strict=True)
            leads = [rounded if np.ptp(rounded) else lead for rounded, lead in pairs]
            digests = [sha256(lead.tobytes()).digest() for lead in leads]
            hashes.append([int.from_bytes(digest[:8], "little") for digest in digests])
    return np.array(hashes, dtype=np.uint64)
