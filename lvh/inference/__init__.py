"""The final model: fit to all records, save, load, predict, register in MLflow."""

from lvh.inference.final_model import DESCRIPTION, FinalModel, load, save
from lvh.inference.model_description import Calibration, Description, Settings

__all__ = ["DESCRIPTION", "Calibration", "Description", "FinalModel", "Settings", "load", "save"]
