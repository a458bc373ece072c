"""The folder of an explanation: tables and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lvh.evaluation.cv_result import AGE_AND_SEX
from lvh.explanations import Explanation
from lvh.explanations.robustness import TITLES, voltage_curve
from lvh.files import written_whole
from lvh.inference.model_description import voltage_sentence
from lvh.reports.page import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "lead": "Leads",
    "wave": "Waves, in all leads",
    "criterion": "Waves that a criterion for LVH reads",
    "lead_inputs": "Inputs of a lead",
    "wave_inputs": "Inputs of a wave",
    "criterion_inputs": "Inputs that a criterion for LVH reads",
    "group": "Groups of inputs",
    "input": "Single inputs",
}

_IN_PICTURE = 20  # rows of a kind
_COLORS = ("#b5651d", "#1f4e79")  # of records without the label, and with


def write_report(explanation: Explanation, folder: Path, *, title: str) -> None:
    """Write the tables and the pictures."""
    caption = f"{title}, folds: {explanation.n_folds}, out of fold"
    parts = {
        "importance": (explanation.importance, _draw_importance),
        "saliency": (explanation.saliency, _draw_saliency),
        "robustness": (explanation.robustness, _draw_robustness),
    }
    for name, (table, draw) in parts.items():
        if len(table):
            write_table(folder / f"{name}.csv", table, "%.6g")
            with written_whole(folder / f"{name}.png") as file:
                draw(explanation, caption).savefig(file, format="png", metadata={"Software": None})
    aps = {"model": explanation.ap, AGE_AND_SEX: explanation.baseline_ap}
    rows = [(name, "ap", ap.estimate, ap.low, ap.high) for name, ap in aps.items() if ap]
    scores = pd.DataFrame(rows, columns=["of", "metric", "pooled", "low", "high"])
    write_table(folder / "scores.csv", scores, "%.6g")


def facts(explanation: Explanation) -> dict[str, str]:
    """Say how good the models are, and whether their scores are those of the run."""
    ap, differences = explanation.ap, explanation.differences
    same = "No fold of this run is in the fold store, so the scores cannot be compared with it."
    if differences:
        gave = f"scores up to {max(differences):.2g} from the stored ones"
        gave = gave if any(differences) else "exactly the stored scores"
        same = f"Trained again, {len(differences)} of {explanation.n_folds} folds gave {gave}."
    of_baseline = "Age and sex are unknown, so no baseline has them."
    if baseline := explanation.baseline_ap:
        of_baseline = (
            f"Of {AGE_AND_SEX} alone {baseline.estimate:.3f}. An explanation of a model that is "
            "little better than age and sex says little else."
        )
    curve = voltage_curve(explanation.robustness) if len(explanation.robustness) else []
    return {
        "folds": f"{explanation.n_test} test records of {explanation.n_folds} folds, each scored "
        f"by the model of its fold, which has not learned from it. {same}",
        "score": f"Pooled ap {ap.estimate:.3f} [{ap.low:.3f}, {ap.high:.3f}]. {of_baseline}",
        "voltages": f"With {voltage_sentence(curve, explanation.label_name)}." if curve else "",
    }


def by_kind(explanation: Explanation) -> list[tuple[str, pd.DataFrame]]:
    """Return the kinds that were explained and what each lost, the largest loss first."""
    table = explanation.importance
    return [(kind, of) for kind in KINDS if len(of := table[table["kind"] == kind])]


def _figure(width: float, height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize="medium", wrap=True)
    return figure


def _draw_saliency(explanation: Explanation, title: str) -> "Figure":
    """Draw a panel a lead; of twelve as on paper, limb leads left and chest leads right."""
    saliency, label_name = explanation.saliency, explanation.label_name
    leads = list(saliency["lead"].unique())
    n_rows = min(3, -(-len(leads) // 4))
    n_columns = -(-len(leads) // n_rows)
    figure = _figure(3.3 * n_columns + 0.6, 2.5 * n_rows + 0.9, title)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    largest = np.nanmax(np.abs(saliency["importance"]), initial=0.0) or 1.0
    for ax in panels.T.ravel()[len(leads) :]:
        ax.set_axis_off()
    for ax, lead in zip(panels.T.ravel(), leads, strict=False):
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.set(title=lead, ylim=(-1.08 * largest, 1.08 * largest))
        beat = ax.twinx()  # over its own scale, which no panel shares
        beat.set_yticks([])
        for label, name, style in ((0, f"not {label_name}", ":"), (1, label_name, "-")):
            of = saliency[(saliency["lead"] == lead) & (saliency["label"] == label)]
            ax.fill_between(of["seconds"], 0, of["importance"], color=_COLORS[label], alpha=0.25)
            ax.plot(of["seconds"], of["importance"], color=_COLORS[label], label=name)
            beat.plot(of["seconds"], of["beat"], style, color="0.25", label=f"mean beat, {name}")
    handles = [*ax.get_lines()[1:], *beat.get_lines()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    for ax in panels[-1]:
        ax.set_xlabel("s from the QRS peak")
    panels[0, 0].set_ylabel("change of log-odds")
    return figure


def _draw_robustness(explanation: Explanation, title: str) -> "Figure":
    """Draw mean and spread at every strength, a panel a change; dotted lines are of no change."""
    table = explanation.robustness
    changes = {name: of for name, of in table.groupby("change", sort=False) if name in TITLES}
    sizes = [1.5 + of["strength"].nunique() for of in changes.values()]
    figure = _figure(0.4 * sum(sizes) + 1, 3.8, title)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False, width_ratios=sizes)[0]
    for ax, (change, of_change) in zip(panels, changes.items(), strict=True):
        ax.set_title(TITLES[change], fontsize="small", rotation=20, ha="left", loc="left")
        ax.set(xlim=(-0.6, of_change["strength"].nunique() - 0.4), ylim=(-0.02, 1.02))
        for label, name in ((0, "without"), (1, "with")):
            of, look = of_change[of_change["label"] == label], {"color": _COLORS[label]}
            ends = np.abs(of[["low", "high"]].T - of["mean"]).to_numpy()
            look["label"] = f"{name} {explanation.label_name}"
            ax.errorbar(np.arange(len(of)) + 0.2 * (label - 0.5), of["mean"], ends, fmt="o", **look)
            before = table.loc[table["label"] == label, "mean"].iloc[0]
            ax.axhline(before, linestyle=":", color=_COLORS[label])
            ax.set_xticks(range(len(of)), of["strength"], rotation=90)
    panels[0].set_ylabel("probability: mean, 80 % of records")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_importance(explanation: Explanation, title: str) -> "Figure":
    kinds = [(KINDS[kind], of[:_IN_PICTURE]) for kind, of in by_kind(explanation)]
    longest = max(len(of_kind) for _, of_kind in kinds)
    n_columns = len(kinds) if len(kinds) <= 4 else 3
    n_rows = -(-len(kinds) // n_columns)
    figure = _figure(4.0 * n_columns, (0.26 * longest + 1.4) * n_rows + 0.4, title)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, (name, of_kind) in zip(panels, kinds, strict=False):
        drops = of_kind[["ap_drop_low", "ap_drop_high"]].T - of_kind["ap_drop"]
        ends = drops.abs().to_numpy()  # matplotlib takes the columns of a frame for numbers
        ax.barh(of_kind["name"], of_kind["ap_drop"], xerr=ends, color="#9db7d1", ecolor=_COLORS[1])
        ax.axvline(0, color="0.5", linewidth=0.8)
        ax.set(ylim=(longest - 0.4, -0.6), xlabel="loss of ap, 95 % interval")
        ax.set_title(name, fontsize="medium")
    for ax in panels[len(kinds) :]:
        ax.set_axis_off()
    return figure
