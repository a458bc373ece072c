"""The look that the pictures share, and how they become files."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"LVH": "#1f4e79", "not LVH": "#b5651d"}
QUIET, GRID, INK = "#8a8a8a", "#e6e6e6", "#1c2430"
DPI = 144
WIDTH = 8.4  # inches; a page shows 96 pixels an inch
_TOP, _LEFT, _RIGHT = 0.62, 0.62, 0.12  # inches around the panels

Draw = Callable[[], "Figure"]


def panels(
    title: str,
    rows: int,
    columns: int,
    height: float,
    *,
    left: float = _LEFT,
    gap: float = 0.42,
    below: float = 0.32,
) -> "tuple[Figure, list[Axes]]":
    """Make a figure with a title and a grid of panels, row by row.

    Args:
        title: Of the figure.
        rows: Of panels.
        columns: Of panels.
        height: Of a panel, inches.
        left: Room for what stands left of the panels, inches.
        gap: Between the rows, inches.
        below: Room for what stands below the last row, inches.
    """
    from matplotlib.figure import Figure

    total = _TOP + rows * height + (rows - 1) * gap + below
    figure = Figure(figsize=(WIDTH, total), dpi=DPI)
    grid = {
        "left": left / WIDTH,
        "right": 1 - _RIGHT / WIDTH,
        "top": 1 - _TOP / total,
        "bottom": below / total,
        "hspace": gap / height,
        "wspace": 0.24,
    }
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid)
    for ax in axes.flat:
        quiet(ax)
    figure.text(0.12 / WIDTH, 1 - 0.1 / total, title, fontsize=11, fontweight="bold", va="top")
    return figure, list(axes.flat)


def quiet(ax: "Axes") -> None:
    """Keep lines and ticks in the background."""
    ax.tick_params(labelsize=8, color=QUIET, length=2.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)


def named(ax: "Axes", name: str) -> None:
    """Write a panel's name above its left end."""
    ax.set_title(name, fontsize=9, loc="left", pad=3, fontweight="bold", color=INK)


def key(figure: "Figure", marks: "Sequence[tuple[str, object]]") -> None:
    """Put a key to the right of the title."""
    height = figure.get_size_inches()[1]
    figure.legend(
        *zip(*[(mark, name) for name, mark in marks], strict=True),
        loc="upper right",
        bbox_to_anchor=(1 - 0.05 / WIDTH, 1 - 0.02 / height),
        ncols=len(marks),
        fontsize=8,
        frameon=False,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def label_key(figure: "Figure", **others: object) -> None:
    """Tell the colours of the labels, and what other marks mean."""
    from matplotlib.patches import Patch

    key(figure, [*((name, Patch(color=one)) for name, one in COLOURS.items()), *others.items()])


def save(draw: Draw, path: Path) -> None:
    """Draw a figure as a PNG file.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _plain_text(), written_whole(path) as temporary:
        canvas = FigureCanvasAgg(draw())
        canvas.print_png(str(temporary))  # type: ignore[no-untyped-call]


@contextmanager
def _plain_text() -> Iterator[None]:
    """Take names of records as they are: a dollar sign begins no formula.

    A letter that the font lacks is drawn as a box; that is seen and needs no warning.
    """
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield
