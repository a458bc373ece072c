"""Pictures of who the subjects are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lvh.reports.dataset.canvas import COLOURS, INK, QUIET, label_key, named, panels
from lvh.reports.dataset.people import LABELS, SCORES, SEXES, Ages, Balance, BaselineScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def balance(rows: Sequence[Balance]) -> "Figure":
    """Draw the share with the label, by sex and by decade, with intervals and counts."""
    figure, (by_sex, by_decade) = panels("Share of records with LVH", 1, 2, 2.5)
    both = [row for row in rows if row.group in ("all", "sex")]
    decades = [row for row in rows if row.group == "decade"]
    _shares(by_sex, both, "by sex")
    _shares(by_decade, decades, "by age, in decades")
    by_decade.axhline(rows[0].share, color=QUIET, linestyle=":", linewidth=1)
    return figure


def _shares(ax: "Axes", rows: Sequence[Balance], name: str) -> None:
    for at, row in enumerate(rows):
        ax.vlines(at, row.low, row.high, color=COLOURS["LVH"], linewidth=2.2)
        ax.plot(at, row.share, "D", color=COLOURS["LVH"], markersize=5)
        ax.text(at, 1.05, f"{row.lvh}/{row.records}", ha="center", fontsize=7, color=INK)
    ax.set_xticks(range(len(rows)), [row.value for row in rows])
    ax.set(xlim=(-0.6, len(rows) - 0.4), ylim=(-0.02, 1.13), yticks=[0, 0.25, 0.5, 0.75, 1])
    named(ax, name)


def ages(rows: Sequence[Ages]) -> "Figure":
    """Draw how many records of each sex and label are of which decade of age."""
    figure, axes = panels("Age by label and sex", 1, 2, 2.5, below=0.5)
    highest = max(row.records for row in rows)
    for ax, sex in zip(axes, SEXES, strict=True):
        for shift, label in zip((-0.2, 0.2), LABELS, strict=True):
            own = [row for row in rows if (row.sex, row.label) == (sex, label)]
            counts = [row.records for row in own]
            bars = ax.bar(
                [at + shift for at in range(len(own))], counts, width=0.38, color=COLOURS[label]
            )
            ax.bar_label(bars, [str(one) if one else "" for one in counts], fontsize=6.5)
            ax.set_xticks(range(len(own)), [f"{row.decade}" for row in own])
        ax.set_ylim(0, highest * 1.1)
        ax.set_xlabel("decade of age", fontsize=8)
        n_records = sum(row.records for row in rows if row.sex == sex)
        named(ax, f"{sex} ({n_records} records)")
    label_key(figure)
    return figure


def baselines(rows: Sequence[BaselineScore]) -> "Figure":
    """Draw what is scored by who knows nothing, or age and sex alone."""
    figure, axes = panels("What age and sex alone score", 1, len(SCORES), 1.0, left=0.95)
    names = list(dict.fromkeys(row.baseline for row in rows))
    for ax, score in zip(axes, SCORES, strict=True):
        for row in [one for one in rows if one.score == score]:
            at, colour = names.index(row.baseline), QUIET if row.baseline == names[0] else INK
            ax.hlines(at, row.low, row.high, color=colour, linewidth=2.2)
            ax.plot(row.pooled, at, "D", color=colour, markersize=5)
            ax.text(row.pooled, at - 0.2, f"{row.pooled:.3f}", ha="center", fontsize=7.5)
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
        ax.set(ylim=(len(names) - 0.5, -0.7), xlim=(0, 1))
        ax.grid(axis="x", color="#e6e6e6", linewidth=0.6)
        named(ax, score)
    return figure
