"""Records of two sources in one cohort (one is learned from, one scored), and some of a cohort."""

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

    Raises:
        InputError: They differ in sampling frequency, length, leads or label, or share records.
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
    which, sources = ("learned from", "scored on"), (own, external)
    parts = [
        f"{of} {part.name} ({len(part.records)} records, prevalence {part.prevalence:.3f})"
        for of, part in zip(which, sources, strict=True)
    ]
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
        note="; ".join([", ".join(parts), *(part.note for part in sources if part.note)]),
        columns=columns,
        known={},
        dropped=(*own.dropped, *((f"{EXTERNAL}{name}", why) for name, why in external.dropped)),
    )


def _check_apart(own: Cohort, external: Cohort, columns: "pd.DataFrame | None") -> None:
    """Refuse records with the same samples, or name and values: a model would have learned them."""
    if own.leads:
        parts = [
            one.signals.chunks() if isinstance(one.signals, LazyArray) else [one.signals]
            for one in (own, external)
        ]
        keys = [fingerprint(x) for part in parts for block in part for x in block]
    elif columns is not None:
        names = [*own.records, *external.records]
        rows = zip(names, columns.itertuples(index=False, name=None), strict=True)
        keys = [repr(row) for row in rows]
    else:
        return
    n, known = len(own.records), {*keys[: len(own.records)]}
    shared = [name for name, key in zip(external.records, keys[n:], strict=True) if key in known]
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
