"""The signals of a table of records: one NumPy array for all, or a file a record."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data import cache
from lvh.data.array_checks import signal_fault, unit_fault
from lvh.data.lazy_array import LOADED_BYTES, Floats, Inputs, mapped
from lvh.data.readers.leads import ReadOptions, lead_key, millivolts_per_unit, sampling_frequency
from lvh.data.readers.record import read_leads
from lvh.data.readers.table_record import open_signals
from lvh.data.table_file import Texts
from lvh.errors import InputError, excerpt

_FORMAT = 1  # of the cached arrays; raise it when their meaning changes


@dataclass(frozen=True, slots=True)
class TableSignals:
    """Signals of every row, and what is wrong with each; empty where nothing is."""

    values: Inputs
    leads: tuple[str, ...]
    fs: float
    faults: Texts


def read_files(paths: Sequence[Path | None], options: ReadOptions) -> TableSignals:
    """Read a file a record; what was read is in the cache until a file changes."""
    folders = {file.parent for file in paths if file is not None}
    states = [(str(folder), cache.folder_state(folder)) for folder in sorted(folders)]
    path = cache.cohort_path("table", _FORMAT, options, paths, states)
    arrays = cache.load_or_build(path, lambda: _parse(paths, options))
    leads = tuple(arrays["leads"].tolist())
    return TableSignals(arrays["signals"], leads, float(arrays["fs"]), arrays["faults"])


def read_array(path: Path, records: Sequence[str], options: ReadOptions) -> TableSignals:
    """Read one array with the signals of all records; a large `.npy` file is memory-mapped."""
    stored, n = open_signals(path), len(records)
    array, own_leads = stored.signals, tuple(map(lead_key, stored.leads))
    leads = options.leads or own_leads
    for field, own, given in (
        ("signals", stored.records, (*records,)),
        ("leads", own_leads, leads),
    ):
        if own and own != given:
            raise InputError(
                f"data.{field}: expected {excerpt(own)}, as {path} says, in its order. "
                f"Received: {excerpt(given)}"
            )
    shape = array.shape[1:] if array.ndim == 3 else (*array.shape[1:], 1)
    is_turned = shape[-1] != len(leads) == shape[0]  # (n_records, n_leads, n_samples)
    if (
        array.dtype.kind not in "iuf"
        or array.ndim not in (2, 3)
        or len(array) != n
        or not leads
        or shape[0 if is_turned else 1] != len(leads)
    ):
        raise InputError(
            f"data.signals and data.leads: expected numbers of shape ({n}, n_samples, n_leads), or "
            f"({n}, n_samples) of one lead, and the names of the leads. Received: {array.dtype} of "
            f"shape {array.shape} and {len(leads)} names in {path}"
        )
    n_samples = shape[1 if is_turned else 0]
    fs = sampling_frequency(path, stored.fs, options)
    factor = millivolts_per_unit(path, leads[0], stored.unit, options)
    first = round(options.start * fs)
    last = n_samples if options.seconds is None else first + round(options.seconds * fs)
    if not first < last <= n_samples:
        raise InputError(
            f"data.start and data.seconds: expected a part of the {n_samples / fs:g} s in {path}. "
            f"Received: {options.start:g} and {options.seconds}"
        )

    def in_mv(values: npt.NDArray[Any], _: object = None) -> Floats:
        turned = np.swapaxes(values, 1, 2) if is_turned else values.reshape(len(values), *shape)
        with np.errstate(over="ignore"):  # an overflow gives infinity, which is a flaw
            return (turned[:, first:last] * factor).astype(np.float32)

    values: Inputs
    if 4 * n * (last - first) * len(leads) > LOADED_BYTES and path.suffix == ".npy":
        values = mapped(path).map(in_mv, (last - first, len(leads)))
        return TableSignals(values, leads, fs, _faults(values.chunks(), leads, options))
    values = in_mv(np.asarray(array))
    return TableSignals(values, leads, fs, _faults([values], leads, options))


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
    lengths = {len(mv) for mv in records.values()}
    if not records or (options.seconds is None and len(lengths) > 1):
        raise InputError(
            "data.path_column and data.seconds: expected a file a record, and how much of each is "
            f"read where they differ in length. Received: files of {sorted(lengths)} samples"
        )
    n_samples = min(lengths) if options.seconds is None else round(options.seconds * fs)
    signals = np.zeros((len(paths), n_samples, len(leads)), np.float32)
    too_short = {row: "no file" for row in range(len(paths)) if row not in records}
    for row, mv in records.items():
        if len(mv) < n_samples:
            too_short[row] = f"shorter than {options.seconds:g} s"
        else:
            signals[row] = mv[:n_samples]
    faults = _faults([signals], leads, options).tolist()
    return {
        "signals": signals,
        "leads": np.array(leads),
        "fs": np.array(fs),
        "faults": np.array([too_short.get(row, fault) for row, fault in enumerate(faults)]),
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
