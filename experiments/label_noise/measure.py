"""Find the records of LUDB that honest models always call wrongly, and draw the reported ones.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/label_noise/measure.py

Trains what was not trained before, and writes records.csv (how often each model is wrong in each
record), always_wrong.csv (those that are reported or that most repeats of every model get wrong,
with what speaks for either reading), the table of README.md, overview.png, and a page of ECG paper
for each in pictures/.
"""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import BLUE, ORANGE, figure, ludb, lvh, put
from _common import table as markdown

from lvh.data.cohort import LEADS, Cohort, part_of
from lvh.data.ludb import LudbSettings, load
from lvh.features.criteria import CRITERIA, qrs_axis
from lvh.features.voltage import MorphologySettings, measure
from lvh.features.voltage import extract_morphology as extract
from lvh.reports.ecg_plot import Words
from lvh.reports.ecg_plot import draw as on_paper

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/label_noise"
MARK = "<!-- made by measure.py from always_wrong.csv -->"
MODELS = {"logistic": "logistic", "svm": "svm", "extra_trees": "extra_trees", "average": "voting"}
"""What a user types, by the name in the tables."""
FEATURES = ("voltage", "morphology")
REPORTED = (5, 7, 9, 12, 13, 26, 65, 71, 72, 84, 85, 101, 107, 115, 138, 150, 164, 199)
"""Records that an independent check reported as always wrong under every honest model."""
STRAIN = ("i", "avl", "v5", "v6")


def predictions(model: str, features: str) -> pd.DataFrame:
    """Return the out-of-fold predictions of 7 x 5 folds, by the command that a user types."""
    folder = OUTPUTS / f"{model}_{features}"
    typed = [f"model={MODELS[model]}", f"features={features}", "cv=repeated", "tracking=off"]
    typed += [f"store={OUTPUTS / 'folds'}", f"hydra.run.dir={folder}", *ludb()]
    lvh("run", *typed, folder=OUTPUTS)
    table = pd.read_csv(folder / "predictions.csv", dtype={"record": str})
    return table.assign(model=f"{model}_{features}", wrong=table["y_true"] != table["y_pred"])


def wrong_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return of each record the share of wrong predictions by each model, and the mean score."""
    shares = table.pivot_table(index="record", columns="model", values="wrong", aggfunc="mean")
    label = table.groupby("record")["y_true"].first().rename("label")
    of_all = table.groupby("record").agg(wrong=("wrong", "mean"), mean_score=("y_score", "mean"))
    return pd.concat([label, of_all, shares], axis=1).sort_index(
        key=lambda names: names.astype(int)
    )


def diagnoses(cohort: Cohort) -> dict[str, str]:
    """Return what the header of each record states."""
    root, found = Path(os.environ["LVH_LUDB_ROOT"]), {}
    for name in cohort.records:
        lines = (root / "data" / f"{name}.hea").read_text().splitlines()
        comments = [line.lstrip("# ").rstrip(". ") for line in lines if line.startswith("#")]
        found[name] = "; ".join(comments[comments.index("<diagnoses>:") + 1 :])
    return found


def readings(cohort: Cohort) -> pd.DataFrame:
    """Return of each record what a reader of the ECG would look at."""
    waves, features = measure(cohort), extract(cohort, MorphologySettings())
    inputs = pd.DataFrame(features.X, columns=features.names, index=features.records)
    values = {name: criterion.value(waves) for name, criterion in CRITERIA.items()}
    met = {name: CRITERIA[name].positive(value, cohort.male) for name, value in values.items()}
    voltage = [name for name in CRITERIA if name != "romhilt_estes"]
    t, net = (waves.columns(of, *STRAIN) for of in (waves.t, waves.net))
    table = pd.DataFrame(
        {
            "age": cohort.age.astype(int),
            "sex": np.where(cohort.male, "M", "F"),
            "label": cohort.label,
            "voltage_criteria": [
                ", ".join(name for name in voltage if met[name][at])
                for at in range(len(cohort.records))
            ],
            "romhilt_estes": values["romhilt_estes"],
            # T against an upright QRS by 0.1 mV in a lateral lead
            "strain": ((t <= -0.1) & (net > 0)).any(axis=1),
            "qrs_ms": (1000 * waves.qrs_duration).round(),
            "axis": qrs_axis(waves).round(),
            **{name: values[name].round(2) for name in ("sokolow_lyon", "cornell", "r_in_avl")},
        },
        index=cohort.records,
    )
    table["p_terminal_force"] = inputs["v1_p_terminal_force"]
    table["diagnoses"] = pd.Series(diagnoses(cohort))
    return table


def arguments(row: pd.Series) -> tuple[str, str]:
    """Return what speaks for LVH in a record, and what against it, by the rules written here."""
    stated, voltages = row["diagnoses"].lower(), row["voltage_criteria"]
    wide = row["qrs_ms"] >= 120 or "pacing" in stated or "bundle branch block" in stated
    yes = {
        voltages: bool(voltages),
        "strain": row["strain"],
        f"Romhilt-Estes {row['romhilt_estes']:.0f}": row["romhilt_estes"] >= 4,
        "left atrial sign": row["p_terminal_force"] >= 0.004 or "left atrial" in stated,
        f"axis {row['axis']:.0f}": row["axis"] <= -30,
    }
    no = {
        "no voltage criterion": not voltages,
        "no strain": not row["strain"],
        f"{row['age']} years old: large voltages are usual": row["age"] < 40 and bool(voltages),
        "wide or paced QRS: voltages say little": wide and bool(voltages),
    }
    both = [[text for text, is_so in one.items() if is_so] for one in (yes, no)]
    return "; ".join(both[0]) or "nothing measured", "; ".join(both[1]) or "nothing measured"


def draw(cohort: Cohort, chosen: pd.DataFrame) -> None:
    """Draw each record on ECG paper, and all of them on one page."""
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, row in chosen.iterrows():
        at = cohort.records.index(str(name))
        one = part_of(cohort, at, at + 1)
        side = "LVH is stated" if row["label"] else "LVH is not stated"
        words = Words(
            title=f"LUDB {name}, {row['sex']} {row['age']}: {side}",
            lines=(
                f"For LVH: {row['speaks_for']}. Against: {row['speaks_against']}",
                f"Sokolow-Lyon {row['sokolow_lyon']} mV, Cornell {row['cornell']} mV, R in aVL "
                f"{row['r_in_avl']} mV, Romhilt-Estes {row['romhilt_estes']:.0f}, QRS "
                f"{row['qrs_ms']:.0f} ms, axis {row['axis']:.0f}",
                f"Header: {row['diagnoses']}",
            ),
        )
        page = on_paper(one.signals[0], one.fs, words, leads=one.leads)
        _save(page, folder / f"{name}.png", dpi=85)
    names = [str(name) for name in chosen.index]
    columns = 3
    picture = figure(11, 1.5 * -(-len(names) // columns))
    axes = picture.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        at = cohort.records.index(name)
        signal = cohort.signals[at][: round(1.6 * cohort.fs)]
        for lead, colour in (("v1", ORANGE), ("v5", BLUE), ("avl", "0.4")):
            mv = signal[:, LEADS.index(lead)]
            ax.plot(mv - np.median(mv), color=colour, linewidth=0.8, label=lead)
        ax.set_title(f"{name}: {'LVH' if cohort.label[at] else 'no LVH'} stated", fontsize=8)
        ax.set(ylim=(-3, 3), xticks=[], yticks=[-2, 0, 2])
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    axes[0].legend(fontsize=6, ncols=3)
    _save(picture, HERE / "overview.png", dpi=90)


def _save(figure: object, path: Path, dpi: int) -> None:
    """Write a picture in 64 colours, which a small file can hold."""
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=dpi, metadata={"Software": None})
    Image.open(memory).convert("RGB").quantize(64).save(path, optimize=True)


def write_tables(shares: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    """Write the files and the table of README.md; return the records that are shown."""
    shares.to_csv(HERE / "records.csv", float_format="%.4g")
    by_model = shares.drop(columns=["label", "wrong", "mean_score"])
    number = pd.Series([int(name) for name in shares.index], index=shares.index)
    sets = {
        "every model in every repeat": shares["wrong"] == 1,
        "every model in most repeats": (by_model > 0.5).all(axis=1),
        "every model but the two logistic ones in most repeats": (
            by_model.filter(regex="^(?!logistic)") > 0.5
        ).all(axis=1),
        "the average on morphology (best_honest) in most repeats": (
            by_model["average_morphology"] > 0.5
        ),
    }
    rows = []
    for what, is_wrong in sets.items():
        own = {*number[is_wrong]}
        others = ", ".join(map(str, sorted(own - {*REPORTED}))) or "none"
        rows.append((what, len(own), len(own & {*REPORTED}), others))
    lines = markdown(("wrong by", "records", "of the 18", "which others"), rows)
    shown = number.isin(REPORTED) | sets["every model in most repeats"]
    chosen = read.loc[shares.index[shown]].copy()
    chosen.insert(0, "models_wrong", (by_model > 0.5).sum(axis=1))
    chosen.insert(1, "share_wrong", shares["wrong"].round(3))
    chosen.insert(2, "mean_score", shares["mean_score"].round(3))
    both = [arguments(row) for _, row in chosen.iterrows()]
    chosen["speaks_for"], chosen["speaks_against"] = zip(*both, strict=True)
    chosen.to_csv(HERE / "always_wrong.csv", index_label="record", float_format="%.4g")
    lines += [
        "",
        f"Each of them; `models`: how many of {by_model.shape[1]} are wrong in most repeats.",
        "",
    ]
    header = ("record", "", "stated", "models", "mean score", "speaks for LVH", "against", "header")
    rows = []
    for name, row in chosen.iterrows():
        who = (f"[{name}](pictures/{name}.png)", f"{row['sex']} {row['age']}")
        stated, score = "LVH" if row["label"] else "no LVH", f"{row['mean_score']:.2f}"
        texts = row[["speaks_for", "speaks_against", "diagnoses"]]
        rows.append((*who, stated, row["models_wrong"], score, *texts))
    lines += [*markdown(header, rows), "", *_meaning_of_the_label(read)]
    put(HERE / "README.md", MARK, lines)
    return chosen


def _meaning_of_the_label(read: pd.DataFrame) -> list[str]:
    """Count records by criteria, strain and left atrial statements, with and without LVH."""
    classical = read["voltage_criteria"].str.contains("sokolow_lyon(?!_)|cornell(?!_)|r_in_avl")
    none = {
        "no voltage criterion of seven, no strain": read["voltage_criteria"] == "",
        "not Sokolow-Lyon, Cornell nor R in aVL, no strain": ~classical,
    }
    atrial = read["diagnoses"].str.contains("left atrial", case=False)
    rows = {what: is_so & ~read["strain"] for what, is_so in none.items()}
    rows["Sokolow-Lyon is met"] = read["sokolow_lyon"] >= 3.5
    rows["a left atrial statement in the header"] = atrial
    rows |= {f"{what}; but a left atrial statement": rows[what] & atrial for what in none}
    has, n = read["label"] == 1, len(read)
    return markdown(
        ("LUDB", f"of {has.sum()} with LVH", f"of {n - has.sum()} without"),
        [(what, (x & has).sum(), (x & ~has).sum()) for what, x in rows.items()],
    )


def main() -> None:
    """Train, compare, draw and write."""
    table = pd.concat([predictions(model, form) for form in FEATURES for model in MODELS])
    cohort = load(LudbSettings(root=os.environ["LVH_LUDB_ROOT"]))
    cohort = part_of(cohort, 0, len(cohort.records))
    chosen = write_tables(wrong_shares(table), readings(cohort))
    draw(cohort, chosen)


if __name__ == "__main__":
    main()
