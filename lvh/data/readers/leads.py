"""The requirements of a record in any format: twelve leads, voltages, sampling frequency."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Delineation
from lvh.data.readers.wfdb import quoted
from lvh.errors import InputError

_MV = {"mv": 1.0, "uv": 1e-3, "\N{MICRO SIGN}v": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3, "v": 1e3}
_LEAD = re.compile(
    # as monitors, EDF's own rules and IEEE 11073-10101 spell them; `-aVR` is another lead
    r"(?:(?:mdc_ecg_lead|ecg|ekg|lead)[ _:-]*)?(?P<lead>iii|ii|i|av[rlf]|v[1-6])(?:[ _-]ref)?",
    re.IGNORECASE,
)
_MAX_FS = 100_000  # Hz
_LIMB_MV, _LIMB_SHARE = 0.03, 0.1  # how far limb leads may be from their laws: mV, of a lead
_FS_TOLERANCE = 1e-4  # relative; the times of ten seconds, written in ms, are no more exact


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user states of a file that may not say it itself; the file must not contradict it.

    Attributes:
        unit: Of its voltages: mV, uV or V.
        fs: Its sampling frequency, Hz.
    """

    unit: str | None = None
    fs: float | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The content of one record's file.

    Attributes:
        path: The file that messages name.
        signals: Shape (n_samples, 12), float32, mV, in the order of `lvh.data.cohort.LEADS`.
        fs: Hz.
        age: In years; NaN where the file does not say it.
        male: None where the file does not say it.
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
    """Find the twelve leads among names such as `V1`, `ECG aVR`, `EKG V1-Ref`, `MDC_ECG_LEAD_II`.

    Returns:
        The position of each lead in the order of `lvh.data.cohort.LEADS`, and the names of all
        signals that are no lead.

    Raises:
        InputError: A lead is missing or occurs twice.
    """
    columns: dict[str, int] = {}
    others: list[str] = []
    names = [name.strip() for name in names]
    for column, name in enumerate(names):
        match = _LEAD.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        lead = match["lead"].lower()
        if lead in columns:
            both = f"{names[columns[lead]]} and {name}"
            raise InputError(f"{path}: lead {lead}: expected one signal. Received: {quoted(both)}")
        columns[lead] = column
    missing = [lead for lead in LEADS if lead not in columns]
    if missing:
        received = quoted(" ".join(names)) if names else "no signal"
        raise InputError(
            f"{path}: expected the leads {' '.join(LEADS)}. Received: {received}, "
            f"so no {missing[0]}"
        )
    return [columns[lead] for lead in LEADS], tuple(others)


def millivolts_per_unit(path: Path, lead: str, unit: str, options: ReadOptions) -> float:
    """Return the factor that converts a lead's voltages to mV; a file may say no `unit`.

    Raises:
        InputError: No unit, none of voltage, or another than the user states.
    """
    name = unit.strip().lower()
    if not name and options.unit is None:
        raise InputError(f"{path}: expected the unit of its voltages. --unit says it: mV, uV or V")
    if name and name not in _MV:
        raise InputError(f"{path}: lead {lead}: expected mV, uV or V. Received: {quoted(name)}")
    factor = _MV[(name or str(options.unit)).lower()]
    if options.unit is not None and factor != _MV[options.unit.lower()]:
        raise InputError(
            f"{path}: lead {lead}: expected {options.unit}, as --unit says. "
            f"Received: {quoted(unit)}"
        )
    return factor


def sampling_frequency(path: Path, fs: float | None, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz; a file may not say its `fs`.

    Raises:
        InputError: None is known, it is out of range, or another than the user states.
    """
    own = options.fs if fs is None else fs
    if own is None:
        raise InputError(
            f"{path}: expected a column `time` in s. Received: none. --fs says the sampling "
            "frequency in Hz"
        )
    if not 0 < own <= _MAX_FS:
        raise InputError(
            f"{path}: expected 0 < sampling frequency <= {_MAX_FS} Hz. Received: {own:g}"
        )
    if options.fs is not None and abs(own / options.fs - 1) > _FS_TOLERANCE:
        raise InputError(f"{path}: expected {options.fs:g} Hz, as --fs says. Received: {own:g}")
    return float(options.fs or own)


def check_signals(path: Path, mv: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return signals, shape (n_samples, 12), as float32.

    Raises:
        InputError: A lead is flat, or has a sample that is no number or beyond float32.
    """
    with np.errstate(over="ignore"):
        signals = mv.astype(np.float32)
    for lead, values in zip(LEADS, signals.T, strict=True):
        is_finite = np.isfinite(values).all()
        if not is_finite or not len(values) or np.ptp(values) == 0:
            received = "a flat line" if is_finite else "samples that are no finite number"
            raise InputError(f"{path}: lead {lead}: expected a signal. Received: {received}")
    return signals


def check_limb_leads(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> None:
    """Check that limb leads obey Einthoven and Goldberger, as those of one body do.

    The 99th percentile of each difference counts, without its offset: a burst in one lead is
    noise, and another order of leads shows in every beat. White noise is allowed for.

    Args:
        signal: Shape (n_samples, n_leads), mV.
        leads: Name of each column; lower or upper case.

    Raises:
        InputError: A lead differs from what i and ii give: it is another lead, or not simultaneous.
    """
    columns = {lead.lower(): column for lead, column in zip(leads, signal.T, strict=True)}
    i, ii, iii, avr, avl, avf = (columns[lead].astype(np.float64) for lead in LEADS[:6])
    tolerance = max(_LIMB_MV, _LIMB_SHARE * max(_large(lead) for lead in (i, ii, iii)))
    for law, difference in (
        ("iii = ii - i", iii - (ii - i)),
        ("avr = -(i + ii) / 2", avr + (i + ii) / 2),
        ("avl = i - ii / 2", avl - (i - ii / 2)),
        ("avf = ii - i / 2", avf - (ii - i / 2)),
    ):
        size = _large(difference)
        if size > tolerance and size > tolerance + 4 * _white_noise(difference):
            raise InputError(
                f"limb leads: expected {law} within {tolerance:.2g} mV. Received: a difference of "
                f"{size:.2g} mV. Are the leads in this order, and recorded at the same time?"
            )


def _large(signal: npt.NDArray[np.float64]) -> float:
    return float(np.percentile(np.abs(signal - np.median(signal)), 99))


def _white_noise(signal: npt.NDArray[np.float64]) -> float:
    """Estimate its standard deviation by second differences, in which beats are rare."""
    if len(signal) < 3:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(signal, 2))) / math.sqrt(6))
