"""One record in WFDB's formats, by the `wfdb` package, with the fiducials that lie next to it.

The package takes in silence what gives wrong voltages: a gain of 0, half a number, a wrong
checksum, a unit that is not ASCII. So its reading of the header is compared with the text.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers.leads import (
    ReadOptions,
    Recording,
    Signal,
    find_leads,
    parse_age,
    parse_sex,
)
from lvh.data.readers.wfdb import read_annotations
from lvh.errors import InputError, excerpt
from lvh.files import read_bytes

_LUDB_UNITS_PER_MV = 1000.0
_MAX_HEADER_BYTES = 1024 * 1024
_MAX_VALUES = 16 * 1024 * 1024  # samples of all signals that are read at once
_CALIBRATION = re.compile(
    r"(?P<gain>[0-9.]+(?:e[+-]?[0-9]+)?)(?:\((?P<baseline>-?[0-9]+)\))?(?:/(?P<unit>\S+))?", re.I
)
_FIELD = re.compile(  # a field of its own in a comment line: `Maternal age: 30` is none
    r"(?:^|[,;]|\s\s|\s(?=<))\s*<?(age|sex|gender)>?\s*:\s*(.*?)\s*(?=$|[,;]|\s\s|\s<)", re.I
)


def read(path: Path, options: ReadOptions) -> Recording:
    """Read a header and the files next to it; of a long record, the part that is asked for.

    Voltages are calibrated by the header, except in the 200 records of LUDB (known by their
    checksums), whose gain is each lead's own range: they have 1000 units a mV. Fiducials come
    from annotation files, one a lead, as LUDB has them; without all twelve there are none.
    """
    from wfdb import rdheader, rdrecord  # takes a second

    base = path.with_name(path.name.removesuffix(".hea"))
    header_path = base.with_name(f"{base.name}.hea")
    if base == path and path.is_file() and not header_path.is_file():
        raise InputError(f"{path}: expected a header (.hea), or a format of docs/formats.md")
    text = read_bytes(header_path, path.parent, _MAX_HEADER_BYTES).decode("latin-1")
    header = rdheader(str(base))
    if getattr(header, "n_seg", None):
        raise InputError(
            f"{header_path}: expected one segment. Received: {header.n_seg}; "
            "read the header of one of them"
        )
    fs, units = _checked(header_path, text, header)
    start, stop = _part(header_path, header, fs, options)
    record = rdrecord(str(base), sampfrom=start, sampto=stop, physical=False, smooth_frames=False)
    if (start, stop) == (0, header.sig_len):
        _check_sums(header_path, record)
    if _is_ludb(header_path, header):
        columns = [digital / _LUDB_UNITS_PER_MV for digital in record.e_d_signal]
        units = ["mV"] * len(columns)
    else:
        columns = record.dac(expanded=True)  # NaN where a sample is invalid
    age, male = _age_and_sex(header.comments)
    return Recording(
        [
            Signal(name or "", column, unit, fs and fs * (rate or 1))
            for name, column, unit, rate in zip(
                header.sig_name, columns, units, header.samps_per_frame, strict=True
            )
        ],
        age,
        male,
        _delineation(base, header.sig_len),
        is_part=True,
    )


def _checked(path: Path, text: str, header: Any) -> tuple[float | None, list[str]]:
    """Return sampling frequency and units as the text has them; refuse what the package guesses."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    fields, *signals = [line for line in lines if not line[0].startswith("#")]
    fs = float(fields[2].partition("/")[0]) if len(fields) > 2 else None
    if fs not in (None, header.fs) or len(signals) != header.n_sig or not signals:
        raise InputError(
            f"{path}: expected a sampling frequency, and a line for each signal. Received: "
            f"{excerpt(' '.join(fields))} and {len(signals)} lines"
        )
    units = []
    for line, gain, baseline, skew in zip(
        signals, header.adc_gain, header.baseline, header.skew, strict=True
    ):
        match = _CALIBRATION.fullmatch(line[2]) if len(line) > 2 else None
        declared = float(match["gain"]) if match else 0.0
        if match is None or declared != gain or int(match["baseline"] or baseline) != baseline:
            raise InputError(
                f"{path}: expected a gain above 0 in ADC units per mV, as in `1000(0)/mV`. "
                f"Received: {excerpt(' '.join(line))}"
            )
        if skew:
            raise InputError(f"{path}: expected signals without skew. Received: {skew} samples")
        units.append(match["unit"] or "mV")  # WFDB's default
    return fs, units


def _part(
    path: Path, header: Any, fs: float | None, options: ReadOptions
) -> tuple[int, int | None]:
    """Return first and last sample to read; refuse what would fill the memory."""
    for file in set(header.file_name):
        if not (path.parent / file).is_file():
            raise InputError(f"{path.parent / file}: expected a file. Received: nothing there")
    frequency = fs or options.fs or 1.0
    start, stop = round(options.start * frequency), header.sig_len
    if options.seconds is not None:
        end = start + round(options.seconds * frequency)
        stop = end if stop is None else min(end, stop)
    n_values = (
        (header.n_sig * (stop - start))
        if stop
        else sum((path.parent / file).stat().st_size for file in set(header.file_name))
    )
    if not 0 < n_values <= _MAX_VALUES:
        raise InputError(
            f"{path}: expected 1 to {_MAX_VALUES} samples of all signals; --start and --seconds "
            f"choose a part. Received: {n_values}"
        )
    return start, stop


def _check_sums(path: Path, record: Any) -> None:
    for name, expected, values in zip(
        record.sig_name, record.checksum, record.e_d_signal, strict=True
    ):
        total = int(values.sum(dtype=np.int64))
        if expected is not None and (total - expected) % 2**16:
            raise InputError(
                f"{path}: lead {excerpt(name)}: expected checksum {expected}. "
                f"Received: {total % 2**16}"
            )


def _is_ludb(path: Path, header: Any) -> bool:
    """Return whether the samples are those of a record of LUDB 1.0.1, by their checksums."""
    places = find_leads(path, [name or "" for name in header.sig_name])
    sums = repr([header.checksum[places[lead]] for lead in LEADS if lead in places])
    known = Path(__file__).with_name("ludb_checksums.txt").read_text().split()
    return hashlib.sha256(sums.encode()).hexdigest()[:8] in known


def _age_and_sex(comments: list[str]) -> tuple[float, bool | None]:
    """Parse both from comments that say them once, and as a whole."""
    said: dict[str, set[str]] = {"age": set(), "sex": set()}
    for name, value in (pair for line in comments for pair in _FIELD.findall(line.strip())):
        said["age" if name.lower() == "age" else "sex"].add(value.lower())
    age, sex = (values.pop() if len(values) == 1 else "" for values in said.values())
    return parse_age(age), parse_sex(sex)


def _delineation(base: Path, n_samples: int) -> Delineation | None:
    files = [base.with_name(f"{base.name}.{lead}") for lead in LEADS]
    if not all(file.is_file() for file in files):
        return None
    return Delineation.from_leads(
        [read_annotations(file, base.parent, n_samples) for file in files]
    )
