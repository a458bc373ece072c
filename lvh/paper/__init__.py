"""A 12-lead ECG on paper, 25 mm/s and 10 mm/mV, with what is said of it."""

from lvh.paper.page import Words, draw, save
from lvh.paper.places import places

__all__ = ["Words", "draw", "places", "save"]
