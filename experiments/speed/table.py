"""The tables of README.md."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rows import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import put, table

MARK = "<!-- made by measure.py -->"
SHARE = "of 1"


class Aim(NamedTuple):
    """What was asked of a median: at least or at most a bound."""

    at_least: bool
    bound: float

    def __str__(self) -> str:
        """Say it."""
        return f"{'at least' if self.at_least else 'below'} {self.bound:g}"

    def reached(self, value: float) -> str:
        """Say whether it is reached."""
        return "yes" if (value >= self.bound if self.at_least else value < self.bound) else "**no**"


def aim(figure: Figure) -> Aim | None:
    """Return what was asked of a figure, if anything was."""
    part, what, side = figure.part, figure.what, figure.side
    is_ratio = side == "notebook / ours"
    if part == "dnn" and is_ratio and what == "cross-validation, 7 x 100 epochs":
        return Aim(True, 50)
    if part == "dnn" and is_ratio and what == "a further one, 7 x 100 epochs":
        return Aim(True, 100)
    if part in ("cnn s=10", "cnn s=50"):
        if is_ratio and what.startswith("cross-validation"):
            return Aim(True, 3.3)
        if (what, side) == ("rate done", "ours / matmul"):
            return Aim(True, 0.9)
        if (what, side) == ("peak memory", "ours"):
            return Aim(False, 3 * 1024)
    return {
        ("start", "`--help`", "ours"): Aim(False, 1.2),
        ("start", "a wrong override", "ours"): Aim(False, 1.2),
        ("start", "a wrong value", "ours"): Aim(False, 1.2),
        ("reading", "LUDB, not cached", "ours"): Aim(False, 3),
        ("reading", "LUDB, cached", "ours"): Aim(False, 0.3),
        ("first step", "to the first step, dnn", "ours"): Aim(False, 8),
        ("first step", "to the first step, cnn", "ours"): Aim(False, 8),
        ("a run", "tracking and figures", "ours"): Aim(False, 2),
        ("a sweep", "tracking of a further configuration", "ours"): Aim(False, 0.3),
        ("workers, dnn", "whole command", "1 worker / 2 workers"): Aim(True, 1.6),
        ("workers, cnn", "whole command", "1 worker / 2 workers"): Aim(True, 1),
        ("a long sweep", "a configuration", "last / first"): Aim(False, 1.1),
        ("a long sweep", "memory", "last / first"): Aim(False, 1.1),
    }.get((part, what, side))


def write_readme(path: Path, figures: Sequence[Figure], machines: Iterable[str], plot: str) -> None:
    """Put the tables behind the mark; what is before it stays."""
    lines = [
        *(f"- {machine}" for machine in machines),
        "",
        f"![Cost against epochs, stride and number of configurations]({plot})",
        "",
        "**Against the notebook's way.** Median (minimum to maximum).",
        "",
        *against(figures),
        "",
        "**Rate of the convolutions**, in GFLOP/s, and its share of the rate of a float32 matrix "
        "product of 4096 by 4096 measured in the same turn.",
        "",
        *shares(figures),
        "",
        "**Around the training.**",
        "",
        *around(figures),
    ]
    put(path, MARK, lines)


def against(figures: Sequence[Figure]) -> list[str]:
    """Compare both sides, a thing a line."""
    by = {(one.part, one.what, one.side): one for one in figures}
    names = dict.fromkeys(
        (one.part, one.what)
        for one in figures
        if one.side in ("notebook", "ours") and is_training(one.part) and is_shown(one.what)
    )
    rows = []
    for part, what in names:
        sides = [by.get((part, what, side)) for side in ("notebook", "ours", "notebook / ours")]
        asked = next((one for one in reversed(sides) if one and aim(one)), None)
        rows.append((part, what, *map(spread, sides), *asked_of(asked)))
    header = ("model", "what", "the notebook's way", "ours", "ratio", "asked", "reached")
    return table(header, rows)


def shares(figures: Sequence[Figure]) -> list[str]:
    """Show how near the convolutions come to a matrix product."""
    by = {(one.part, one.what, one.side): one for one in figures}
    rows = []
    for part in dict.fromkeys(one.part for one in figures if one.what == "rate"):
        done = by.get((part, "rate done", "ours / matmul"))
        rows.append(
            (
                part,
                spread(by.get((part, "rate", "matmul"))),
                spread(by.get((part, "rate", "ours"))),
                spread(by.get((part, "rate", "ours / matmul"))),
                spread(done),
                spread(by.get((part, "rate", "notebook / matmul"))),
                *asked_of(done),
            )
        )
    header = ("model", "matrix product", "ours", "share", "share done", "the notebook's share")
    return table((*header, "share done asked", "reached"), rows)


def around(figures: Sequence[Figure]) -> list[str]:
    """Show everything else, a figure a line."""
    rows = [
        (
            f"{one.part}: {one.what}",
            "" if one.side == "ours" else one.side,
            *map(number, (one.median, one.low, one.high)),
            one.unit,
            one.repeats,
            *asked_of(one),
        )
        for one in figures
        if not is_training(one.part)
    ]
    header = ("what", "of", "median", "min", "max", "unit", "repeats", "asked", "reached")
    return table(header, rows)


def is_training(part: str) -> bool:
    """Whether a part compares the training of folds."""
    return part.partition(" ")[0] in ("dnn", "cnn")


def is_shown(what: str) -> bool:
    """Whether a figure is for the tables; others are for the plot, or have their own table."""
    return not what.startswith(("until epoch", "rate")) and not what.endswith(" configurations")


def asked_of(figure: Figure | None) -> tuple[str, str]:
    """Say what was asked and whether it is reached, or nothing."""
    asked = None if figure is None else aim(figure)
    if figure is None or asked is None:
        return "", ""
    text = f"{asked} {figure.unit}" if figure.unit in ("s", "MiB") else str(asked)
    return (text if figure.unit != SHARE else f"at least {asked.bound:.0%}"), asked.reached(
        figure.median
    )


def spread(figure: Figure | None) -> str:
    """Show a median with its extremes."""
    if figure is None:
        return ""
    if figure.unit == SHARE:
        return f"{figure.median:.0%} ({figure.low:.0%} to {figure.high:.0%})"
    unit = f" {figure.unit}" if figure.unit in ("s", "MiB") else ""
    if figure.repeats == 1:
        return f"{number(figure.median)}{unit}"
    return f"{number(figure.median)}{unit} ({number(figure.low)} to {number(figure.high)})"


def number(value: float) -> str:
    """Show three significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
