"""An ECG on paper, 25 mm/s and 10 mm/mV, with the parts that raise or lower its score."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lvh.data.cohort import LEADS, Cohort, Delineation, part_of
from lvh.errors import EnvironmentFault, InputError
from lvh.files import write_fault, written_whole
from lvh.reports.page import clipped, data_uri

Floats = npt.NDArray[np.float64]

# all lengths are in mm of a page of A4 landscape
_WIDTH, _HEIGHT = 297.0, 210.0
_LEFT, _BOTTOM, _RIGHT, _TOP = 13.5, 13.0, 283.5, 173.0  # of the grid: whole squares of 5 mm
_START = _LEFT + 15.0  # of the traces; the calibration pulse stands before it
_MM_PER_S, _MM_PER_MV = 25.0, 10.0
_ROWS = (("i", "avr", "v1", "v4"), ("ii", "avl", "v2", "v5"), ("iii", "avf", "v3", "v6"))
_COLUMN_S, _STRIP_S = 2.5, 10.0  # a lead, and the rhythm strip of lead ii
_SPIKES = 0.002  # of the samples of a trace, at either end, take no room: pacing, artifacts
_MARGIN = 12.0  # between the traces of two rows
_SUFFIXES = (".pdf", ".svg", ".png")
_DPI = 254  # ten pixels a mm: lines of the grid are all alike
_PT = 72 / 25.4  # a mm
_INK, _GREY, _PALE = "#111111", "#6b6b6b", "#9a9a9a"
_PINK, _NEUTRAL = ("#f7d9d4", "#e9aca3"), ("#ebebeb", "#cdcdcd")  # the latter under colours
_TOWARD, _AWAY = "#d55e00", "#0072b2"  # Okabe and Ito's vermilion and blue
_LEVELS = 5  # of a colour, either way
_COLOURS = LinearSegmentedColormap.from_list("importance", [_AWAY, "white", _TOWARD])
_BAND = 2.4  # width of a coloured band
_MOST_IN_TITLE, _MOST_IN_LINE, _MOST_LINES = 84, 160, 5


@dataclass(frozen=True, slots=True)
class Words:
    """The text on the page, none of it markup; colours speak for and against the `label`."""

    title: str
    lines: tuple[str, ...] = ()
    foot: str = "Not a medical device"
    label: str = "LVH"


class _Trace(NamedTuple):
    """A piece of a lead, from its sample `first` on, in a row from the top, mm."""

    name: str
    lead: str
    column: int
    row: int
    first: int
    x: Floats
    y: Floats


def picture_paths(place: str, names: Sequence[str]) -> list[Path]:
    """Return the path of each record's picture: a file for one, or a PDF each in a folder."""
    path = Path(place)
    is_folder = bool(place) and path.is_dir()
    paths = [path / f"{name}.pdf" for name in names] if is_folder else [path]
    is_new = not any(one.exists() or one.is_symlink() for one in paths)
    is_place = paths[0].suffix.lower() in _SUFFIXES and paths[0].parent.is_dir()
    if len({*paths}) < len(names) or not is_new or not is_place:
        raise InputError(
            f"--picture: expected a new file that ends in {', '.join(_SUFFIXES)} for one record, "
            "or a folder that is there, without such pictures, for records of distinct names. "
            f"Received: {place!r:.200}"
        )
    if fault := write_fault(paths[0].parent):
        raise EnvironmentFault(f"--picture: cannot write into {paths[0].parent}: {fault}")
    return paths


def draw_record(cohort: Cohort, at: int, title: str, path: Path) -> tuple[str, str]:
    """Draw the record at a position, with its fiducials; return the picture as a URI, and title."""
    part = part_of(cohort, at, at + 1)
    waves, words = part.delineation, Words(title, label=cohort.label_name)
    save(draw(part.signals[0], cohort.fs, words, leads=cohort.leads, delineation=waves), path)
    return data_uri(path.read_bytes(), "svg+xml"), title


def draw(
    signals: npt.NDArray[np.float32],
    fs: float,
    words: Words,
    *,
    leads: Sequence[str] = LEADS,
    importance: npt.NDArray[np.floating] | None = None,
    delineation: Delineation | None = None,
) -> Figure:
    """Draw one record on A4 landscape, true to scale: an axis unit is a mm of the page.

    The first 10 s, four leads a row, above a rhythm strip; a lead a row, six of them, where some of
    the twelve are missing. Signals (mV) and `importance` have shape (n_samples, n_leads).
    Importance is above 0 where a sample has pushed the score toward the label, NaN if unknown.
    """
    figure, ax = _paper(_PINK if importance is None else _NEUTRAL)
    traces = _traces(signals, fs, leads)
    unknown = np.zeros(signals.shape[1], dtype=np.bool_)
    if importance is not None:
        importance = importance / (np.nanmax(np.abs(importance), initial=0) or 1)
        unknown = np.isnan(importance).all(axis=0)
        _draw_legend(ax, clipped(words.label, 40))
    zero, line = _baselines(traces), dict[str, Any](color=_INK, linewidth=0.25 * _PT, zorder=4)
    for y in zero:  # 1 mV for 200 ms on lines of the grid
        x = _LEFT + np.array([3, 5, 5, 10, 10, 12])
        pulse = y + _MM_PER_MV * np.array([0, 0, 1, 1, 0, 0])
        ax.plot(x, pulse, solid_joinstyle="miter", **line)
    traces = [trace._replace(y=zero[trace.row] + trace.y) for trace in traces]
    for trace in traces:
        if importance is not None:
            end = trace.first + len(trace.y)
            _draw_band(ax, trace, importance[trace.first : end, trace.column])
        if delineation is not None:
            _draw_fiducials(ax, trace, delineation)
        ax.plot(trace.x, trace.y, solid_joinstyle="round", gid=f"trace-{trace.name}", **line)
        _name_lead(ax, trace, zero[trace.row], _PALE if unknown[trace.column] else _INK)
    facts = _facts(len(signals), fs, traces)
    facts += ["nothing is known of the leads in grey"] if unknown.any() else []
    if (n_shown := len({trace.lead for trace in traces})) < len(leads):
        facts.append(f"{n_shown} of {len(leads)} leads")
    _write(ax, words, ", ".join(facts))
    return figure


def _paper(colours: tuple[str, str]) -> tuple[Figure, Axes]:
    """Return an empty page with its grid, and what cuts the traces at the end of the grid."""
    figure = Figure(figsize=(_WIDTH / 25.4, _HEIGHT / 25.4), dpi=_DPI)
    size = ((_RIGHT - _LEFT) / _WIDTH, (_TOP - _BOTTOM) / _HEIGHT)
    ax = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / _HEIGHT, *size))
    ax.set(xlim=(_LEFT, _RIGHT), ylim=(_BOTTOM, _TOP))
    ax.set_axis_off()
    for step, colour, thickness in zip((1, 5), colours, (0.1, 0.2), strict=True):
        look: dict[str, Any] = {"linewidth": thickness * _PT, "snap": True, "zorder": 1}
        ax.vlines(np.arange(_LEFT, _RIGHT + 1, step), _BOTTOM, _TOP, colour, **look)
        ax.hlines(np.arange(_BOTTOM, _TOP + 1, step), _LEFT, _RIGHT, colour, **look)
    return figure, ax


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix, whole or not at all, in bytes that are equal."""
    form = path.suffix[1:].lower()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    # text that stays text, in letters that a name may not have a glyph for
    ours: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "lvh", "pdf.fonttype": 42}
    ours["savefig.bbox"] = "standard"  # another one, of a user's own settings, is no A4
    with written_whole(path) as temporary, rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, format=form, dpi=_DPI, metadata=dates)


def _traces(signals: npt.NDArray[np.float32], fs: float, leads: Sequence[str]) -> list[_Trace]:
    """Lay out a record, 2.5 s a column; where it ends before, the last ones show its last 2.5 s."""
    places = [(lead, lead, row, 0.0, _STRIP_S) for row, lead in enumerate(leads[:6])]
    if {*LEADS} <= {*leads}:
        cells = [(row, *cell) for row, names in enumerate(_ROWS) for cell in enumerate(names)]
        places = [(lead, lead, row, _COLUMN_S * at, _COLUMN_S) for row, at, lead in cells]
        places.append(("rhythm", "ii", len(_ROWS), 0.0, _STRIP_S))
    traces = []
    for name, lead, row, start, seconds in places:
        column, length = leads.index(lead), round(seconds * fs)
        first = min(round(start * fs), max(0, len(signals) - length))
        mv = signals[first : first + length, column].astype(np.float64)
        x = _START + (start + np.arange(len(mv)) / fs) * _MM_PER_S
        y = (mv - np.median(mv)) * _MM_PER_MV
        traces.append(_Trace(name, lead, column, row, first, x, y))
    return traces


def _baselines(traces: list[_Trace]) -> Floats:
    """Return where 0 mV of each row lies, on lines of the grid; high voltages get more room."""
    top, bottom = np.zeros((2, traces[-1].row + 1))
    for trace in traces:
        low, high = np.quantile(trace.y, [_SPIKES, 1 - _SPIKES])
        top[trace.row] = max(top[trace.row], high)
        bottom[trace.row] = max(bottom[trace.row], -low)
    needed = np.array([top[0], *(bottom[:-1] + top[1:]), bottom[-1]]) + _MARGIN
    gaps = (_TOP - _BOTTOM) * needed / needed.sum()
    return np.asarray(_TOP - np.rint(np.cumsum(gaps)[:-1]))


def _draw_band(ax: Axes, trace: _Trace, share: npt.NDArray[np.floating]) -> None:
    level = np.rint(np.nan_to_num(share) * _LEVELS).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(level)]
    runs = [(a, b) for a, b in pairwise(edges) if level[a]]
    points = np.column_stack([trace.x, trace.y])
    lines = [points[a : b + 1] for a, b in runs]  # a sample further, so that runs meet
    colours = [_COLOURS(0.5 + 0.42 * level[a] / _LEVELS) for a, _ in runs]
    look: dict[str, Any] = {"linewidths": _BAND * _PT, "joinstyle": "round", "capstyle": "butt"}
    band = LineCollection(lines, colors=colours, gid=f"band-{trace.name}", zorder=2, **look)
    ax.add_collection(band, autolim=False)


def _draw_legend(ax: Axes, label: str) -> None:
    middle, width = _WIDTH / 2, 4.0
    for level in (*range(-_LEVELS, 0), *range(1, _LEVELS + 1)):
        x = middle + width * (level if level < 0 else level - 1)
        colour = _COLOURS(0.5 + 0.42 * level / _LEVELS)
        ax.fill_between([x, x + width], 8.2, 10.4, color=colour, linewidth=0, clip_on=False)
    side = _LEVELS * width + 1.5
    _text(ax, middle - side, 8.6, f"away from {label}", 7.5, ha="right")
    _text(ax, middle + side, 8.6, f"toward {label}", 7.5)


def _draw_fiducials(ax: Axes, trace: _Trace, of: Delineation) -> None:
    symbols, samples = of.lead(0, trace.column)
    inside = (samples >= trace.first) & (samples < trace.first + len(trace.y))
    for marker, kinds in {"|": ("(", ")"), ".": ("N", "p", "t")}.items():
        at = samples[inside & np.isin(list(symbols), kinds)] - trace.first
        ax.plot(trace.x[at], trace.y[at], marker, color=_AWAY, markersize=4, zorder=3)


def _name_lead(ax: Axes, trace: _Trace, zero: float, color: str) -> None:
    """Write the lead's name above the start of its trace, and mark where another lead ended."""
    x = float(trace.x[0])
    height = float((trace.y[trace.x < x + 8] - zero).max(initial=0))
    y = min(zero + min(max(5.0, height + 1.5), 18.0), _TOP - 3.5)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}
    _text(ax, x + 0.8, y, _clinical(trace.lead), 9, weight="bold", color=color, bbox=box)
    if x > _START:
        ax.plot([x, x], [zero - 2, zero + 2], color=_INK, linewidth=0.2 * _PT, zorder=3)


def _clinical(lead: str) -> str:
    """Spell a lead as clinicians do: I, II, III, aVR, aVL, aVF, V1 to V6."""
    return f"aV{lead[2:].upper()}" if lead.startswith("av") else lead.upper()


def _facts(n_samples: int, fs: float, traces: list[_Trace]) -> list[str]:
    """Return how much of the record is shown, and which leads are cut off."""
    duration = n_samples / fs
    start = f"the first {_STRIP_S:g} s of " if duration > _STRIP_S else ""
    facts = [f"{fs:g} Hz", f"{start}{duration:.4g} s", "no filter", "offsets removed"]
    if duration < _STRIP_S - 1 / fs and traces[-1].name == "rhythm":
        starts = [f"{trace.first / fs:.3g}" for trace in traces[: len(_ROWS[0])]]
        facts.append(f"columns from {', '.join(starts)} s")
    cut = [_clinical(one.lead) for one in traces if one.y.max() > _TOP or one.y.min() < _BOTTOM]
    return [*facts, *([f"beyond the paper: {', '.join(dict.fromkeys(cut))}"] if cut else [])]


def _write(ax: Axes, words: Words, facts: str) -> None:
    _text(ax, _LEFT, _TOP + 26, clipped(words.title, _MOST_IN_TITLE), 13, weight="bold")
    lines = [piece for line in words.lines for piece in wrap(line, _MOST_IN_LINE)]
    for at, line in enumerate(lines[:_MOST_LINES]):
        _text(ax, _LEFT, _TOP + 20.5 - 4.4 * at, line, 9)
    _text(ax, _LEFT, 8.6, f"{_MM_PER_S:g} mm/s, {_MM_PER_MV:g} mm/mV", 9, weight="bold")
    _text(ax, _LEFT, 4.8, facts, 7.5, color=_GREY)
    _text(ax, _RIGHT, 8.6, words.foot, 9, weight="bold", ha="right")


def _text(ax: Axes, x: float, y: float, words: str, size: float, **look: Any) -> None:
    """Write words, which are no markup, at a place in mm and with a size in points."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in words)
    ax.text(x, y, plain, fontsize=size, parse_math=False, zorder=5, **look)
