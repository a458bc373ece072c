"""Parts of the benchmark on larger sweeps: two workers against one, and five hundred points."""

import bisect
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path

from commands import lvh
from parts import Case, Part
from rows import Row, ratios
from rows import write as write_csv
from waiting import starts_of, warm

WARM = 4
"""Configurations before the pace counts as steady: two for each of two workers."""


def workers(folder: Path, data: list[str], model: str, points: list[str], n: int) -> Part:
    """Time a sweep of n points with one and with two workers.

    Args:
        folder: Where the commands are typed.
        data: Overrides.
        model: Short name.
        points: Overrides that make n points.
        n: Their number.
    """
    part = f"workers, {model}"
    parallel = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]

    def measure(side: str, more: list[str]) -> Callable[[int], list[Row]]:
        def measured(repeat: int) -> list[Row]:
            warm(folder, data)
            outputs = folder / f"{model}-{side}-{repeat}".replace(" ", "-")
            arguments = ["-m", *points, *more, f"hydra.sweep.dir={outputs}", "resume=false", *data]
            done = lvh(arguments, folder, with_memory=True)
            return [
                Row(part, "whole command", side, repeat, done.seconds, "s"),
                Row(part, "steady pace", side, repeat, steady(starts_of(outputs)), "s"),
                Row(part, "peak memory", side, repeat, done.peak_mib, "MiB"),
            ]

        return measured

    cases = [
        Case("1 worker", measure("1 worker", [])),
        Case("2 workers", measure("2 workers", parallel)),
    ]
    return Part(part, cases, lambda rows: ratios(rows, "1 worker", "2 workers"))


def steady(times: list[float]) -> float:
    """Return seconds for a configuration once all workers are warm.

    Two workers may begin in pairs, so an even number of intervals is taken.
    """
    last = WARM + (len(times) - 1 - WARM) // 2 * 2
    return (times[last] - times[WARM]) / (last - WARM)


def flat(folder: Path, data: list[str], n: int, path: Path) -> Part:
    """Follow a sweep of n tracked configurations in one process.

    Args:
        folder: Where the command is typed.
        data: Overrides.
        n: Number of configurations.
        path: CSV with the time and the memory of each configuration.
    """
    part = "a long sweep"
    end = n // 10

    def measure(repeat: int) -> list[Row]:
        warm(folder, data)
        outputs = folder / f"long-{repeat}"
        points = [f"seed=range({n})", "train.epochs=2", "resume=false"]
        done = lvh(["-m", *points, f"hydra.sweep.dir={outputs}", *data], folder, with_memory=True)
        times = starts_of(outputs)
        seconds = [b - a for a, b in itertools.pairwise(times)]
        at = [time for time, _ in done.memory]
        held = [
            done.memory[min(bisect.bisect_left(at, time), len(at) - 1)][1] for time in times[1:]
        ]
        numbered = enumerate(zip(seconds, held, strict=True), start=1)
        write_csv(
            path,
            ("configuration", "seconds", "memory_mib"),
            ((number, *values) for number, values in numbered),
        )
        # without the first, which traces
        parts = {"first": slice(1, end + 1), "last": slice(-end, None)}
        return [
            row
            for which, where in parts.items()
            for row in (
                Row(part, "a configuration", which, repeat, median(seconds[where]), "s"),
                Row(part, "memory", which, repeat, median(held[where]), "MiB"),
            )
        ]

    median = statistics.median
    case = Case(f"{n} configurations", measure, once=True)
    return Part(part, [case], lambda rows: ratios(rows, "last", "first"))
