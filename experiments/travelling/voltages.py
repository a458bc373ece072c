"""See what models of LUDB make of larger voltages, and who has which voltages.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER LVH_PTBXL500_ROOT=FOLDER
    python experiments/travelling/voltages.py

Writes louder.csv (mean probability of LUDB's own records, out of fold, with all voltages
multiplied: `lvh explain RUN --changes amplitude`), fifths.csv, voltages.png, and the tables of
voltages.md. What was done before is not done again.
"""

import os
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import figure, ludb, lvh, put, save
from _common import table as markdown

from lvh.config.composition import settings_of
from lvh.data.cohort import Cohort
from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure
from lvh.files import write_text
from lvh.runs.experiment_data import load_data

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/voltages"
MARK = "<!-- made by voltages.py from louder.csv and fifths.csv -->"
MODELS = {
    "RBF machine, voltage": ("model=svm", "features=voltage"),
    "RBF machine, morphology": ("model=svm", "features=morphology"),
    "average of three, voltage": ("model=voting", "features=voltage"),
    "average of three, morphology": ("model=voting", "features=morphology"),
    "logistic, voltage": ("model=logistic", "features=voltage"),
    "logistic, morphology": ("model=logistic", "features=morphology"),
    "lean logistic (travelling)": ("experiment=travelling",),
}
COLOURS = ("#1f4e79", "#6fa8dc", "#b5651d", "#d9a066", "#2e7d32", "#81c784", "#111111")


def louder() -> pd.DataFrame:
    """Return what each model makes of LUDB's own records with larger voltages, out of fold."""
    tables = []
    for at, (model, overrides) in enumerate(MODELS.items()):
        made = OUTPUTS / f"ludb-{at}/explanation/robustness.csv"
        if not made.exists():
            own = ("data=ludb", *ludb(), "cv=stratified", "tracking=off", "store=folds")
            lvh("run", *overrides, *own, f"hydra.run.dir=ludb-{at}", folder=OUTPUTS)
            how = ("--changes", "amplitude")
            lvh("explain", f"ludb-{at}", *how, folder=OUTPUTS)
        table = pd.read_csv(made)
        tables.append(table[table["change"] == "amplitude"].assign(model=model))
    columns = ["model", "strength", "label", "scored", "mean", "low", "high"]
    return pd.concat(tables)[columns].astype({"strength": float})


def fifths(cohort: Cohort, name: str) -> pd.DataFrame:
    """Return who has which voltages, by fifths of Sokolow-Lyon."""
    waves = measure(cohort)
    value = CRITERIA["sokolow_lyon"].value(waves)
    columns = {"sokolow_lyon": value, "age": cohort.age, "lvh": cohort.label}
    table = pd.DataFrame({**columns, "wide": waves.qrs_duration >= 0.12})
    groups = table.groupby(pd.qcut(value, 5, labels=False) + 1)
    found = groups.agg(
        n=("lvh", "size"),
        sokolow_lyon=("sokolow_lyon", "median"),
        lvh=("lvh", "mean"),
        median_age=("age", "median"),
        under_40=("age", lambda age: (age < 40).mean()),
        wide_qrs=("wide", "mean"),
    )
    return found.rename_axis("fifth").reset_index().assign(data=name)


def cohorts() -> dict[str, Cohort]:
    """Load LUDB with the fiducials of people, and both parts of PTB-XL with found ones."""
    variables = {"PTB-XL sample": "LVH_PTBXL_ROOT", "PTB-XL part": "LVH_PTBXL500_ROOT"}
    sources = {"LUDB": ("data=ludb", f"data.root={os.environ['LVH_LUDB_ROOT']}")}
    for name, variable in variables.items():
        sources[name] = ("data=ptbxl", f"data.root={os.environ[variable]}")
        sources[name] += ("data.delineation=found",)
    common = ("model=logistic", "features=voltage")
    return {name: load_data(settings_of(*own, *common)).cohort for name, own in sources.items()}


def tables(curves: pd.DataFrame, who: pd.DataFrame) -> list[str]:
    """Return the tables of voltages.md."""
    factors = sorted(curves["strength"].unique())
    means = curves.set_index(["model", "label", "strength"])["mean"]
    rows = [
        (model, *(f"{means[model, 1, one]:.2f} / {means[model, 0, one]:.2f}" for one in factors))
        for model in MODELS
    ]
    titles = ("data", "fifth", "records", "Sokolow-Lyon, mV", "LVH", "age", "under 40", "wide QRS")
    shares = who.assign(median_age=who["median_age"].map("{:.0f}".format))
    for name in ("sokolow_lyon", "lvh", "under_40", "wide_qrs"):
        shares[name] = who[name].map("{:.2f}".format)
    shares = shares[["data", *who.columns.drop("data")]].to_numpy()
    louder = markdown(["all voltages times", *(f"{one:g}" for one in factors)], rows)
    return [*louder, "", *markdown(titles, shares)]


def draw(curves: pd.DataFrame, who: pd.DataFrame) -> None:
    """Draw the curves of records with LVH, and the share of LVH by fifths of Sokolow-Lyon."""
    picture = figure(11, 4, dpi=90)
    left, right = picture.subplots(1, 2, sharey=True)
    for model, colour in zip(MODELS, COLOURS, strict=True):
        of = curves[(curves["model"] == model) & (curves["label"] == 1)]
        left.plot(of["strength"], of["mean"], "o-", color=colour, label=model)
    left.set(xlabel="all voltages times", ylabel="mean probability of LUDB's records with LVH")
    left.set_ylim(0, 1)
    left.legend(fontsize=8)
    for (name, of), colour in zip(who.groupby("data", sort=False), COLOURS[::2], strict=False):
        right.plot(of["sokolow_lyon"], of["lvh"], "o-", color=colour, label=name)
    right.set(xlabel="Sokolow-Lyon, mV, median of each fifth", ylabel="share with LVH stated")
    right.legend()
    save(picture, HERE / "voltages.png")


def main() -> None:
    """Measure and write."""
    curves = louder()
    who = pd.concat([fifths(cohort, name) for name, cohort in cohorts().items()])
    write_text(HERE / "louder.csv", curves.to_csv(index=False, float_format="%.4f"))
    write_text(HERE / "fifths.csv", who.to_csv(index=False, float_format="%.4f"))
    put(HERE / "voltages.md", MARK, tables(curves, who))
    draw(curves, who)


if __name__ == "__main__":
    main()
