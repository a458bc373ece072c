"""`raw`: the waveforms themselves."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from lvh.cohort import Cohort
from lvh.errors import InputError
from lvh.features.base import FeatureSet, feature_set
from lvh.features.scaling import Scaling, scaled


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Settings of the waveform input.

    Attributes:
        leads: Which leads, in this order.
        scaling: See `lvh.features.scaling.scaled`.
    """

    name: Literal["raw"]
    leads: Annotated[tuple[str, ...], Field(min_length=1)]
    scaling: Scaling


def extract(cohort: Cohort, settings: RawSettings) -> FeatureSet:
    """Return the chosen leads of every record, shape (n_records, n_samples, n_leads).

    Raises:
        InputError: An unknown or repeated lead, or a flat one under min-max scaling.
    """
    leads = tuple(lead.lower() for lead in settings.leads)
    if len(set(leads)) != len(leads):
        raise InputError(f"features.leads: expected distinct leads. Received: {' '.join(leads)}")
    signals = cohort.signals[:, :, cohort.lead_indices(leads)]
    X = scaled(signals, settings.scaling, cohort.records)
    return feature_set(cohort, "signal", X, leads)
