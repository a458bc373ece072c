"""The signals of a table of records: one NumPy array for all, or a file a record."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data import cache
from lvh.data.array_checks import signal_fault, unit_fault
from lvh.data.lazy_array import LOADED_BYTES, Floats, Inputs, mapped
from lvh.data.readers.leads import (
    ReadOptions,
    lead_key,
    millivolts_per_unit,
    sampling_frequency,
)
from lvh.data.readers.record import read_leads
from lvh.errors import InputError, excerpt

_FORMAT = 1  # of the cached arrays; raise it when their meaning changes

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class TableSignals:
    """Signals of every row, and what is wrong with each; empty where nothing is."""

    values: Inputs
    leads: tuple[str, ...]
    fs: float
    faults: Texts


def read_files(paths: Sequence[Path | None], options: ReadOptions) -> TableSignals:
    """Read a file a record; what was read is in the cache until a file changes.

    Raises:
        InputError: A file is missing or malformed, or has other leads or another sampling frequency
            than the first, or, unless `options.seconds` says how much is read, another length.
    """
    folders = {file.parent for file in paths if file is not None}
    states = [(str(folder), cache.folder_state(folder)) for folder in sorted(folders)]
    path = cache.cohort_path("table", _FORMAT, options, paths, states)
    arrays = cache.load_or_build(path, lambda: _parse(paths, options))
    leads = tuple(arrays["leads"].tolist())
    return TableSignals(arrays["signals"], leads, float(arrays["fs"]), arrays["faults"])


def read_array(path: Path, records: Sequence[str], options: ReadOptions) -> TableSignals:
    """Read one array with the signals of all records; a large `.npy` file is memory-mapped.

    Args:
        path: Of a `.npy` file; or of a `.npz` file with the array `signals`, and maybe `leads`,
            `fs`, `unit` and `records`.
        records: Their names, in the order of the array.
        options: What the file does not say, and the part to read.

    Raises:
        InputError: The file holds no such array, or names, sampling frequency or part do not fit.
    """
    stored, n = _open(path), len(records)
    array = stored["signals"]
    if "records" in stored and stored["records"].astype(str).tolist() != list(records):
        raise InputError(
            f"data.signals: {path}: expected the records of the table, in its order. "
            f"Received: {excerpt(' '.join(stored['records'].astype(str)))}"
        )
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or len(array) != n:
        raise InputError(
            f"data.signals: {path}: expected numbers of {n} records, as the table has rows, of "
            "shape (n_records, n_samples, n_leads), or (n_records, n_samples) of one lead. "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    leads = _leads(path, stored, options)
    shape = array.shape[1:] if array.ndim == 3 else (*array.shape[1:], 1)
    is_turned = shape[1] != len(leads) == shape[0]  # (n_records, n_leads, n_samples)
    n_samples, n_leads = reversed(shape) if is_turned else shape
    if not leads or n_leads != len(leads):
        raise InputError(
            f"data.leads: expected names of the leads in {path}, of shape {array.shape}. "
            f"Received: {' '.join(leads) or 'none'}"
        )
    fs = sampling_frequency(path, _own_fs(path, stored), options)
    factor = millivolts_per_unit(path, leads[0], str(stored.get("unit", "")), options)
    first, last = _part(path, n_samples, fs, options)

    def in_mv(values: npt.NDArray[Any], _: object = None) -> Floats:
        turned = np.swapaxes(values, 1, 2) if is_turned else values.reshape(len(values), *shape)
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is a flaw
            return (turned[:, first:last] * factor).astype(np.float32)

    values: Inputs
    if 4 * n * (last - first) * n_leads > LOADED_BYTES and path.suffix == ".npy":
        values = mapped(path).map(in_mv, (last - first, n_leads))
        return TableSignals(values, leads, fs, _faults(values.chunks(), leads, options))
    values = in_mv(np.asarray(array))
    return TableSignals(values, leads, fs, _faults([values], leads, options))


def _leads(path: Path, stored: Mapping[str, Any], options: ReadOptions) -> tuple[str, ...]:
    """Return the names of the leads, which the settings or the file say, or both the same."""
    own_leads = tuple(lead_key(str(lead)) for lead in np.atleast_1d(stored.get("leads", ())))
    if own_leads and options.leads not in ((), own_leads):
        raise InputError(
            f"data.leads: expected {' '.join(own_leads)}, as {path} says. "
            f"Received: {' '.join(options.leads)}"
        )
    return options.leads or own_leads


def _own_fs(path: Path, stored: Mapping[str, Any]) -> float | None:
    try:
        return float(stored["fs"]) if "fs" in stored else None
    except (TypeError, ValueError):
        received = excerpt(stored["fs"].tolist())
        raise InputError(f"{path}: fs: expected one number, Hz. Received: {received}") from None


def _part(path: Path, n_samples: int, fs: float, options: ReadOptions) -> tuple[int, int]:
    """Return the first sample that is read, and the one after the last."""
    first = round(options.start * fs)
    last = n_samples if options.seconds is None else first + round(options.seconds * fs)
    if not first < last <= n_samples:
        raise InputError(
            f"data.start and data.seconds: expected a part of the {n_samples / fs:g} s in {path}. "
            f"Received: {options.start:g} and {options.seconds}"
        )
    return first, last


def _open(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Open a `.npy` file, which is not read yet, or read the arrays of a `.npz` file."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = {"signals": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or excerpt(str(error))
        raise InputError(
            f"data.signals: {path}: expected a .npy or .npz file of numbers. Received: {reason}"
        ) from None
    if "signals" not in arrays:
        names = excerpt(" ".join(arrays))
        raise InputError(f"data.signals: {path}: expected the array `signals`. Received: {names}")
    return arrays


def _parse(paths: Sequence[Path | None], options: ReadOptions) -> cache.Arrays:
    """Read a file a record; all have the same leads, sampling frequency and length."""
    leads, fs = tuple[str, ...](), 0.0
    records: dict[int, Floats] = {}  # by row
    for row, path in cache.shown(enumerate(paths), "reading"):
        if path is None:
            continue
        _, mv, own_leads, own_fs = read_leads(path, options.leads, options)
        if not records:
            leads, fs = own_leads, own_fs
        if sorted(own_leads) != sorted(leads) or own_fs != fs:
            raise InputError(
                f"{path}: expected the leads {' '.join(leads)} at {fs:g} Hz, as the first file "
                f"has; data.leads chooses some. Received: {' '.join(own_leads)} at {own_fs:g} Hz"
            )
        records[row] = mv[:, [own_leads.index(lead) for lead in leads]]
    if not records:
        raise InputError("data.path_column: expected a file a record. Received: no file")
    lengths = {len(mv) for mv in records.values()}
    n_samples = min(lengths) if options.seconds is None else round(options.seconds * fs)
    if options.seconds is None and len(lengths) > 1:
        raise InputError(
            f"data.seconds: expected how much of each record is read, for they last from "
            f"{n_samples / fs:g} to {max(lengths) / fs:g} s; shorter ones are dropped"
        )
    signals = np.zeros((len(paths), n_samples, len(leads)), np.float32)
    is_short = {row: len(mv) < n_samples for row, mv in records.items()}
    for row, mv in records.items():
        signals[row] = 0 if is_short[row] else mv[:n_samples]
    faults = _faults([signals], leads, options).astype(object)
    for row in range(len(paths)):
        if is_short.get(row, True):
            faults[row] = f"shorter than {options.seconds:g} s" if row in records else "no file"
    return {
        "signals": signals,
        "leads": np.array(leads),
        "fs": np.array(fs),
        "faults": faults.astype(str),
    }


def _faults(blocks: Iterable[Floats], leads: Sequence[str], options: ReadOptions) -> Texts:
    """Say what is wrong with each record of some blocks; empty where nothing is."""
    is_voltage, first, faults = options.unit != "other", dict[bytes, int](), list[str]()
    for row, record in enumerate((one for block in blocks for one in block), start=1):
        fault = signal_fault(record, leads) or (unit_fault(record, leads) if is_voltage else "")
        original = first.setdefault(hashlib.sha256(record.tobytes()).digest(), row)
        if not fault and original != row:  # of another subject it would be in train and test
            fault = f"the very samples of row {original}"
        faults.append(fault)
    return np.array(faults)
