"""What found fiducials are worth: voltages.csv, criteria.csv and results.csv.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER
    python experiments/delineation/worth.py

Measures both delineations of LUDB; scores them by models that learned from one or the other, on the
same folds; and scores PTB-XL by a model of LUDB.
"""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from methods import scored
from sklearn.metrics import roc_auc_score

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import Cohort
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.cv_result import Summary, baseline_summaries, summarize
from lvh.features import FORMS, FeatureSet
from lvh.features.criteria import CRITERIA, Measurements
from lvh.features.voltage import measure
from lvh.runs.experiment_data import load_data, new_trainer
from lvh.validation.splits import Split, splits

HERE = Path(__file__).resolve().parent
SCORES = ("ap", "roc_auc", "accuracy")
CHOICES = (("svm", "voltage"), ("logistic", "ntp"))
WAYS = {
    ("annotated", "annotated"): "annotated, annotated",
    ("annotated", "found"): "annotated, found",
    ("found", "found"): "found, found",
}
"""Learned from, scored on."""
_CRITERIA = ("sokolow_lyon", "cornell", "cornell_product", "peguero_lo_presti")


def settings(*typed: str) -> RunSettings:
    """Compose what a user would type."""
    return settings_of(*typed, "tracking=off")


def voltages(annotated: Cohort, found: Cohort) -> list[list[str]]:
    """Compare what is measured, in the records that nothing was chosen on."""
    at = scored(annotated)
    one, other = (_quantities(measure(cohort)) for cohort in (annotated, found))
    rows = [["quantity", "unit", "n", "annotated", "bias", "sd", "low", "high", "correlation"]]
    for (name, unit), values in one.items():
        pairs = np.stack([values[at].ravel(), other[name, unit][at].ravel()])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        difference = pairs[1] - pairs[0]
        bias, sd = difference.mean(), difference.std(ddof=1)
        numbers = (bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, np.corrcoef(pairs)[0, 1])
        rows.append(
            [name, unit, str(pairs.shape[1]), f"{np.median(pairs[0]):.4f}"]
            + [f"{number:.4f}" for number in numbers]
        )
    return rows


def _quantities(of: Measurements) -> dict[tuple[str, str], np.ndarray]:
    waves = {("Q", "mV"): of.q, ("R", "mV"): of.r, ("S", "mV"): of.s, ("T", "mV"): of.t}
    times = {("QRS duration, each lead", "s"): of.qrs, ("QRS duration", "s"): of.qrs_duration}
    criteria = {(name, CRITERIA[name].unit): CRITERIA[name].value(of) for name in _CRITERIA}
    return waves | times | criteria


def criteria(annotated: Cohort, found: Cohort) -> list[list[str]]:
    """Rank the records of LUDB and PTB-XL by each criterion alone; nothing is learned."""
    typed = ("data=ptbxl", "data.delineation=found", "model=svm", "features=voltage")
    cohorts = (annotated, found, load_data(settings(*typed)).cohort)
    rows = [["criterion", "LUDB, annotated", "LUDB, found", "PTB-XL, found"]]
    measured = [measure(cohort) for cohort in cohorts]
    for name in _CRITERIA:
        row = [name]
        for cohort, one in zip(cohorts, measured, strict=True):
            value = CRITERIA[name].value(one)
            is_there = np.isfinite(value)
            row.append(f"{roc_auc_score(cohort.label[is_there], value[is_there]):.4f}")
        rows.append(row)
    return rows


def cross_validated(
    configured: RunSettings, annotated: Cohort, found: Cohort
) -> dict[str, Summary]:
    """Score each of `WAYS` on the same folds of the records that both can be used of."""
    form = FORMS[configured.features.name]
    both = [form.extract(cohort, configured.features) for cohort in (annotated, found)]
    shared = set(both[0].records) & set(both[1].records)
    both = [_only(features, shared) for features in both]
    first = both[0]
    n = len(first.y)
    # the found inputs stand behind the annotated ones: a fold may learn from one and score others
    whole = replace(
        first,
        X=np.concatenate([features.X for features in both]),
        y=np.tile(first.y, 2),
        records=(*first.records, *first.records),
        subjects=np.tile(first.subjects, 2),
        age_and_sex=np.tile(first.age_and_sex, (2, 1)),
    )
    folds = splits(first.y, first.subjects, configured.cv)
    summaries = {
        way: _summary(
            configured, whole, [_moved(split, n, *fiducials) for split in folds], annotated.fs
        )
        for fiducials, way in WAYS.items()
    }
    return summaries | baseline_summaries(first, folds)


def _only(features: FeatureSet, records: set[str]) -> FeatureSet:
    at = [i for i, record in enumerate(features.records) if record in records]
    return replace(
        features,
        X=features.X[at],
        y=features.y[at],
        records=tuple(features.records[i] for i in at),
        subjects=features.subjects[at],
        age_and_sex=features.age_and_sex[at],
    )


def _moved(split: Split, n: int, learned: str, on: str) -> Split:
    return replace(
        split,
        train=split.train + n * (learned == "found"),
        test=split.test + n * (on == "found"),
    )


def _summary(
    configured: RunSettings, features: FeatureSet, folds: list[Split], fs: float
) -> Summary:
    trainer = new_trainer(configured, features, fs)
    results = list(train_folds(features, folds, trainer, seed=configured.seed))
    return summarize(features, results, {}).scores


def external() -> dict[str, Summary]:
    """Score PTB-XL by models of LUDB, as cv=external does."""
    typed = ("cv=external", "external=ptbxl", "external.delineation=found", "model=svm")
    found = {}
    for learned in ("annotated", "found"):
        configured = settings(*typed, "features=voltage", f"data.delineation={learned}")
        data = load_data(configured)
        features, folds = data.features, list(data.splits)
        found[f"{learned}, found"] = _summary(configured, features, folds, data.cohort.fs)
        baselines = baseline_summaries(features, data.splits)
    return found | baselines


def main() -> None:
    """Measure and write."""
    from lvh.data.ludb import LudbSettings, load

    root = os.environ["LVH_LUDB_ROOT"]
    annotated, found = (
        load(LudbSettings("ludb", root, "", which)) for which in ("annotated", "found")
    )
    _write("voltages.csv", voltages(annotated, found))
    _write("criteria.csv", criteria(annotated, found))
    rows = [["scored", "model", "features", "way"]]
    rows[0] += [f"{score}_{of}" for score in SCORES for of in ("mean", "pooled", "low", "high")]
    for model, features in CHOICES:
        configured = settings(f"model={model}", f"features={features}", "cv=repeated")
        for way, summary in cross_validated(configured, annotated, found).items():
            rows.append(["LUDB", model, features, way, *_numbers(summary)])
    for way, summary in external().items():
        rows.append(["PTB-XL", "svm", "voltage", way, *_numbers(summary)])
    _write("results.csv", rows)


def _numbers(of: Summary) -> list[str]:
    found = []
    for score in SCORES:
        interval = of.pooled[score]
        numbers = (getattr(of.mean, score), interval.estimate, interval.low, interval.high)
        found += [f"{number:.4f}" for number in numbers]
    return found


def _write(name: str, rows: list[list[str]]) -> None:
    with (HERE / name).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
