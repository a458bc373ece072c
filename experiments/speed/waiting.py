"""Parts of the benchmark that a user waits for around the training: start, reading, tracking."""

import itertools
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from commands import HERE, lvh, run
from parts import Case, Part
from rows import Row, ratios

LOAD = (
    "import time; from lvh.data import ludb; t = time.perf_counter(); "
    "ludb.load(ludb.LudbSettings('ludb', {root!r}, '')); print(time.perf_counter() - t)"
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


def start(folder: Path) -> Part:
    """Time answers that need no training."""
    part = "start"
    asked = {
        "`--help`": "--help",
        "a wrong override": "model=transformer",
        "a wrong value": "seed=-1",
    }

    def answer(what: str) -> Callable[[int], list[Row]]:
        def measure(repeat: int) -> list[Row]:
            done = lvh([asked[what]], folder, may_fail=True)
            return [Row(part, what, "ours", repeat, done.seconds, "s")]

        return measure

    return Part(part, [Case(what, answer(what)) for what in asked])


def reading(folder: Path, root: str, with_wfdb: bool) -> Part:
    """Time reading LUDB: our own seconds, without the start of Python."""
    part = "reading"

    def cold(repeat: int) -> list[Row]:
        # the system may hold the files in memory; our own cache is empty
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            return loaded("LUDB, not cached", repeat, cache)

    def cached(repeat: int) -> list[Row]:
        warm(folder, [f"data.root={root}"])
        return loaded("LUDB, cached", repeat, os.environ["XDG_CACHE_HOME"])

    def loaded(what: str, repeat: int, cache: str) -> list[Row]:
        done = run(["-c", LOAD.format(root=root)], folder, environment={"XDG_CACHE_HOME": cache})
        return [Row(part, what, "ours", repeat, float(done.output), "s")]

    def wfdb(repeat: int) -> list[Row]:
        done = run(["-c", WFDB.format(root=root)], folder)
        return [Row(part, "LUDB, not cached", "wfdb", repeat, float(done.output), "s")]

    cases = [Case("not cached", cold), Case("cached", cached)]
    if with_wfdb:
        cases.append(Case("wfdb", wfdb, once=True))
    return Part(part, cases, lambda rows: ratios(rows, "wfdb", "ours"))


def first_step(folder: Path, data: list[str], models: Sequence[str]) -> Part:
    """Time from the start of the command to the first training step.

    That is the end of the first epoch less one later epoch, so all that precedes and compiles.
    """
    part = "first step"

    def reached(name: str) -> Callable[[int], list[Row]]:
        def measure(repeat: int) -> list[Row]:
            warm(folder, data)
            arguments = [f"model={name}", "train.epochs=3", "cv.folds=2", "resume=false", *data]
            if name == "cnn":
                arguments.append("stride=125")
            done = run([str(HERE / "watched.py"), *arguments], folder)
            times = [
                float(line.split()[2])
                for line in done.output.splitlines()
                if line.startswith("EPOCH")
            ]
            seconds = times[0] - (times[2] - times[0]) / 2 - done.began
            return [Row(part, f"to the first step, {name}", "ours", repeat, seconds, "s")]

        return measure

    return Part(part, [Case(name, reached(name)) for name in models])


def tracked_run(folder: Path, data: list[str], epochs: int, *, with_figures: bool) -> Part:
    """Time default runs as whole commands, with and without tracking, and their figures."""
    part = "a run"
    arguments = [f"train.epochs={epochs}", "resume=false", *data]

    def whole(*more: str, side: str) -> Callable[[int], list[Row]]:
        def measure(repeat: int) -> list[Row]:
            warm(folder, data)
            done = lvh([*arguments, *more], folder)
            return [Row(part, "whole command", side, repeat, done.seconds, "s")]

        return measure

    def figures(repeat: int) -> list[Row]:
        done = run([str(HERE / "watched.py"), *arguments, "tracking=off"], folder)
        return [Row(part, "its figures", "ours", repeat, drawn(done.output)[0], "s")]

    def compared(rows: list[Row]) -> list[Row]:
        by = {(one.what, one.side, one.repeat): one.value for one in rows}
        made = []
        for (what, side, n), seconds in by.items():
            if side == "tracked":
                tracking = seconds - by[what, "not tracked", n]
                made.append(Row(part, "tracking", "ours", n, tracking, "s"))
                if with_figures:
                    both = tracking + by["its figures", "ours", n]
                    made.append(Row(part, "tracking and figures", "ours", n, both, "s"))
        return made

    cases = [
        Case("tracked", whole(side="tracked")),
        Case("not tracked", whole("tracking=off", side="not tracked")),
    ]
    if with_figures:
        cases.append(Case("figures", figures))
    return Part(part, cases, compared)


def tracked_sweep(folder: Path, data: list[str], n: int) -> Part:
    """Time a further configuration in a sweep of equal shapes, with and without tracking."""
    part = "a sweep"
    points = ["-m", f"seed=range({n})", "train.epochs=1", "resume=false", *data]

    def further(*more: str, side: str) -> Callable[[int], list[Row]]:
        def measure(repeat: int) -> list[Row]:
            warm(folder, data)
            outputs = folder / f"sweep-{side.replace(' ', '-')}-{repeat}"
            lvh([*points, *more, f"hydra.sweep.dir={outputs}"], folder)
            return [Row(part, "a further configuration", side, repeat, pace(outputs), "s")]

        return measure

    def figures(repeat: int) -> list[Row]:
        done = run([str(HERE / "watched.py"), *points, "tracking=off"], folder)
        seconds = statistics.median(drawn(done.output)[1:])
        return [Row(part, "its figures", "ours", repeat, seconds, "s")]

    def compared(rows: list[Row]) -> list[Row]:
        by = {(one.side, one.repeat): one for one in rows}
        what = "tracking of a further configuration"
        return [
            Row(part, what, "ours", n, tracked.value - by["not tracked", n].value, "s")
            for (side, n), tracked in by.items()
            if side == "tracked"
        ]

    cases = [
        Case("tracked", further(side="tracked")),
        Case("not tracked", further("tracking=off", side="not tracked")),
        Case("figures", figures),
    ]
    return Part(part, cases, compared)


def warm(folder: Path, data: list[str]) -> None:
    """Make the tracking store and the cache, which every command but the first finds there."""
    if not (folder / "mlflow.db").exists():
        lvh(["train.epochs=1", "resume=false", *data], folder)


def starts_of(outputs: Path) -> list[float]:
    """Return when each configuration of a sweep began, in order, from the folders it leaves."""
    found = [path.stat().st_mtime for path in outputs.glob("*/config.yaml")]
    return sorted(found)


def pace(outputs: Path) -> float:
    """Return the median time from one configuration to the next, without that of the first."""
    times = starts_of(outputs)
    return statistics.median(b - a for a, b in itertools.pairwise(times[1:]))


def drawn(output: str) -> list[float]:
    """Return the seconds of all figures that watched.py has told."""
    return [float(line.split()[1]) for line in output.splitlines() if line.startswith("DRAWN")]
