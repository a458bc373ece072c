"""One record in WFDB's format, with the fiducials that lie beside it."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers import wfdb
from lvh.data.readers.leads import Recorded, Said, checked, lead_columns, mv_per_unit, rate
from lvh.errors import InputError

_LUDB = "<diagnoses>:"
_LUDB_UNITS_PER_MV = 1000.0
_INVALID = -32768  # WFDB's mark for a sample that was not recorded
_AGE = re.compile(r"(?<!\w)<?age>?:\s*([0-9]{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"(?<!\w)<?sex>?:\s*(m|f|male|female)\b", re.IGNORECASE)


def read(path: Path, said: Said) -> Recorded:
    """Read a header and what lies beside it.

    Voltages are calibrated by the header, except in records of LUDB (known by their comment
    `<diagnoses>:`), whose gain is each lead's own range: they have 1000 units a mV. The fiducials
    are those of files beside it, one a lead, as LUDB has them; without all twelve there are none.

    Args:
        path: Of the header, with or without `.hea`.
        said: Unit and sampling frequency, which a header says itself.

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
    comments = [comment.strip() for comment in header.comments]
    sex = _said(comments, _SEX)
    return Recorded(
        path=header.path,
        signals=_signals(header, order, root, said),
        fs=rate(header.path, header.fs, said),
        age=float(_said(comments, _AGE) or "nan"),
        male=sex[0].lower() == "m" if sex else None,
        delineation=_delineation(root / name, root, header.n_samples),
        left_out=others,
    )


def _signals(
    header: wfdb.Header, order: list[int], root: Path, said: Said
) -> npt.NDArray[np.float32]:
    """Return what was recorded in mV, shape (n_samples, 12)."""
    digital = wfdb.read_signals(header, root)[:, order]
    for lead, is_invalid in zip(LEADS, (digital == _INVALID).any(axis=0), strict=True):
        if is_invalid:
            raise InputError(
                f"{header.path}: lead {lead}: expected a signal. Received: invalid samples (-32768)"
            )
    if any(comment.strip() == _LUDB for comment in header.comments):
        return checked(header.path, digital / np.float32(_LUDB_UNITS_PER_MV))
    factors = [
        mv_per_unit(header.path, lead, header.units[at], said)
        for lead, at in zip(LEADS, order, strict=True)
    ]
    volts = (digital - np.take(header.baselines, order)) / np.take(header.gains, order)
    return checked(header.path, volts * factors)


def _delineation(path: Path, root: Path, n_samples: int) -> Delineation | None:
    files = [root / f"{path.name}.{lead}" for lead in LEADS]
    if not all(file.is_file() for file in files):
        return None
    waves = [wfdb.read_annotations(file, root, n_samples) for file in files]
    return Delineation(
        np.concatenate([symbols for symbols, _ in waves]),
        np.concatenate([samples for _, samples in waves]),
        np.cumsum([0, *(len(symbols) for symbols, _ in waves)], dtype=np.int64),
        len(LEADS),
    )


def _said(comments: list[str], pattern: re.Pattern[str]) -> str:
    for comment in comments:
        if found := pattern.search(comment):
            return found[1]
    return ""
