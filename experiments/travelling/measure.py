"""Score models on records of another hospital, in both directions; write results.csv and README.md.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/travelling/measure.py --part FOLDER_OF_A_PART --sample FOLDER_OF_ANOTHER

Both folders are parts of PTB-XL in its own layout that share no patient.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import interval, put, read
from _common import table as markdown

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import cross_validate
from lvh.reports.external_validation import external_validation, refitted_scores
from lvh.reports.page import write_table
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by measure.py from results.csv -->"
REFITS = 200
ALL = ("data.where=", "data.delineation=found")
MODELS = {
    "lean logistic (`experiment=travelling`)": ("experiment=travelling",),
    "lean logistic, all records": ("experiment=travelling", *ALL),
    "lean average, as travelling": ("experiment=travelling", "model=voting", "~model.C"),
    "105 inputs, logistic C .01, as travelling": ("experiment=travelling", "features.inputs=full"),
    "105 inputs, average (`experiment=best_honest`)": ("experiment=best_honest", *ALL),
    "71 inputs, RBF machine": ("features=voltage", "model=svm", *ALL),
    "71 inputs, logistic C 1": ("features=voltage", "model=logistic", *ALL),
    "Sokolow-Lyon alone": (
        "features=voltage",
        "model=criteria",
        "model.criterion=sokolow_lyon",
        *ALL,
    ),
}


def row_of(direction: str, model: str, settings: RunSettings, data: ExperimentData) -> dict:
    """Train, score, and judge one model."""
    features = data.features
    trainer = partial(new_trainer, settings, features, data.cohort.fs)
    result = cross_validate(features, data.splits, trainer, seed=settings.seed, baselines=dict)
    fold = result.folds[0]
    auc, ap = (result.scores.pooled[name] for name in ("roc_auc", "ap"))
    row = {
        "direction": direction,
        "model": model,
        "n_train": len(fold.split.train),
        "train_prevalence": features.y[fold.split.train].mean(),
        "n_test": len(np.unique(result.test)),
        "test_prevalence": result.y_true.mean(),
        **{"auc": auc.estimate, "low": auc.low, "high": auc.high, "ap": ap.estimate},
    }
    if settings.external is None:
        return row
    refits = None
    if "logistic" in model:
        refits = refitted_scores(features, fold.split, trainer(), seed=0, n=REFITS)
    qrs = np.full(len(fold.split.test), np.nan)
    found = external_validation(features, result, qrs, refits=refits)
    table = found.external.query("prevalence == 'test'").set_index("measure")
    if refits is not None:
        both = table.loc["roc_auc"]
        row |= {"low_refitted": both.low, "high_refitted": both.high}
    return row | {name: table.loc[name].estimate for name in ("slope", "intercept")}


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", required=True)
    parser.add_argument("--sample", required=True)
    options = parser.parse_args()
    of = {
        "LUDB": ("ludb",),
        "PTB-XL part": ("ptbxl", f"root={options.part}"),
        "PTB-XL sample": ("ptbxl", f"root={options.sample}"),
    }

    def source(group: str, name: str) -> list[str]:
        option, *fields = of[name]
        return [f"{group}={option}", *(f"{group}.{one}" for one in fields)]

    rows = []
    for own, other in (
        ("LUDB", "PTB-XL part"),
        ("LUDB", "PTB-XL sample"),
        ("PTB-XL part", "LUDB"),
        ("PTB-XL part", "PTB-XL sample"),
        ("PTB-XL part", "PTB-XL part"),
        ("LUDB", "LUDB"),
    ):
        for model, overrides in MODELS.items():
            within = own == other
            more = ["cv=stratified"] if within else ["cv=external", *source("external", other)]
            more += [] if within else ["external.delineation=found"]
            settings = settings_of(*source("data", own), *more, *overrides)
            direction = f"within {own}" if within else f"{own} to {other}"
            rows.append(row_of(direction, model, settings, load_data(settings)))
            print(rows[-1], flush=True)
            write_table(HERE / "results.csv", pd.DataFrame(rows), float_format="%.4f")
    show()


def show() -> None:
    """Write the table of README.md from results.csv."""
    cells: dict[str, dict[str, str]] = {}
    for row in read(HERE / "results.csv"):
        cells.setdefault(row["model"], {})[row["direction"]] = interval(row, "auc")
    rows = [(model, *own.values()) for model, own in cells.items()]
    put(HERE / "README.md", MARK, markdown(["AUC", *next(iter(cells.values()))], rows))


if __name__ == "__main__":
    main()
