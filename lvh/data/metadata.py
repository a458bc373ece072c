"""What a reader of numbers from a source has to know of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """Where a source comes from.

    Attributes:
        citation: How to name it.
        licence: Under which it may be used.
        labels: Who says which record has left ventricular hypertrophy, and how.
        voltage: Why its signals are in mV, where that is not plain.
    """

    citation: str
    licence: str
    labels: str
    voltage: str = ""
