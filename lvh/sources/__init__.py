"""Sources: each delivers a cohort. A new one adds a line here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.cohort import Cohort
from lvh.sources import ludb, ptbxl, synthetic

__all__ = ["SOURCES", "Source"]


class Source(NamedTuple):
    """A source of records: its settings and the function that takes them."""

    settings: type
    load: Callable[[Any], Cohort]


SOURCES = {
    "ludb": Source(ludb.LudbSettings, ludb.load),
    "ptbxl": Source(ptbxl.PtbxlSettings, ptbxl.load),
    "synthetic": Source(synthetic.SyntheticSettings, synthetic.load),
}
