"""Sources: each loads a cohort. A new source adds a line to `SOURCES`."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lvh.data import ludb, ptbxl, synthetic, table
from lvh.data.array_checks import EXTERNAL, refusal
from lvh.data.cohort import LEADS, Cohort, Delineation, SourceMetadata, fingerprint
from lvh.data.lazy_array import LazyArray, blocks, concatenate
from lvh.data.record_filter import filtered
from lvh.errors import InputError, excerpt

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEADS", "SOURCES", "Cohort", "Delineation", "LazyArray", "Source", "join"]


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


def join(own: Cohort, external: Cohort) -> Cohort:
    """Append another source, whose records and subjects get the prefix `EXTERNAL`.

    An InputError says that they differ, in sampling frequency or label, or share records.
    """
    import pandas as pd

    kinds = [
        f"{one.signals.shape[1]} samples at {one.fs} Hz of {' '.join(one.leads) or 'no lead'}, "
        f"unit {one.unit}, label {one.label_name}"
        for one in (own, external)
    ]
    if kinds[0].casefold() != kinds[1].casefold():
        raise InputError(f"external: expected {kinds[0]}, as in {own.name}. Received: {kinds[1]}")
    tables = [one.columns for one in (own, external) if one.columns is not None]
    columns = pd.concat(tables, join="inner", ignore_index=True) if len(tables) == 2 else None
    _check_apart(own, external, columns)
    alone = [] if columns is None else [name for name in tables[0] if name not in columns]
    lacking = f"columns that {external.name} lacks: {excerpt(alone)}" if alone else ""
    parts = ", ".join(
        f"{use} {part.name} ({len(part.records)} records, prevalence {part.prevalence:.3f})"
        for use, part in (("learned from", own), ("scored on", external))
    )
    return replace(
        own,
        name=f"{external.name} by a model of {own.name}",
        records=(*own.records, *(f"{EXTERNAL}{name}" for name in external.records)),
        subjects=np.array([*own.subjects, *(f"{EXTERNAL}{name}" for name in external.subjects)]),
        signals=concatenate(own.signals, external.signals),
        delineation=Delineation.join([own.delineation, external.delineation]),
        male=np.concatenate([own.male, external.male]),
        age=np.concatenate([own.age, external.age]),
        label=np.concatenate([own.label, external.label]),
        fingerprint=fingerprint(own.fingerprint, external.fingerprint),
        note="; ".join(filter(None, [parts, lacking, *dict.fromkeys([own.note, external.note])])),
        columns=columns,
        known={},
        dropped=(*own.dropped, *((f"{EXTERNAL}{name}", why) for name, why in external.dropped)),
    )


def _check_apart(own: Cohort, external: Cohort, columns: "pd.DataFrame | None") -> None:
    """Refuse records with the same samples, or name and values: a model would have learned them."""
    names, n = [*own.records, *external.records], len(own.records)
    keys: list[object] = []
    if own.leads:
        both = chain(blocks(own.signals), blocks(external.signals))
        keys = [fingerprint(record) for block in both for record in block]
    elif columns is not None:
        rows = columns.itertuples(index=False, name=None)
        keys = [repr(row) for row in zip(names, rows, strict=True)]
    known = {*keys[:n]}
    shared = [name for name, key in zip(names[n:], keys[n:], strict=False) if key in known]
    if shared:
        received = f"{len(shared)} of {external.name}, the first {shared[0]}"
        raise refusal("external", f"no record of {own.name}", received)
