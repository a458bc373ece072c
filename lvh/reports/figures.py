"""The look that pictures share, and how they become files."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.files import written_whole
from lvh.reports.page import data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, PALE, GREY, INK = "#1f4e79", "#b5651d", "#9db7d1", "#8a8a8a", "#1c2430"
DPI = 120


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be drawn: its file name without suffix, what it shows in words, its drawing."""

    name: str
    alt: str
    draw: "Callable[[], Figure]"


def save_pictures(pictures: Iterable[Picture], folder: Path) -> list[tuple[str, str]]:
    """Draw pictures as PNG files; return each as a data URI, with what it shows.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    import matplotlib

    saved = []
    # names are drawn as they are: a dollar sign begins no formula, and a letter that the font
    # lacks is a box
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        for picture in pictures:
            path, figure = folder / f"{picture.name}.png", picture.draw()
            with written_whole(path) as file:
                figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.12)
            saved.append((data_uri(path.read_bytes()), picture.alt))
    return saved


def new_axes(title: str, width: float, height: float) -> "tuple[Figure, Axes]":
    """Make a figure of one panel, whose size is given in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)
    ax.tick_params(labelsize=8)
    ax.set_axisbelow(True)
    return figure, ax


def clipped(text: str, length: int) -> str:
    """Return text that fits, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
