"""One recording as a file has it, and what readers of all formats share; `record` reads a file."""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import refusal
from lvh.data.cohort import Delineation
from lvh.errors import EnvironmentFault, InputError, LvhError, excerpt

MAX_BYTES = 64 * 1024 * 1024
"""Size of the largest file; a table of ten seconds at 500 Hz has about a million bytes."""
MAX_FS = 100_000
"""Hz."""

_MV = {"mv": 1.0, "millivolt": 1.0, "uv": 1e-3, "µv": 1e-3, "microvolt": 1e-3, "v": 1e3}
_LEAD = re.compile(
    # as monitors, EDF's own rules, IEEE 11073-10101 and DICOM spell them; `-aVR` is another lead
    r"(?:(?:mdc_ecg_lead|ecg|ekg|lead)[ _:-]*)?(?P<lead>d?(?:iii|ii|i)|av[rlf]|v[1-6])"
    r"(?:[ _-]ref| \(einthoven\))?",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"(\d{1,3}(?:\.\d{1,17})?)\s*(y|yrs?|years?|m|months?|w|weeks?|d|days?)?",
    re.IGNORECASE | re.ASCII,
)
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
_FS_TOLERANCE = 1e-4  # relative; the times of ten seconds, written in ms, are no more exact


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user says of a file that may not say it itself; neither may contradict the other."""

    unit: str | None = None  # of its voltages: mV, uV or V; `other` leaves values as they are
    fs: float | None = None  # Hz
    leads: tuple[str, ...] = ()  # of the columns of an array, which has no names
    start: float = 0.0  # where to begin to read, s
    seconds: float | None = None  # how much to read; None for all
    default_unit: str = ""  # of a file that says none, where `unit` is None
    wanted: tuple[str, ...] = ()  # leads that are read, all signals if it is empty

    @property
    def is_part(self) -> bool:
        """Whether a part of the file is asked for."""
        return self.start > 0 or self.seconds is not None


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a file, as the file names it."""

    name: str
    values: npt.NDArray[np.floating]  # shape (n_samples,), in its unit
    unit: str = ""  # empty where the file does not say it
    fs: float | None = None  # Hz; None where the file does not say it


@dataclass(frozen=True, slots=True)
class Recording:
    """The content of one file; None or NaN where the file does not say it."""

    signals: Sequence[Signal]  # those that are no lead may lack their values
    age: float = math.nan  # years
    male: bool | None = None
    delineation: Delineation | None = None
    is_part: bool = False  # only the part that was asked for is read


@contextmanager
def refusing(path: Path, expected: str) -> Iterator[None]:
    """Turn any error of a library that reads a file into an InputError of one line."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except LvhError:
        raise
    except ImportError as error:
        package = error.name or "pyarrow"  # pandas does not name it
        extra = "pyarrow" if package == "pyarrow" else "'lvh[ecg]'"
        raise EnvironmentFault(
            f"{path}: expected the package {package}, which reads it. Received: none. "
            f"pip install {extra}"
        ) from None
    except Exception as error:  # the libraries raise a dozen kinds for a malformed file
        reason = excerpt((str(error).strip() or type(error).__name__).splitlines()[0])
        raise InputError(f"{path}: expected {expected}. Received: {reason}") from error


def lead_name(name: str) -> str | None:
    """Return the lead of a name such as `V1`, `ECG aVR`, `EKG V1-Ref`, `MDC_ECG_LEAD_II`, `DI`."""
    match = _LEAD.fullmatch(name.strip())
    return match["lead"].lower().removeprefix("d") if match else None


def lead_key(name: str) -> str:
    """Return the name by which a signal of a file is known: its lead, or its name in lower case."""
    return lead_name(name) or name.strip().lower()


def is_read(name: str, options: ReadOptions) -> bool:
    """Whether the values of a signal of a file are needed."""
    return not options.wanted or lead_key(name) in options.wanted


def millivolts_per_unit(path: Path, lead: str, unit: str, options: ReadOptions) -> float:
    """Return the factor that converts a lead's voltages to mV; a file may say no `unit`."""
    if options.unit == "other":
        return 1.0
    name = unit.strip() or options.unit or options.default_unit
    factor = _MV.get(name.lower().replace("\N{GREEK SMALL LETTER MU}", "µ").removesuffix("s"))
    if factor is None or (options.unit and factor != _MV[options.unit.lower()]):
        given = options.unit or "not given"
        expected = f"the unit mV, uV or V, as --unit says it where the file has none ({given})"
        raise refusal(f"{path}: lead {lead}", expected, unit)
    return factor


def sampling_frequency(path: Path, fs: float | None, options: ReadOptions) -> float:
    """Return the sampling frequency in Hz; a file may not say its `fs`."""
    own = options.fs if fs is None else fs
    if own is None or not 0 < own <= MAX_FS:
        expected = f"its sampling frequency, up to {MAX_FS}: --fs says it, in Hz, if no file does"
        raise refusal(path, expected, own)
    if options.fs is not None and abs(own / options.fs - 1) > _FS_TOLERANCE:
        raise refusal(path, f"{options.fs:g} Hz, as --fs says", own)
    return float(options.fs or own)


def parse_age(text: str) -> float:
    """Return years of `60`, `60 years`, `060Y` or `6 months`; NaN of any other text."""
    match = _AGE.fullmatch(text.strip())
    return float(match[1]) / _PER_YEAR[(match[2] or "y")[0].lower()] if match else math.nan


def parse_sex(text: str) -> bool | None:
    """Return whether `M`, `F`, `male` or `female` is male; None of any other text."""
    return {"m": True, "male": True, "f": False, "female": False}.get(text.strip().lower())


def age_on(day: str, born: str) -> float:
    """Return whole years from birth to a day, both as YYYYMMDD and more; NaN if unknown."""
    try:
        now, then = (datetime.strptime(text[:8], "%Y%m%d") for text in (day, born))
    except ValueError:
        return math.nan
    years = now.year - then.year - ((now.month, now.day) < (then.month, then.day))
    return float(years) if years >= 0 else math.nan
