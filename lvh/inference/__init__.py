"""A kept model: a folder of plain files that scores records, and nothing in it that could run."""

from lvh.inference.final_model import CARD, DESCRIPTION, KeptModel, Scored, check_alone, keep, load
from lvh.inference.model_description import Calibration, Description, Estimate, Evidence

__all__ = [
    "CARD",
    "DESCRIPTION",
    "Calibration",
    "Description",
    "Estimate",
    "Evidence",
    "KeptModel",
    "Scored",
    "check_alone",
    "keep",
    "load",
]
