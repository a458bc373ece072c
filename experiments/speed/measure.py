"""Measure what a user waits for, and how the training compares with the notebook's way.

    make bench          (or: python experiments/speed/measure.py)
    make bench-quick    (or: python experiments/speed/measure.py --quick)

Writes beside this file: repeats.csv (every figure of every repeat), results.csv (medians with
minimum and maximum), parts.csv (when and on what each part was measured), long_sweep.csv,
costs.png and the tables of README.md. They are written anew at the end of each part, so an
interrupted benchmark keeps what it has, and `--only PART` measures one again. `--quick` writes
to outputs/bench-quick instead.

Machines are shared and noisy: what is compared takes turns within one run, every figure is a
median over the turns, and ratios are taken turn by turn.
"""

import argparse
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path

import rows as tidy
from commands import HERE
from folds import EPOCHS, convolutional, dense, measured_whole
from parts import Part
from plot import draw
from rows import Row
from sweeps import flat, workers
from table import write_readme
from waiting import first_step, reading, start, tracked_run, tracked_sweep

PLOT = "costs.png"
LONG = 500
PROVENANCE = ("part", "measured", "minutes", "machine", "versions", "commit")


def main() -> None:
    """Measure part after part and write each down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, help="of everything; 5, or 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="a look with few epochs, once")
    parser.add_argument("--only", action="append", metavar="PART", help="may be repeated")
    parser.add_argument(
        "--without-long", action="store_true", help=f"leave out the sweep of {LONG} configurations"
    )
    parser.add_argument("--out", type=Path, help="folder of what is written")
    asked = parser.parse_args()
    out = asked.out or (HERE.parents[1] / "outputs/bench-quick" if asked.quick else HERE)
    out.mkdir(parents=True, exist_ok=True)
    if out != HERE:
        (out / "README.md").write_text((HERE / "README.md").read_text())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")  # not that of the user
        parts = chosen(planned(Path(folder), out, asked.quick), asked.only)
        if asked.without_long and not asked.only:
            parts = [part for part in parts if part.name != "a long sweep"]
        for part in parts:
            began = time.time()
            rows = part.measured(asked.repeats or (1 if asked.quick else 5))
            keep(out, part.name, rows, began)
            show(out)


def planned(folder: Path, out: Path, quick: bool) -> list[Part]:
    """Return all parts, short ones first."""
    root = os.environ.get("LVH_LUDB_ROOT")
    root = str(Path(root).resolve()) if root else None  # commands run in another folder
    data = [f"data.root={root}"] if root else ["data=synthetic"]
    found = [start(folder)]
    if root:
        found.append(reading(folder, root, with_wfdb=not quick))
    if quick:
        return [
            *found,
            first_step(folder, data, ("dnn",)),
            tracked_run(folder, data, epochs=1, with_figures=False),
            dense(folder, data, epochs=5, configurations=3, twice=False),
            convolutional(folder, data, 125, n_folds=2, epochs=2),
        ]
    cnn = ["model=cnn", "stride=125", "train.epochs=3", "cv.folds=2", "seed=range(10)"]
    return [
        *found,
        first_step(folder, data, ("dnn", "cnn")),
        tracked_run(folder, data, EPOCHS, with_figures=True),
        tracked_sweep(folder, data, 12),
        dense(folder, data, EPOCHS, configurations=12, twice=True),
        convolutional(folder, data, 125, n_folds=2, epochs=4),
        measured_whole(folder, data, 125, epochs=2),
        convolutional(folder, data, 50, n_folds=2, epochs=3),
        convolutional(folder, data, 10, n_folds=2, epochs=2),
        workers(folder, data, "dnn", ["seed=range(16)"], 16),
        workers(folder, data, "cnn", cnn, 10),
        flat(folder, data, LONG, out / "long_sweep.csv"),
    ]


def chosen(parts: list[Part], names: Sequence[str] | None) -> list[Part]:
    """Return the parts of some names."""
    known = [part.name for part in parts]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise SystemExit(f"--only: expected some of {', '.join(known)}. Received: {unknown[0]}")
    return [part for part in parts if names is None or part.name in names]


def keep(out: Path, name: str, rows: list[Row], began: float) -> None:
    """Put a part's rows in the place of its former ones."""
    former = [one for one in tidy.read(out / "repeats.csv") if one.part != name]
    tidy.write(out / "repeats.csv", Row._fields, [*former, *rows])
    known = [line for line in provenance(out) if line[0] != name]
    minutes = f"{(time.time() - began) / 60:.1f}"
    day = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d")
    line = (name, day, minutes, machine(), versions(), commit())
    tidy.write(out / "parts.csv", PROVENANCE, [*known, line])


def show(out: Path) -> None:
    """Summarise all rows and write table and plot."""
    figures = tidy.summaries(tidy.read(out / "repeats.csv"))
    tidy.write(out / "results.csv", tidy.Figure._fields, figures)
    draw(figures, out / PLOT)
    where: dict[tuple[str, ...], list[str]] = {}
    for name, day, minutes, *how in provenance(out):
        where.setdefault((*how, day), []).append(f"{name} ({minutes} min)")
    told = [
        f"{machine}; {versions}; commit {commit}; {day}: {', '.join(names)}."
        for (machine, versions, commit, day), names in where.items()
    ]
    write_readme(out / "README.md", figures, told, PLOT)


def provenance(out: Path) -> list[tuple[str, ...]]:
    """Read when and on what each part was measured."""
    return [tuple(row[name] for name in PROVENANCE) for row in tidy.read_rows(out / "parts.csv")]


def machine() -> str:
    """Name the processor, not the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {models[0] if models else platform.machine()}"


def versions() -> str:
    """Name what may change a figure."""
    by_module = packages_distributions()  # tensorflow may be that of tensorflow-cpu
    names = ("tensorflow", "keras", "mlflow")
    named = ", ".join(f"{name} {version(by_module[name][0])}" for name in names)
    return f"Python {platform.python_version()}, {named}"


def commit() -> str:
    """Name the commit, marked if the code was changed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True)
        return done.stdout.strip()

    changed = "-changed" if git("status", "--porcelain", "--", "../../lvh", "../../conf") else ""
    return (git("rev-parse", "--short", "HEAD") or "none") + changed


if __name__ == "__main__":
    main()
