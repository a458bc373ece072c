"""Sections that need fiducials."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from lvh.features.criteria import CRITERIA
from lvh.reports.dataset import draw_waves, people, waves
from lvh.reports.dataset.section import Known, Picture, Section, counted, names_of
from lvh.reports.dataset.survey import Beats
from lvh.reports.dataset.table import of_records, table_of

TITLES = {
    "ntp": "Mean ntp by label",
    "voltages": "Voltages by label",
    "criteria": "Clinical criteria",
    "missing": "Missing waves",
}
"""Of the sections here, in the order of reading."""
_LEFT_OUT = (
    "Left out: this source has no delineation. data.delineation=found has a program find fiducials."
)


def ntp(known: Known, beats: Beats) -> Section:
    """Show the mean signal at the fiducials by label."""
    cohort, facts = known.cohort, known.found.signals
    rows = waves.ntp_by_label(cohort, facts, beats)
    return Section(
        "ntp",
        TITLES["ntp"],
        (
            "ntp is the mean signal at onset, peak and offset of the N (QRS), t and p waves, each "
            "lead scaled to [0, 1] by its own minimum and maximum. Points are means over subjects, "
            "with Student's 95 % intervals. Of so many pairs of intervals some part by chance "
            "alone, and the labels may differ in age, too (above).",
        ),
        (
            Picture(
                "ntp",
                "Mean scaled signal at nine fiducials of each lead by label, with 95 % intervals",
                partial(draw_waves.ntp, rows),
            ),
        ),
        (table_of("ntp", waves.Fiducial, rows),),
    )


def voltages(known: Known, beats: Beats) -> Section:
    """Show amplitudes and durations by label."""
    rows = waves.voltages(known.cohort, beats)
    return Section(
        "voltages",
        TITLES["voltages"],
        (
            "Median over the beats of a record; the bar holds the middle half of the records, its "
            "gap is their median, the line the middle 90 %.",
        ),
        (
            Picture(
                "voltages",
                "Height of R, depth of S, T and duration of QRS by lead and label",
                partial(draw_waves.voltages, rows),
            ),
        ),
        (table_of("voltages", waves.Spread, rows),),
    )


def criteria(known: Known, beats: Beats) -> Section:
    """Show the clinical criteria and what they are worth."""
    cohort = known.cohort
    values = waves.criteria_values(beats)
    sex, label = people.sex_of(cohort), people.label_of(cohort)
    scores = table_of("criteria", waves.CriterionScore, waves.criteria_worth(cohort, beats))
    columns = {"male": cohort.male, "lvh": cohort.label, **values}
    formulas = (f"{name}: {one.formula} ({one.source})" for name, one in CRITERIA.items())
    return Section(
        "criteria",
        TITLES["criteria"],
        (
            "A point a record, a black line their median, a red line the published threshold. "
            "Sensitivity and specificity against this source's label, with Wilson's 95 % "
            "intervals, are of thresholds that no record here has chosen; a record without the "
            "waves that a criterion needs counts as negative. The thresholds were made for other "
            "populations, most of them against hearts that were weighed or imaged.",
        ),
        (
            Picture(
                "criteria",
                "Value of eight criteria in each record by sex and label, with the thresholds",
                partial(draw_waves.criteria, values, sex, label),
            ),
        ),
        (scores, of_records("criteria_values", cohort.records, columns)),
        tuple(formula.replace("`", "") for formula in formulas),
    )


def missing(known: Known, beats: Beats) -> Section:
    """Say which records lack which waves."""
    cohort = known.cohort
    rows = waves.missing_waves(cohort, beats)
    without_p = names_of(cohort, np.logical_and.reduce(beats.without_p, axis=1, keepdims=True))
    irregular = names_of(cohort, beats.irregular)
    no_beats = names_of(cohort, beats.lacks["no_qrs_t"])
    columns = {
        "leads_without_p": beats.without_p.sum(axis=1),
        **{f"leads_{name}": found.sum(axis=1) for name, found in beats.lacks.items()},
        "leads_irregular": beats.irregular.sum(axis=1),
    }
    return Section(
        "missing",
        TITLES["missing"],
        (
            f"Without a p wave in any lead: {counted(without_p)}.",
            "With an irregular sequence in some lead (a peak without onset or offset, or the "
            f"like): {counted(irregular)}.",
            f"Without a complete (N)(t) in some lead: {counted(no_beats)}.",
            "( is an onset, ) an offset, N p t the peaks: (N)(t)(p) is a beat from its QRS to the "
            "next p, in an unbroken run.",
        ),
        (
            Picture(
                "missing",
                "How many records lack a wave in each lead, in any lead, and in all leads",
                partial(draw_waves.missing, rows),
            ),
        ),
        (
            table_of("missing", waves.Lacking, rows),
            of_records("missing_by_record", cohort.records, columns),
        ),
    )


def delineated(known: Known) -> Iterator[Section]:
    """Yield the sections here; where there is no delineation, yield that they are left out."""
    beats = known.found.beats
    if beats is None:
        for key, title in TITLES.items():
            yield Section(key, title, (_LEFT_OUT,))
        return
    for make in (ntp, voltages, criteria, missing):
        yield make(known, beats)
