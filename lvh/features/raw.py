"""`raw`: the waveforms; `ntp`: their means at onset, peak and offset of the N, t and p waves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from lvh.data.cohort import LEADS, Cohort
from lvh.data.lazy_array import Inputs, LazyArray
from lvh.errors import InputError
from lvh.features import base
from lvh.features.base import FeatureSet, Fill, Malformed

Floats = npt.NDArray[np.float32]
Scaling = Literal["minmax", "none"]


def _listed(value: Any) -> Any:
    return LEADS if value == "all" else [value] if isinstance(value, str) else value


Leads = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
"""Names of leads, in the order of the inputs; `all`, or the twelve in their order, means all."""
FIDUCIALS = tuple(f"{wave}_{point}" for wave in "Ntp" for point in ("onset", "peak", "offset"))
_DECADES = np.arange(10, 90, 10)
_DEFAULT = ("avl", "v1", "v5", "v6")  # of the original study


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Settings of the waveform input.

    Attributes:
        leads: Which leads, in this order; `all` for all. Of records that lack some of the default
            ones, all.
        scaling: Each record and lead on its own, see `scale`.
    """

    name: Literal["raw"] = "raw"
    leads: Leads = _DEFAULT
    scaling: Scaling = "minmax"


def extract(cohort: Cohort, settings: RawSettings) -> FeatureSet:
    """Return the chosen leads of every record, shape (n_records, n_samples, n_leads).

    An unknown or repeated lead is an InputError, as is a flat one under minmax.
    """
    leads = positions(cohort, settings.leads)
    columns, signals = list(leads.values()), cohort.signals
    if isinstance(signals, LazyArray):
        shape = (signals.shape[1], len(columns))
        signals = signals.map(lambda values, _: values[:, :, columns], shape)
    else:
        signals = signals[:, :, columns]
    X = scale(signals, settings.scaling, cohort.records)
    return base.feature_set(cohort, "signal", X, tuple(leads))


def positions(cohort: Cohort, leads: tuple[str, ...]) -> dict[str, int]:
    """Return the position in the cohort of each lead, by its lower-case name, in their order.

    All leads of the cohort stand for the twelve, and for the default ones where it lacks some.
    """
    names = tuple(lead.lower() for lead in leads)
    own = set(cohort.leads)
    if (names == LEADS and own != {*LEADS}) or (names == _DEFAULT and not own.issuperset(names)):
        names = cohort.leads
    if len(set(names) & set(cohort.leads)) != len(names):
        raise InputError(
            f"features.leads: expected some of {', '.join(cohort.leads)}, each once. "
            f"Received: {', '.join(names)}"
        )
    return {name: cohort.leads.index(name) for name in names}


def scale(signals: Inputs, scaling: Scaling, records: Sequence[str]) -> Inputs:
    """Scale signals in mV, shape (n_records, n_samples, n_leads), along their samples.

    `minmax` maps each lead of each record to [0, 1], as the original study does, and loses its
    amplitude; a flat lead is an InputError. `none` keeps mV and removes the baseline (the median).
    """
    if not isinstance(signals, LazyArray):
        return _scale_array(signals, scaling, records)
    return signals.map(lambda values, at: _scale_array(values, scaling, [records[i] for i in at]))


def _scale_array(signals: Floats, scaling: Scaling, records: Sequence[str]) -> Floats:
    if scaling == "none":
        return signals - np.median(signals, axis=1, keepdims=True)
    low = signals.min(axis=1, keepdims=True)
    span = signals.max(axis=1, keepdims=True) - low
    if not (span > 0).all():
        flat = [records[i] for i in np.unique(np.nonzero(~(span > 0))[0])]
        raise InputError(
            f"features.scaling=minmax: expected no flat lead. Received: a flat lead in record "
            f"{', '.join(flat[:5])}"
        )
    return np.asarray((signals - low) / span)


@dataclass(frozen=True, slots=True)
class NtpSettings:
    """Settings of the delineated input.

    Attributes:
        missing_p: Records without p waves get, in the three p inputs of each lead, the mean
            over the training fold or zero.
        malformed: Records with a lead that has no complete `(N)(t)` are dropped, or fail
            the run.
        scaling: See `scale`.
    """

    name: Literal["ntp"] = "ntp"
    missing_p: Fill = "mean"
    malformed: Malformed = "drop"
    scaling: Scaling = "minmax"


def extract_ntp(cohort: Cohort, settings: NtpSettings) -> FeatureSet:
    """Return sex, `age_decades` and, lead by lead, the means at `FIDUCIALS`: (n_records, 117).

    Each lead is scaled on its own first. p inputs of a lead without p waves are NaN. A malformed
    record, where the settings say fail, or a flat lead under minmax is an InputError.
    """
    means = fiducial_means(cohort, scale(cohort.signals, settings.scaling, cohort.records))
    lacking = np.asarray(np.isnan(means[:, :, :6]).any(axis=2))
    dropped = base.incomplete_records(cohort, cohort.leads, lacking, "(N)(t)", settings.malformed)
    columns = [cohort.male, age_decades(cohort.age), means.reshape(len(means), -1)]
    X = np.column_stack(columns).astype(np.float32)
    names = ["male", *(f"age_{decade}s" for decade in _DECADES)]
    names += [f"{lead}_{fiducial}" for lead in cohort.leads for fiducial in FIDUCIALS]
    return base.feature_set(
        cohort, "tabular", X, (*names,), fill=settings.missing_p, dropped=dropped
    )


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
                starts = base.find_pattern(symbols, pattern)
                if starts.size:
                    beats = samples[starts[:, None] + np.arange(len(pattern))]
                    values = signal[beats, lead]
                    means[record, lead, : len(pattern)] = values.mean(axis=0, dtype=np.float64)
                    break
    return means
