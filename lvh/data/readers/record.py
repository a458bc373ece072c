"""One record of a user, without a label: the input of a final model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.data.array_checks import refusal, signal_fault
from lvh.data.cohort import LEADS, MAX_AGE, Cohort, Delineation, fingerprint
from lvh.data.readers import (
    MAX_BYTES,
    ReadOptions,
    Recording,
    device_record,
    lead_key,
    lead_name,
    millivolts_per_unit,
    refusing,
    sampling_frequency,
    table_record,
    wfdb,
)
from lvh.errors import InputError, excerpt
from lvh.files import read_bytes

_READERS: dict[str, Callable[[Path, bytes, ReadOptions], Recording]] = {
    ".csv": table_record.read_table,
    ".tsv": table_record.read_table,
    ".txt": table_record.read_table,
    ".parquet": table_record.read_parquet,
    ".npy": table_record.read_array,
    ".npz": table_record.read_array,
    ".edf": device_record.read_edf,
    ".bdf": device_record.read_edf,
    ".dcm": device_record.read_dicom,
    ".xml": device_record.read_xml,
}
_DERIVED = LEADS[2:6]  # limb leads that follow from i and ii
_NO_OPTIONS = ReadOptions()
_MAX_RATIO = 1000


def read(
    path: Path,
    *,
    age: float | None = None,
    male: bool | None = None,
    fs: float | None = None,
    leads: tuple[str, ...] = LEADS,
    options: ReadOptions = _NO_OPTIONS,
) -> Cohort:
    """Return a cohort of one record; its label is 0 and means nothing.

    Args:
        path: Of the file; its suffix says the format, without one that is known it is WFDB.
        age: In years; None for what the file says. Unless age and sex are known, it is NaN.
        male: None for what the file says.
        fs: Sampling frequency to convert to, Hz, by a polyphase filter; None leaves it.
        leads: Of any names; four of the twelve standard ones may follow from i and ii.
        options: What the file does not say, and the part to read.
    """
    recording, signals, _, own_fs = read_leads(path, leads, options)
    if fault := signal_fault(signals, leads):
        raise InputError(f"{path}: {fault}")
    known_age = recording.age if age is None else age
    known_male = recording.male if male is None else male
    if known_age > MAX_AGE or known_age < 0:
        raise refusal(path, f"an age of 0 to {MAX_AGE:g}; --age gives it", known_age)
    cohort = unlabelled_cohort(
        str(path.with_name(record_name(path))),
        signals[None],
        fs=own_fs,
        # a model that needs one needs both
        age=[math.nan if known_male is None else known_age],
        male=[bool(known_male)],
        leads=leads,
    )
    notes = _notes(recording) if leads == LEADS else []
    for name, mine, own in (("age", age, recording.age), ("sex", male, recording.male)):
        if mine not in (None, own) and own is not None and own == own:  # NaN is unknown
            notes.append(f"--{name} replaces that of the file")
    own_waves = recording.delineation if leads == LEADS and not options.is_part else None
    cohort = replace(
        cohort,
        note="; ".join(notes),
        unit="other" if options.unit == "other" else "mV",
        delineation=own_waves or cohort.delineation,
    )
    return cohort if fs in (None, own_fs) else _resample(cohort, fs)


def is_one_file(path: Path) -> bool:
    """Whether a record is in one file, as in every format but WFDB."""
    return path.suffix.lower() in _READERS


def record_name(path: Path) -> str:
    """Return the name of a record: that of its file, of WFDB without `.hea`."""
    return path.name.removesuffix(".hea")


def unlabelled_cohort(
    name: str,
    signals: npt.NDArray[np.float32],
    *,
    fs: float,
    age: list[float],
    male: list[bool],
    leads: tuple[str, ...] = LEADS,
) -> Cohort:
    """Make a cohort of numbered records without labels, (n_records, n_samples, n_leads), mV."""
    n = len(signals)
    records = (Path(name).name,) if n == 1 else tuple(str(number) for number in range(1, n + 1))
    return Cohort(
        name=name,
        records=records,
        subjects=np.array(records),
        leads=leads,
        fs=fs,
        signals=signals,
        delineation=Delineation.empty(n, len(leads)),
        male=np.array(male, dtype=bool),
        age=np.array(age, dtype=np.float64),
        label=np.zeros(n, dtype=np.int64),
        fingerprint=fingerprint(signals, fs),
    )


def read_leads(
    path: Path, leads: Sequence[str], options: ReadOptions
) -> tuple[Recording, npt.NDArray[np.float32], tuple[str, ...], float]:
    """Read some leads of a file, or all of its signals if `leads` is empty.

    Of the twelve leads of an ECG, four may follow from others. Return the recording; signals in mV,
    shape (n_samples, n_leads); names of the leads, in lower case; and the sampling frequency, Hz.
    """
    wanted = tuple(lead_key(lead) for lead in leads)
    recording = _recording(path, replace(options, wanted=wanted))
    names = [signal.name for signal in recording.signals]
    keys = [lead_key(name) for name in names]
    if wanted == LEADS and not {*_DERIVED} & {*keys}:
        wanted = tuple(lead for lead in LEADS if lead not in _DERIVED)
    for lead in wanted or keys:
        if (n := keys.count(lead)) != 1:
            expected = f"the leads {' '.join(leads) or 'under different names'}, each once"
            raise refusal(path, expected, f"{n or 'no'} {lead} in {', '.join(names)}")
    chosen = {lead: recording.signals[keys.index(lead)] for lead in wanted or keys}
    kinds = {(signal.fs, len(signal.values)) for signal in chosen.values()}
    if len(kinds) > 1:
        expected = "leads of one sampling frequency (Hz) and one length (samples)"
        raise refusal(path, expected, sorted(kinds, key=str))
    fs = sampling_frequency(path, kinds.pop()[0], options)
    columns = {
        lead: signal.values * millivolts_per_unit(path, lead, signal.unit, options)
        for lead, signal in chosen.items()
    }
    if len(wanted) < len(leads):
        i, ii = columns["i"], columns["ii"]
        columns |= {"iii": ii - i, "avr": -(i + ii) / 2, "avl": i - ii / 2, "avf": ii - i / 2}
        columns = {lead: columns[lead] for lead in LEADS}
    mv = np.stack(list(columns.values()), axis=1)
    if options.is_part and not recording.is_part:
        start = round(options.start * fs)
        stop = None if options.seconds is None else start + round(options.seconds * fs)
        mv = mv[start:stop]
    with np.errstate(over="ignore"):
        return recording, mv.astype(np.float32), tuple(columns), fs


def _recording(path: Path, options: ReadOptions) -> Recording:
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None and path.is_file() and suffix not in ("", ".hea"):
        raise InputError(
            f"{path}: expected the header of a WFDB record, .hea, or a file whose suffix is one of "
            f"{' '.join(_READERS)}. BioSig converts SCP-ECG: save2gdf -f=EDF FILE.scp FILE.edf"
        )
    with refusing(path, f"a whole {suffix[1:].upper()} file" if reader else "a WFDB record"):
        if reader is None:
            return wfdb.read(path, options)
        return reader(path, read_bytes(path, path.parent, MAX_BYTES), options)


def _notes(recording: Recording) -> list[str]:
    """Name leads that follow from others, and signals that are no lead."""
    notes, names = [], [signal.name for signal in recording.signals]
    if _DERIVED[0] not in map(lead_name, names):
        notes.append(f"{' '.join(_DERIVED)} follow from i and ii")
    if others := ", ".join(excerpt(name) for name in names if lead_name(name) is None):
        notes.append(f"left out, for they are none of the twelve leads: {others}")
    return notes


def _resample(cohort: Cohort, fs: float) -> Cohort:
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    ratio = Fraction(fs / cohort.fs).limit_denominator(_MAX_RATIO)
    up, down = ratio.numerator, ratio.denominator
    if up > _MAX_RATIO or not math.isclose(float(ratio) * cohort.fs, fs, rel_tol=1e-6):
        expected = f"a frequency whose ratio to {fs:g} Hz has numbers up to {_MAX_RATIO}"
        raise refusal(cohort.name, expected, cohort.fs)
    # its ends would be filtered against zero: a baseline far from there would ring
    signals = resample_poly(cohort.signals, up, down, axis=1, padtype="line")
    waves = cohort.delineation
    samples = np.rint(waves.samples * float(ratio)).astype(np.int32)
    return replace(
        cohort,
        fs=fs,
        signals=signals.astype(np.float32),
        fingerprint=fingerprint(signals, fs),
        delineation=replace(waves, samples=np.minimum(samples, signals.shape[1] - 1)),
    )
