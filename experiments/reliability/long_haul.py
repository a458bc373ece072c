"""Train 300 configurations of the dense network in one process, and watch what it holds.

python experiments/reliability/long_haul.py
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import append, start
from _common.memory import held

SHAPES = ("[16,8,4]", "[32,8,4]", "[48,8,4]", "[64,8,4]", "[80,8,4]")
WARM = 30
"""Configurations after which all shapes are built and all pages are touched."""
_CONCLUDED = re.compile(r"^trial (\d+) of .*: ap ", re.MULTILINE)


@dataclass(frozen=True)
class Held:
    """What the process holds once it has trained some configurations.

    Attributes:
        configurations: That are done.
        seconds: Since the start.
        memory_mib: Resident, of the process.
        recorder_mib: Likewise, of the process that records.
        files: Open descriptors of the process.
        threads: Of the process.
        studies_kib: Size of the database of the study.
        tracking_kib: Size of the database of the runs.
    """

    configurations: int
    seconds: float
    memory_mib: float
    recorder_mib: float
    files: int
    threads: int
    studies_kib: float
    tracking_kib: float


def begun(folder: Path, n_configurations: int) -> subprocess.Popen:
    """Start the sweep; seeds change slowest, so that the shapes take turns."""
    n_seeds = -(-n_configurations // len(SHAPES))
    return start(
        folder,
        "log",
        *("-m", "data=synthetic", "data.records=42", "cv.folds=3", "train.epochs=10"),
        *(f"seed=range({n_seeds})", f"model.units={','.join(SHAPES)}"),
        *(f"search.n_trials={n_configurations}", "search.sampler=grid"),
    )


def watched(folder: Path, process: subprocess.Popen) -> Iterator[Held]:
    """Yield what is held whenever ten more configurations are done."""
    started, done = time.perf_counter(), 0
    while process.poll() is None:
        now = len(_CONCLUDED.findall((folder / "log").read_text()))
        if now >= done + 10:
            done = now
            with suppress(FileNotFoundError):  # it has ended meanwhile
                yield _held(folder, process.pid, done, time.perf_counter() - started)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)


def _held(folder: Path, pid: int, done: int, seconds: float) -> Held:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Held(
        done,
        round(seconds, 1),
        _resident(pid),
        max((_resident(int(child)) for child in children), default=0.0),
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
        (folder / "studies.db").stat().st_size / 1024,
        (folder / "mlflow.db").stat().st_size / 1024,
    )


def _resident(pid: int) -> float:
    with suppress(FileNotFoundError):
        return round(held(pid).get("VmRSS", 0.0), 1)
    return 0.0


def verdict(rows: list[Held]) -> list[str]:
    """Say what grew from the end of the warm-up to the end."""
    first, last = next(row for row in rows if row.configurations >= WARM), rows[-1]
    between = last.configurations - first.configurations
    told = []
    for name in ("memory_mib", "recorder_mib", "files", "threads"):
        one, other = getattr(first, name), getattr(last, name)
        told.append(f"{name}: {one:g} to {other:g}, {(other - one) / one:+.1%}")
    for name in ("studies_kib", "tracking_kib"):
        early = getattr(first, name) / first.configurations
        each = (getattr(last, name) - getattr(first, name)) / between
        told.append(f"{name}: {each:.1f} a configuration, {early:.1f} in the warm-up")
    return told


def main() -> None:
    """Do it, and write a row for every ten configurations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configurations", type=int, default=300)
    given = parser.parse_args()
    rows, out = [], Path(__file__).with_name("long_haul.csv")
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        process = begun(Path(temporary), given.configurations)
        for row in watched(Path(temporary), process):
            rows.append(row)
            append(out, [asdict(row)])
            print(*asdict(row).values(), flush=True)
        if process.returncode:
            raise SystemExit((Path(temporary) / "log").read_text())
    print(*verdict(rows), sep="\n")


if __name__ == "__main__":
    main()
