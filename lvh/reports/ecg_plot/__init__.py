"""A 12-lead ECG on paper, 25 mm/s and 10 mm/mV, with what is said of it."""

from lvh.reports.ecg_plot.places import places
from lvh.reports.ecg_plot.sheet import Words, draw, save

__all__ = ["Words", "draw", "places", "save"]
