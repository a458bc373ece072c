"""A 12-lead ECG on paper, 25 mm/s and 10 mm/mV, with what speaks for its score and against it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Delineation
from lvh.errors import EnvironmentFault, InputError
from lvh.files import write_fault, written_whole
from lvh.reports.ecg_layout import (
    GRID,
    MM_PER_MV,
    MM_PER_S,
    PAGE,
    ROWS,
    STRIP_S,
    TRACE_LEFT,
    Cell,
    Floats,
    baselines,
    cells,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SUFFIXES = (".pdf", ".svg", ".png")
_DPI = 254  # ten pixels a mm: lines of the grid are all alike
_PT = 72 / 25.4  # a mm
_INK, _GREY, _PALE = "#111111", "#6b6b6b", "#9a9a9a"
_PINK, _NEUTRAL = ("#f7d9d4", "#e9aca3"), ("#ebebeb", "#cdcdcd")  # the latter under colours
_TOWARD, _AWAY = "#d55e00", "#0072b2"  # Okabe and Ito's vermilion and blue
_LEVELS = 5  # of a colour
_BAND = 2.4  # mm, width of a coloured band
_MOST_IN_TITLE, _MOST_IN_LINE = 84, 160  # letters
_MOST_LINES = 5


@dataclass(frozen=True, slots=True)
class Words:
    """The text on the page, none of it markup: a title, five lines at most below it, a foot."""

    title: str
    lines: tuple[str, ...] = ()
    foot: str = "Not a medical device"


def picture_paths(given: str, names: Sequence[str]) -> list[Path]:
    """Return the path of the picture of each record, before anything is computed.

    Args:
        given: A file for one record, whose suffix says the format; or a folder that exists, for
            any number of them, in which each has a PDF of its own name, which prints true to scale.
        names: Of the records.

    Raises:
        InputError: Neither, a picture exists already, or two would be the same.
        EnvironmentFault: The folder cannot be written.
    """
    path = Path(given)
    if given and path.is_dir():
        paths = [path / f"{name}.pdf" for name in names]
    elif path.suffix.lower() in _SUFFIXES and len(names) == 1:
        paths = [path]
    else:
        expected = "a folder that is there"
        if len(names) == 1:
            expected = f"a file that ends in {', '.join(_SUFFIXES)}, or {expected}"
        raise InputError(f"--picture: expected {expected}. Received: {given!r:.200}")
    if len(set(paths)) < len(paths):
        raise InputError(f"--picture: expected records of distinct names. Received: {names!r:.200}")
    folder = paths[0].parent
    if not folder.is_dir():
        raise InputError(f"--picture: expected a folder that is there. Received: {str(folder)!r}")
    for one in paths:
        if one.exists() or one.is_symlink():
            raise InputError(
                f"--picture: expected a file that is not there yet. Received: {str(one)!r}"
            )
    if fault := write_fault(folder):
        raise EnvironmentFault(f"--picture: cannot write into {folder}: {fault}")
    return paths


def draw(
    signals: npt.NDArray[np.float32],
    fs: float,
    words: Words,
    *,
    importance: npt.NDArray[np.floating] | None = None,
    delineation: Delineation | None = None,
) -> "Figure":
    """Draw one record on A4 landscape, true to scale: an axis unit is a mm of the page.

    The first 10 s are laid out as `lvh.reports.ecg_layout.cells` says. Each piece is drawn around
    its median, without a filter; what is beyond the grid is cut off, and its lead named.

    Args:
        signals: Shape (n_samples, 12), mV, in the order of `lvh.data.cohort.LEADS`.
        fs: Sampling frequency, Hz.
        words: What is written.
        importance: Shape (n_samples, 12), of any unit: above 0 where a sample has pushed the score
            toward LVH, below 0 where away, NaN where nothing is known. Painted as a band behind
            the trace, in steps of its largest absolute value; a lead that is all NaN is grey.
        delineation: Fiducials of the record, the first of it, which are marked.

    Returns:
        A figure with one axes; `save` writes it.
    """
    figure, ax = _new_page()
    _draw_grid(ax, _PINK if importance is None else _NEUTRAL)
    traces = [(cell, _centred(signals, cell)) for cell in cells(len(signals), fs)]
    zero = baselines(traces)
    unknown = np.zeros(signals.shape[1], dtype=np.bool_)
    if importance is not None:
        importance = importance / (np.nanmax(np.abs(importance), initial=0) or 1)
        unknown = np.isnan(importance).all(axis=0)
    for cell, mv in traces:
        x, y = cell.x(np.arange(cell.first, cell.end), fs), zero[cell.row] + mv * MM_PER_MV
        if importance is not None:
            _draw_band(ax, cell, x, y, importance[cell.first : cell.end, cell.column])
        if delineation is not None:
            _draw_fiducials(ax, cell, fs, y, delineation)
        _draw_line(ax, x, y, f"trace-{cell.name}", "round")
        height = float(mv[x < cell.left + 8].max(initial=0)) * MM_PER_MV
        color = _PALE if unknown[cell.column] else _INK
        _name_lead(ax, cell, height, zero=zero[cell.row], color=color)
    for row, y0 in enumerate(zero):
        _draw_pulse(ax, row, float(y0))
    grey = ["nothing is known of the leads in grey"] if unknown.any() else []
    _write(ax, words, ", ".join(_facts(len(signals), fs, traces, zero) + grey))
    if importance is not None:
        _draw_legend(ax)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as its suffix says, whole or not at all; the same one to the same bytes.

    Raises:
        EnvironmentFault: It cannot be written.
    """
    from matplotlib import rc_context

    form = path.suffix[1:].lower()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    # text that stays text, in letters that a name may not have a glyph for
    ours: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lvh", "pdf.fonttype": 42}
    ours["savefig.bbox"] = "standard"  # another one, of a person's own settings, is no A4
    with written_whole(path) as temporary, rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, format=form, dpi=_DPI, metadata=dates)


def clinical(lead: str) -> str:
    """Spell a lead as clinicians do: I, II, III, aVR, aVL, aVF, V1 to V6."""
    return f"aV{lead[2:].upper()}" if lead.startswith("av") else lead.upper()


def _new_page() -> "tuple[Figure, Axes]":
    """Make a page of A4 whose axes have a mm as their unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE[0] / 25.4, PAGE[1] / 25.4), dpi=_DPI)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))
    ax.set_axis_off()
    return figure, ax


def _centred(signals: npt.NDArray[np.float32], cell: Cell) -> Floats:
    mv = signals[cell.first : cell.end, cell.column].astype(np.float64)
    return mv - np.median(mv)


def _draw_grid(ax: "Axes", colors: tuple[str, str]) -> None:
    from matplotlib.collections import LineCollection

    left, bottom, width, height = GRID
    for step, color, thickness in zip((1, 5), colors, (0.1, 0.2), strict=True):
        xs, ys = np.arange(0, width + 1, step) + left, np.arange(0, height + 1, step) + bottom
        lines = [[(x, bottom), (x, bottom + height)] for x in xs]
        lines += [[(left, y), (left + width, y)] for y in ys]
        drawn = LineCollection(lines, colors=color, linewidths=thickness * _PT, zorder=1)
        drawn.set_gid(f"grid-{step}")
        drawn.set_snap(True)
        ax.add_collection(drawn, autolim=False)


def _draw_line(ax: "Axes", x: npt.ArrayLike, y: npt.ArrayLike, name: str, joint: Any) -> None:
    look: dict[str, Any] = {"color": _INK, "linewidth": 0.25 * _PT, "zorder": 4}
    (line,) = ax.plot(np.asarray(x), np.asarray(y), solid_joinstyle=joint, **look)
    line.set_gid(name)
    _cut_at_grid(ax, line)


def _draw_pulse(ax: "Axes", row: int, zero: float) -> None:
    """Draw 1 mV for 200 ms on lines of the grid."""
    left = GRID[0] + 5
    right, top = left + 0.2 * MM_PER_S, zero + MM_PER_MV
    x = [left - 2, left, left, right, right, right + 2]
    _draw_line(ax, x, [zero, zero, top, top, zero, zero], f"pulse-{row}", "miter")


def _draw_band(
    ax: "Axes", cell: Cell, x: Floats, y: Floats, share: npt.NDArray[np.floating]
) -> None:
    """Paint runs of samples of one level of importance behind the trace."""
    from matplotlib.collections import LineCollection

    level = np.rint(np.nan_to_num(share) * _LEVELS).astype(int)
    edges = np.flatnonzero(np.diff(level)) + 1
    runs = [(a, b) for a, b in pairwise([0, *edges.tolist(), len(level)]) if level[a]]
    band = LineCollection(
        # a sample further, so that a run reaches the next one
        [np.column_stack([x[a : b + 1], y[a : b + 1]]) for a, b in runs],
        colors=[_shade(int(level[a])) for a, _ in runs],
        linewidths=_BAND * _PT,
        joinstyle="round",
        capstyle="butt",
        zorder=2,
    )
    band.set_gid(f"band-{cell.name}")
    ax.add_collection(band, autolim=False)
    _cut_at_grid(ax, band)


def _shade(level: int) -> tuple[float, float, float]:
    """Mix the colour of a level with white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(_TOWARD if level > 0 else _AWAY)
    part = abs(level) / _LEVELS * 0.85
    return 1 - part * (1 - red), 1 - part * (1 - green), 1 - part * (1 - blue)


def _draw_legend(ax: "Axes") -> None:
    """Show what the colours of bands mean, below the grid."""
    from matplotlib.patches import Rectangle

    middle, y, width = PAGE[0] / 2, 8.2, 4.0
    for at, level in enumerate([*range(-_LEVELS, 0), *range(1, _LEVELS + 1)]):
        x = middle + (at - _LEVELS) * width
        ax.add_patch(Rectangle((x, y), width, 2.2, color=_shade(level), linewidth=0))
    side = _LEVELS * width + 1.5
    _text(ax, (middle - side, y + 0.4), "away from LVH", 7.5, ha="right")
    _text(ax, (middle + side, y + 0.4), "toward LVH", 7.5)


def _draw_fiducials(ax: "Axes", cell: Cell, fs: float, y: Floats, of: Delineation) -> None:
    """Mark each peak by a dot, onset and offset by a tick."""
    symbols, samples = of.lead(0, cell.column)
    inside = (samples >= cell.first) & (samples < cell.end)
    is_end = np.isin(np.array(list(symbols))[inside], ("(", ")"))
    x, height = cell.x(samples[inside], fs), y[samples[inside] - cell.first]
    for kind, marker in ((is_end, "|"), (~is_end, ".")):
        (marks,) = ax.plot(x[kind], height[kind], marker, color=_AWAY, markersize=4, zorder=3)
        _cut_at_grid(ax, marks)


def _name_lead(ax: "Axes", cell: Cell, height: float, *, zero: float, color: str) -> None:
    """Write the lead's name above its trace, of that height, and mark where another one ended."""
    from matplotlib.patheffects import withStroke

    y = min(zero + min(max(5.0, height + 1.5), 18.0), GRID[1] + GRID[3] - 3.5)
    at, name = (cell.left + 0.8, y), clinical(cell.lead)
    # text with an effect is no text in an SVG file: the halo is drawn on its own
    halo = [withStroke(linewidth=2, foreground="white")]
    _text(ax, at, name, 9, weight="bold", color=color, path_effects=halo)
    _text(ax, at, name, 9, weight="bold", color=color)
    if cell.row < len(ROWS) and cell.left > TRACE_LEFT:
        ax.plot([cell.left] * 2, [zero - 2, zero + 2], color=_INK, linewidth=0.2 * _PT, zorder=3)


def _facts(n_samples: int, fs: float, traces: list[tuple[Cell, Floats]], zero: Floats) -> list[str]:
    """Say how much of the record is shown, and what is cut off."""
    duration = n_samples / fs
    shown = f"{duration:.4g} s"
    if duration > STRIP_S:
        shown = f"the first {STRIP_S:g} s of {shown}"
    facts = [f"{fs:g} Hz", shown, "no filter", "offsets removed"]
    if duration < STRIP_S - 1 / fs:
        starts = [f"{cell.first / fs:.3g}" for cell, _ in traces[: len(ROWS[0])]]
        facts.append(f"columns from {', '.join(starts)} s")
    low, high = GRID[1], GRID[1] + GRID[3]
    heights = [(cell, zero[cell.row] + mv * MM_PER_MV) for cell, mv in traces]
    cut = [clinical(cell.lead) for cell, y in heights if y.max() > high or y.min() < low]
    if cut:
        facts.append(f"beyond the paper: {', '.join(dict.fromkeys(cut))}")
    return facts


def _write(ax: "Axes", words: Words, facts: str) -> None:
    left, right, top = GRID[0], GRID[0] + GRID[2], GRID[1] + GRID[3]
    half = _MOST_IN_TITLE // 2
    is_long = len(words.title) > _MOST_IN_TITLE
    title = f"{words.title[:half]} ... {words.title[-half:]}" if is_long else words.title
    _text(ax, (left, top + 26), title, 13, weight="bold")
    lines = [piece for line in words.lines for piece in wrap(line, _MOST_IN_LINE)]
    for at, line in enumerate(lines[:_MOST_LINES]):
        _text(ax, (left, top + 20.5 - 4.4 * at), line, 9)
    _text(ax, (left, 8.6), f"{MM_PER_S:g} mm/s, {MM_PER_MV:g} mm/mV", 9, weight="bold")
    _text(ax, (left, 4.8), facts, 7.5, color=_GREY)
    _text(ax, (right, 8.6), words.foot, 9, weight="bold", ha="right")


def _text(ax: "Axes", at: tuple[float, float], words: str, size: float, **look: Any) -> None:
    """Write words as they are, whatever they are, at a place in mm and with a size in points."""
    plain = "".join(one if one.isprintable() else "?" for one in words)
    ax.text(at[0], at[1], plain, fontsize=size, parse_math=False, zorder=5, **look)


def _cut_at_grid(ax: "Axes", artist: "Artist") -> None:
    from matplotlib.patches import Rectangle

    left, bottom, width, height = GRID
    artist.set_clip_path(Rectangle((left, bottom), width, height, transform=ax.transData))
