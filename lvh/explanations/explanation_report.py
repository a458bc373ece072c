"""The folder of an explanation: tables, pictures, and a page of text that says what they mean."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvh.explanations.importance import Options
from lvh.explanations.run_explanation import Explanation, Saliency
from lvh.files import write_text, written_whole
from lvh.reports.page import write_csv
from lvh.validation.metrics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES = {
    "lead": "Leads",
    "wave": "Waves, in all leads",
    "lead_inputs": "Inputs of a lead",
    "wave_inputs": "Inputs of a wave",
    "group": "Groups of inputs",
    "input": "Single inputs",
}
"""Kinds of importance in the order of the report, with their titles."""

_Table = tuple[Sequence[str], Sequence[Sequence[object]]]  # header and rows
_IN_TEXT, _IN_PICTURE = 5, 20  # rows of a kind
_COLORS = ("#b5651d", "#1f4e79")  # of records without the label, and with
_LABELS = ("not LVH", "LVH")


def write_report(
    explanation: Explanation, folder: Path, *, title: str, note: str, options: Options
) -> None:
    """Write README.md, the tables and the pictures.

    Args:
        explanation: What is written.
        folder: Made if it is not there.
        title: Name of the run, and its data.
        note: What a reader must know of the data, or empty.
        options: How closely the models were asked.
    """
    n_folds = explanation.n_folds
    caption = f"{title}, {n_folds} fold{'s' if n_folds > 1 else ''}, out of fold"
    figures = {"importance": _draw_importance(explanation, caption)}
    if explanation.saliency is not None:
        figures["saliency"] = _draw_saliency(explanation.saliency, caption)
    for name, figure in figures.items():
        with written_whole(folder / f"{name}.png") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
    for name, (header, rows) in _tables(explanation).items():
        write_csv(folder / f"{name}.csv", header, rows)
    paragraphs = [*_results(explanation, title, note), *_meaning(explanation, options)]
    write_text(folder / "README.md", "\n\n".join(paragraphs) + "\n")


def _tables(explanation: Explanation) -> dict[str, _Table]:
    """Return header and rows of each table, by the name of its file."""
    importance = [
        (one.kind, one.name, *astuple(one.ap), *astuple(one.roc_auc))
        for one in explanation.importance
    ]
    scores = [
        (of, metric, *astuple(interval))
        for of, own in (("model", explanation.scores), ("age + sex", explanation.baseline))
        for metric, interval in own.items()
    ]
    tables: dict[str, _Table] = {
        "importance": (("kind", "name", *_bounds("ap_drop"), *_bounds("roc_auc_drop")), importance),
        "scores": (("of", "metric", "pooled", "low", "high"), scores),
    }
    if explanation.overlap:
        shares = [name for share in ("share", "even", "even_over_leads") for name in _bounds(share)]
        overlap = [
            [one.part, one.criterion]
            + [value for of in (one.share, one.even, one.even_over_leads) for value in astuple(of)]
            for one in explanation.overlap
        ]
        tables["agreement"] = (("part", "criterion", *shares), overlap)
    if (saliency := explanation.saliency) is not None:
        values = np.stack([saliency.importance, saliency.beats], axis=-1)
        over_time = [
            (label, lead, f"{seconds:g}", *(f"{one:.6g}" for one in values[label, at, column]))
            for label in (0, 1)
            for column, lead in enumerate(saliency.leads)
            for at, seconds in enumerate(saliency.times)
        ]
        tables["saliency"] = (("label", "lead", "seconds", "importance", "beat"), over_time)
    return tables


def comparison(explanation: Explanation) -> str:
    """Say whether the models are those of the run."""
    if not explanation.n_stored:
        return "No fold of this run is in the fold store, so the scores cannot be compared with it."
    folds = f"{explanation.n_stored} of {explanation.n_folds} folds"
    if explanation.difference == 0:
        return f"Trained again, {folds} gave exactly the stored scores."
    largest = f"{explanation.difference:.2g}"
    return f"Trained again, scores of {folds} differ from the stored ones by up to {largest}."


def _results(explanation: Explanation, title: str, note: str) -> list[str]:
    ap, baseline = explanation.scores["ap"], explanation.baseline["ap"]
    paragraphs = [
        f"# What {title} looks at",
        f"Out of fold: {explanation.n_test} test records of {explanation.n_folds} folds, each "
        "scored by the model of its fold, which has not learned from it. "
        f"{comparison(explanation)}",
        f"**How good it is**: pooled ap {_shown(ap)}, age + sex {baseline.estimate:.3f}. An "
        "explanation of a model that is little better than age and sex says little of the heart.",
    ]
    if note:
        paragraphs.append(f"**{note}**")
    for kind, name in TABLES.items():
        rows = [
            (one.name, _shown(one.ap), _shown(one.roc_auc))
            for one in explanation.of(kind)[:_IN_TEXT]
        ]
        if rows:
            table = _table(("without", "loss of ap [95 %]", "loss of AUC [95 %]"), rows)
            paragraphs.append(f"**{name}**\n\n{table}")
    if explanation.overlap:
        shares = [
            (
                *(one.part, one.criterion, _shown(one.share)),
                *(f"{value.estimate:.3f}" for value in (one.even, one.even_over_leads)),
            )
            for one in explanation.overlap
        ]
        head = ("importance of", "criterion", "share [95 %]", "if even", "if even over leads")
        paragraphs.append(f"**Where criteria look**\n\n{_table(head, shares)}")
    return paragraphs


def _meaning(explanation: Explanation, options: Options) -> list[str]:
    sentences = [
        "**What it means.** A loss says how much worse the pooled scores rank the records without "
        "something; if its interval holds 0, these records do not show that it matters."
    ]
    if explanation.of("lead"):
        sentences.append(
            "A lead is put at its median; a wave is bridged by a straight line in every annotated "
            f"beat and lead; windows of {options.window * 1000:g} ms, every "
            f"{options.stride * 1000:g} ms, in the same way. Importance over time is the change of "
            "the "
            "log-odds of LVH, positive where a window speaks for it."
        )
    if explanation.of("input"):
        sentences.append(
            f"Inputs are permuted among the test records of the fold, {options.repeats} times; the "
            "criteria, which are computed of them, follow. The importance of an input for a record "
            "is the change of the log-odds when it has the mean value of the training records."
        )
    if explanation.overlap:
        sentences.append(
            "A share above the even one says little where signals are flat elsewhere; a share "
            "above the one that is even over the leads, wave by wave, says that the leads are "
            "those of the criterion."
        )
    return [
        " ".join(sentences),
        "**What it does not mean.** It shows what the scores of these models depend on: no cause, "
        "and no finding in a patient. A changed record is one that no heart makes, of which a "
        "model may say anything. Leads and inputs with the same information replace each other: "
        "alone none of them seems to matter, and together they do.",
    ]


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _bounds(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _figure(width: float, height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize="medium", wrap=True)
    return figure


def _draw_saliency(saliency: Saliency, title: str) -> "Figure":
    """Draw a panel a lead; of twelve as on paper, limb leads left and chest leads right."""
    n_leads = len(saliency.leads)
    n_rows = 3 if n_leads > 8 else 2 if n_leads > 3 else 1
    n_columns = -(-n_leads // n_rows)
    figure = _figure(3.3 * n_columns + 0.6, 2.5 * n_rows + 0.9, title)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    largest = np.nanmax(np.abs(saliency.importance), initial=0.0) or 1.0
    for column, (ax, lead) in enumerate(zip(panels.T.ravel(), saliency.leads, strict=False)):
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.9", linewidth=0.8)
        ax.set(title=lead, ylim=(-1.08 * largest, 1.08 * largest))
        beat = ax.twinx()  # over its own scale, which no panel shares
        beat.set_yticks([])
        for label, (color, style) in enumerate(zip(_COLORS, (":", "-"), strict=True)):
            curve, name = saliency.importance[label, :, column], _LABELS[label]
            name_with_count = f"{name}, {saliency.n_records[label]} scored"
            ax.fill_between(saliency.times, 0, curve, color=color, alpha=0.25, linewidth=0)
            ax.plot(saliency.times, curve, color=color, linewidth=1.2, label=name_with_count)
            mean = saliency.beats[label, :, column]
            of_beat = f"mean beat, {name}"
            beat.plot(saliency.times, mean, style, color="0.25", linewidth=0.8, label=of_beat)
        if column == 0:
            lines = [*ax.get_lines()[2:], *beat.get_lines()]  # not the axes
            figure.legend(handles=lines, loc="outside lower center", ncols=4, fontsize=9)
    for ax in panels.T.ravel()[n_leads:]:
        ax.set_axis_off()
    for ax in panels[-1]:
        ax.set_xlabel("s from the QRS peak")
    panels[0, 0].set_ylabel("change of log-odds")
    return figure


def _draw_importance(explanation: Explanation, title: str) -> "Figure":
    rows = {kind: explanation.of(kind) for kind in TABLES if explanation.of(kind)}
    longest = max(min(len(of_kind), _IN_PICTURE) for of_kind in rows.values())
    n_columns = len(rows) if len(rows) <= 4 else 3
    n_rows = -(-len(rows) // n_columns)
    figure = _figure(4.0 * n_columns, (0.26 * longest + 1.4) * n_rows + 0.4, title)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, (kind, of_kind) in zip(panels, rows.items(), strict=False):
        shown = of_kind[:_IN_PICTURE]
        for height, one in enumerate(shown):
            ax.barh(height, one.ap.estimate, color="#9db7d1")
            ax.plot([one.ap.low, one.ap.high], [height, height], color=_COLORS[1], linewidth=1.2)
        ax.set_yticks(range(len(shown)), [one.name for one in shown])
        ax.set_ylim(longest - 0.4, -0.6)
        ax.axvline(0, color="0.5", linewidth=0.8)
        more = f", {len(shown)} of {len(of_kind)}" if len(of_kind) > len(shown) else ""
        ax.set(title=f"{TABLES[kind]}{more}", xlabel="loss of ap, 95 % interval")
    for ax in panels[len(rows) :]:
        ax.set_axis_off()
    return figure
