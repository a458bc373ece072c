"""Records of WFDB: of any format by the `wfdb` package, of LUDB and PTB-XL fast.

The package takes a gain of 0, half a number and a wrong checksum, so headers are read here.
Source: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import refusal, signal_fault
from lvh.data.cohort import LEADS, Delineation, LeadWaves
from lvh.data.lazy_array import Floats
from lvh.data.readers import (
    MAX_BYTES,
    MAX_FS,
    ReadOptions,
    Recording,
    Signal,
    lead_name,
    parse_age,
    parse_sex,
)
from lvh.errors import excerpt
from lvh.files import read_bytes

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


def _read_header(path: Path) -> Header:
    return _parse_header(path, read_bytes(path, path.parent, MAX_BYTES))


def _parse_header(path: Path, data: bytes) -> Header:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # the micro sign of many
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first, *others = [" ".join(line.split()) for line in lines if line[0] != "#"] or [""]
    match = _matched(path, _RECORD_LINE, first)
    pattern = _SEGMENT_LINE if match["segments"] else _SIGNAL_LINE
    rows = [_matched(path, pattern, line) for line in others]
    segments = tuple((row[1], int(row[2])) for row in rows) if match["segments"] else ()
    n_samples, n_rows = int(match["samples"] or 0), int(match["segments"] or match["signals"])
    has_all = sum(length for _, length in segments) == n_samples or not segments
    if not (0 < n_rows == len(rows) and has_all):
        expected = f"a line for each signal, or for each segment with its samples, {excerpt(first)}"
        raise refusal(path, expected, (f"{len(others)} lines", segments))
    return Header(
        path=path,
        name=match["name"],
        fs=float(match["fs"]) if match["fs"] else math.nan,
        n_samples=n_samples,
        signals=() if segments else tuple(map(_signal_line, rows)),
        comments=tuple(line[1:].strip() for line in lines if line[0] == "#"),
        segments=segments,
    )


def _matched(path: Path, pattern: re.Pattern[str], line: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if match is None:
        expected = (
            "`name signals fs samples`, then a line for each signal, `file format gain(baseline)/"
            "unit bits zero first checksum block lead`: a file in the same folder, a gain above 0"
        )
        raise refusal(path, expected, line)
    return match


def _signal_line(match: re.Match[str]) -> SignalLine:
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
            where = f"{header.path}: lead {excerpt(signal.name)}"
            raise refusal(where, f"checksum {signal.checksum}", total % 2**16)


def read_records(paths: Sequence[Path], root: Path) -> list[tuple[Header, npt.NDArray[np.int16]]]:
    """Read records of twelve leads, each in one file of format 16; no file may lie outside `root`.

    Return each header with its leads in the order of `LEADS`, and ADC values, (n_samples, 12).
    """
    texts = [read_bytes(path, root, MAX_BYTES) for path in paths]
    headers = [_parse_header(path, text) for path, text in zip(paths, texts, strict=True)]
    sizes = list(map(_checked_size, headers))
    data = [
        read_bytes(header.path.parent / header.signals[0].file, root, size, exact=True)
        for header, size in zip(headers, sizes, strict=True)
    ]
    return list(map(_ordered, headers, data))


def _checked_size(header: Header) -> int:
    """Return the bytes of a record's samples; refuse one that is not as `read_records` takes it."""
    names, stem = sorted(signal.name.lower() for signal in header.signals), header.path.stem
    storage = {(signal.file, signal.storage, signal.unit) for signal in header.signals}
    n_bytes = 2 * header.n_samples * len(LEADS)
    has_size = 0 < header.fs <= MAX_FS and 0 < n_bytes <= MAX_BYTES
    is_usual = names == sorted(LEADS) and [one[1:] for one in storage] == [("16", "mV")]
    if not (has_size and is_usual and header.name == stem):  # a copy is a subject twice
        expected = f"record {stem}, twelve leads in mV, one file in format 16, up to {MAX_FS} Hz"
        received = (header.name, names, sorted(storage), n_bytes, header.fs)
        raise refusal(header.path, expected, received)
    return n_bytes


def _ordered(header: Header, data: bytes) -> tuple[Header, npt.NDArray[np.int16]]:
    digital = np.frombuffer(data, dtype="<i2").reshape(-1, len(LEADS))
    check_sums(header, list(digital.T))
    names = [signal.name.lower() for signal in header.signals]
    order = [names.index(lead) for lead in LEADS]
    return replace(header, signals=tuple(header.signals[at] for at in order)), digital[:, order]


def check_fs_and_length(header: Header, fs: float, n_samples: int) -> None:
    """Refuse a record of another length or sampling frequency than others of its data set."""
    if (header.fs, header.n_samples) != (fs, n_samples):
        expected = f"{n_samples} samples at {fs} Hz, as others have"
        raise refusal(header.path, expected, (header.n_samples, header.fs))


def millivolts(
    digital: npt.NDArray[np.integer | np.floating], baselines: Floats, gains: Floats
) -> Floats:
    """Return ADC values, shape (..., n_samples, n_leads), in mV; gains are (..., n_leads)."""
    mv = digital.astype(np.float32)
    mv -= baselines[..., None, :]
    mv /= gains[..., None, :]
    return mv


def digital_faults(digital: npt.NDArray[np.int16], baselines: Floats, gains: Floats) -> list[str]:
    """Say what is wrong with the ADC values of each record; empty where nothing is."""
    mv = millivolts(digital, baselines, gains)
    mv[digital == _INVALID_SAMPLE] = np.nan
    return list(map(signal_fault, mv))


def read_annotations(paths: Sequence[Path], root: Path, n_samples: int) -> list[LeadWaves]:
    """Return symbols, `( ) N p t` in ASCII, and samples of leads (MIT annotation format)."""
    data = [read_bytes(path, root, MAX_BYTES) for path in paths]
    pairs = zip(paths, data, strict=True)
    return [_parse_annotations(path, own, n_samples) for path, own in pairs]


def _parse_annotations(path: Path, data: bytes, n_samples: int) -> LeadWaves:
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
            expected = f"16-bit annotations ( ) N p t within {n_samples} samples, then a zero"
            raise refusal(path, expected, f"code {code} at {now}, in {len(data)} bytes")
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
    header = _read_header(base.with_name(f"{base.name}.hea"))
    start, stop = 0, None  # of unknown length: the package reads it only as a whole
    if header.n_samples:
        start = round(options.start * header.fs)
        # a signal that is late lacks its last samples
        stop = header.n_samples - max((signal.skew for signal in header.signals), default=0)
        if options.seconds is not None:
            stop = min(start + round(options.seconds * header.fs), stop)
        if options.is_part and stop <= start and header.signals:  # it ends before the part
            signals = [
                Signal(one.name, np.empty(0), one.unit, header.fs * one.rate)
                for one in header.signals
            ]
            return Recording(signals, is_part=True)
        n_values = (stop - start) * (sum(signal.rate for signal in header.signals) or len(LEADS))
        if not 0 < n_values <= _MAX_VALUES:
            expected = f"1 to {_MAX_VALUES} samples in all; --start and --seconds choose a part"
            raise refusal(header.path, expected, n_values)
    signals = (_joined if header.segments else _signals)(header, start, stop)
    age, male = _age_and_sex(header.comments)
    files, waves = [base.with_name(f"{base.name}.{lead}") for lead in LEADS], None
    if not options.is_part and all(file.is_file() for file in files):
        leads = read_annotations(files, base.parent, len(signals[0].values))
        waves = Delineation.from_leads(leads)
    return Recording(signals, age, male, waves, is_part=stop is not None)


def _joined(header: Header, start: int, stop: int | None) -> list[Signal]:
    """Read a part of a record of several segments, which must have the same signals."""
    expected = f"the same signals at {header.fs} Hz, no gap; --start, --seconds choose a part"
    parts, kinds, begin = [], set[object](), 0
    for name, n_samples in header.segments:
        first, last = max(start - begin, 0), min((stop or 0) - begin, n_samples)
        begin += n_samples
        if first >= last:  # outside of the part, or a layout, which has no samples
            continue
        path = header.path.with_name(f"{name}.hea")
        segment = header if name == "~" else _read_header(path)  # a gap
        if (segment.fs, segment.n_samples, segment.segments) != (header.fs, n_samples, ()):
            raise refusal(header.path, expected, f"segment {name}")
        kinds.add(tuple((one.name, one.unit, one.rate) for one in segment.signals))
        parts.append(_signals(segment, first, last))
    if len(kinds) != 1:
        raise refusal(header.path, expected, f"{len(kinds)} kinds of segments")
    return [
        replace(of_one[0], values=np.concatenate([one.values for one in of_one]))
        for of_one in zip(*parts, strict=True)
    ]


def _signals(header: Header, start: int, stop: int | None) -> list[Signal]:
    """Read the samples from `start` to `stop` of each signal."""
    from wfdb import rdrecord  # takes a second

    for file in {header.path.with_name(signal.file) for signal in header.signals}:
        if not (file.is_file() and file.resolve().is_relative_to(file.parent.resolve())):
            raise refusal(file, "a file in the same folder", "no such file")
    name = str(header.path.with_suffix(""))
    record = rdrecord(name, start, stop, physical=False, smooth_frames=False)
    if start == 0 and stop in (header.n_samples, None):
        check_sums(header, record.e_d_signal)
    is_ludb, signals = _is_ludb(header), []
    physical = record.dac(expanded=True)  # NaN marks an invalid sample
    for line, digital, own in zip(header.signals, record.e_d_signal, physical, strict=True):
        baseline, gain = (0, _LUDB_GAIN) if is_ludb else (line.baseline, line.gain)
        values = np.where(np.isnan(own), np.nan, (digital - baseline) / gain)
        fs = None if math.isnan(header.fs) else header.fs * line.rate
        signals.append(Signal(line.name, values, "mV" if is_ludb else line.unit, fs))
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
