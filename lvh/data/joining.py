"""Records of two sources in one cohort: one is learned from, one scored."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lvh.data.array_checks import EXTERNAL
from lvh.data.cohort import Cohort, Delineation, fingerprint
from lvh.data.lazy_array import LazyArray, concatenate
from lvh.errors import InputError, excerpt

if TYPE_CHECKING:
    import pandas as pd


def join(own: Cohort, external: Cohort) -> Cohort:
    """Append another source, whose records and subjects get the prefix `EXTERNAL`.

    An InputError says that they differ, in sampling frequency or label, or share records.
    """
    for quantity, expected, received in (
        ("Hz", own.fs, external.fs),
        ("samples", own.signals.shape[1], external.signals.shape[1]),
        ("leads", " ".join(own.leads), " ".join(external.leads)),
        ("as the label", own.label_name, external.label_name),
        ("unit", own.unit, external.unit),
    ):
        if str(expected).casefold() != str(received).casefold():
            raise InputError(
                f"external: expected {expected} {quantity}, as {own.name} has. "
                f"Received: {received}, of {external.name}"
            )
    columns = _joined_columns(own, external)
    _check_apart(own, external, columns)
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
        note="; ".join(filter(None, [parts, own.note, external.note])),
        columns=columns,
        known={},
        dropped=(*own.dropped, *((f"{EXTERNAL}{name}", why) for name, why in external.dropped)),
    )


def _check_apart(own: Cohort, external: Cohort, columns: "pd.DataFrame | None") -> None:
    """Refuse records with the same samples, or name and values: a model would have learned them."""
    names = [*own.records, *external.records]
    keys: list[object] = []
    if own.leads:
        for signals in (own.signals, external.signals):
            blocks = signals.chunks() if isinstance(signals, LazyArray) else [signals]
            keys += [fingerprint(record) for block in blocks for record in block]
    elif columns is not None:
        rows = columns.itertuples(index=False, name=None)
        keys = [repr(row) for row in zip(names, rows, strict=True)]
    n = len(own.records)
    known = {*keys[:n]}
    shared = [name for name, key in zip(names[n:], keys[n:], strict=False) if key in known]
    if shared:
        raise InputError(
            f"external: expected no record of {own.name}. Received: {len(shared)} of "
            f"{external.name}, the first {excerpt(shared[0])}"
        )


def _joined_columns(own: Cohort, external: Cohort) -> "pd.DataFrame | None":
    """Return the columns that both tables have, of the same kind; None unless both have some."""
    first, second = own.columns, external.columns
    if first is None or second is None:
        return None
    import pandas as pd

    names = [name for name in first if name in second and first[name].dtype == second[name].dtype]
    return pd.concat([first[names], second[names]], ignore_index=True)
