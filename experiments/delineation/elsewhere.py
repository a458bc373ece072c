"""Score models of LUDB on two parts of PTB-XL, and see what they make of larger voltages.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER LVH_PTBXL500_ROOT=FOLDER
    python experiments/delineation/elsewhere.py

Writes elsewhere.csv (each model on each part), louder.csv (mean probability of LUDB's own records,
out of fold, with all voltages multiplied), fifths.csv (who has which voltages), elsewhere.png, and
the tables of elsewhere.md. Every row comes from the command that it shows.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from lvh.config.composition import settings_of
from lvh.data.cohort import Cohort
from lvh.data.ludb import LudbSettings
from lvh.data.ludb import load as load_ludb
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.files import write_text
from lvh.runs.run import load_data

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/elsewhere"
PARTS = {"142 records": "LVH_PTBXL_ROOT", "500 records": "LVH_PTBXL500_ROOT"}
MODELS = {
    "RBF machine, voltage": ("model=svm", "features=voltage"),
    "RBF machine, morphology": ("model=svm", "features=morphology"),
    "average of three, voltage": ("model=average", "features=voltage"),
    "average of three, morphology": ("model=average", "features=morphology"),
    "logistic, voltage": ("model=logistic", "features=voltage"),
    "logistic, morphology": ("model=logistic", "features=morphology"),
    "logistic, lean (travelling)": ("experiment=travelling",),
}
SCORES = ("roc_auc", "ap")


def run(module: str, *arguments: str) -> None:
    """Run a command of lvh, with what the experiment keeps apart."""
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, check=True, cwd=OUTPUTS, stdout=subprocess.DEVNULL)


def trained(name: str, *overrides: str) -> Path:
    """Run a configuration; return its folder."""
    root = Path(os.environ["LVH_LUDB_ROOT"]).resolve()
    run(
        *("lvh.run", "data=ludb", f"data.root={root}", *overrides, "tracking=off"),
        *(f"hydra.run.dir={name}", f"store={OUTPUTS / 'folds'}"),
    )
    return OUTPUTS / name


def elsewhere() -> pd.DataFrame:
    """Return AUC and ap of each model, of age and sex, and of Sokolow-Lyon, on each part."""
    rows = []
    for part, variable in PARTS.items():
        root = Path(os.environ[variable]).resolve()
        external = ("cv=external", "external=ptbxl", f"external.root={root}")
        external += ("external.delineation=found",)
        for at, (model, overrides) in enumerate(MODELS.items()):
            folder = trained(f"external-{root.name}-{at}", *overrides, *external)
            scores = pd.read_csv(folder / "scores.csv").set_index(["of", "metric"])
            of = [("model", model)] + ([("age + sex", "age + sex")] if not at else [])
            rows += [
                (part, name, score, *scores.loc[(row, score), ["pooled", "low", "high"]])
                for row, name in of
                for score in SCORES
            ]
        cohort = load_data(
            settings_of("data=ptbxl", f"data.root={root}", "data.delineation=found",
                        "model=svm", "features=voltage")
        ).cohort  # fmt: skip
        value = CRITERIA["sokolow_lyon"].value(measure(cohort))
        known = np.isfinite(value)
        larger = value[known & (cohort.label == 1)][:, None] - value[known & (cohort.label == 0)]
        auc = float((np.sign(larger) + 1).mean() / 2)
        rows.append((part, "Sokolow-Lyon alone", "roc_auc", auc, np.nan, np.nan))
        fifths_of(cohort, value, f"PTB-XL, {part}")
    return pd.DataFrame(rows, columns=["part", "model", "score", "pooled", "low", "high"])


FIFTHS: list[pd.DataFrame] = []


def fifths_of(cohort: Cohort, sokolow_lyon: np.ndarray, name: str) -> None:
    """Add who has which voltages, by fifths of Sokolow-Lyon."""
    waves = measure(cohort)
    table = pd.DataFrame(
        {
            "data": name,
            "fifth": pd.qcut(sokolow_lyon, 5, labels=[1, 2, 3, 4, 5]),
            "sokolow_lyon": sokolow_lyon,
            "age": cohort.age,
            "lvh": cohort.label,
            "wide": waves.qrs_duration >= 0.12,
        }
    )
    grouped = table.groupby(["data", "fifth"], observed=True)
    FIFTHS.append(
        grouped.agg(
            n=("lvh", "size"),
            sokolow_lyon=("sokolow_lyon", "median"),
            lvh=("lvh", "mean"),
            median_age=("age", "median"),
            under_40=("age", lambda age: (age < 40).mean()),
            wide_qrs=("wide", "mean"),
        ).reset_index()
    )


def louder() -> pd.DataFrame:
    """Return what each model makes of LUDB's own records with larger voltages, out of fold."""
    tables = []
    for at, (model, overrides) in enumerate(MODELS.items()):
        folder = trained(f"ludb-{at}", *overrides, "cv=stratified")
        run("lvh.explain", str(folder), "--repeats", "1", "--changes", "amplitude")
        table = pd.read_csv(folder / "explanation/robustness.csv")
        tables.append(table[table["change"] == "amplitude"].assign(model=model))
    columns = ["model", "strength", "label", "scored", "mean", "low", "high"]
    return pd.concat(tables)[columns]


def tables(scores: pd.DataFrame, curves: pd.DataFrame, fifths: pd.DataFrame) -> str:
    """Return what elsewhere.md shows."""
    shown = scores.assign(
        text=[
            f"{row.pooled:.3f}" + ("" if np.isnan(row.low) else f" [{row.low:.3f}, {row.high:.3f}]")
            for row in scores.itertuples()
        ]
    )
    wide = shown.pivot(index="model", columns=["part", "score"], values="text")
    wide = wide.loc[[*MODELS, "age + sex", "Sokolow-Lyon alone"]].fillna("")
    columns = [(part, score) for part in PARTS for score in SCORES]
    lines = [
        "Models of LUDB on PTB-XL (fiducials of PTB-XL found), pooled with 95 % intervals:",
        "",
        "| | " + " | ".join(f"{part}, {s.replace('roc_auc', 'AUC')}" for part, s in columns) + " |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {' | '.join(wide.loc[name, one] for one in columns)} |"
            for name in wide.index
        ),
        "",
        "Mean probability of LUDB's records with LVH / without, out of fold, voltages times:",
        "",
    ]
    factors = sorted(curves["strength"].unique())
    lines += ["| | " + " | ".join(f"{one:g}" for one in factors) + " |"]
    lines += ["|---|" + "---|" * len(factors)]
    means = curves.set_index(["model", "label", "strength"])["mean"]
    for model in MODELS:
        cells = [f"{means[model, 1, one]:.2f} / {means[model, 0, one]:.2f}" for one in factors]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    lines += [
        "",
        "Who has which voltages, by fifths of Sokolow-Lyon (medians and shares):",
        "",
        "| data | fifth | records | Sokolow-Lyon, mV | LVH | age | under 40 | QRS >= 120 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in fifths.itertuples():
        lines.append(
            f"| {row.data} | {row.fifth} | {row.n} | {row.sokolow_lyon:.2f} | {row.lvh:.2f} | "
            f"{row.median_age:.0f} | {row.under_40:.2f} | {row.wide_qrs:.2f} |"
        )
    return "\n".join([*lines, ""])


def draw(curves: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Draw the curves of records with LVH beside the AUC on PTB-XL."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    colours = ["#1f4e79", "#6fa8dc", "#b5651d", "#d9a066", "#2e7d32", "#81c784", "#111111"]
    for height, (model, colour) in enumerate(zip(MODELS, colours, strict=True)):
        of = curves[(curves["model"] == model) & (curves["label"] == 1)]
        left.plot(of["strength"], of["mean"], "o-", color=colour, label=model)
        for part, shift in zip(PARTS, (-0.15, 0.15), strict=True):
            row = scores[(scores["part"] == part) & (scores["model"] == model)]
            row = row[row["score"] == "roc_auc"].iloc[0]
            right.plot([row["low"], row["high"]], [-height - shift] * 2, color=colour)
            right.plot(row["pooled"], -height - shift, "os"[shift > 0], color=colour)
    left.set(
        xlabel="all voltages times", ylabel="mean probability of LUDB's LVH records", ylim=(0, 1)
    )
    left.legend(fontsize=7)
    right.axvline(0.5, color="0.7", linewidth=0.8)
    right.set(xlabel="AUC on PTB-XL: 142 records (o), 500 (squares)", xlim=(0.4, 1))
    right.set_yticks([-at for at in range(len(MODELS))], MODELS, fontsize=8)
    figure.savefig(HERE / "elsewhere.png", metadata={"Software": None})


def main() -> None:
    """Measure and write."""
    ludb = load_ludb(LudbSettings(root=os.environ["LVH_LUDB_ROOT"]))
    fifths_of(ludb, CRITERIA["sokolow_lyon"].value(measure(ludb)), "LUDB")
    curves, scores = louder(), elsewhere()
    fifths = pd.concat(FIFTHS)
    for name, table in (("louder", curves), ("elsewhere", scores), ("fifths", fifths)):
        write_text(HERE / f"{name}.csv", table.to_csv(index=False, float_format="%.4f"))
    write_text(HERE / "elsewhere.md", tables(scores, curves, fifths))
    draw(curves, scores)


if __name__ == "__main__":
    main()
