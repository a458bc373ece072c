"""One record in WFDB's format, with the fiducials that lie next to it.

The `wfdb` package reads every format but the commonest. It silently accepts wrong checksums and
allocates what a header declares, so sizes are checked before it reads and checksums after.
"""

import hashlib
import re
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers import wfdb
from lvh.data.readers.leads import (
    ReadOptions,
    Recording,
    check_signals,
    lead_columns,
    millivolts_per_unit,
    sampling_frequency,
)
from lvh.errors import InputError
from lvh.files import read_bytes

_LUDB_UNITS_PER_MV = 1000.0
_MAX_BYTES = 64 * 1024 * 1024
_FIELD = r"(?:^|[,;]|\s\s)\s*<?{}>?:\s*{}\s*(?:$|[,;]|\s\s)"  # nothing else next to its value
_AGE = re.compile(_FIELD.format("age", r"(\d{1,3})(?:\s*(?:y|yrs?|years?))?"), re.IGNORECASE | re.A)
_SEX = re.compile(_FIELD.format("sex", "(m|f|male|female)"), re.IGNORECASE)


def read(path: Path, options: ReadOptions) -> Recording:
    """Read a header and the files next to it.

    Voltages are calibrated by the header, except in the 200 records of LUDB (known by their
    checksums), whose gain is each lead's own range: they have 1000 units a mV. The fiducials come
    from annotation files, one a lead, as LUDB has them; without all twelve there are none. Age and
    sex come from comments such as `Age: 60` that hold a whole number of years, or M or F.

    Raises:
        InputError: A file is missing or malformed, a lead missing, flat or not recorded, or a unit
            is no voltage.
    """
    name = path.name.removesuffix(".hea")
    if not name or name.startswith("."):
        raise InputError(f"{path}: expected the path of a header")
    root = path.parent
    if name == path.name and path.is_file() and not (root / f"{name}.hea").is_file():
        raise InputError(f"{path}: expected a header (.hea), .csv, .tsv or .edf. Received: another")
    header = wfdb.read_header(root / f"{name}.hea", root)
    order, others = lead_columns(header.path, header.leads)
    sex = _comment(header, _SEX)
    return Recording(
        path=header.path,
        signals=_signals(header, order, options),
        fs=sampling_frequency(header.path, header.fs, options),
        age=float(_comment(header, _AGE) or "nan"),
        male=sex[0].lower() == "m" if sex else None,
        delineation=_delineation(root / name, header.n_samples),
        left_out=others,
    )


def _signals(
    header: wfdb.Header, order: list[int], options: ReadOptions
) -> npt.NDArray[np.float32]:
    """Return the twelve leads in mV, shape (n_samples, 12)."""
    if wfdb.is_format_16(header):
        digital: npt.NDArray[np.integer] = wfdb.read_signals(header, header.path.parent)
        is_valid = digital != wfdb.INVALID_SAMPLE
    else:
        digital, is_valid = _digital(header)
    for lead, at in zip(LEADS, order, strict=True):
        if not is_valid[:, at].all():
            raise InputError(
                f"{header.path}: lead {lead}: expected a signal. Received: invalid samples"
            )
    if _is_ludb(header, order):
        return check_signals(header.path, digital[:, order] / np.float32(_LUDB_UNITS_PER_MV))
    factors = [
        millivolts_per_unit(header.path, lead, header.signals[at].unit, options)
        for lead, at in zip(LEADS, order, strict=True)
    ]
    baselines, gains = header.calibration(order)
    return check_signals(header.path, (digital[:, order] - baselines) / gains * factors)


def _is_ludb(header: wfdb.Header, order: list[int]) -> bool:
    """Return whether the samples are those of a record of LUDB 1.0.1, by their checksums."""
    sums = repr([header.signals[at].checksum for at in order])
    known = Path(__file__).with_name("ludb_checksums.txt").read_text().split()
    return hashlib.sha256(sums.encode()).hexdigest()[:8] in known


def _digital(header: wfdb.Header) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.bool_]]:
    """Read any format; return ADC values and which are valid, both (n_samples, n_signals)."""
    _check_sizes(header)
    with warnings.catch_warnings(action="ignore"):  # of pandas, about how wfdb calls it
        from wfdb import rdrecord  # takes a second

        try:
            record = rdrecord(str(header.path.with_suffix("")), physical=False)
            digital, is_valid = record.d_signal, ~np.isnan(record.dac())
        except Exception as error:  # it raises a dozen kinds for a malformed file
            reason = wfdb.quoted(str(error) or type(error).__name__)
            raise InputError(f"{header.path}: expected a WFDB record. Received: {reason}") from None
    if digital.shape != (header.n_samples, len(header.signals)):
        raise InputError(
            f"{header.path}: expected {header.n_samples} samples of {len(header.signals)} signals. "
            f"Received: {digital.shape}"
        )
    wfdb.check_sums(header, digital)
    return digital, is_valid


def _check_sizes(header: wfdb.Header) -> None:
    """Refuse, before anything is read, what would fill the memory or lies elsewhere."""
    if header.n_samples * len(header.signals) * 2 > _MAX_BYTES:
        raise InputError(
            f"{header.path}: expected at most {_MAX_BYTES} bytes of signals. "
            f"Received: {header.n_samples} samples of {len(header.signals)} signals"
        )
    root = header.path.parent
    for file in {signal.file for signal in header.signals}:
        read_bytes(root / file, root, _MAX_BYTES)


def _delineation(path: Path, n_samples: int) -> Delineation | None:
    files = [path.with_name(f"{path.name}.{lead}") for lead in LEADS]
    if not all(file.is_file() for file in files):
        return None
    return Delineation.from_leads(
        [wfdb.read_annotations(file, path.parent, n_samples) for file in files]
    )


def _comment(header: wfdb.Header, pattern: re.Pattern[str]) -> str:
    matches = filter(None, map(pattern.search, header.comments))
    return next((match[1] for match in matches), "")
