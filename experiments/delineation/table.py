"""Make the tables of README.md and agreement.png from the files in this folder.

python experiments/delineation/table.py
"""

import sys
from pathlib import Path

import pandas as pd
from agreement import POINTS, WAVES
from methods import ALL

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import BLUE, ORANGE, figure, interval, put, save
from _common import table as lines_of

from lvh.data.cohort import LEADS

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by table.py from the files in this folder -->"
ORDER = ("lvh", "version 1", "prominence", "dwt", "ecgdeli")
NAMES = {"N": "QRS", "p": "P", "t": "T"}


def markdown(table: pd.DataFrame, index: str = "") -> list[str]:
    """Write a table of texts, with its index as the first column."""
    return lines_of([index, *table.columns], table.itertuples())


def cells(waves: pd.DataFrame) -> pd.Series:
    """Return sensitivity / predictive value, mean ± deviation of each row, by its keys."""
    keyed = waves.set_index(["method", "lead", "wave", "point"])
    return keyed.apply(
        lambda row: f"{row.sensitivity:.3f} / {row.ppv:.3f}, {row['mean']:+.0f} ± {row.sd:.0f}",
        axis=1,
    )


def tables() -> list[str]:
    """Return all tables, with what they are."""
    waves = cells(pd.read_csv(HERE / "waves.csv"))
    points = {f"{NAMES[wave]} {point}": (wave, point) for wave in WAVES for point in POINTS}
    methods = pd.DataFrame(
        {
            method: [waves.get((method, "all", *key), "none") for key in points.values()]
            for method in (*ORDER, "version 1 on 150", ALL)
        },
        index=points,
    )
    leads = pd.DataFrame(
        {name: [waves[ALL, lead, *key] for lead in LEADS] for name, key in points.items()},
        index=LEADS,
    )
    durations = pd.read_csv(HERE / "qrs.csv", index_col=0).map("{:g}".format)
    blocks = pd.read_csv(HERE / "blocks.csv", index_col=0).map("{:g}".format)
    voltages = pd.read_csv(HERE / "voltages.csv", index_col=0)
    voltages.index = [
        f"{name.replace('_', ' ')}, {unit}" for name, unit in voltages.pop("unit").items()
    ]
    voltages[["annotated", "bias", "sd", "low", "high", "correlation"]] = voltages[
        ["annotated", "bias", "sd", "low", "high", "correlation"]
    ].map("{:.3f}".format)
    criteria = pd.read_csv(HERE / "criteria.csv", index_col=0).map("{:.3f}".format)
    return [
        "Sensitivity / predictive value, and mean ± standard deviation of the error in ms:",
        "",
        *markdown(methods),
        "",
        "The duration of QRS of a record, found less annotated, in ms (medians over beats and "
        "leads); `wide` are the records with 120 ms or more:",
        "",
        *markdown(durations, "method"),
        "",
        "The duration of QRS in PTB-XL, in ms, by what the record states:",
        "",
        *markdown(blocks, "bundle branch block"),
        "",
        "`lvh` lead by lead, in the 150 records:",
        "",
        *markdown(leads),
        "",
        "What is measured in the 150 records, found less annotated, with limits of agreement:",
        "",
        *markdown(voltages),
        "",
        "What models come to, pooled, with 95 % intervals (bootstrap over subjects):",
        "",
        *markdown(worth(), "scored"),
        "",
        "AUC of a criterion alone, of which nothing is learned:",
        "",
        *markdown(criteria),
    ]


def worth() -> pd.DataFrame:
    """Show what models come to."""
    results = pd.read_csv(HERE / "results.csv", index_col=0)
    shown = pd.DataFrame({"model": results["model"] + " on " + results["features"]})
    shown["learned from, scored on"] = results["way"]
    for score, title in (("ap", "ap"), ("roc_auc", "AUC"), ("accuracy", "accuracy")):
        of, ends = f"{score}_pooled", f"{score}_"
        shown[title] = [interval(row, of, ends) for _, row in results.iterrows()]
    return shown


def draw() -> None:
    """Draw error and rates of each point by each method."""
    waves = pd.read_csv(HERE / "waves.csv")
    waves = waves[waves["lead"] == "all"].set_index(["method", "wave", "point"])
    keys = [(wave, point) for wave in WAVES for point in POINTS]
    picture = figure(11, 7.2)
    errors, rates = picture.subplots(2, 1, sharex=True)
    colours = (BLUE, "#6fa8dc", ORANGE, "#d9a066", "#8a8a8a")
    for at, (method, colour) in enumerate(zip(ORDER, colours, strict=True)):
        known = [(i, key) for i, key in enumerate(keys) if (method, *key) in waves.index]
        rows = waves.loc[[(method, *key) for _, key in known]]
        x = [i + (at - 2) * 0.15 for i, _ in known]
        style = {"fmt": "o", "ms": 4, "capsize": 2, "color": colour, "label": method}
        errors.errorbar(x, rows["mean"], rows["sd"], **style)
        rates.plot(x, rows["sensitivity"], "o", ms=5, color=colour)
        rates.plot(x, rows["ppv"], "x", ms=6, color=colour)
    errors.axhline(0, lw=0.6, color="0.6")
    errors.set_ylabel("found less annotated, ms")
    errors.set_title("Mean and standard deviation of the error, every eighth record of LUDB")
    errors.legend(ncols=5, frameon=False, loc="lower right")
    rates.set_ylabel("sensitivity (o), predictive value (x)")
    rates.set_xticks(range(len(keys)), [f"{NAMES[wave]} {point}" for wave, point in keys])
    rates.set_ylim(0, 1.03)
    for axes in (errors, rates):
        axes.grid(axis="y", lw=0.3)
    save(picture, HERE / "agreement.png")


def main() -> None:
    """Write the tables below the mark of README.md, and the figure."""
    put(HERE / "README.md", MARK, tables())
    draw()


if __name__ == "__main__":
    main()
