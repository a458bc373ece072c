"""Sources: each delivers a cohort. A new one adds a line here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.data import ludb, ptbxl, synthetic
from lvh.data.cohort import Cohort
from lvh.data.metadata import About

__all__ = ["SOURCES", "Source"]


class Source(NamedTuple):
    """A source of records: its settings, the function that takes them, what is to be known."""

    settings: type
    load: Callable[[Any], Cohort]
    about: About


SOURCES = {
    "ludb": Source(ludb.LudbSettings, ludb.load, ludb.ABOUT),
    "ptbxl": Source(ptbxl.PtbxlSettings, ptbxl.load, ptbxl.ABOUT),
    "synthetic": Source(synthetic.SyntheticSettings, synthetic.load, synthetic.ABOUT),
}
