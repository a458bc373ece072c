"""Plot cost against epochs, stride and number of configurations."""

from collections.abc import Sequence
from pathlib import Path

from costs import operations
from folds import KERNEL, N_FOLDS
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from rows import Figure
from table import number

COLOURS = {"notebook": "#c05000", "ours": "#1f5fa8"}
NAMES = {"notebook": "the notebook's way", "ours": "ours"}
GREY = "#707070"


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Draw the three panels that the figures allow."""
    canvas = Canvas(figsize=(13, 4.4), dpi=110, layout="constrained")
    for axes, fill in zip(canvas.subplots(1, 3), (_epochs, _strides, _configurations), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, which="major")
        axes.set_xscale("log")
        axes.set_yscale("log")
        fill(axes, figures)
    canvas.savefig(path)


def _epochs(axes: Axes, figures: Sequence[Figure]) -> None:
    known = {(one.part, one.what, one.side): one.median for one in figures}
    axes.set(title="Cost against epochs", xlabel="epochs in each of 7 folds", ylabel="seconds")
    ticks: set[int] = set()
    for side, colour in COLOURS.items():
        points = sorted(
            (int(what.rpartition(" ")[2]), value)
            for (part, what, of), value in known.items()
            if part == "dnn" and what.startswith("until epoch") and of == side
        )
        if points:
            ticks |= {epoch for epoch, _ in points}
            axes.plot(*zip(*points, strict=True), "o-", color=colour, ms=4)
            _label(axes, *points[-1], "dnn", colour)
        for stride, style in ((10, "--"), (125, ":")):
            names = ("fold 1 beside its epochs", "fold 2 beside its epochs", "a later epoch")
            parts = [known.get((f"cnn s={stride}", name, side)) for name in names]
            if None not in parts:
                first, other, epoch = parts
                xs = [1, 2, 5, 10, 20, 50, 100]
                ys = [first + (N_FOLDS - 1) * other + N_FOLDS * epoch * x for x in xs]
                axes.plot(xs, ys, style, color=colour)
                _label(axes, xs[-1], ys[-1], f"cnn s={stride}", colour)
                ticks |= set(xs)
    for side, colour in COLOURS.items():
        axes.plot([], [], color=colour, label=NAMES[side])
    axes.plot([], [], "--", color=GREY, label="by the formula")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    _ticks(axes, sorted(ticks))
    axes.margins(x=0.18)


def _strides(axes: Axes, figures: Sequence[Figure]) -> None:
    axes.set(title="Cost against stride", xlabel="stride", ylabel="seconds of an epoch")
    ends: list[int] = []
    for side, colour in COLOURS.items():
        points = sorted(
            (int(one.part.partition("s=")[2]), one.median, one.low, one.high)
            for one in figures
            if (one.what, one.side) == ("a later epoch", side)
        )
        if points:
            xs, ys, lows, highs = zip(*points, strict=True)
            axes.plot(xs, ys, "o-", color=colour, ms=4)
            axes.vlines(xs, lows, highs, color=colour)
            axes.annotate(
                NAMES[side],
                (xs[0], ys[0]),
                xytext=(8, 2),
                textcoords="offset points",
                color=colour,
                fontsize=9,
            )
            ends = list(xs)
    ideal = []
    for one in figures:
        if (one.what, one.side) == ("rate", "ours"):
            stride = int(one.part.partition("s=")[2])
            epoch, product = (
                next((f.median for f in figures if (f.part, f.what, f.side) == (one.part, *key)), 0)
                for key in (("a later epoch", "ours"), ("rate", "matmul"))
            )
            if product:
                records = one.median * epoch * 1e9 / operations(KERNEL, stride).direct
                ideal.append((stride, operations(KERNEL, stride).direct * records / product / 1e9))
    if ideal:
        axes.plot(*zip(*sorted(ideal), strict=True), ":", color=GREY, zorder=0)
        axes.plot([], [], ":", color=GREY, label="direct convolutions\nat the product's rate")
        axes.legend(frameon=False, loc="lower left", fontsize=9)
    _ticks(axes, ends)
    axes.margins(x=0.15, y=0.15)


def _configurations(axes: Axes, figures: Sequence[Figure]) -> None:
    title = "Cost against number of configurations"
    axes.set(
        title=title, xlabel="configurations of the dnn in one process", ylabel="seconds, together"
    )
    most = 1
    lines = {}
    for side in COLOURS:
        lines[side] = sorted(
            (int(one.what.partition(" ")[0]), one.median)
            for one in figures
            if one.part == "dnn" and one.side == side and one.what.endswith(" configurations")
        )
        most = max([most, *(n for n, _ in lines[side])])
    for side, points in lines.items():
        if not points:
            continue
        colour = COLOURS[side]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, ms=4)
        if side == "notebook" and most > points[-1][0]:
            one = points[0][1]
            axes.plot([points[-1][0], most], [points[-1][1], one * most], "--", color=colour)
            axes.plot([], [], "--", color=colour, label="as much again for each")
            axes.legend(frameon=False, loc="upper left", fontsize=9)
        _label(axes, *points[0], f"{NAMES[side]}\n{number(points[0][1])} s", colour, right=False)
    _ticks(axes, [n for n in (1, 2, 3, 5, 8, 12, 20, 30) if n <= most])
    axes.margins(x=0.15, y=0.15)


def _label(axes: Axes, x: float, y: float, text: str, colour: str, *, right: bool = True) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(5, 0) if right else (10, -3),
        textcoords="offset points",
        color=colour,
        va="center" if right else "top",
        fontsize=9,
    )


def _ticks(axes: Axes, xs: Sequence[float]) -> None:
    """Label the axes in plain numbers, x where the points are."""
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if xs:
        axes.xaxis.set_major_locator(FixedLocator(list(xs)))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(plain)
