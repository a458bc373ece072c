"""NumPy arrays of signals, of one record or of many, and what a `.npz` file says of them."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.readers.leads import MAX_BYTES, ReadOptions, Recording, Signal
from lvh.errors import InputError, excerpt


@dataclass(frozen=True, slots=True)
class StoredSignals:
    """An array of signals; what else is empty or None the file does not say."""

    signals: npt.NDArray[Any]  # of a `.npy` file mapped, not read
    leads: tuple[str, ...] = ()
    fs: float | None = None
    unit: str = ""
    records: tuple[str, ...] | None = None


def open_signals(path: Path) -> StoredSignals:
    """Open a `.npy` file, or a `.npz` file with `signals`, and maybe `leads`, `fs`, `unit`."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return StoredSignals(loaded)
        with loaded:
            stored = dict(loaded)
        fs = stored.get("fs")
        return StoredSignals(
            stored["signals"],
            tuple(np.atleast_1d(stored.get("leads", ())).astype(str).tolist()),
            None if fs is None else float(fs.item()),
            str(stored.get("unit", "")),
            tuple(stored["records"].astype(str).tolist()) if "records" in stored else None,
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or excerpt(str(error))
        raise InputError(
            f"{path}: expected a .npy file, or a .npz file with the array `signals`, and maybe "
            f"`leads`, one number `fs`, `unit`. Received: {reason}"
        ) from None


def read(path: Path, data: bytes, options: ReadOptions) -> Recording:
    """Read one record, shape (n_samples, n_leads) or its transpose; the user may name the leads."""
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes. Received: {size}")
    stored = open_signals(path)
    leads, array = stored.leads or options.leads, stored.signals
    if not leads:
        raise InputError(f"{path}: expected names of its columns. --leads says them in order")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 2 and array.shape[1] != len(leads) == array.shape[0]:
        array = array.T
    if array.ndim != 2 or array.shape[1] != len(leads) or array.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: expected numbers of shape (n_samples, {len(leads)}). "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    columns = array.astype(np.float64).T
    return Recording(
        [
            Signal(lead, column, stored.unit, stored.fs)
            for lead, column in zip(leads, columns, strict=True)
        ]
    )
