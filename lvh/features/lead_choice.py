"""The choice of leads that the waveform forms share."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lvh.data.cohort import LEADS, Cohort
from lvh.errors import InputError


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        if value != "all":
            raise PydanticCustomError("leads", "Input should be all, or a list such as [v1,v5]")
        return LEADS
    return value


Leads = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
"""Names of leads, in the order of the inputs; `all` means the twelve standard ones."""


def positions(cohort: Cohort, leads: tuple[str, ...]) -> dict[str, int]:
    """Return the position in the cohort of each lead, by its lower-case name, in their order.

    Raises:
        InputError: An unknown or repeated lead.
    """
    names = tuple(lead.lower() for lead in leads)
    if len(set(names)) != len(names):
        raise InputError(f"features.leads: expected distinct leads. Received: {' '.join(names)}")
    return dict(zip(names, cohort.lead_indices(names), strict=True))
