"""A kept model: a folder of plain files that scores records, and nothing in it that could run."""

from lvh.kept.description import Description, Estimate, Evidence
from lvh.kept.model import DESCRIPTION, KeptModel, Scored, keep, load

__all__ = [
    "DESCRIPTION",
    "Description",
    "Estimate",
    "Evidence",
    "KeptModel",
    "Scored",
    "keep",
    "load",
]
