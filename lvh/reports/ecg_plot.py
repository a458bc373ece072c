"""Drawing of a 12-lead ECG: paper, pulses, traces, words, and what spoke for its score."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Delineation
from lvh.files import written_whole
from lvh.reports.ecg_plot.ink import INK, PT, inside, text
from lvh.reports.ecg_plot.layout import (
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
from lvh.reports.ecg_plot.marks import band, fiducials, legend, relative

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 254  # ten pixels a mm: lines of the grid are all alike
_GREY, _PALE = "#6b6b6b", "#9a9a9a"
_PINK, _NEUTRAL = ("#f7d9d4", "#e9aca3"), ("#ebebeb", "#cdcdcd")  # the latter under colours
_MOST_IN_TITLE, _MOST_IN_LINE = 84, 160  # letters
_MOST_LINES = 5
_PULSE_S, _PULSE_MV = 0.2, 1.0


@dataclass(frozen=True, slots=True)
class Words:
    """What is written beside the ECG; all of it as it is, nothing is markup.

    Attributes:
        title: Who and what, in large letters.
        lines: Below it, five at most; long ones take more than one.
        foot: At the lower right.
    """

    title: str
    lines: tuple[str, ...] = ()
    foot: str = "Not a medical device"


def draw(
    signals: npt.NDArray[np.float32],
    fs: float,
    words: Words,
    *,
    importance: npt.NDArray[np.floating] | None = None,
    delineation: Delineation | None = None,
) -> "Figure":
    """Draw one record on A4 landscape, true to scale: an axis unit is a mm of the page.

    Rows of 2.5 s a lead, I aVR V1 V4, II aVL V2 V5, III aVF V3 V6, and 10 s of lead II below. A
    longer record is shown to its first 10 s, a shorter one as `lvh.reports.ecg_plot.layout.cells`
    says. Each piece is drawn around its median, without a filter; what is beyond the grid is cut
    off, and its lead named.

    Args:
        signals: Shape (n_samples, 12), mV, in the order of `lvh.data.cohort.LEADS`.
        fs: Sampling frequency, Hz.
        words: What is written.
        importance: Shape (n_samples, 12), of any unit: above 0 where a sample has pushed the score
            toward LVH, below 0 where away, NaN where nothing is known, 0 where it has done
            nothing. Painted as a band behind the trace, in steps of the largest absolute value of
            the whole record. The name of a lead of which nothing is known is grey.
        delineation: Fiducials of the record, the first of it, which are marked.

    Returns:
        A figure with one axes; `save` writes it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE[0] / 25.4, PAGE[1] / 25.4), dpi=_DPI)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))
    ax.set_axis_off()
    _grid(ax, _PINK if importance is None else _NEUTRAL)
    traces = [(cell, _centred(signals, cell)) for cell in cells(len(signals), fs)]
    zero = baselines(traces, fs)
    known = None if importance is None else relative(importance)
    unknown = set() if known is None else set(np.flatnonzero(np.isnan(known).all(axis=0)).tolist())
    for cell, mv in traces:
        x = cell.x(np.arange(cell.first, cell.end), fs)
        y = zero[cell.row] + mv * MM_PER_MV
        if known is not None:
            painted = band(ax, x, y, known[cell.first : cell.end, cell.column])
            painted.set_gid(f"band-{_place(cell)}")
        if delineation is not None:
            fiducials(ax, cell, fs, y, delineation)
        _trace(ax, cell, x, y)
        _name(ax, cell, x, y - zero[cell.row], zero[cell.row], cell.column not in unknown)
    for row, y0 in enumerate(zero):
        _pulse(ax, row, float(y0))
    facts = _facts(len(signals), fs, traces, zero)
    if unknown:
        facts.append("nothing is known of the leads in grey")
    _write(ax, words, ", ".join(facts))
    if known is not None:
        legend(ax)
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


def _centred(signals: npt.NDArray[np.float32], cell: Cell) -> Floats:
    mv = signals[cell.first : cell.end, cell.column].astype(np.float64)
    return mv - np.median(mv)


def _grid(ax: "Axes", colors: tuple[str, str]) -> None:
    from matplotlib.collections import LineCollection

    left, bottom, width, height = GRID
    for step, color, thickness in zip((1, 5), colors, (0.1, 0.2), strict=True):
        xs, ys = np.arange(0, width + 1, step) + left, np.arange(0, height + 1, step) + bottom
        lines = [[(x, bottom), (x, bottom + height)] for x in xs]
        lines += [[(left, y), (left + width, y)] for y in ys]
        drawn = LineCollection(lines, colors=color, linewidths=thickness * PT, zorder=1)
        drawn.set_gid(f"grid-{step}")
        drawn.set_snap(True)
        ax.add_collection(drawn, autolim=False)


def _trace(ax: "Axes", cell: Cell, x: Floats, y: Floats) -> None:
    look: dict[str, Any] = {
        "color": INK,
        "linewidth": 0.25 * PT,
        "solid_joinstyle": "round",
        "zorder": 4,
    }
    (line,) = ax.plot(x, y, **look)
    line.set_gid(f"trace-{_place(cell)}")
    inside(ax, line)


def _place(cell: Cell) -> str:
    """Name a cell, as an SVG file does."""
    return "rhythm" if cell.row == len(ROWS) else cell.lead


def _name(ax: "Axes", cell: Cell, x: Floats, height: Floats, zero: float, is_known: bool) -> None:
    """Write the lead's name above the start of its trace, and mark where another one ended."""
    nearby = height[x < cell.left + 8]
    y = zero + min(max(5.0, float(nearby.max(initial=0)) + 1.5), 18.0)
    y = min(y, GRID[1] + GRID[3] - 3.5)
    color = INK if is_known else _PALE
    text(ax, (cell.left + 0.8, y), clinical(cell.lead), 9, weight="bold", color=color, halo=True)
    if cell.row < len(ROWS) and cell.left > TRACE_LEFT:  # where one lead ends and the next begins
        ax.plot([cell.left] * 2, [zero - 2, zero + 2], color=INK, linewidth=0.2 * PT, zorder=3)


def clinical(lead: str) -> str:
    """Spell a lead as clinicians do: I, II, III, aVR, aVL, aVF, V1 to V6."""
    return f"aV{lead[2:].upper()}" if lead.startswith("av") else lead.upper()


def _pulse(ax: "Axes", row: int, zero: float) -> None:
    """Draw 1 mV for 200 ms on lines of the grid."""
    left = GRID[0] + 5
    right, top = left + _PULSE_S * MM_PER_S, zero + _PULSE_MV * MM_PER_MV
    (line,) = ax.plot(
        [left - 2, left, left, right, right, right + 2],
        [zero, zero, top, top, zero, zero],
        color=INK,
        linewidth=0.25 * PT,
        solid_joinstyle="miter",
        zorder=4,
    )
    line.set_gid(f"pulse-{row}")
    inside(ax, line)


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
    cut: dict[str, None] = {}
    for cell, mv in traces:
        y = zero[cell.row] + mv * MM_PER_MV
        if y.max() > high or y.min() < low:
            cut[clinical(cell.lead)] = None
    if cut:
        facts.append(f"beyond the paper: {', '.join(cut)}")
    return facts


def _write(ax: "Axes", words: Words, facts: str) -> None:
    left, right = GRID[0], GRID[0] + GRID[2]
    top = GRID[1] + GRID[3]
    half = _MOST_IN_TITLE // 2
    long = len(words.title) > _MOST_IN_TITLE
    title = f"{words.title[:half]} ... {words.title[-half:]}" if long else words.title
    text(ax, (left, top + 26), title, 13, weight="bold")
    lines = [piece for line in words.lines for piece in wrap(line, _MOST_IN_LINE)]
    for at, line in enumerate(lines[:_MOST_LINES]):
        text(ax, (left, top + 20.5 - 4.4 * at), line, 9)
    text(ax, (left, 8.6), f"{MM_PER_S:g} mm/s, {MM_PER_MV:g} mm/mV", 9, weight="bold")
    text(ax, (left, 4.8), facts, 7.5, color=_GREY)
    text(ax, (right, 8.6), words.foot, 9, weight="bold", ha="right")
