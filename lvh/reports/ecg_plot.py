"""An ECG on paper, 25 mm/s and 10 mm/mV, with the parts that raise or lower its score."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS, Delineation
from lvh.errors import EnvironmentFault, InputError
from lvh.files import write_fault, written_whole
from lvh.reports.page import clipped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

# all lengths are in mm of a page of A4 landscape
_PAGE = (297.0, 210.0)  # width, height
_MM_PER_S = 25.0
_MM_PER_MV = 10.0
_GRID = (13.5, 13.0, 270.0, 160.0)  # left, bottom, width, height: whole squares of 5 mm
_TRACE_LEFT = _GRID[0] + 15.0  # the calibration pulse stands before it
_ROWS = (("i", "avr", "v1", "v4"), ("ii", "avl", "v2", "v5"), ("iii", "avf", "v3", "v6"))
_RHYTHM = "ii"
_COLUMN_S = 2.5  # a lead
_STRIP_S = 10.0  # the rhythm strip
_SPIKES = 0.002  # of the samples of a cell, at either end
_MARGIN = 12.0  # mm between the traces of two rows
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
    """The text on the page, none of it markup: a title, five lines at most below it, a foot.

    `label` is what colours speak for and against.
    """

    title: str
    lines: tuple[str, ...] = ()
    foot: str = "Not a medical device"
    label: str = "LVH"


@dataclass(frozen=True, slots=True)
class _Cell:
    """A piece of one lead on the page: samples `first` to `end` (exclusive), from `left` on.

    Rows count from the top; the rhythm strip is the last. The column is that of the signals.
    """

    lead: str
    column: int
    row: int
    left: float
    first: int
    end: int
    is_rhythm: bool = False

    def x(self, samples: npt.ArrayLike, fs: float) -> Floats:
        """Return where samples of the record lie."""
        return self.left + (np.asarray(samples) - self.first) * (_MM_PER_S / fs)

    @property
    def name(self) -> str:
        """Name of the cell in an SVG file."""
        return "rhythm" if self.is_rhythm else self.lead


def picture_paths(place: str, names: Sequence[str]) -> list[Path]:
    """Return the path of the picture of each record, before anything is computed.

    Args:
        place: A file for one record, or a folder in which each has a PDF of its own name.
        names: Of the records.
    """
    path = Path(place)
    is_folder = bool(place) and path.is_dir()
    paths = [path / f"{name}.pdf" for name in names] if is_folder else [path]
    folder, expected = paths[0].parent, ""
    if not is_folder and (len(names) > 1 or path.suffix.lower() not in _SUFFIXES):
        file = f"a file that ends in {', '.join(_SUFFIXES)}, or " if len(names) == 1 else ""
        expected = f"{file}a folder that is there"
    elif not folder.is_dir():
        expected = "a folder that is there"
    elif len(set(paths)) < len(paths):
        expected = "records of distinct names"
    elif there := [path for path in paths if path.exists() or path.is_symlink()]:
        expected, place = "a file that is not there yet", str(there[0])
    if expected:
        raise InputError(f"--picture: expected {expected}. Received: {place!r:.200}")
    if fault := write_fault(folder):
        raise EnvironmentFault(f"--picture: cannot write into {folder}: {fault}")
    return paths


def draw(
    signals: npt.NDArray[np.float32],
    fs: float,
    words: Words,
    *,
    leads: Sequence[str] = LEADS,
    importance: npt.NDArray[np.floating] | None = None,
    delineation: Delineation | None = None,
) -> "Figure":
    """Draw one record on A4 landscape, true to scale: an axis unit is a mm of the page.

    The first 10 s, four leads a row, above a rhythm strip; a lead a row, six of them, where some of
    the twelve are missing. Each piece is drawn around its median, without a filter; what is beyond
    the grid is cut off, and its lead named.

    Args:
        signals: Shape (n_samples, n_leads), mV, of the `leads`.
        fs: Sampling frequency, Hz.
        words: What is written.
        leads: Names of the leads.
        importance: Shape (n_samples, n_leads): above 0 where a sample has pushed the score toward
            the label, below 0 where away, NaN where nothing is known; a band behind the trace.
        delineation: Fiducials of the record, the first of it, which are marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_PAGE[0] / 25.4, _PAGE[1] / 25.4), dpi=_DPI)
    FigureCanvasAgg(figure)
    (left, bottom, width, height), (page_width, page_height) = _GRID, _PAGE
    place = (left / page_width, bottom / page_height, width / page_width, height / page_height)
    ax = figure.add_axes(place)  # what is beyond the grid is cut off
    ax.set(xlim=(left, left + width), ylim=(bottom, bottom + height))
    ax.set_axis_off()
    _draw_grid(ax, _PINK if importance is None else _NEUTRAL)
    traces = []
    for cell in _cells(len(signals), fs, leads):
        mv = signals[cell.first : cell.end, cell.column].astype(np.float64)
        traces.append((cell, mv - np.median(mv)))
    zero = _baselines(traces)
    unknown = np.zeros(signals.shape[1], dtype=np.bool_)
    if importance is not None:
        importance = importance / (np.nanmax(np.abs(importance), initial=0) or 1)
        unknown = np.isnan(importance).all(axis=0)
    for cell, mv in traces:
        x, y = cell.x(np.arange(cell.first, cell.end), fs), zero[cell.row] + mv * _MM_PER_MV
        if importance is not None:
            _draw_band(ax, cell, x, y, importance[cell.first : cell.end, cell.column])
        if delineation is not None:
            _draw_fiducials(ax, cell, fs, y, delineation)
        _draw_line(ax, x, y, f"trace-{cell.name}", "round")
        height = float(mv[x < cell.left + 8].max(initial=0)) * _MM_PER_MV
        color = _PALE if unknown[cell.column] else _INK
        _name_lead(ax, cell, height, zero=zero[cell.row], color=color)
    for row, y0 in enumerate(zero):
        _draw_pulse(ax, row, float(y0))
    grey = ["nothing is known of the leads in grey"] if unknown.any() else []
    if (n_shown := len({cell.lead for cell, _ in traces})) < len(leads):
        grey.append(f"{n_shown} of {len(leads)} leads")
    _write(ax, words, ", ".join(_facts(len(signals), fs, traces, zero) + grey))
    if importance is not None:
        _draw_legend(ax, clipped(words.label, 40))
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of its suffix, whole or not at all; equal figures, equal bytes.

    Raises:
        EnvironmentFault: It cannot be written.
    """
    from matplotlib import rc_context

    form = path.suffix[1:].lower()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    # text that stays text, in letters that a name may not have a glyph for
    ours: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lvh", "pdf.fonttype": 42}
    ours["savefig.bbox"] = "standard"  # another one, of a user's own settings, is no A4
    with written_whole(path) as temporary, rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, format=form, dpi=_DPI, metadata=dates)


def _cells(n_samples: int, fs: float, names: Sequence[str]) -> list[_Cell]:
    """Lay out a record, 2.5 s a column; where it ends before, the last ones show its last 2.5 s."""
    width, end = round(_COLUMN_S * fs), min(n_samples, round(_STRIP_S * fs))
    if not {*LEADS} <= {*names}:
        rows = enumerate(names[:6])
        return [_Cell(lead, row, row, _TRACE_LEFT, 0, end) for row, lead in rows]
    placed = []
    for row, leads in enumerate(_ROWS):
        for column, lead in enumerate(leads):
            first = min(round(column * _COLUMN_S * fs), max(0, n_samples - width))
            left = _TRACE_LEFT + column * _COLUMN_S * _MM_PER_S
            last = min(n_samples, first + width)
            placed.append(_Cell(lead, names.index(lead), row, left, first, last))
    at = names.index(_RHYTHM)
    return [*placed, _Cell(_RHYTHM, at, len(_ROWS), _TRACE_LEFT, 0, end, is_rhythm=True)]


def _baselines(traces: list[tuple[_Cell, Floats]]) -> Floats:
    """Return where 0 mV of each row lies, shape (n_rows,), on lines of the grid.

    Rows of equal voltages are evenly spaced, and high voltages get more room.
    """
    top, bottom = np.zeros((2, traces[-1][0].row + 1))
    for cell, mv in traces:
        # what is beyond a height for a few ms takes no room: pacing, artifacts
        low, high = np.quantile(mv, [_SPIKES, 1 - _SPIKES]) * _MM_PER_MV
        top[cell.row] = max(top[cell.row], high)
        bottom[cell.row] = max(bottom[cell.row], -low)
    needed = np.array([top[0], *(bottom[:-1] + top[1:]), bottom[-1]]) + _MARGIN
    gaps = _GRID[3] * needed / needed.sum()
    return np.asarray(_GRID[1] + _GRID[3] - np.rint(np.cumsum(gaps)[:-1]))


def _draw_grid(ax: "Axes", colors: tuple[str, str]) -> None:
    from matplotlib.collections import LineCollection

    left, bottom, width, height = _GRID
    for step, color, thickness in zip((1, 5), colors, (0.1, 0.2), strict=True):
        xs, ys = np.arange(0, width + 1, step) + left, np.arange(0, height + 1, step) + bottom
        lines = [[(x, bottom), (x, bottom + height)] for x in xs]
        lines += [[(left, y), (left + width, y)] for y in ys]
        look: dict[str, Any] = {"gid": f"grid-{step}", "snap": True, "zorder": 1}
        drawn = LineCollection(lines, colors=color, linewidths=thickness * _PT, **look)
        ax.add_collection(drawn, autolim=False)


def _draw_line(ax: "Axes", x: npt.ArrayLike, y: npt.ArrayLike, name: str, joint: Any) -> None:
    look: dict[str, Any] = {"color": _INK, "linewidth": 0.25 * _PT, "zorder": 4}
    ax.plot(np.asarray(x), np.asarray(y), solid_joinstyle=joint, gid=name, **look)


def _draw_pulse(ax: "Axes", row: int, zero: float) -> None:
    """Draw 1 mV for 200 ms on lines of the grid."""
    left = _GRID[0] + 5
    right, top = left + 0.2 * _MM_PER_S, zero + _MM_PER_MV
    x = [left - 2, left, left, right, right, right + 2]
    _draw_line(ax, x, [zero, zero, top, top, zero, zero], f"pulse-{row}", "miter")


def _draw_band(
    ax: "Axes", cell: _Cell, x: Floats, y: Floats, share: npt.NDArray[np.floating]
) -> None:
    from matplotlib.collections import LineCollection

    level = np.rint(np.nan_to_num(share) * _LEVELS).astype(int)
    edges = np.flatnonzero(np.diff(level)) + 1
    runs = [(a, b) for a, b in pairwise([0, *edges.tolist(), len(level)]) if level[a]]
    band = LineCollection(
        # a sample further, so that a run reaches the next one
        [np.column_stack([x[a : b + 1], y[a : b + 1]]) for a, b in runs],
        colors=[_colour(int(level[a])) for a, _ in runs],
        linewidths=_BAND * _PT,
        joinstyle="round",
        capstyle="butt",
        zorder=2,
        gid=f"band-{cell.name}",
    )
    ax.add_collection(band, autolim=False)


def _colour(level: int) -> tuple[float, ...]:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("importance", [_AWAY, "white", _TOWARD])
    return tuple(colours(0.5 + 0.42 * level / _LEVELS))


def _draw_legend(ax: "Axes", label: str) -> None:
    from matplotlib.patches import Rectangle

    middle, y, width = _PAGE[0] / 2, 8.2, 4.0
    for at, level in enumerate([*range(-_LEVELS, 0), *range(1, _LEVELS + 1)]):
        x = middle + (at - _LEVELS) * width
        ax.add_patch(
            Rectangle((x, y), width, 2.2, color=_colour(level), linewidth=0, clip_on=False)
        )
    side = _LEVELS * width + 1.5
    _text(ax, (middle - side, y + 0.4), f"away from {label}", 7.5, ha="right")
    _text(ax, (middle + side, y + 0.4), f"toward {label}", 7.5)


def _draw_fiducials(ax: "Axes", cell: _Cell, fs: float, y: Floats, of: Delineation) -> None:
    symbols, samples = of.lead(0, cell.column)
    inside = (samples >= cell.first) & (samples < cell.end)
    is_end = np.isin(np.array(list(symbols))[inside], ("(", ")"))
    x, height = cell.x(samples[inside], fs), y[samples[inside] - cell.first]
    for kind, marker in ((is_end, "|"), (~is_end, ".")):
        ax.plot(x[kind], height[kind], marker, color=_AWAY, markersize=4, zorder=3)


def _name_lead(ax: "Axes", cell: _Cell, height: float, *, zero: float, color: str) -> None:
    """Write the lead's name above its trace, of that height, and mark where another one ended."""
    y = min(zero + min(max(5.0, height + 1.5), 18.0), _GRID[1] + _GRID[3] - 3.5)
    at, name = (cell.left + 0.8, y), _clinical(cell.lead)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}
    _text(ax, at, name, 9, weight="bold", color=color, bbox=box)
    if cell.left > _TRACE_LEFT:
        ax.plot([cell.left] * 2, [zero - 2, zero + 2], color=_INK, linewidth=0.2 * _PT, zorder=3)


def _clinical(lead: str) -> str:
    """Spell a lead as clinicians do: I, II, III, aVR, aVL, aVF, V1 to V6."""
    return f"aV{lead[2:].upper()}" if lead.startswith("av") else lead.upper()


def _facts(
    n_samples: int, fs: float, traces: list[tuple[_Cell, Floats]], zero: Floats
) -> list[str]:
    """Return how much of the record is shown, and which leads are cut off."""
    duration = n_samples / fs
    shown = f"{duration:.4g} s"
    if duration > _STRIP_S:
        shown = f"the first {_STRIP_S:g} s of {shown}"
    facts = [f"{fs:g} Hz", shown, "no filter", "offsets removed"]
    if duration < _STRIP_S - 1 / fs and traces[-1][0].is_rhythm:
        starts = [f"{cell.first / fs:.3g}" for cell, _ in traces[: len(_ROWS[0])]]
        facts.append(f"columns from {', '.join(starts)} s")
    low, high = _GRID[1], _GRID[1] + _GRID[3]
    heights = [(cell, zero[cell.row] + mv * _MM_PER_MV) for cell, mv in traces]
    cut = [_clinical(cell.lead) for cell, y in heights if y.max() > high or y.min() < low]
    if cut:
        facts.append(f"beyond the paper: {', '.join(dict.fromkeys(cut))}")
    return facts


def _write(ax: "Axes", words: Words, facts: str) -> None:
    left, right, top = _GRID[0], _GRID[0] + _GRID[2], _GRID[1] + _GRID[3]
    half = _MOST_IN_TITLE // 2
    is_long = len(words.title) > _MOST_IN_TITLE
    title = f"{words.title[:half]} ... {words.title[-half:]}" if is_long else words.title
    _text(ax, (left, top + 26), title, 13, weight="bold")
    lines = [piece for line in words.lines for piece in wrap(line, _MOST_IN_LINE)]
    for at, line in enumerate(lines[:_MOST_LINES]):
        _text(ax, (left, top + 20.5 - 4.4 * at), line, 9)
    _text(ax, (left, 8.6), f"{_MM_PER_S:g} mm/s, {_MM_PER_MV:g} mm/mV", 9, weight="bold")
    _text(ax, (left, 4.8), facts, 7.5, color=_GREY)
    _text(ax, (right, 8.6), words.foot, 9, weight="bold", ha="right")


def _text(ax: "Axes", at: tuple[float, float], words: str, size: float, **look: Any) -> None:
    """Write words without reading them as markup, at a place in mm and with a size in points."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in words)
    ax.text(at[0], at[1], plain, fontsize=size, parse_math=False, zorder=5, **look)
