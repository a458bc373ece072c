"""Strict, fast reading of WFDB headers, signals and annotations.

Only what LVH data sets use is read (one format 16 file a record, no segments), and every
field is checked before anything is allocated. Formats: WFDB Applications Guide, header(5),
signal(5), annot(5).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.files import read_bytes

_MAX_TEXT_BYTES = 64 * 1024  # a real header has about 700 bytes
_MAX_ANNOTATION_BYTES = 16 * 1024  # a real lead has about 100 bytes
_MAX_SIGNAL_BYTES = 4 * 1024 * 1024  # a real record has 120 kB; an empty file costs no disk
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{,254}")
_GAIN = re.compile(r"(?P<gain>[^(/]+)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<unit>\S+))?")

_SYMBOL = {39: "(", 40: ")", 1: "N", 24: "p", 27: "t"}
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_CODE_TO_ASCII = np.zeros(64, dtype=np.uint8)
for _code, _symbol in _SYMBOL.items():
    _CODE_TO_ASCII[_code] = ord(_symbol)


@dataclass(frozen=True, slots=True)
class Header:
    """What a `.hea` file says.

    Attributes:
        path: The file itself.
        fs: Sampling frequency in Hz.
        n_samples: Samples a lead.
        data_file: Name of the signal file, in the same folder.
        leads: Lead names, lower case.
        gains: ADC units per physical unit, as declared.
        units: Physical units, as declared; mV where nothing is.
        baselines: ADC value of physical zero.
        checksums: Sum of each lead's samples modulo 2**16, as a signed number.
        comments: Comment lines without the leading `#`.
    """

    path: Path
    fs: float
    n_samples: int
    data_file: str
    leads: tuple[str, ...]
    gains: tuple[float, ...]
    units: tuple[str, ...]
    baselines: tuple[int, ...]
    checksums: tuple[int, ...]
    comments: tuple[str, ...]


def read_header(path: Path, root: Path) -> Header:
    """Parse one header file.

    Args:
        path: The `.hea` file.
        root: The data set's folder; neither the header nor what it names may lie outside.

    Raises:
        InputError: Missing file, or any field that is absent, malformed or out of range.
    """
    text = read_bytes(path, root, _MAX_TEXT_BYTES).decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    comments = tuple(line[1:] for line in lines if line.startswith("#"))
    fields = [line.split() for line in lines if not line.startswith("#")]
    if not fields:
        raise InputError(f"{path}: expected a record line. Received: an empty header")
    n_signals, fs, n_samples = _record_line(path, fields[0])
    if len(fields) - 1 != n_signals:
        raise InputError(f"{path}: expected {n_signals} signal lines. Received: {len(fields) - 1}")
    signals = [_signal_line(path, line) for line in fields[1:]]
    files = {signal.file for signal in signals}
    if len(files) != 1:
        raise InputError(
            f"{path}: expected one signal file. Received: {shown(', '.join(sorted(files)))}"
        )
    leads = tuple(signal.lead for signal in signals)
    if len(set(leads)) != len(leads):
        raise InputError(f"{path}: expected distinct leads. Received: {shown(' '.join(leads))}")
    return Header(
        path=path,
        fs=fs,
        n_samples=n_samples,
        data_file=files.pop(),
        leads=leads,
        gains=tuple(signal.gain for signal in signals),
        units=tuple(signal.unit for signal in signals),
        baselines=tuple(signal.baseline for signal in signals),
        checksums=tuple(signal.checksum for signal in signals),
        comments=comments,
    )


def check_leads(header: Header) -> None:
    """Raise InputError unless a record has the twelve leads, in whatever order."""
    if set(header.leads) != set(LEADS):
        raise InputError(
            f"{header.path}: expected the leads {' '.join(LEADS)}. "
            f"Received: {shown(' '.join(header.leads))}"
        )


def read_signals(header: Header, root: Path) -> npt.NDArray[np.int16]:
    """Read the ADC values of one record.

    Returns:
        Shape (n_samples, n_leads), int16, in ADC units.

    Raises:
        InputError: The file is missing, outside `root`, of another size than the header
            declares, or its checksums differ.
    """
    path = header.path.parent / header.data_file
    expected = header.n_samples * len(header.leads) * 2
    if expected > _MAX_SIGNAL_BYTES:
        raise InputError(
            f"{path}: expected at most {_MAX_SIGNAL_BYTES} bytes. "
            f"Received: {expected}, as {header.path.name} says"
        )
    data = read_bytes(path, root, expected, exact=True)
    signals = np.frombuffer(data, dtype="<i2").reshape(header.n_samples, len(header.leads))
    sums = signals.sum(axis=0, dtype=np.int64).astype(np.int16)  # wraps as the format asks
    for lead, declared, found in zip(header.leads, header.checksums, sums, strict=True):
        if (declared - int(found)) % 2**16:  # some writers leave out the sign
            raise InputError(
                f"{path}: lead {lead}: expected checksum {declared}, as {header.path.name} says. "
                f"Received: {found}"
            )
    return signals


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
    words = np.frombuffer(data, dtype="<u2")[:-1].astype(np.int32)
    codes, steps = words >> 10, words & 1023
    if np.any(codes >= _SKIP):
        codes, steps = _expand(path, codes, steps, words)
    symbols = _CODE_TO_ASCII[codes]
    if not symbols.all():
        other = int(codes[symbols == 0][0])
        raise InputError(f"{path}: expected the annotations ( ) N p t. Received: code {other}")
    samples = np.cumsum(steps, dtype=np.int64)
    if samples.size and (samples.min() < 0 or samples.max() >= n_samples or np.any(steps < 0)):
        raise InputError(
            f"{path}: expected rising samples from 0 to {n_samples - 1}. "
            f"Received: {samples.min()} to {samples.max()}"
        )
    return symbols, samples.astype(np.int32)


def shown(text: str) -> str:
    """Quote what a file says for a message: short, and nothing that a terminal would obey."""
    return repr(text[:80])


@dataclass(frozen=True, slots=True)
class _SignalLine:
    file: str
    lead: str
    gain: float
    unit: str
    baseline: int
    checksum: int


def _record_line(path: Path, fields: list[str]) -> tuple[int, float, int]:
    if len(fields) < 4 or "/" in fields[0]:
        raise InputError(
            f"{path}: expected a record line `name signals fs samples` of one segment. "
            f"Received: {shown(' '.join(fields))}"
        )
    if fields[0] != path.stem:  # a copy under another name brings a person into two folds
        raise InputError(
            f"{path}: expected the header of record {path.stem}. Received: {shown(fields[0])}"
        )
    n_signals = _integer(path, "number of signals", fields[1], low=1, high=64)
    fs = _number(path, "sampling frequency in Hz", fields[2].split("/")[0])
    if not 0 < fs <= 100_000:
        raise InputError(f"{path}: expected 0 < sampling frequency <= 100000 Hz. Received: {fs:g}")
    n_samples = _integer(path, "number of samples", fields[3], low=1, high=2**40)
    return n_signals, fs, n_samples


def _signal_line(path: Path, fields: list[str]) -> _SignalLine:
    if len(fields) < 9:
        raise InputError(
            f"{path}: expected nine fields in a signal line. Received: {shown(' '.join(fields))}"
        )
    file, storage, gain_field, resolution, adc_zero, first, checksum, block_size = fields[:8]
    if not _PLAIN_NAME.fullmatch(file):
        raise InputError(
            f"{path}: expected a signal file in the same folder. Received: {shown(file)}"
        )
    if storage != "16":
        raise InputError(
            f"{path}: expected signal format 16 (no skew, offset or multiples). "
            f"Received: {shown(storage)}"
        )
    match = _GAIN.fullmatch(gain_field)
    if match is None:
        raise InputError(f"{path}: expected `gain(baseline)/unit`. Received: {shown(gain_field)}")
    gain = _number(path, "gain", match["gain"])
    if not (math.isfinite(gain) and gain > 0):
        raise InputError(f"{path}: expected a gain above 0. Received: {shown(match['gain'])}")
    zero = _integer(path, "ADC zero", adc_zero, low=-(2**31), high=2**31)
    baseline = zero
    if match["baseline"] is not None:
        baseline = _integer(path, "baseline", match["baseline"], low=-(2**31), high=2**31)
    for field, text in (
        ("ADC resolution", resolution),
        ("first value", first),
        ("block size", block_size),
    ):  # of no use here, but a line that is out of step may end in the name of a lead
        _integer(path, field, text, low=-(2**31), high=2**31)
    return _SignalLine(
        file=file,
        lead=" ".join(fields[8:]).lower(),
        gain=gain,
        unit=match["unit"] or "mV",
        baseline=baseline,
        checksum=_integer(path, "checksum", checksum, low=-(2**15), high=2**16 - 1),
    )


def _integer(path: Path, field: str, text: str, *, low: int, high: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise InputError(
            f"{path}: {field}: expected an integer from {low} to {high}. Received: {shown(text)}"
        )
    return int(text)


def _number(path: Path, field: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text):  # float takes 5_00 and nan too
        raise InputError(f"{path}: {field}: expected a plain number. Received: {shown(text)}")
    return float(text)


def _expand(
    path: Path,
    codes: npt.NDArray[np.int32],
    steps: npt.NDArray[np.int32],
    words: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Resolve the pseudo-annotations: long skips count, the rest describes nothing we use."""
    kept_codes: list[int] = []
    kept_steps: list[int] = []
    skipped = 0
    at = 0
    while at < len(codes):
        code, step = int(codes[at]), int(steps[at])
        at += 1
        if code == _SKIP:
            if at + 2 > len(words):
                raise InputError(f"{path}: expected a 32-bit skip. Received: the end of the file")
            interval = (int(words[at]) << 16) | int(words[at + 1])  # high half first
            skipped += interval - (1 << 32) if interval >= 1 << 31 else interval
            at += 2
        elif code == _AUX:
            at += (step + 1) // 2
            if at > len(codes):
                raise InputError(f"{path}: expected {step} bytes of text. Received: fewer")
        elif code not in (_NUM, _SUB, _CHN):
            kept_codes.append(code)
            kept_steps.append(step + skipped)
            skipped = 0
    return (
        np.array(kept_codes, dtype=np.int32),
        np.clip(kept_steps, -(2**31), 2**31 - 1).astype(np.int32),
    )
