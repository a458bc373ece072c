"""One record in any of WFDB's formats, by the `wfdb` package, with the fiducials next to it.

The package takes a gain of 0, half a number and a wrong checksum, so `wfdb.py` reads the header.
"""

import hashlib
import re
from pathlib import Path

import numpy as np

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers.leads import ReadOptions, Recording, Signal, lead_name, parse_age, parse_sex
from lvh.data.readers.wfdb import Header, check_sums, read_annotations, read_header
from lvh.errors import InputError

_LUDB_UNITS_PER_MV = 1000.0
_MAX_VALUES = 16 * 1024 * 1024  # samples of all signals that are read at once
_PERSON = re.compile(r"\s*<?(?:age|sex|gender)>?\s*:", re.I)
_FIELD = re.compile(  # a field of its own in a comment line: `Maternal age: 30` is none
    r"(?:^|[,;]|\s\s|\s(?=<))\s*<?(age|sex|gender)>?\s*:\s*(.*?)\s*(?=$|[,;]|\s\s|\s<)", re.I
)


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
            f"{path}: expected a WFDB record with its header {header_path.name}, or .csv, .tsv, "
            ".txt, .parquet, .npy, .npz, .edf, .bdf, .dcm or .xml. Received: no header"
        )
    header = read_header(header_path, path.parent)
    start, stop = _part(header, options)
    signals = _signals(header, start, stop)
    age, male = _age_and_sex(header.comments)
    return Recording(
        signals,
        age,
        male,
        None if options.is_part else _delineation(base, len(signals[0].values)),
        is_part=True,
    )


def _signals(header: Header, start: int, stop: int | None) -> list[Signal]:
    """Read the samples from `start` to `stop` of each signal."""
    from wfdb import rdrecord  # takes a second

    for file in {header.path.with_name(signal.file) for signal in header.signals}:
        if not (file.is_file() and file.resolve().is_relative_to(file.parent.resolve())):
            raise InputError(f"{file}: expected a file in the same folder. Received: no such file")
    record = rdrecord(
        str(header.path.with_suffix("")),
        sampfrom=start,
        sampto=stop,
        physical=False,
        smooth_frames=False,
    )
    if (start, stop) == (0, header.n_samples):
        check_sums(header, record.e_d_signal)
    is_ludb = _is_ludb(header)
    signals = []
    for line, digital, physical in zip(
        header.signals, record.e_d_signal, record.dac(expanded=True), strict=True
    ):
        values = (digital - line.baseline) / line.gain
        if is_ludb:
            values = digital / _LUDB_UNITS_PER_MV
        values[np.isnan(physical)] = np.nan  # invalid samples
        unit = "mV" if is_ludb else line.unit
        signals.append(Signal(line.name, values, unit, header.fs and header.fs * line.rate))
    return signals


def _part(header: Header, options: ReadOptions) -> tuple[int, int | None]:
    """Return first and last sample to read; refuse what would fill the memory."""
    fs = header.fs or options.fs or 1.0
    latest = max((signal.skew for signal in header.signals), default=0)
    start, stop = round(options.start * fs), header.n_samples and header.n_samples - latest
    if options.seconds is not None:
        stop = min(start + round(options.seconds * fs), stop or 2**63)
    if stop is None:
        files = {header.path.with_name(signal.file) for signal in header.signals}
        n_values = sum(file.stat().st_size for file in files if file.is_file())
    else:
        n_values = (stop - start) * sum(one.rate for one in header.signals)
    if not 0 < n_values <= _MAX_VALUES:
        raise InputError(
            f"{header.path}: expected 1 to {_MAX_VALUES} samples of all signals. --start and "
            f"--seconds choose a part. Received: {n_values}"
        )
    return start, stop


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


def _delineation(base: Path, n_samples: int) -> Delineation | None:
    files = [base.with_name(f"{base.name}.{lead}") for lead in LEADS]
    if not all(file.is_file() for file in files):
        return None
    return Delineation.from_leads(
        [read_annotations(file, base.parent, n_samples) for file in files]
    )
