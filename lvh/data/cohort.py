"""The cohort: the output of every source and the input of every feature form."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.lazy_array import Inputs, LazyArray, concatenate
from lvh.errors import InputError

EXTERNAL = "external/"
"""Prefix of the names of records that are only scored."""

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
"""The twelve standard leads in their usual order."""


Origin = Literal["annotated", "found"]
"""Who delineated the waves: people (or the generator), or `lvh.data.delineation`."""

LeadWaves = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]
"""Symbols (ASCII codes) and sample indices of one lead, in order of time."""


@dataclass(frozen=True, slots=True)
class Delineation:
    """Fiducials of every lead of every record, stored flat.

    Lead `j` of record `i` owns the annotations from `offsets[i * n_leads + j]` to
    `offsets[i * n_leads + j + 1]`, in order of time. Waves are written as WFDB writes
    them: `(` onset, `N` / `p` / `t` peak, `)` offset.

    Attributes:
        symbols: ASCII codes, shape (n_annotations,), uint8.
        samples: Sample indices, shape (n_annotations,), int32.
        offsets: Shape (n_records * n_leads + 1,), int64.
        n_leads: Leads a record.
        origin: Where they come from.
        doubtful: Records whose bounds of QRS are in doubt, by position; none of annotated ones.
    """

    symbols: npt.NDArray[np.uint8]
    samples: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    n_leads: int
    origin: Origin = "annotated"
    doubtful: tuple[int, ...] = ()

    def lead(self, record: int, lead: int) -> tuple[str, npt.NDArray[np.int32]]:
        """Return the symbols, as text, and the sample indices of one lead."""
        row = record * self.n_leads + lead
        part = slice(self.offsets[row], self.offsets[row + 1])
        return self.symbols[part].tobytes().decode("ascii"), self.samples[part]

    @classmethod
    def from_leads(
        cls,
        leads: Sequence[LeadWaves],
        n_leads: int = 12,
        origin: Origin = "annotated",
        doubtful: tuple[int, ...] = (),
    ) -> "Delineation":
        """Join the symbols and samples of each lead of each record, in that order."""
        return cls(
            np.concatenate([symbols for symbols, _ in leads]),
            np.concatenate([samples for _, samples in leads]),
            np.cumsum([0, *(len(symbols) for symbols, _ in leads)], dtype=np.int64),
            n_leads,
            origin,
            doubtful,
        )

    @classmethod
    def join(cls, parts: Sequence["Delineation"]) -> "Delineation":
        """Append the records of each part; the origin is that of the first."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        n_records = [(len(part.offsets) - 1) // part.n_leads for part in parts]
        starts = np.cumsum([0, *n_records]).tolist()
        return cls(
            np.concatenate([part.symbols for part in parts]),
            np.concatenate([part.samples for part in parts]),
            np.cumsum([0, *lengths], dtype=np.int64),
            parts[0].n_leads,
            parts[0].origin,
            tuple(
                first + at
                for first, part in zip(starts, parts, strict=False)
                for at in part.doubtful
            ),
        )

    @classmethod
    def empty(cls, n_records: int) -> "Delineation":
        """Return the delineation of records of twelve leads that have no fiducials."""
        nothing = (np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int32))
        return cls.from_leads([nothing] * (n_records * len(LEADS)))


@dataclass(frozen=True, slots=True)
class Cohort:
    """Records of one source, all with the same leads, length and sampling frequency.

    Attributes:
        name: The source, as a person would cite it.
        records: Record names, in the source's own order.
        subjects: Subject of each record, shape (n_records,), str. All records of a subject
            are in one fold.
        leads: Lead names, lower case.
        fs: Sampling frequency in Hz.
        signals: Shape (n_records, n_samples, n_leads), float32, mV; a `LazyArray` for many records.
        delineation: Fiducials of each lead.
        male: Shape (n_records,), bool.
        age: Shape (n_records,), float64, years.
        label: Shape (n_records,), int64; 1 where the record has what `label_name` says.
        fingerprint: SHA-256 over the content above; changes with any bit of it.
        note: A caveat that belongs to every result of this cohort, or empty.
        label_name: What is detected, as figures and tables name it.
    """

    name: str
    records: tuple[str, ...]
    subjects: npt.NDArray[np.str_]
    leads: tuple[str, ...]
    fs: float
    signals: Inputs
    delineation: Delineation
    male: npt.NDArray[np.bool_]
    age: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    fingerprint: str
    note: str = ""
    label_name: str = "LVH"

    @property
    def prevalence(self) -> float:
        """Share of records with the label."""
        return float(self.label.mean())


@dataclass(frozen=True, slots=True)
class SourceMetadata:
    """Origin of a source, for its reports."""

    citation: str
    licence: str
    labels: str  # who labelled the records, and how
    voltage: str = ""  # why its signals are in mV, where that is not plain


def join(own: Cohort, external: Cohort) -> Cohort:
    """Append another source, whose records and subjects get the prefix `EXTERNAL`.

    Raises:
        InputError: They differ in sampling frequency, length, leads or label.
    """
    for quantity, expected, received in (
        ("Hz", own.fs, external.fs),
        ("samples", own.signals.shape[1], external.signals.shape[1]),
        ("leads", " ".join(own.leads), " ".join(external.leads)),
        ("as the label", own.label_name, external.label_name),
    ):
        if str(expected).casefold() != str(received).casefold():
            raise InputError(
                f"external: expected {expected} {quantity}, as {own.name} has. "
                f"Received: {received}, of {external.name}"
            )
    parts = [
        f"learned from {own.name} ({len(own.records)} records, prevalence {own.prevalence:.3f})",
        f"scored on {external.name} ({len(external.records)} records, "
        f"prevalence {external.prevalence:.3f})",
    ]
    return Cohort(
        name=f"{external.name} by a model of {own.name}",
        records=(*own.records, *(f"{EXTERNAL}{name}" for name in external.records)),
        subjects=np.array([*own.subjects, *(f"{EXTERNAL}{name}" for name in external.subjects)]),
        leads=own.leads,
        fs=own.fs,
        signals=concatenate(own.signals, external.signals),
        delineation=Delineation.join([own.delineation, external.delineation]),
        male=np.concatenate([own.male, external.male]),
        age=np.concatenate([own.age, external.age]),
        label=np.concatenate([own.label, external.label]),
        fingerprint=fingerprint(own.fingerprint, external.fingerprint),
        note="; ".join([", ".join(parts), *(part.note for part in (own, external) if part.note)]),
        label_name=own.label_name,
    )


def part_of(cohort: Cohort, start: int, end: int) -> Cohort:
    """Return some consecutive records of a cohort, with their signals in memory."""
    own, n_leads = slice(start, end), len(cohort.leads)
    records = cohort.records[own]
    waves = cohort.delineation
    offsets = waves.offsets[start * n_leads : (start + len(records)) * n_leads + 1]
    return replace(
        cohort,
        records=records,
        subjects=cohort.subjects[own],
        # one by one, for those of a large source are read only so
        signals=np.stack([cohort.signals[start + at] for at in range(len(records))]),
        delineation=replace(
            waves,
            offsets=offsets,
            doubtful=tuple(at - start for at in waves.doubtful if start <= at < end),
        ),
        male=cohort.male[own],
        age=cohort.age[own],
        label=cohort.label[own],
    )


def fingerprint(*parts: object) -> str:
    """Hash arrays and plain values, in order, with their types and shapes.

    Arrays are hashed by dtype, shape and bytes, lazy ones as if they were read; text arrays by
    their items, so that their storage width does not matter; anything else by `repr`.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind != "U":
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, LazyArray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            for chunk in part.chunks():
                digest.update(chunk.data)
        elif isinstance(part, np.ndarray):
            digest.update(repr(part.tolist()).encode())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
