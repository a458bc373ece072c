"""The cohort: the output of every source and the input of every feature form."""

import hashlib
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lvh.data import array_checks
from lvh.data.array_checks import LEADS as LEADS  # where most look for it
from lvh.data.array_checks import MAX_AGE as MAX_AGE
from lvh.data.lazy_array import Inputs, LazyArray, blocks, read

if TYPE_CHECKING:
    import pandas as pd

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
        symbols, samples = self.row(record * self.n_leads + lead)
        return symbols.tobytes().decode("ascii"), samples

    def row(self, number: int) -> LeadWaves:
        """Return the symbols and samples of one lead, counted over all records."""
        part = slice(self.offsets[number], self.offsets[number + 1])
        return self.symbols[part], self.samples[part]

    @classmethod
    def from_leads(
        cls,
        leads: Sequence[LeadWaves],
        n_leads: int = 12,
        origin: Origin = "annotated",
        doubtful: tuple[int, ...] = (),
    ) -> "Delineation":
        """Join the symbols and samples of each lead of each record, in that order."""
        none = (np.zeros(0, np.uint8), np.zeros(0, np.int32))
        symbols, samples = (np.concatenate(parts) for parts in zip(none, *leads, strict=True))
        offsets = np.cumsum([0, *(len(lead) for lead, _ in leads)], dtype=np.int64)
        return cls(symbols, samples, offsets, n_leads, origin, doubtful)

    @classmethod
    def join(cls, parts: Sequence["Delineation"]) -> "Delineation":
        """Append the records of each part; the origin is that of the first."""
        rows, doubtful, n_leads = list[LeadWaves](), list[int](), parts[0].n_leads
        for part in parts:
            doubtful += [len(rows) // max(n_leads, 1) + at for at in part.doubtful]
            rows += [part.row(at) for at in range(len(part.offsets) - 1)]
        return cls.from_leads(rows, n_leads, parts[0].origin, tuple(doubtful))

    @classmethod
    def empty(cls, n_records: int, n_leads: int = 12) -> "Delineation":
        """Return the delineation of records that have no fiducials."""
        offsets = np.zeros(n_records * n_leads + 1, np.int64)
        return cls(np.zeros(0, np.uint8), np.zeros(0, np.int32), offsets, n_leads)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Records of one source, all with the same leads, length and sampling frequency.

    Attributes:
        name: The source, as a user would cite it.
        records: Record names, in the source's own order.
        subjects: Subject of each record, shape (n_records,), str. All records of a subject
            are in one fold.
        leads: Lead names, lower case; none of records that have columns only.
        fs: Sampling frequency in Hz; 0 without signals.
        signals: Shape (n_records, n_samples, n_leads), float32, in `unit`; a `LazyArray` for many
            records; (n_records, 0, 0) without signals.
        delineation: Fiducials of each lead.
        male: Shape (n_records,), bool; it says nothing where the age is NaN.
        age: Shape (n_records,), float64, years; NaN where age or sex is unknown.
        label: Shape (n_records,), int64; 1 where the record has what `label_name` says.
        fingerprint: SHA-256 over the content above; changes with any bit of it.
        note: A caveat that belongs to every result of this cohort, or empty.
        label_name: What is detected, as figures and tables name it.
        unit: Of the signals: mV, or `other`.
        columns: Further columns of the source's table, a row a record: numbers with NaN where
            they are missing, or text.
        dropped: Names of the records that the source left out, each with the reason.
        known: What else the source knows of every record, by name, such as `paced` and `rhythm`;
            a condition (`data.where`) may use it, no model sees it.
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
    unit: Literal["mV", "other"] = "mV"
    columns: "pd.DataFrame | None" = None
    dropped: tuple[tuple[str, str], ...] = ()
    known: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the arrays read-only, for the fingerprint is made of them."""
        for name in ("subjects", "signals", "male", "age", "label"):
            values = getattr(self, name)
            if isinstance(values, np.ndarray):
                view = values.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __repr__(self) -> str:
        """Return what it holds, in a line."""
        n, n_subjects = len(self.records), len(np.unique(self.subjects))
        counts = f"{n} records, {self.label_name} in {int(self.label.sum())}, {n_subjects} subjects"
        if self.leads:
            seconds = self.signals.shape[1] / self.fs
            counts += f", {' '.join(self.leads)} at {self.fs:g} Hz, {seconds:g} s"
        return f"<Cohort {self.name}: {counts}>"

    @property
    def prevalence(self) -> float:
        """Share of records with the label."""
        return float(self.label.mean())

    @property
    def has_age_and_sex(self) -> bool:
        """Whether age and sex of every record are known."""
        return bool(np.isfinite(self.age).all())

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any,
        *,
        groups: Any = None,
        fs: float,
        leads: Sequence[str],
        age: Any = None,
        male: Any = None,
        label_name: str = "label",
        records: Sequence[object] | None = None,
        name: str = "arrays",
        unit: Literal["mV", "other"] = "mV",
    ) -> "Cohort":
        """Make a cohort of arrays, which are copied; a value a record but for `fs` and `leads`.

        Args:
            X: Signals, shape (n_records, n_samples, n_leads), or (n_records, n_samples) of one
                lead; or a `LazyArray` of finite samples.
            y: Labels, 0 or 1.
            groups: Subjects; by default each record is of another one.
            fs: Sampling frequency, Hz.
            leads: Name of each lead.
            age: Years, 0 to 130; NaN where it is unknown.
            male: Whether the subject is a man; without it, or without `age`, both are unknown.
            label_name: What a label of 1 says.
            records: Different names; by default numbers from 0.
            name: Of the source.
            unit: Of the signals; `other` for those that are no ECG.

        Raises:
            InputError: A shape, a length or a value is not as above; or half of the records are no
                ECG in mV, or have limb leads of another order.

        >>> signals, labels = np.random.default_rng(0).normal(size=(6, 500)), [0, 1, 0, 1, 0, 1]
        >>> cohort = lvh.Cohort.from_arrays(signals, labels, fs=250, leads=["ii"], label_name="AF")
        >>> cohort.signals.shape, cohort.prevalence, cohort.has_age_and_sex
        ((6, 500, 1), 0.5, False)
        """
        signals, names = array_checks.checked_signals(X, leads)
        n = len(signals)
        if unit not in ("mV", "other"):
            raise array_checks.refusal("unit", "mV, or other for no voltage", unit)
        if not (isinstance(label_name, str) and label_name.strip() and label_name.isprintable()):
            raise array_checks.refusal("label_name", "a name that can be shown", label_name)
        if names and not (isinstance(fs, numbers.Real) and math.isfinite(fs) and fs > 0):
            raise array_checks.refusal("fs", "a sampling frequency in Hz", fs)
        label = array_checks.checked_labels(y, n)
        own = tuple(str(one) for one in (records if records is not None else range(n)))
        array_checks.check_names(own, n)
        ages, is_male = array_checks.checked_ages(age, male, n)
        subjects = np.array(own) if groups is None else array_checks.checked_subjects(groups, n)
        unknown = int(np.isnan(ages).sum())
        which = "every record" if unknown == n else f"{unknown} of {n} records"
        if unit == "mV" and names and isinstance(signals, np.ndarray):
            array_checks.check_voltages(signals, names)
        content = (own, subjects, names, float(fs), signals, is_male, ages, label)
        return cls(
            name=name,
            records=own,
            subjects=subjects,
            leads=names,
            fs=float(fs),
            signals=signals,
            delineation=Delineation.empty(n, len(names)),
            male=is_male,
            age=ages,
            label=label,
            fingerprint=fingerprint(*content, label_name),
            note=f"age or sex of {which} is unknown: no baseline has them" if unknown else "",
            label_name=label_name,
            unit=unit,
        )


@dataclass(frozen=True, slots=True)
class SourceMetadata:
    """Origin of a source, for its reports."""

    citation: str
    licence: str
    labels: str  # who labelled the records, and how
    voltage: str = ""  # why its signals are in mV, where that is not plain


def part_of(cohort: Cohort, start: int, end: int) -> Cohort:
    """Return some consecutive records of a cohort, with their signals in memory."""
    at = np.arange(len(cohort.records))[start:end]
    return records_at(cohort, at, read(cohort.signals[at]))


def records_at(cohort: Cohort, at: npt.NDArray[np.int64], signals: Inputs | None = None) -> Cohort:
    """Return the records at positions, in that order, with their signals or those given.

    The fingerprint stays that of all records.
    """
    waves = cohort.delineation
    numbers = (at[:, None] * waves.n_leads + np.arange(waves.n_leads)).ravel().tolist()
    rows = [waves.row(number) for number in numbers]
    doubtful = tuple(i for i, own in enumerate(at.tolist()) if own in waves.doubtful)
    return replace(
        cohort,
        records=tuple(cohort.records[i] for i in at),
        subjects=cohort.subjects[at],
        signals=cohort.signals[at] if signals is None else signals,
        delineation=Delineation.from_leads(rows, waves.n_leads, waves.origin, doubtful),
        male=cohort.male[at],
        age=cohort.age[at],
        label=cohort.label[at],
        columns=None if cohort.columns is None else cohort.columns.iloc[at].reset_index(drop=True),
        known={name: values[at] for name, values in cohort.known.items()},
    )


def fingerprint(*parts: Any) -> str:
    """Hash arrays and plain values, in order, with their types and shapes.

    Arrays of text or objects count by their items, not by their width; lazy ones as if read.
    """
    digest = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray) and part.dtype.kind not in "UO"
        if is_array or isinstance(part, LazyArray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            for block in blocks(part) if isinstance(part, LazyArray) else [part]:
                digest.update(np.ascontiguousarray(block).data)
        else:
            digest.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def find_pattern(symbols: str, pattern: str) -> npt.NDArray[np.int64]:
    """Return the positions in `symbols` at which `pattern` starts; matches do not overlap."""
    starts = [match.start() for match in re.finditer(re.escape(pattern), symbols)]
    return np.array(starts, dtype=np.int64)


def find_waves(symbols: str, samples: npt.NDArray[np.int32], pattern: str) -> npt.NDArray[np.int32]:
    """Return the samples of each match of `pattern`: shape (n_matches, len(pattern))."""
    starts = find_pattern(symbols, pattern)
    return np.asarray(samples[starts[:, None] + np.arange(len(pattern))])
