"""Pictures of an explanation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.explanations.run_explanation import Explanation, Row, Saliency
from lvh.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#b5651d", "#1f4e79")  # of records without the label, and with
_LABELS = ("not LVH", "LVH")
_DPI = 100
_MOST_ROWS = 20
_TITLES = {
    "lead": "Lead at its median",
    "wave": "Wave bridged, in all leads",
    "lead_inputs": "Permuted: inputs of a lead",
    "wave_inputs": "of a wave",
    "group": "of a group",
    "input": "one by one",
}


def draw_all(found: Explanation, title: str, folder: Path) -> list[Path]:
    """Draw what there is of an explanation as PNG files; return their paths.

    Args:
        found: What is shown.
        title: Says of which run.
        folder: Where the files go.
    """
    drawn = []
    if found.saliency is not None:
        drawn.append(_save(_saliency(found.saliency, title), folder / "saliency.png"))
    drawn.append(_save(_importance(found, title), folder / "importance.png"))
    if found.agreement:
        drawn.append(_save(_agreement(found, title), folder / "agreement.png"))
    return drawn


def _figure(width: float, height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    figure.suptitle(title)
    return figure


def _save(figure: "Figure", path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path


def _saliency(of: Saliency, title: str) -> "Figure":
    """Draw a panel a lead; of twelve as on paper, limb leads left and chest leads right."""
    n_leads = len(of.leads)
    n_rows = 3 if n_leads > 8 else 2 if n_leads > 3 else 1
    n_columns = -(-n_leads // n_rows)
    figure = _figure(3.3 * n_columns + 0.6, 2.5 * n_rows + 0.9, title)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    largest = np.nanmax(np.abs(of.importance), initial=0.0) or 1.0
    for at, lead in enumerate(of.leads):
        ax = panels[at % n_rows, at // n_rows]
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.9", linewidth=0.8)
        for label, color in enumerate(_COLORS):
            curve = of.importance[label, :, at]
            ax.fill_between(of.times, 0, curve, color=color, alpha=0.25, linewidth=0)
            ax.plot(of.times, curve, color=color, linewidth=1.2)
        ax.set(title=lead, ylim=(-1.08 * largest, 1.08 * largest))
        beat = ax.twinx()  # over its own scale, which no panel shares
        for label, style in enumerate((":", "-")):
            beat.plot(of.times, of.beats[label, :, at], style, color="0.25", linewidth=0.8)
        beat.set_yticks([])
        if at % n_rows == n_rows - 1:
            ax.set_xlabel("s from the QRS peak")
    for ax in panels.T.ravel()[n_leads:]:
        ax.set_axis_off()
    panels[0, 0].set_ylabel("change of log-odds")
    handles: list[Any] = []
    for label in (1, 0):
        (line,) = panels[0, 0].plot([], [], color=_COLORS[label], linewidth=4, alpha=0.6)
        handles.append((line, f"{_LABELS[label]}, {of.n_records[label]} scored"))
        (line,) = panels[0, 0].plot([], [], "-" if label else ":", color="0.25")
        handles.append((line, f"mean beat, {_LABELS[label]}"))
    lines, names = zip(*handles, strict=True)
    figure.legend(lines, names, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _importance(found: Explanation, title: str) -> "Figure":
    kinds = [kind for kind in _TITLES if found.of(kind)]
    counts = [min(len(found.of(kind)), _MOST_ROWS) for kind in kinds]
    n_columns = len(kinds) if len(kinds) <= 4 else 3
    n_rows = -(-len(kinds) // n_columns)
    figure = _figure(4.0 * n_columns, (0.26 * max(counts) + 1.4) * n_rows + 0.4, title)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for at, (ax, kind) in enumerate(zip(panels, kinds, strict=False)):
        rows = found.of(kind)
        row = at // n_columns * n_columns  # whose bars are equally thick
        ax.set_ylim(max(counts[row : row + n_columns]) - 0.4, -0.6)
        more = f", {_MOST_ROWS} of {len(rows)}" if len(rows) > _MOST_ROWS else ""
        _bars(ax, rows[:_MOST_ROWS])
        ax.set(title=f"{_TITLES[kind]}{more}", xlabel="loss of ap, 95 % interval")
    for ax in panels[len(kinds) :]:
        ax.set_axis_off()
    return figure


def _bars(ax: "Axes", rows: Sequence[Row]) -> None:
    heights = range(len(rows))
    for height, row in zip(heights, rows, strict=True):
        drop = row.drop.ap
        ax.barh(height, drop.estimate, color="#9db7d1")
        ax.plot([drop.low, drop.high], [height, height], color="#1f4e79", linewidth=1.2)
    ax.set_yticks(heights, [row.name for row in rows])
    ax.axvline(0, color="0.5", linewidth=0.8)


def _agreement(found: Explanation, title: str) -> "Figure":
    parts = list(dict.fromkeys(one.part for one in found.agreement))
    figure = _figure(5.2 * len(parts) + 0.4, 3.8, title)
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for ax, part in zip(panels, parts, strict=True):
        rows = [one for one in found.agreement if one.part == part]
        for height, row in enumerate(rows):
            ax.plot(row.even.estimate, height, "|", color="0.5", markersize=12)
            ax.plot(row.even_over_leads.estimate, height, "|", color=_COLORS[0], markersize=12)
            ax.plot([row.share.low, row.share.high], [height, height], color=_COLORS[1])
            ax.plot(row.share.estimate, height, "o", color=_COLORS[1])
        ax.plot([], [], "o-", color=_COLORS[1], label="share, 95 % interval")
        ax.plot([], [], "|", color="0.5", label="if even over all that is read")
        ax.plot([], [], "|", color=_COLORS[0], label="if even over the leads, wave by wave")
        ax.set_yticks(range(len(rows)), [row.criterion for row in rows])
        ax.invert_yaxis()
        ax.set(title=f"Importance of the {part}", xlabel="share where a criterion looks")
        ax.set_xlim(0, None)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", fontsize=8)
    return figure
