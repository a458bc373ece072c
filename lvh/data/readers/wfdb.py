"""Records of WFDB: of any format by the `wfdb` package, of LUDB and PTB-XL fast.

The package takes a gain of 0, half a number and a wrong checksum, so headers are read here.
Source: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import hashlib
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import signal_fault
from lvh.data.cohort import LEADS, Delineation
from lvh.data.lazy_array import Floats
from lvh.data.readers.leads import ReadOptions, Recording, Signal, lead_name, parse_age, parse_sex
from lvh.errors import InputError, excerpt
from lvh.files import read_bytes

_MAX_TEXT_BYTES = 256 * 1024  # a real header has about 700 bytes
_MAX_ANNOTATION_BYTES = 16 * 1024  # a real lead has about 100 bytes
_MAX_SIGNAL_BYTES = 4 * 1024 * 1024  # a real record has 120 kB; a sparse file costs no disk
_MAX_FS = 100_000  # Hz
# of bounded length, so that no line takes long to refuse; float would take 5_00 and nan
_NUMBER = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,2})?"
_RECORD_LINE = re.compile(
    r"(?P<name>[^/ ]+)(?:/(?P<segments>[0-9]{1,5}))? (?P<signals>[0-9]{1,3})"
    rf"(?: (?P<fs>{_NUMBER})(?:/\S+)?(?: (?P<samples>[1-9][0-9]{{,15}})(?: .*)?)?)?",
    re.IGNORECASE,
)
_SEGMENT_LINE = re.compile(r"(~|[A-Z0-9_-]{1,200}) ([0-9]{1,15})", re.IGNORECASE | re.ASCII)
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
_LUDB_GAIN = 1000.0  # units a mV
_MAX_VALUES = 16 * 1024 * 1024  # samples of all signals that are read at once
_PERSON = re.compile(r"\s*<?(?:age|sex|gender)>?\s*:", re.I)
_FIELD = re.compile(  # a field of its own in a comment line: `Maternal age: 30` is none
    r"(?:^|[,;]|\s\s|\s(?=<))\s*<?(age|sex|gender)>?\s*:\s*(.*?)\s*(?=$|[,;]|\s\s|\s<)", re.I
)


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
    """The content of a `.hea` file."""

    path: Path
    name: str
    fs: float  # Hz; NaN where it is not there
    n_samples: int  # 0 where it is not there
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]
    segments: tuple[tuple[str, int], ...] = ()  # name, samples; `~` is a gap


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
    n_samples, rows, signals = int(match["samples"] or 0), [], []
    if match["segments"]:
        rows = [_matched(path, _SEGMENT_LINE, line) for line in others]
    else:
        signals = [_signal(_matched(path, _SIGNAL_LINE, line)) for line in others]
    segments = tuple((row[1], int(row[2])) for row in rows)
    has_all = sum(length for _, length in segments) == n_samples or not segments
    if not (0 < int(match["segments"] or match["signals"]) == len(others) and has_all):
        raise InputError(
            f"{path}: expected a line for each signal, or for each segment with its part of all "
            f"samples, {excerpt(first)}. Received: {len(others)} lines, {excerpt(segments)}"
        )
    return Header(
        path=path,
        name=match["name"],
        fs=float(match["fs"]) if match["fs"] else math.nan,
        n_samples=n_samples,
        signals=tuple(signals),
        comments=tuple(line[1:].strip() for line in lines if line[0] == "#"),
        segments=segments,
    )


def _matched(path: Path, pattern: re.Pattern[str], line: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        raise InputError(
            f"{path}: expected `name signals fs samples`, then a line for each signal, `file "
            "format gain(baseline)/unit resolution zero first checksum block lead`: a file in the "
            "same folder, a gain above 0; or `name/segments ...`, then lines `name samples`. "
            f"Received: {excerpt(line)}"
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
    n_bytes = 2 * header.n_samples * len(LEADS)
    has_size = 0 < header.fs <= _MAX_FS and 0 < n_bytes <= _MAX_SIGNAL_BYTES
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
                f"{path}: expected annotations ( ) N p t of {n_samples} samples, in 16 bits, and a "
                f"zero. Received: code {code} at {now}, in {len(data)} bytes"
            )
        symbols += _SYMBOLS[code]
        samples.append(now)
    return np.frombuffer(symbols.encode(), dtype=np.uint8), np.array(samples, dtype=np.int32)


def read(path: Path, options: ReadOptions) -> Recording:
    """Read a header and the files next to it; of a long record, the part that is asked for.

    Voltages are calibrated by the header, except in the 200 records of LUDB (known by their
    checksums), whose gain is each lead's own range: they have 1000 units a mV. Fiducials come
    from annotation files, one a lead, as LUDB has them; without all twelve there are none.
    """
    base = path.with_name(path.name.removesuffix(".hea"))
    header_path = base.with_name(f"{base.name}.hea")
    if base == path and path.is_file() and not header_path.is_file():
        raise InputError(
            f"{path}: expected a WFDB record with its header {header_path.name}, or a file whose "
            "suffix is .csv, .parquet, .npy, .npz, .edf, .bdf, .dcm or .xml. Received: no header"
        )
    header = read_header(header_path, path.parent)
    start, stop, n_values = _part(header, options)
    if not 0 < n_values <= _MAX_VALUES:
        raise InputError(
            f"{header.path}: expected 1 to {_MAX_VALUES} samples of all signals. --start and "
            f"--seconds choose a part. Received: {n_values}"
        )
    read_part = _joined if header.segments else _signals
    signals = read_part(header, start, stop)
    age, male = _age_and_sex(header.comments)
    files, waves = [base.with_name(f"{base.name}.{lead}") for lead in LEADS], None
    if not options.is_part and all(file.is_file() for file in files):
        length = len(signals[0].values)
        leads = [read_annotations(file, base.parent, length) for file in files]
        waves = Delineation.from_leads(leads)
    return Recording(signals, age, male, waves, is_part=header.n_samples > 0)


def _part(header: Header, options: ReadOptions) -> tuple[int, int, int]:
    """Return first and last sample to read, and the number of values; -1 is an unknown end."""
    if not header.n_samples:  # all is read, since the package takes no part of an unknown length
        files = {header.path.with_name(signal.file) for signal in header.signals}
        return 0, -1, sum(file.stat().st_size for file in files if file.is_file())
    start, stop = round(options.start * header.fs), header.n_samples
    stop -= max((signal.skew for signal in header.signals), default=0)  # by which the last is late
    if options.seconds is not None:
        stop = min(start + round(options.seconds * header.fs), stop)
    n_signals = sum(signal.rate for signal in header.signals) or len(LEADS)
    return start, stop, (stop - start) * n_signals


def _joined(header: Header, start: int, stop: int) -> list[Signal]:
    """Read a part of a record of several segments, which must have the same signals."""
    parts, begin = [], 0
    for name, n_samples in header.segments:
        first, last = max(start - begin, 0), min(stop - begin, n_samples)
        begin += n_samples
        if first >= last:  # outside of the part, or a layout, which has no samples
            continue
        path = header.path.with_name(f"{name}.hea")
        segment = None if name == "~" else read_header(path, path.parent)
        kind = segment and (segment.fs, segment.n_samples, segment.segments)
        if segment is None or kind != (header.fs, n_samples, ()):
            raise InputError(
                f"{header.path}: expected {n_samples} samples at {header.fs} Hz in each segment; "
                "--start and --seconds choose another part. "
                f"Received: segment {name}, {kind or 'a gap'}"
            )
        parts.append(_signals(segment, first, last))
    kinds = {tuple((one.name, one.unit, one.fs) for one in part) for part in parts}
    if len(kinds) != 1:
        raise InputError(
            f"{header.path}: expected segments with the same signals; --start and --seconds choose "
            f"one of them. Received: {len(kinds)} kinds of segments"
        )
    return [
        replace(of_one[0], values=np.concatenate([one.values for one in of_one]))
        for of_one in zip(*parts, strict=True)
    ]


def _signals(header: Header, start: int, stop: int) -> list[Signal]:
    """Read the samples from `start` to `stop` of each signal."""
    from wfdb import rdrecord  # takes a second

    for file in {header.path.with_name(signal.file) for signal in header.signals}:
        if not (file.is_file() and file.resolve().is_relative_to(file.parent.resolve())):
            raise InputError(f"{file}: expected a file in the same folder. Received: no such file")
    record = rdrecord(
        str(header.path.with_suffix("")),
        sampfrom=start,
        sampto=None if stop == -1 else stop,
        physical=False,
        smooth_frames=False,
    )
    if start == 0 and stop in (header.n_samples, -1):
        check_sums(header, record.e_d_signal)
    lines, physical, signals = header.signals, record.dac(expanded=True), []
    if _is_ludb(header):
        lines = tuple(replace(line, baseline=0, gain=_LUDB_GAIN, unit="mV") for line in lines)
    for line, digital, own in zip(lines, record.e_d_signal, physical, strict=True):
        values = (digital - line.baseline) / line.gain
        values[np.isnan(own)] = np.nan  # invalid samples
        fs = None if math.isnan(header.fs) else header.fs * line.rate
        signals.append(Signal(line.name, values, line.unit, fs))
    return signals


def _is_ludb(header: Header) -> bool:
    """Return whether the samples are those of a record of LUDB 1.0.1, by their checksums."""
    sums = {lead_name(signal.name): signal.checksum for signal in header.signals}
    text = repr([sums.get(lead) for lead in LEADS])
    digests = Path(__file__).with_name("ludb_checksums.txt").read_text().split()
    return hashlib.sha256(text.encode()).hexdigest()[:8] in digests


def _age_and_sex(comments: tuple[str, ...]) -> tuple[float, bool | None]:
    """Parse both from comments that say them once, and as a whole."""
    texts: dict[str, set[str]] = {"age": set(), "sex": set()}
    lines = [line for line in comments if _PERSON.match(line)]  # `Father died, age: 50` is none
    for name, value in (pair for line in lines for pair in _FIELD.findall(line)):
        texts["age" if name.lower() == "age" else "sex"].add(value.lower())
    age, sex = (values.pop() if len(values) == 1 else "" for values in texts.values())
    return parse_age(age), parse_sex(sex)
