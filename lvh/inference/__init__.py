"""The final model: fit to all records, save, load, predict, register in MLflow."""

from lvh.inference.final_model import CARD, DESCRIPTION, FinalModel, Predictions, load, save
from lvh.inference.model_description import Calibration, Description, Settings

__all__ = [
    "CARD",
    "DESCRIPTION",
    "Calibration",
    "Description",
    "FinalModel",
    "Predictions",
    "Settings",
    "load",
    "save",
]
