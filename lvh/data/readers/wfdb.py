"""WFDB's headers, and fast reading of records as LUDB and PTB-XL have them.

These have twelve leads in format 16; `lvh.data.readers.wfdb_record` reads any other format.
Source: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import signal_fault
from lvh.data.cohort import LEADS
from lvh.data.lazy_array import Floats
from lvh.errors import InputError, excerpt
from lvh.files import read_bytes

_MAX_TEXT_BYTES = 256 * 1024  # a real header has about 700 bytes
_MAX_ANNOTATION_BYTES = 16 * 1024  # a real lead has about 100 bytes
_MAX_SIGNAL_BYTES = 4 * 1024 * 1024  # a real record has 120 kB; a sparse file costs no disk
_MAX_FS = 100_000  # Hz
# of bounded length, so that no line takes long to refuse; float would take 5_00 and nan
_NUMBER = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,2})?"
_RECORD_LINE = re.compile(
    r"(?P<name>[^/ ]+) (?P<signals>[0-9]{1,3})"
    rf"(?: (?P<fs>{_NUMBER})(?:/\S+)?"
    r"(?: (?P<samples>[1-9][0-9]{,15})(?: .*)?)?)?",
    re.IGNORECASE,
)
_SIGNAL_LINE = re.compile(
    r"(?P<file>~?[A-Z0-9_-]{1,200}(?:\.[A-Z0-9_]{1,20})?)"
    r" (?P<storage>[0-9]+(?:x(?P<rate>[1-9][0-9]?))?(?::(?P<skew>[0-9]{1,4}))?(?:\+[0-9]+)?)"
    rf" (?P<gain>(?=[0.]*[1-9]){_NUMBER})(?:\((?P<baseline>-?[0-9]{{1,10}})\))?(?:/(?P<unit>\S+))?"
    r"(?: -?[0-9]+(?: (?P<zero>-?[0-9]{1,10})(?: -?[0-9]+"
    r"(?: (?P<checksum>-?[0-9]{1,10})(?: -?[0-9]+(?: (?P<name>.+))?)?)?)?)?)?",
    re.IGNORECASE | re.ASCII,
)
_INVALID_SAMPLE = -32768
_SYMBOLS = {39: "(", 40: ")", 1: "N", 24: "p", 27: "t"}
_SKIP = 59


@dataclass(frozen=True, slots=True)
class SignalLine:
    """What a header says of one signal; WFDB's default unit is mV."""

    file: str
    storage: str  # format, samples a frame, skew, offset, such as 16x1:3+24
    rate: int  # samples a frame
    skew: int  # samples by which it is late
    gain: float  # ADC units a unit
    baseline: int  # ADC value of 0
    unit: str
    checksum: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Header:
    """The content of a `.hea` file; what is None is not there."""

    path: Path
    name: str
    fs: float | None  # Hz
    n_samples: int | None
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]


def read_header(path: Path, root: Path) -> Header:
    """Parse a header; neither it nor its signal files may lie outside `root`."""
    data = read_bytes(path, root, _MAX_TEXT_BYTES)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # the micro sign of many
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first, *others = [" ".join(line.split()) for line in lines if line[0] != "#"] or [""]
    match = _matched(path, _RECORD_LINE, first)
    if not 0 < int(match["signals"]) == len(others):
        raise InputError(
            f"{path}: expected a line for each signal, {excerpt(first)}. "
            f"Received: {len(others)} lines"
        )
    return Header(
        path=path,
        name=match["name"],
        fs=float(match["fs"]) if match["fs"] else None,
        n_samples=int(match["samples"]) if match["samples"] else None,
        signals=tuple(_signal(_matched(path, _SIGNAL_LINE, line)) for line in others),
        comments=tuple(line[1:].strip() for line in lines if line[0] == "#"),
    )


def _matched(path: Path, pattern: re.Pattern[str], line: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        raise InputError(
            f"{path}: expected a record of one segment, `name signals fs samples`, then a line for "
            "each signal, `file format gain(baseline)/unit resolution zero first checksum block "
            f"lead`: a file in the same folder, a gain above 0. Received: {excerpt(line)}"
        )
    return match


def _signal(match: re.Match[str]) -> SignalLine:
    return SignalLine(
        file=match["file"],
        storage=match["storage"],
        rate=int(match["rate"] or 1),
        skew=int(match["skew"] or 0),
        gain=float(match["gain"]),
        baseline=int(match["baseline"] or match["zero"] or 0),
        unit=match["unit"] or "mV",
        checksum=int(match["checksum"]) if match["checksum"] else None,
        name=match["name"] or "",
    )


def check_sums(header: Header, columns: list[npt.NDArray[np.integer]]) -> None:
    """Raise InputError unless the samples of each signal have the header's checksums."""
    for signal, values in zip(header.signals, columns, strict=True):
        total = int(values.sum(dtype=np.int64))
        # some writers leave out the sign
        if signal.checksum is not None and (signal.checksum - total) % 2**16:
            raise InputError(
                f"{header.path}: lead {excerpt(signal.name)}: expected checksum "
                f"{signal.checksum}. Received: {total % 2**16}"
            )


def read_record(path: Path, root: Path) -> tuple[Header, npt.NDArray[np.int16]]:
    """Read a record of twelve leads in one file of format 16.

    Return the header with its leads in the order of `LEADS`, and ADC values, (n_samples, 12).
    """
    header = read_header(path, root)
    names = [signal.name.lower() for signal in header.signals]
    storage = {(signal.file, signal.storage, signal.unit) for signal in header.signals}
    n_bytes = 2 * (header.n_samples or 0) * len(LEADS)
    has_size = 0 < (header.fs or 0) <= _MAX_FS and 0 < n_bytes <= _MAX_SIGNAL_BYTES
    is_usual = sorted(names) == sorted(LEADS) and [one[1:] for one in storage] == [("16", "mV")]
    if not (has_size and is_usual and header.name == path.stem):  # a copy is a subject twice
        raise InputError(
            f"{path}: expected record {path.stem}, the leads {' '.join(LEADS)} in mV, in one file "
            f"in format 16 of at most {_MAX_SIGNAL_BYTES} bytes, at 1 to {_MAX_FS} Hz. Received: "
            f"{excerpt((header.name, names, sorted(storage), n_bytes, header.fs))}"
        )
    data = read_bytes(path.parent / storage.pop()[0], root, n_bytes, exact=True)
    digital = np.frombuffer(data, dtype="<i2").reshape(-1, len(LEADS))
    check_sums(header, list(digital.T))
    order = [names.index(lead) for lead in LEADS]
    return replace(header, signals=tuple(header.signals[at] for at in order)), digital[:, order]


def millivolts(
    digital: npt.NDArray[np.integer | np.floating], baselines: Floats, gains: Floats
) -> Floats:
    """Return ADC values, shape (..., n_samples, n_leads), in mV; gains are (..., n_leads)."""
    mv = digital.astype(np.float32)
    mv -= baselines[..., None, :]
    mv /= gains[..., None, :]
    return mv


def digital_fault(digital: npt.NDArray[np.int16], baselines: Floats, gains: Floats) -> str:
    """Say what is wrong with a record's ADC values; empty if nothing is."""
    mv = millivolts(digital, baselines, gains)
    mv[digital == _INVALID_SAMPLE] = np.nan
    return signal_fault(mv)


def read_annotations(
    path: Path, root: Path, n_samples: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return symbols, `( ) N p t` in ASCII, and samples of one lead (MIT annotation format)."""
    data = read_bytes(path, root, _MAX_ANNOTATION_BYTES)
    is_whole = len(data) % 2 == 0 and data[-2:] == b"\0\0"
    words = iter(np.frombuffer(data, dtype="<u2")[:-1].tolist() if is_whole else [0])
    symbols, samples, now = "", [], 0
    for word in words:
        code, step = word >> 10, word & 1023
        if code == _SKIP:
            now += (next(words, 0) << 16) + next(words, 0)  # high half first
            continue
        now += step
        if code not in _SYMBOLS or now >= n_samples:
            raise InputError(
                f"{path}: expected annotations ( ) N p t, of 16 bits, of {n_samples} samples, and a "
                f"zero. Received: code {code} at {now}, in {len(data)} bytes"
            )
        symbols += _SYMBOLS[code]
        samples.append(now)
    return np.frombuffer(symbols.encode(), dtype=np.uint8), np.array(samples, dtype=np.int32)
