"""Strict, fast reading of WFDB headers, signals of format 16, and wave annotations.

Every field is checked before anything is allocated. LUDB and PTB-XL are read with this module,
about twenty times as fast as with the `wfdb` package, which reads every other format (see
`lvh.data.readers.wfdb_record`). Formats: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

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
_MAX_FS = 100_000  # Hz
_MAX_SIGNAL_BYTES = 4 * 1024 * 1024  # a real record has 120 kB; a sparse file costs no disk
# of bounded length, so that no line takes long to refuse; float would take 5_00 and nan
_NUMBER = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,2})?"
_INTEGER = r"-?[0-9]{1,10}"
_RECORD_LINE = re.compile(
    rf"(?P<name>[^/ ]+) (?P<signals>[0-9]{{1,2}}) (?P<fs>{_NUMBER})(?:/\S+)?"
    r" (?P<samples>[0-9]{1,18})(?: .*)?",
    re.IGNORECASE | re.ASCII,
)
_SIGNAL_LINE = re.compile(  # without skew, and one sample a frame
    r"(?P<file>[A-Z0-9_][A-Z0-9_.-]{,254})"
    r" (?P<format>[0-9]{1,3})(?:x1)?(?::0)?(?:\+(?P<offset>[0-9]{1,9}))?"
    rf" (?P<gain>{_NUMBER})(?:\((?P<baseline>{_INTEGER})\))?(?:/(?P<unit>\S+))?"
    rf" {_INTEGER} (?P<zero>{_INTEGER}) {_INTEGER} (?P<checksum>-?[0-9]{{1,5}}) {_INTEGER}"
    r" (?P<lead>.+)",
    re.IGNORECASE | re.ASCII,
)

INVALID_SAMPLE = -32768
"""Marks a sample that was not recorded, in format 16."""

_SYMBOLS = {39: "(", 40: ")", 1: "N", 24: "p", 27: "t"}
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_CODE_TO_ASCII = np.zeros(64, dtype=np.uint8)
_CODE_TO_ASCII[list(_SYMBOLS)] = [ord(symbol) for symbol in _SYMBOLS.values()]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal line of a header.

    Attributes:
        file: Name of the signal file, in the header's folder.
        format: Storage format, such as "16".
        offset: Bytes before the first sample.
        lead: Lead name, lower case.
        gain: ADC units per physical unit, as declared.
        unit: Physical unit, as declared; mV where none is.
        baseline: ADC value of physical zero.
        checksum: Sum of the samples modulo 2**16, as a signed number.
    """

    file: str
    format: str
    offset: int
    lead: str
    gain: float
    unit: str
    baseline: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Header:
    """The content of a `.hea` file.

    Attributes:
        path: The file itself.
        fs: Sampling frequency in Hz.
        n_samples: Samples a lead.
        signals: One a lead, in the file's order.
        comments: Comment lines without the leading `#`.
    """

    path: Path
    fs: float
    n_samples: int
    signals: tuple[Signal, ...]
    comments: tuple[str, ...]

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names, lower case."""
        return tuple(signal.lead for signal in self.signals)

    def calibration(
        self, order: list[int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return baselines and gains of the signals at some positions."""
        signals = [self.signals[at] for at in order]
        return np.array([one.baseline for one in signals], dtype=np.float64), np.array(
            [one.gain for one in signals], dtype=np.float64
        )


def read_header(path: Path, root: Path) -> Header:
    """Parse one header file.

    Args:
        path: The `.hea` file.
        root: The data set's folder; neither the header nor its signal files may lie outside.

    Raises:
        InputError: Missing file, or any field that is absent, malformed or out of range.
    """
    text = read_bytes(path, root, _MAX_TEXT_BYTES).decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fields = [" ".join(line.split()) for line in lines if not line.startswith("#")]
    record = _RECORD_LINE.fullmatch(fields[0]) if fields else None
    if record is None:
        raise InputError(
            f"{path}: expected a record line `name signals fs samples` of one segment. "
            f"Received: {quoted(fields[0]) if fields else 'an empty header'}"
        )
    fs, n_samples, n_signals = float(record["fs"]), int(record["samples"]), int(record["signals"])
    if record["name"] != path.stem:  # a copy under another name would bring a subject twice
        raise InputError(
            f"{path}: expected the header of record {path.stem}. Received: {quoted(record['name'])}"
        )
    if not 0 < fs <= _MAX_FS:
        raise InputError(
            f"{path}: expected 0 < sampling frequency <= {_MAX_FS} Hz. Received: {fs:g}"
        )
    if n_samples < 1 or len(fields) - 1 != n_signals or n_signals < 1:
        raise InputError(
            f"{path}: expected samples, and {n_signals} signal lines. "
            f"Received: {n_samples} samples, {len(fields) - 1} lines"
        )
    header = Header(
        path=path,
        fs=fs,
        n_samples=n_samples,
        signals=tuple(_signal(path, line) for line in fields[1:]),
        comments=tuple(line[1:].strip() for line in lines if line.startswith("#")),
    )
    if len(set(header.leads)) != len(header.leads):
        raise InputError(
            f"{path}: expected distinct leads. Received: {quoted(' '.join(header.leads))}"
        )
    return header


def read_twelve_leads(header: Header, root: Path) -> tuple[npt.NDArray[np.int16], list[int]]:
    """Read the ADC values of a record that has the twelve leads and no other signal.

    Returns:
        Shape (n_samples, 12), int16, in the order of `lvh.data.cohort.LEADS`; and the position of
        each of these leads in the header.

    Raises:
        InputError: As of `read_signals`, or other leads.
    """
    if set(header.leads) != set(LEADS):
        raise InputError(
            f"{header.path}: expected the leads {' '.join(LEADS)}. "
            f"Received: {quoted(' '.join(header.leads))}"
        )
    order = [header.leads.index(lead) for lead in LEADS]
    return read_signals(header, root)[:, order], order


def signal_fault(digital: npt.NDArray[np.int16]) -> str:
    """Name the first lead without a signal, and why; empty if there is none.

    Args:
        digital: Shape (n_samples, 12), in the order of `lvh.data.cohort.LEADS`.
    """
    for what, leads in (
        ("invalid samples (-32768)", (digital == INVALID_SAMPLE).any(axis=0)),
        ("a flat line", np.ptp(digital, axis=0) == 0),
    ):
        if leads.any():
            return f"lead {LEADS[int(leads.argmax())]}: expected a signal. Received: {what}"
    return ""


def is_format_16(header: Header) -> bool:
    """Return whether `read_signals` can read a record: one file of format 16."""
    return len({signal.file for signal in header.signals}) == 1 and all(
        (signal.format, signal.offset) == ("16", 0) for signal in header.signals
    )


def read_signals(header: Header, root: Path) -> npt.NDArray[np.int16]:
    """Read the ADC values of one record, stored in one file of format 16.

    Returns:
        Shape (n_samples, n_leads), int16, in ADC units.

    Raises:
        InputError: Other storage; or the file is missing, outside `root`, of another size than
            the header declares, or its checksums differ.
    """
    if not is_format_16(header):
        storage = sorted({f"{one.file} in format {one.format}" for one in header.signals})
        raise InputError(
            f"{header.path}: expected one signal file in format 16. "
            f"Received: {quoted(', '.join(storage))}"
        )
    path = header.path.parent / header.signals[0].file
    data = read_bytes(path, root, checked_size(header), exact=True)
    digital = np.frombuffer(data, dtype="<i2").reshape(header.n_samples, len(header.signals))
    check_sums(header, digital)
    return digital


def checked_size(header: Header) -> int:
    """Return the bytes of the signals in format 16.

    Raises:
        InputError: They are more than 4 MiB.
    """
    n_bytes = header.n_samples * len(header.signals) * 2
    if n_bytes > _MAX_SIGNAL_BYTES:
        raise InputError(
            f"{header.path.parent / header.signals[0].file}: expected at most "
            f"{_MAX_SIGNAL_BYTES} bytes. Received: {n_bytes}, as {header.path.name} says"
        )
    return n_bytes


def check_sums(header: Header, digital: npt.NDArray[np.integer]) -> None:
    """Raise InputError unless the samples, shape (n_samples, n_leads), have the header's sums."""
    sums = digital.sum(axis=0, dtype=np.int64).astype(np.int16)  # wraps as the format asks
    for signal, computed in zip(header.signals, sums.tolist(), strict=True):
        if (signal.checksum - computed) % 2**16:  # some writers leave out the sign
            raise InputError(
                f"{header.path.parent / signal.file}: lead {signal.lead}: expected checksum "
                f"{signal.checksum}, as {header.path.name} says. Received: {computed}"
            )


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
    words = np.frombuffer(data, dtype="<u2")[:-1].astype(np.int64)
    codes, steps = words >> 10, words & 1023
    if np.any(codes >= _SKIP):
        codes, steps = _without_pseudo_annotations(path, words)
    symbols = _CODE_TO_ASCII[codes]
    if not symbols.all():
        other = int(codes[symbols == 0][0])
        raise InputError(f"{path}: expected the annotations ( ) N p t. Received: code {other}")
    samples = np.cumsum(steps)
    if samples.size and (samples.min() < 0 or samples.max() >= n_samples or np.any(steps < 0)):
        raise InputError(
            f"{path}: expected rising samples from 0 to {n_samples - 1}. "
            f"Received: {samples.min()} to {samples.max()}"
        )
    return symbols, samples.astype(np.int32)


def quoted(text: str) -> str:
    """Quote a file's content for a message: short, without control characters."""
    return repr(text[:80])


def _signal(path: Path, line: str) -> Signal:
    match = _SIGNAL_LINE.fullmatch(line)
    if match is None:
        raise InputError(
            f"{path}: expected a signal line `file format gain(baseline)/unit resolution zero "
            "first checksum block lead`: a file in the same folder, a format without skew or "
            f"multiples, a gain, integers. Received: {quoted(line)}"
        )
    gain = float(match["gain"])
    if gain == 0:
        raise InputError(f"{path}: expected a gain above 0. Received: {quoted(match['gain'])}")
    return Signal(
        file=match["file"],
        format=match["format"],
        offset=int(match["offset"] or 0),
        lead=match["lead"].lower(),
        gain=gain,
        unit=match["unit"] or "mV",
        baseline=int(match["baseline"] or match["zero"]),
        checksum=int(match["checksum"]),
    )


def _without_pseudo_annotations(
    path: Path, words: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return codes and steps of the annotations; long skips are added to the next step."""
    codes: list[int] = []
    steps: list[int] = []
    skipped = at = 0
    while at < len(words):
        code, step = int(words[at]) >> 10, int(words[at]) & 1023
        at += 1
        if code == _SKIP:
            if at + 2 > len(words):
                raise InputError(f"{path}: expected a 32-bit skip. Received: the end of the file")
            interval = (int(words[at]) << 16) | int(words[at + 1])  # high half first
            skipped += interval - (1 << 32) if interval >= 1 << 31 else interval
            at += 2
        elif code == _AUX:
            at += (step + 1) // 2
            if at > len(words):
                raise InputError(f"{path}: expected {step} bytes of text. Received: fewer")
        elif code not in (_NUM, _SUB, _CHN):
            codes.append(code)
            steps.append(step + skipped)
            skipped = 0
    return np.array(codes, dtype=np.int64), np.array(steps, dtype=np.int64)
