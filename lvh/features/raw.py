"""`raw`: the waveforms themselves."""

from dataclasses import dataclass
from typing import Literal

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import LazyArray
from lvh.features.base import FeatureSet, feature_set
from lvh.features.lead_choice import Leads, positions
from lvh.features.scaling import Scaling, scale


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Settings of the waveform input.

    Attributes:
        leads: Which leads, in this order; `all` for the twelve.
        scaling: See `lvh.features.scaling.scale`.
    """

    name: Literal["raw"] = "raw"
    leads: Leads = ("avl", "v1", "v5", "v6")
    scaling: Scaling = "minmax"


def extract(cohort: Cohort, settings: RawSettings) -> FeatureSet:
    """Return the chosen leads of every record, shape (n_records, n_samples, n_leads).

    Raises:
        InputError: An unknown or repeated lead, or a flat one under min-max scaling.
    """
    leads = positions(cohort, settings.leads)
    columns = list(leads.values())
    signals = cohort.signals
    if isinstance(signals, LazyArray):
        n_samples = signals.shape[1]
        signals = signals.map(lambda values, _: values[:, :, columns], (n_samples, len(columns)))
    else:
        signals = signals[:, :, columns]
    X = scale(signals, settings.scaling, cohort.records)
    return feature_set(cohort, "signal", X, tuple(leads))
