"""Sweep over as many records as PTB-XL has, and watch time and memory.

python experiments/whole_ptbxl/measure.py FOLDER     # writes results.csv; 6 GB of disk, removed

Everything is run in processes of their own, on generated sets (generate.py) of two sizes: opening
the data set for the first and for the second time, reading it, a training, a scoring, and a sweep
by the command that a person types.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from generate import RECORDS
from generate import write as write_set

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import memory, write

HERE = Path(__file__).resolve().parent
SIZES = (5_000, RECORDS)
SWEEP = (
    *("-m", "data=ptbxl", "model=cnn", "kernel=250,500", "stride=125"),
    *("features.leads=all", "model.filters=[16,16,16]", "train.epochs=1", "cv.folds=3"),
)
PARTS = ("build", "open", "read", "read cold", "train", "score")


@dataclass(frozen=True)
class Row:
    """What one part took.

    Attributes:
        records: In the set.
        part: What was done.
        seconds: That it took; of `open` and `build`, without starting Python.
        cpu_seconds: Of processor time, by all processes, starting Python included.
        records_a_second: That were read, trained or scored; of the sweep, all together.
        resident_mib: Most memory that the process and its descendants held, at one look.
        bound_mib: Sum of the most that each of them ever held, at one time or not.
        anonymous_mib: Most of it that no file backs, at one look.
        store_mib: Of the store of signals.
        cached_mib: Of which so much was in the system's page cache at the end, which is given
            back when anybody needs it.
    """

    records: int
    part: str
    seconds: float
    cpu_seconds: float
    records_a_second: float
    resident_mib: float
    bound_mib: float
    anonymous_mib: float
    store_mib: float
    cached_mib: float


def measured(root: Path, cache: Path, n_records: int) -> list[Row]:
    """Do all parts on one set, in order; the first makes the store."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    rows = []
    for part in (*PARTS, "sweep"):
        with tempfile.TemporaryDirectory() as place:
            if part == "sweep":
                command = ["-m", "lvh.run", *SWEEP, f"data.root={root}"]
            else:
                command = [str(HERE / "part.py"), str(root), part]
            if part == "read cold":
                memory.drop_from_cache(_store(cache))
            (seconds, cpu), told, peaks = _watched(
                [sys.executable, *command], Path(place), environment
            )
        if part == "sweep":
            # two configurations of three folds, which train on two thirds and score the other
            n_done = 2 * (2 + 1) * n_records
        else:
            seconds, n_done = (float(one) for one in told.split()[-2:])
        store = _store(cache)
        row = Row(
            *(n_records, part, round(seconds, 2), round(cpu, 2), round(n_done / seconds, 1)),
            *(round(one, 1) for one in peaks),
            *(round(one, 1) for one in (store.stat().st_size / 2**20, memory.cached_mib(store))),
        )
        print(*asdict(row).values(), flush=True)
        rows.append(row)
    return rows


def _watched(
    command: list[str], place: Path, environment: dict[str, str]
) -> tuple[tuple[float, float], str, tuple[float, float, float]]:
    """Run a command; return its seconds, also of CPU, what it printed, and peaks of memory."""
    started, peaks, before = time.perf_counter(), memory.Peaks(), _cpu_of_children()
    with (place / "out").open("w") as out:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=out, stderr=out)
        while process.poll() is None:
            peaks.look(process.pid)
            time.sleep(0.2)
    told = (place / "out").read_text()
    if process.returncode:
        raise SystemExit(told)
    took = time.perf_counter() - started, _cpu_of_children() - before
    return took, told, peaks.found()


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _store(cache: Path) -> Path:
    (found,) = (cache / "lvh/cohorts").glob("ptbxl-*.npy")
    return found


def main() -> None:
    """Do it for all sizes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the sets are generated")
    parser.add_argument("--records", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    rows = []
    for n_records in given.records:
        root, cache = (given.folder / f"{name}-{n_records}" for name in ("set", "cache"))
        try:
            write_set(root, n_records)
            rows += measured(root, cache, n_records)
        finally:
            for folder in (root, cache):
                shutil.rmtree(folder, ignore_errors=True)
    write(HERE / "results.csv", [*map(asdict, rows)])


if __name__ == "__main__":
    main()
