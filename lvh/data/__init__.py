"""Sources: each loads a cohort. A new source adds a line to `SOURCES`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lvh.data import ludb, ptbxl, synthetic, table
from lvh.data.cohort import LEADS, Cohort, Delineation, SourceMetadata
from lvh.data.lazy_array import LazyArray
from lvh.data.record_filter import filtered

__all__ = ["LEADS", "SOURCES", "Cohort", "Delineation", "LazyArray", "Source"]


class Source(NamedTuple):
    """A source of records: its settings, the function that takes them, and its metadata."""

    settings: type
    load: Callable[[Any], Cohort]
    metadata: SourceMetadata
    state: Callable[[Any], object] = lambda settings: None
    """Returns what differs where the files of a user have changed since."""

    def cohort(self, settings: Any, group: str = "data") -> Cohort:
        """Load the records that fulfil the condition of `settings.where`, if they have one."""
        return filtered(self.load(settings), getattr(settings, "where", ""), group)


SOURCES = {
    "ludb": Source(ludb.LudbSettings, ludb.load, ludb.METADATA),
    "ptbxl": Source(ptbxl.PtbxlSettings, ptbxl.load, ptbxl.METADATA),
    "synthetic": Source(synthetic.SyntheticSettings, synthetic.load, synthetic.METADATA),
    "table": Source(table.TableSettings, table.load, table.METADATA, table.state),
}
