"""What a record of any format must have: twelve leads by name, voltages, sampling frequency."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers.wfdb import shown
from lvh.errors import InputError

_MV = {"mv": 1.0, "uv": 1e-3, "\N{MICRO SIGN}v": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3, "v": 1e3}
_LEAD = re.compile(
    # as monitors, EDF's own rules and IEEE 11073-10101 spell them; `-aVR` is another lead
    r"(?:(?:mdc_ecg_lead|ecg|ekg|lead)[ _:-]*)?(?P<lead>iii|ii|i|av[rlf]|v[1-6])(?:[ _-]ref)?",
    re.IGNORECASE,
)
_FASTEST = 100_000  # Hz
_SAME_RATE = 1e-4  # what the times of ten seconds, written in ms, leave open


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says of a file that may not say it itself.

    Attributes:
        unit: Of its voltages.
        fs: Its sampling frequency, Hz.
    """

    unit: str | None = None
    fs: float | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a file holds of one record.

    Attributes:
        path: The file that messages name.
        signals: Shape (n_samples, 12), float32, mV, in the order of `lvh.data.cohort.LEADS`.
        fs: Hz.
        age: In years; NaN where the file does not say it.
        male: None where it does not.
        delineation: Fiducials; None where there are none.
        left_out: Names of signals that are none of the twelve leads.
    """

    path: Path
    signals: npt.NDArray[np.float32]
    fs: float
    age: float = math.nan
    male: bool | None = None
    delineation: Delineation | None = None
    left_out: tuple[str, ...] = ()


def lead_columns(path: Path, names: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Find the twelve leads among the names of signals.

    Args:
        path: Of the file, for messages.
        names: As the file spells them: `V1`, `ECG aVR`, `EKG V1-Ref`, `MDC_ECG_LEAD_II`.

    Returns:
        The position of each lead in the order of `lvh.data.cohort.LEADS`, and the names of all
        that is no lead.

    Raises:
        InputError: A lead is missing or there twice.
    """
    found: dict[str, int] = {}
    others: list[str] = []
    for at, name in enumerate(names):
        match = _LEAD.fullmatch(name.strip())
        lead = match["lead"].lower() if match else ""
        if lead in found:
            both = f"{names[found[lead]].strip()} and {name.strip()}"
            raise InputError(f"{path}: lead {lead}: expected one signal. Received: {shown(both)}")
        if lead:
            found[lead] = at
        else:
            others.append(name.strip())
    missing = [lead for lead in LEADS if lead not in found]
    if missing:
        names_shown = shown(" ".join(name.strip() for name in names)) if names else "no signal"
        raise InputError(
            f"{path}: expected the leads {' '.join(LEADS)}. Received: {names_shown}, "
            f"so no {missing[0]}"
        )
    return [found[lead] for lead in LEADS], tuple(others)


def mv_per_unit(path: Path, lead: str, unit: str, said: Said) -> float:
    """Return what to multiply voltages by to have mV.

    Args:
        path: Of the file, for messages.
        lead: Likewise.
        unit: As the file says; empty where it says none.
        said: By a person, for that case; not against the file.

    Raises:
        InputError: No unit, none of voltage, or another than was said.
    """
    known = unit.strip().lower()
    if not known and said.unit is None:
        raise InputError(f"{path}: expected the unit of its voltages. --unit says it: mV, uV or V")
    if known and known not in _MV:
        raise InputError(f"{path}: lead {lead}: expected mV, uV or V. Received: {shown(known)}")
    own = _MV[(known or str(said.unit)).lower()]
    if said.unit is not None and own != _MV[said.unit.lower()]:
        raise InputError(
            f"{path}: lead {lead}: expected {said.unit}, as --unit says. Received: {shown(unit)}"
        )
    return own


def rate(path: Path, fs: float | None, said: Said) -> float:
    """Return the sampling frequency in Hz.

    Args:
        path: Of the file, for messages.
        fs: As the file says; None where it does not.
        said: By a person, for that case; not against the file.

    Raises:
        InputError: None is known, it is none, or another than was said.
    """
    if fs is None and said.fs is None:
        raise InputError(
            f"{path}: expected a column `time` in s. Received: none. --fs says the sampling "
            "frequency in Hz"
        )
    own = fs if fs is not None else float(said.fs or 0)
    if not 0 < own <= _FASTEST:
        raise InputError(
            f"{path}: expected 0 < sampling frequency <= {_FASTEST} Hz. Received: {own:g}"
        )
    if said.fs is not None and abs(own / said.fs - 1) > _SAME_RATE:
        raise InputError(f"{path}: expected {said.fs:g} Hz, as --fs says. Received: {own:g}")
    return float(said.fs or own)


def checked(path: Path, mv: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the signals as they are kept, shape (n_samples, 12).

    Raises:
        InputError: A lead is flat, or has a sample that is no number or beyond float32.
    """
    with np.errstate(over="ignore"):
        signals = mv.astype(np.float32)
    for lead, values in zip(LEADS, signals.T, strict=True):
        is_finite = np.isfinite(values).all()
        if not is_finite or not len(values) or np.ptp(values) == 0:
            found = "a flat line" if is_finite else "samples that are no finite number"
            raise InputError(f"{path}: lead {lead}: expected a signal. Received: {found}")
    return signals
