"""`ntp`: the mean signal at onset, peak and offset of the N (QRS), t and p waves."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import Inputs
from lvh.features.base import (
    FeatureSet,
    Fill,
    Malformed,
    feature_set,
    find_pattern,
    incomplete_records,
)
from lvh.features.raw import Scaling, scale

FIDUCIALS = tuple(f"{wave}_{point}" for wave in "Ntp" for point in ("onset", "peak", "offset"))
_DECADES = np.arange(10, 90, 10)


@dataclass(frozen=True, slots=True)
class NtpSettings:
    """Settings of the delineated input.

    Attributes:
        missing_p: Records without p waves get, in the three p inputs of each lead, the mean
            over the training fold or zero.
        malformed: Records with a lead that has no complete `(N)(t)` are dropped, or fail
            the run.
        scaling: See `lvh.features.raw.scale`.
    """

    name: Literal["ntp"] = "ntp"
    missing_p: Fill = "mean"
    malformed: Malformed = "drop"
    scaling: Scaling = "minmax"


def extract(cohort: Cohort, settings: NtpSettings) -> FeatureSet:
    """Return sex, `age_decades` and, lead by lead, the means at `FIDUCIALS`: (n_records, 117).

    Each lead is scaled on its own first. p inputs of a lead without p waves are NaN. A malformed
    record, where the settings say fail, or a flat lead under minmax is an InputError.
    """
    means = fiducial_means(cohort, scale(cohort.signals, settings.scaling, cohort.records))
    lacking = np.asarray(np.isnan(means[:, :, :6]).any(axis=2))
    dropped = incomplete_records(cohort, cohort.leads, lacking, "(N)(t)", settings.malformed)
    columns = [cohort.male, age_decades(cohort.age), means.reshape(len(means), -1)]
    X = np.column_stack(columns).astype(np.float32)
    names = ["male", *(f"age_{decade}s" for decade in _DECADES)]
    names += [f"{lead}_{fiducial}" for lead in cohort.leads for fiducial in FIDUCIALS]
    return feature_set(cohort, "tabular", X, (*names,), fill=settings.missing_p, dropped=dropped)


def age_decades(age: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Encode ages in years one-hot by decade, from below 20 to 80 and over: (n_records, 8)."""
    decade = np.clip(age // 10 * 10, _DECADES[0], _DECADES[-1])
    return np.equal(decade[:, None], _DECADES).astype(np.float64)


def fiducial_means(cohort: Cohort, signals: Inputs) -> npt.NDArray[np.float64]:
    """Average signals at the `FIDUCIALS` of each lead's beats: shape (n_records, n_leads, 9).

    A beat is `(N)(t)(p)`; in a lead that has none, `(N)(t)`, and NaN for p; without both NaN.
    """
    means = np.full((len(cohort.records), len(cohort.leads), len(FIDUCIALS)), np.nan)
    for record in range(len(cohort.records)):
        signal = signals[record]
        for lead in range(len(cohort.leads)):
            symbols, samples = cohort.delineation.lead(record, lead)
            for pattern in ("(N)(t)(p)", "(N)(t)"):
                starts = find_pattern(symbols, pattern)
                if starts.size:
                    beats = samples[starts[:, None] + np.arange(len(pattern))]
                    values = signal[beats, lead]
                    means[record, lead, : len(pattern)] = values.mean(axis=0, dtype=np.float64)
                    break
    return means
