"""Strict, fast reading of records as LUDB and PTB-XL have them: twelve leads in format 16.

About twenty times as fast as the `wfdb` package, which reads every other record (see
`lvh.data.readers.wfdb_record`). Formats: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.data.readers.leads import check_limb_leads
from lvh.errors import InputError, excerpt
from lvh.files import read_bytes

_MAX_TEXT_BYTES = 64 * 1024  # a real header has about 700 bytes
_MAX_ANNOTATION_BYTES = 16 * 1024  # a real lead has about 100 bytes
_MAX_SIGNAL_BYTES = 4 * 1024 * 1024  # a real record has 120 kB; a sparse file costs no disk
# of bounded length, so that no line takes long to refuse; float would take 5_00 and nan
_NUMBER = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,2})?"
_INTEGER = r"-?[0-9]{1,10}"
_RECORD_LINE = re.compile(
    rf"(?P<name>[^/ ]+) 12 (?P<fs>{_NUMBER})(?:/\S+)? (?P<samples>[1-9][0-9]{{,8}})(?: .*)?", re.I
)
_SIGNAL_LINE = re.compile(
    rf"(?P<file>[A-Z0-9_-]+\.dat) 16(?:\+0)? (?P<gain>{_NUMBER})(?:\((?P<baseline>{_INTEGER})\))?"
    rf"/mV {_INTEGER} (?P<zero>{_INTEGER}) {_INTEGER} (?P<checksum>-?[0-9]{{1,5}}) {_INTEGER}"
    r" (?P<lead>\S+)",
    re.IGNORECASE | re.ASCII,
)
_INVALID_SAMPLE = -32768
_SYMBOLS = {39: "(", 40: ")", 1: "N", 24: "p", 27: "t"}
_SKIP = 59


@dataclass(frozen=True, slots=True)
class Record:
    """A record of twelve leads.

    Attributes:
        path: Of its header.
        fs: Hz.
        digital: ADC values, shape (n_samples, 12), int16, in the order of `lvh.data.cohort.LEADS`.
        gains: ADC units per mV, as declared, shape (12,).
        baselines: ADC values of 0 mV, shape (12,).
        comments: Comment lines without the leading `#`.
    """

    path: Path
    fs: float
    digital: npt.NDArray[np.int16]
    gains: npt.NDArray[np.float32]
    baselines: npt.NDArray[np.float32]
    comments: tuple[str, ...]


def read_record(path: Path, root: Path) -> Record:
    """Read a header and its one signal file.

    Args:
        path: The `.hea` file.
        root: The data set's folder; no file may lie outside.

    Raises:
        InputError: A file is missing, or any of its fields is absent, malformed or out of range;
            the signals have another size or checksum than the header declares.
    """
    text = read_bytes(path, root, _MAX_TEXT_BYTES).decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first, *others = [" ".join(line.split()) for line in lines if line[0] != "#"] or [""]
    match = _RECORD_LINE.fullmatch(first)
    if match is None or match["name"] != path.stem:  # a copy would bring a subject twice
        raise InputError(
            f"{path}: expected the record line `{path.stem} 12 fs samples`. "
            f"Received: {excerpt(first)}"
        )
    fs, n_samples = float(match["fs"]), int(match["samples"])
    signals = [_signal(path, line) for line in others]
    leads = [signal["lead"].lower() for signal in signals]
    files = {signal["file"] for signal in signals}
    if sorted(leads) != sorted(LEADS) or len(files) > 1 or not 0 < fs <= 100_000:
        raise InputError(
            f"{path}: expected the leads {' '.join(LEADS)} in one file, and 0 < fs <= 100000 Hz. "
            f"Received: {excerpt(' '.join(leads))} in {excerpt(' '.join(files))}, {fs:g} Hz"
        )
    n_bytes = 2 * n_samples * len(LEADS)
    if n_bytes > _MAX_SIGNAL_BYTES:
        raise InputError(f"{path}: expected at most {_MAX_SIGNAL_BYTES} bytes. Received: {n_bytes}")
    data = read_bytes(path.parent / files.pop(), root, n_bytes, exact=True)
    order = [leads.index(lead) for lead in LEADS]
    digital = np.frombuffer(data, dtype="<i2").reshape(n_samples, len(LEADS))[:, order]
    signals = [signals[at] for at in order]
    for lead, signal, total in zip(LEADS, signals, digital.sum(axis=0).tolist(), strict=True):
        if (int(signal["checksum"]) - total) % 2**16:  # some writers leave out the sign
            raise InputError(
                f"{path}: lead {lead}: expected checksum {signal['checksum']}. "
                f"Received: {total % 2**16}"
            )
    return Record(
        path=path,
        fs=fs,
        digital=digital,
        gains=np.array([signal["gain"] for signal in signals], dtype=np.float32),
        baselines=np.array(
            [signal["baseline"] or signal["zero"] for signal in signals], dtype=np.float32
        ),
        comments=tuple(line[1:].strip() for line in lines if line[0] == "#"),
    )


def signal_fault(digital: npt.NDArray[np.int16], mv: npt.NDArray[np.float32]) -> str:
    """Say what is wrong with signals, both of shape (n_samples, 12); empty if nothing is."""
    for what, leads in (
        ("invalid samples (-32768)", (digital == _INVALID_SAMPLE).any(axis=0)),
        ("a flat line", np.ptp(digital, axis=0) == 0),
    ):
        if leads.any():
            return f"lead {LEADS[int(leads.argmax())]}: expected a signal. Received: {what}"
    try:
        check_limb_leads(mv, LEADS)
    except InputError as error:
        return str(error)
    return ""


def read_annotations(
    path: Path, root: Path, n_samples: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Read one lead's delineation (MIT annotation format).

    Returns:
        ASCII codes of the symbols `( ) N p t` and their sample indices, both of shape
        (n_annotations,), in order of time.

    Raises:
        InputError: The file is missing, cut short, holds another kind of annotation, or a
            sample outside the record.
    """
    data = read_bytes(path, root, _MAX_ANNOTATION_BYTES)
    if len(data) < 2 or len(data) % 2 or data[-2:] != b"\0\0":
        raise InputError(
            f"{path}: expected 16-bit words that end with a zero. Received: {len(data)} bytes, "
            "cut short or of another format"
        )
    words = iter(np.frombuffer(data, dtype="<u2")[:-1].tolist())
    symbols, samples, now = "", [], 0
    for word in words:
        code, step = word >> 10, word & 1023
        if code == _SKIP:
            high, low = next(words, 0), next(words, 0)
            now += (high << 16) + low
            continue
        now += step
        if code not in _SYMBOLS or now >= n_samples:
            raise InputError(
                f"{path}: expected the annotations ( ) N p t, and samples from 0 to "
                f"{n_samples - 1}. Received: code {code} at {now}"
            )
        symbols += _SYMBOLS[code]
        samples.append(now)
    return np.frombuffer(symbols.encode(), dtype=np.uint8), np.array(samples, dtype=np.int32)


def _signal(path: Path, line: str) -> re.Match[str]:
    match = _SIGNAL_LINE.fullmatch(line)
    if match is None or float(match["gain"]) == 0:
        raise InputError(
            f"{path}: expected a signal line `file 16 gain(baseline)/mV resolution zero first "
            f"checksum block lead`, with a gain above 0. Received: {excerpt(line)}"
        )
    return match
