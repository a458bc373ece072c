"""What must hold of whatever comes out of a damaged data set."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lvh.data import ludb
from lvh.data.cache import cache_dir
from lvh.data.cohort import LEADS, Cohort
from lvh.errors import InputError

_LONGEST = 400
"""Characters of a message beside the path in it: what was received is cut short."""


def read(root: Path) -> Cohort | InputError:
    """Read a data set as a run does; any error but bad input gets through."""
    # Two cases may agree in names, sizes and the clock's tick; a cached cohort hides the second.
    shutil.rmtree(cache_dir() / "cohorts", ignore_errors=True)
    try:
        return ludb.load(ludb.LudbSettings("ludb", str(root), "http://127.0.0.1:9/none.zip"))
    except InputError as refusal:
        return refusal


def faults_of_refusal(refusal: InputError, root: Path) -> list[str]:
    """Say what is wrong with a message."""
    told = str(refusal)
    rules = {
        "names no file of the data set": str(root) in told,
        "has more than two lines": told.count("\n") <= 1,
        "is too long": len(told) <= _LONGEST + 2 * len(str(root)),
        "holds what a terminal would obey": told.replace("\n", "").isprintable(),
    }
    return [fault for fault, holds in rules.items() if not holds]


def faults_of_cohort(cohort: Cohort, root: Path) -> list[str]:
    """Say what is wrong with a cohort, by itself."""
    n, n_samples = cohort.signals.shape[:2]
    waves = cohort.delineation
    listed = (root / "RECORDS").read_text().split()
    leads = [waves.lead(record, lead) for record in range(n) for lead in range(len(LEADS))]
    rules = {
        "records": [f"data/{name}" for name in cohort.records] == listed and len(set(listed)) == n,
        "subjects": cohort.subjects.tolist() == list(cohort.records),
        "leads": cohort.leads == LEADS,
        "fs": bool(0 < cohort.fs <= 100_000),
        "shape": cohort.signals.shape == (n, n_samples, len(LEADS)) and n_samples > 0,
        "finite": cohort.signals.dtype == np.float32 and bool(np.isfinite(cohort.signals).all()),
        "not recorded": bool((cohort.signals > -32.768).all()),
        "flat": bool((np.ptp(cohort.signals, axis=1) > 0).all()),
        "lengths": {len(cohort.male), len(cohort.age), len(cohort.label), len(cohort.records)}
        == {n},
        "age": bool(((cohort.age >= 0) & (cohort.age < 200)).all()),
        "label": set(cohort.label.tolist()) <= {0, 1},
        "offsets": waves.offsets[0] == 0
        and int(waves.offsets[-1]) == len(waves.symbols) == len(waves.samples)
        and len(waves.offsets) == n * len(LEADS) + 1,
        "symbols": all(set(symbols) <= set("()Npt") for symbols, _ in leads),
        "samples": all(
            ((samples >= 0) & (samples < n_samples)).all() and (np.diff(samples) >= 0).all()
            for _, samples in leads
        ),
        "note": "differs from LUDB 1.0.1" in cohort.note,
    }
    return [rule for rule, holds in rules.items() if not holds]


def faults_by_oracle(cohort: Cohort, root: Path) -> list[str]:
    """Compare a cohort with what the wfdb package reads.

    Returns:
        What differs; `wfdb refuses: ...` where it does not take what we took.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        faults: list[str] = []
        for at, name in enumerate(cohort.records):
            path = str(root / "data" / name)
            try:
                record = wfdb.rdrecord(path, physical=False)
                waves = [wfdb.rdann(path, lead) for lead in LEADS]
            except Exception as error:
                return [f"wfdb refuses: {type(error).__name__}: {error}"[:120]]
            faults += [f"{name}: {fault}" for fault in _differences(cohort, at, record, waves)]
        return faults


def _differences(cohort: Cohort, at: int, record: Any, waves: list[Any]) -> list[str]:
    names = [str(lead).lower() for lead in record.sig_name]
    if sorted(names) != sorted(LEADS):
        return [f"leads {' '.join(names)}"]
    expected = record.d_signal[:, [names.index(lead) for lead in LEADS]]
    said = [tuple(map(str.strip, one.split(":", 1))) for one in record.comments if ":" in one]
    ages = [value for field, value in said if field == "<age>"]
    sexes = [value for field, value in said if field == "<sex>"]
    found = np.rint(cohort.signals[at] * 1000)
    diagnoses = [one.strip().rstrip(".") for one in record.comments]
    rules = {
        "fs": cohort.fs == record.fs,
        "signals": found.shape == expected.shape and np.array_equal(found, expected),
        "age": list(map(float, ages)) == [cohort.age[at]],
        "sex": sexes == ["M" if cohort.male[at] else "F"],
        "label": cohort.label[at] == ("Left ventricular hypertrophy" in diagnoses),
        **{
            lead: cohort.delineation.lead(at, number)[0] == "".join(wave.symbol)
            and np.array_equal(cohort.delineation.lead(at, number)[1], wave.sample)
            for number, (lead, wave) in enumerate(zip(LEADS, waves, strict=True))
        },
    }
    return [rule for rule, holds in rules.items() if not holds]
