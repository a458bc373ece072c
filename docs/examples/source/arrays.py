"""`arrays`: a table of records and a NumPy file for each record, in mV."""

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Cohort, Delineation, SourceMetadata, fingerprint
from lvh.errors import InputError
from lvh.files import read_bytes
from lvh.validation.bounds import Positive

ABOUT = SourceMetadata(
    citation="The source of the table, with its date.",
    licence="what its owner allows",
    labels="Say who says which record has it, and how.",
)

TABLE = "records.csv"
_MAX_TABLE_BYTES = 16 * 1024 * 1024
_MAX_ARRAY_BYTES = 4 * 1024 * 1024  # 10 s of 12 leads at 500 Hz are 240 kB
_EXPECTED = {  # every column, and what may stand in it
    "record": r"[A-Za-z0-9_-]{1,100}",  # also the name of a file, so no path
    "subject": r"[A-Za-z0-9_-]{1,100}",
    "sex": "male|female",
    "age": r"[0-9]{1,3}",
    "lvh": "[01]",
}


@dataclass(frozen=True, slots=True)
class ArraysSettings:
    """Where the records are.

    Attributes:
        root: Folder that holds records.csv and RECORD.npy for every record in it.
        fs: Sampling frequency of all of them, Hz.
    """

    name: Literal["arrays"]
    root: str
    fs: Positive = 500.0


def load(settings: ArraysSettings) -> Cohort:
    """Return the records in the order of the table, without a delineation.

    Each array has shape (n_samples, 12), mV, its leads in the order of `lvh.data.cohort.LEADS`.

    Raises:
        InputError: A file is missing or malformed; it is named.
    """
    root = Path(os.path.expanduser(settings.root))
    rows = _rows(root)
    names = tuple(row["record"] for row in rows)
    signals = np.stack(_alike([(root / f"{name}.npy", _signal(root, name)) for name in names]))
    subjects = np.array([row["subject"] for row in rows])
    male = np.array([row["sex"] == "male" for row in rows])
    age = np.array([float(row["age"]) for row in rows])
    label = np.array([int(row["lvh"]) for row in rows], dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int32)
    return Cohort(
        name=f"{root.name}, {len(names)} records",
        records=names,
        subjects=subjects,
        leads=LEADS,
        fs=settings.fs,
        signals=signals,
        delineation=Delineation(
            nothing.astype(np.uint8),
            nothing,
            np.zeros(len(names) * len(LEADS) + 1, dtype=np.int64),
            len(LEADS),
        ),
        male=male,
        age=age,
        label=label,
        fingerprint=fingerprint(names, subjects, settings.fs, signals, male, age, label),
    )


def _rows(root: Path) -> list[dict[str, str]]:
    path = root / TABLE
    text = read_bytes(path, root, _MAX_TABLE_BYTES).decode("utf-8", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for line, row in enumerate(rows, start=2):
        for column, pattern in _EXPECTED.items():
            if not re.fullmatch(pattern, row.get(column) or ""):
                raise InputError(
                    f"{path}: line {line}: {column}: expected {pattern}. "
                    f"Received: {(row.get(column) or 'nothing')[:100]!r}"
                )
    if not rows or len({row["record"] for row in rows}) < len(rows):
        raise InputError(f"{path}: expected records, each once. Received: {len(rows)} lines")
    return rows


def _signal(root: Path, name: str) -> npt.NDArray[np.float32]:
    path = root / f"{name}.npy"
    data = io.BytesIO(read_bytes(path, root, _MAX_ARRAY_BYTES))
    try:  # the header alone: what it promises is no reason to allocate anything
        format_ = np.lib.format.read_magic(data)
        shape, transposed, dtype = np.lib.format.read_array_header_1_0(data)
    except ValueError as error:
        raise InputError(f"{path}: expected an array of NumPy: {error}") from None
    values = data.getbuffer()[data.tell() :]
    n_samples = len(values) // (4 * len(LEADS))
    is_plain = format_ == (1, 0) and not transposed and dtype == np.float32
    if not is_plain or shape != (n_samples, len(LEADS)):
        raise InputError(
            f"{path}: expected float32 of shape (n_samples, 12), as many as there are. "
            f"Received: {dtype} of shape {shape}"
        )
    signal = np.frombuffer(values, np.float32, n_samples * len(LEADS)).reshape(shape)
    if not np.isfinite(signal).all():
        raise InputError(f"{path}: expected finite voltages. Received: some that are not")
    return signal


def _alike(
    signals: list[tuple[Path, npt.NDArray[np.float32]]],
) -> list[npt.NDArray[np.float32]]:
    n_samples = len(signals[0][1])
    for path, signal in signals:
        if len(signal) != n_samples:
            raise InputError(
                f"{path}: expected {n_samples} samples, as the first record has. "
                f"Received: {len(signal)}"
            )
    return [signal for _, signal in signals]
