"""Write generated records as PTB-XL is written: as many of as many patients, 12 leads, 500 Hz.

python experiments/whole_ptbxl/generate.py FOLDER [--records 21799]

A pool of generated recordings (lvh.data.synthetic) is moved in time and overlaid with noise, so
that no two records are equal. Records of one pool recording are in all folds: what a model scores
on them means nothing.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import write as write_rows

from lvh.data import synthetic
from lvh.data.cohort import LEADS

RECORDS, PATIENTS = 21_799, 18_869
_POOL = 240
_PREVALENCE = 0.098
_NOISE = 15.0  # microvolts
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "filename_lr", "filename_hr")


def write(root: Path, n_records: int) -> None:
    """Write a set; the same number of records is the same set."""
    pool = synthetic.load(synthetic.SyntheticSettings("synthetic", _POOL, 1.0, 0.0, 0))
    waves = np.rint(pool.signals[:] * 1000)
    generator = np.random.default_rng(0)
    patients = _patients(n_records, generator)
    of_patient = generator.random(patients.max() + 1) < _PREVALENCE
    rows = []
    for at, patient in enumerate(patients.tolist()):
        own = np.random.default_rng([n_records, at])
        one = own.choice(np.flatnonzero(pool.label == of_patient[patient]))
        moved = np.roll(waves[one], own.integers(len(waves[one])), axis=0)
        noise = _NOISE * own.standard_normal(moved.shape, dtype=np.float32)
        name = f"{(at + 1) // 1000:02}000/{at + 1:05}"
        _write_record(root / f"records500/{name}_hr", np.rint(moved + noise).astype("<i2"))
        codes = "{'LVH': 100.0, 'SR': 0.0}" if pool.label[one] else "{'NORM': 100.0, 'SR': 0.0}"
        of_person = (f"{pool.age[one]:.1f}", int(not pool.male[one]), codes)
        files = (f"records100/{name}_lr", f"records500/{name}_hr")
        row = (at + 1, f"{patient}.0", *of_person, *files)
        rows.append(dict(zip(_COLUMNS, row, strict=True)))
    write_rows(root / "ptbxl_database.csv", rows)


def _patients(n_records: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the patient of each record; some have several, as many in proportion as PTB-XL."""
    n = round(n_records * PATIENTS / RECORDS)
    again = generator.integers(n, size=n_records - n)
    return np.concatenate([np.arange(n), again])


def _write_record(path: Path, digital: npt.NDArray[np.int16]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sums = digital.sum(axis=0, dtype=np.int64) % 2**16
    lines = [f"{path.name} {len(LEADS)} {synthetic.FS:g} {len(digital)}"]
    lines += [
        f"{path.name}.dat 16 1000.0(0)/mV 16 0 {first} {total} 0 {lead.upper()}"
        for lead, first, total in zip(LEADS, digital[0], sums, strict=True)
    ]
    path.with_name(f"{path.name}.hea").write_text("\n".join(lines) + "\n")
    path.with_name(f"{path.name}.dat").write_bytes(digital.tobytes())


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=RECORDS)
    given = parser.parse_args()
    write(given.folder, given.records)


if __name__ == "__main__":
    main()
