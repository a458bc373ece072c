"""Measure what a user waits for: start, reading LUDB, and what tracking adds to a run.

    make bench        (or: python experiments/speed/measure.py --repeats 5)

Writes results.csv and the table of README.md beside this file. Machines are shared and noisy:
every figure is a median over repeats that alternate between the things compared, with minimum
and maximum; compare ratios, not seconds of different machines.
"""

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by measure.py -->"
LOAD = (
    "import time; from lvh.sources import ludb; t = time.perf_counter(); "
    "ludb.load(ludb.LudbSettings('ludb', {root!r}, '')); print(time.perf_counter() - t)"
)
DRAW = (
    "import sys, time; from lvh import figures; draw = figures.draw_all\n"
    "def timed(*args):\n"
    "    t = time.perf_counter(); draw(*args); print('DRAWN', time.perf_counter() - t)\n"
    "figures.draw_all = timed; from lvh.run import main; sys.exit(main())"
)
WFDB = (
    "import time, warnings; warnings.simplefilter('ignore'); import wfdb; "
    "t = time.perf_counter()\n"
    "for n in range(1, 201):\n"
    "    record = wfdb.rdrecord(f'{root}/data/{{n}}', physical=False)\n"
    "    for lead in record.sig_name:\n"
    "        wfdb.rdann(f'{root}/data/{{n}}', lead)\n"
    "print(time.perf_counter() - t)"
)


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for rows in measures(Path(folder), repeats) for row in rows]
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("what", "median_s", "min_s", "max_s", "repeats"))
        writer.writerows(rows)
    write_table(rows)


def measures(folder: Path, repeats: int) -> list[list[tuple]]:
    """Return a list of rows for each group of things measured in turn."""
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    data = ["data=synthetic", "resume=false"]
    groups = [
        in_turn(
            repeats,
            {
                "`--help`": lambda: wall(["--help"], folder),
                "a wrong override": lambda: wall(["model=resnet"], folder),
                "a wrong value": lambda: wall(["train.epochs=0"], folder),
            },
        )
    ]
    root = os.environ.get("LVH_LUDB_ROOT")
    if root:
        data = [f"data.root={root}", "resume=false"]
        printed(LOAD.format(root=root), folder, cache)  # once, so that the cache exists
        groups.append(
            in_turn(
                repeats,
                {
                    "LUDB, not cached": lambda: cold(root, folder),
                    "LUDB, cached": lambda: printed(LOAD.format(root=root), folder, cache),
                },
            )
        )
        groups.append(
            in_turn(1, {"LUDB with wfdb": lambda: printed(WFDB.format(root=root), folder)})
        )
    wall(data, folder)  # once, so that the store and the cache exist
    groups.append(
        in_turn(
            repeats,
            {
                "default run": lambda: wall(data, folder),
                "default run, tracking=off": lambda: wall([*data, "tracking=off"], folder),
                "its figures": lambda: drawn([*data, "tracking=off"], folder),
            },
        )
    )
    return groups


def in_turn(repeats: int, things: dict[str, Callable[[], float]]) -> list[tuple]:
    """Measure several things one after the other, again and again."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for repeat in range(repeats):
        for name, thing in things.items():
            seconds[name].append(thing())
            print(f"{repeat + 1}/{repeats} {name}: {seconds[name][-1]:.2f} s", flush=True)
    return [
        (name, *(f"{of(values):.3f}" for of in (statistics.median, min, max)), len(values))
        for name, values in seconds.items()
    ]


def wall(arguments: list[str], folder: Path) -> float:
    """Return the wall time of a whole command."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lvh.run", *arguments], cwd=folder, capture_output=True, check=False
    )
    return time.perf_counter() - started


def cold(root: str, folder: Path) -> float:
    """Read LUDB's files, which the system may hold in memory, without our own cache."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return printed(LOAD.format(root=root), folder, {"XDG_CACHE_HOME": cache})


def drawn(arguments: list[str], folder: Path) -> float:
    """Return how long a run draws, the import of matplotlib included."""
    command = [sys.executable, "-c", DRAW, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout.partition("DRAWN ")[2].split()[0])


def printed(code: str, folder: Path, environment: dict[str, str] | None = None) -> float:
    """Run Python code that prints its own seconds."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return float(done.stdout)


def write_table(rows: list[tuple]) -> None:
    """Put the figures into the README, behind the mark."""
    readme = HERE / "README.md"
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "mlflow"))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines = [
        f"{machine}, {versions}.",
        "",
        "| what | median, s | min | max | repeats |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
    head = readme.read_text().partition(MARK)[0]
    readme.write_text(head + MARK + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
