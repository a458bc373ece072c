"""Sections about the subjects."""

from functools import partial

import numpy as np

from lvh.errors import InputError
from lvh.reports.dataset import draw_people, people
from lvh.reports.dataset.section import Known, Picture, Section, percent
from lvh.reports.dataset.table import table_of


def balance(known: Known) -> Section:
    """Say how many records have the label, by sex and age."""
    rows = people.class_balance(known.cohort)
    whole = rows[0]
    return Section(
        "balance",
        "Class balance",
        (
            f"{whole.lvh} of {whole.records} records have LVH: {percent(whole.share)}, 95 % "
            f"interval {percent(whole.low)} to {percent(whole.high)} (Wilson). The "
            "line in the picture is that share.",
            "The intervals are as wide as if every subject had one record.",
        ),
        (
            Picture(
                "balance",
                "Share of records with LVH by sex and by decade of age, with 95 % intervals",
                partial(draw_people.balance, rows),
            ),
        ),
        (table_of("balance", people.Balance, rows),),
    )


def ages(known: Known) -> Section:
    """Say how old they are, by label and sex."""
    cohort = known.cohort
    rows = people.ages(cohort)
    medians = [
        f"{name} {np.median(cohort.age[cohort.label == value]):.0f}"
        for name, value in zip(people.LABELS, (1, 0), strict=True)
        if (cohort.label == value).any()
    ]
    return Section(
        "ages",
        "Age by label and sex",
        (
            f"{int(cohort.male.sum())} records of men, {int((~cohort.male).sum())} of women; ages "
            f"{cohort.age.min():.0f} to {cohort.age.max():.0f}, median {', '.join(medians)}.",
        ),
        (
            Picture(
                "ages",
                "Number of records by decade of age, for men and women with and without LVH",
                partial(draw_people.ages, rows),
            ),
        ),
        (table_of("ages", people.Ages, rows),),
    )


def alone(known: Known) -> Section:
    """Say what age and sex score without any ECG, or why that cannot be told."""
    key, title = "alone", "How far age and sex alone go"
    try:
        rows = people.age_and_sex_alone(known.cohort, known.cv)
    except InputError as error:
        return Section(key, title, (f"Left out: {error}",))
    found = {(row.baseline, row.score): row for row in rows}
    accuracy, ap = found["age + sex", "accuracy"], found["age + sex", "ap"]
    scheme = f"cv.scheme={known.cv.scheme}"
    if known.cv.scheme != "holdout":
        scheme += f", {known.cv.folds} folds"
    if known.cv.repeats > 1:
        scheme += f", {known.cv.repeats} times"
    return Section(
        key,
        title,
        (
            "A logistic regression on age and sex, which sees no ECG, by the project's own folds "
            f"({scheme}) on all records: accuracy {accuracy.mean:.3f} and ap {ap.mean:.3f} as "
            f"means over folds; pooled, as drawn, ap {ap.pooled:.3f}, 95 % interval {ap.low:.3f} "
            f"to {ap.high:.3f}, where no skill has {found['no skill', 'ap'].pooled:.3f}. "
            "A model of the ECG that does not beat it has learned little from the ECG.",
            "Bootstrap intervals over subjects; they do not contain what other folds would change. "
            "A feature form that cannot use every record scores its baselines on those it can.",
        ),
        (
            Picture(
                "alone",
                "Accuracy, average precision and ROC AUC of the baselines, with 95 % intervals",
                partial(draw_people.baselines, rows),
            ),
        ),
        (table_of("alone", people.BaselineScore, rows),),
    )
