"""Sections about the signals, with or without a delineation."""

from functools import partial

import numpy as np

from lvh.reports.dataset import draw_signals, waves
from lvh.reports.dataset.examples import SECONDS, Example
from lvh.reports.dataset.examples import examples as chosen_examples
from lvh.reports.dataset.recording import GivenAway, given_away
from lvh.reports.dataset.section import Known, Picture, Section, counted, names_of
from lvh.reports.dataset.signals import CLIPPED, SLOW, UNFIT
from lvh.reports.dataset.table import Table, by_lead, of_records, table_of


def ranges(known: Known) -> Section:
    """Show the range of every record and lead."""
    cohort, facts = known.cohort, known.found.signals
    parts = {"min": facts.low, "mean": facts.mean, "max": facts.high}
    words = [
        "A line a record from its smallest to its largest value, a dot at its mean; first the "
        "records without LVH, then those with, each in the source's own order. Min-max scaling "
        "(features.scaling=minmax) makes all these lines equally long."
    ]
    columns = {"lvh": cohort.label, **by_lead(cohort.leads, parts)}
    return Section(
        "ranges",
        "Minimum, mean and maximum by record and lead",
        tuple(filter(None, [*words, known.about.voltage])),
        (
            Picture(
                "ranges",
                "Minimum, mean and maximum in mV of each record, for each of the leads",
                partial(draw_signals.ranges, facts, cohort.leads, cohort.label),
            ),
        ),
        (of_records("ranges", cohort.records, columns),),
    )


def examples(known: Known) -> Section:
    """Show two records of each label."""
    shown = chosen_examples(known.cohort)
    marked = any(symbols for one in shown for symbols, _ in one.fiducials)
    fiducials = (
        "Shaded from onset to offset, with a dot at the peak; a wave without one of the three is "
        "not shaded."
        if marked
        else "No fiducials are marked: this source has no delineation."
    )
    columns = ("record", "lead", "symbol", "sample", "mv")
    marks = tuple(mark for one in shown for mark in one.marks())
    tables = [Table("example_fiducials", columns, marks)] if marks else []
    return Section(
        "examples",
        "Example signals",
        (
            "Chosen by a rule, not by their looks: of each label the first two records in the "
            f"source's own order, of different subjects; {SECONDS:g} s from the middle.",
            fiducials,
        ),
        tuple(
            Picture(
                f"example_{number}",
                f"Twelve leads of record {one.record}: {one.about}",
                partial(draw_signals.example, one),
            )
            for number, one in enumerate(shown, start=1)
        ),
        (
            *(_signals_of(f"example_{number}", one) for number, one in enumerate(shown, start=1)),
            *tables,
        ),
    )


def quality(known: Known) -> Section:
    """Say what is flat, clipped, noisy or inconsistent."""
    cohort, facts = known.cohort, known.found.signals
    ranked = given_away(cohort, facts)
    told = ", ".join(
        f"{one.measure} at ROC AUC {one.roc_auc:.3f} ({one.low:.3f} to {one.high:.3f})"
        for one in ranked
    )
    unfit = names_of(cohort, np.column_stack([facts.einthoven, facts.goldberger]) > UNFIT)
    largest = [f"{1000 * one.max():.1f}" for one in (facts.einthoven, facts.goldberger)]
    measures = {"noise": facts.noise * 1000, "wander": facts.wander * 1000}
    spreads = waves.spreads(cohort, measures)
    flat = names_of(cohort, facts.flat)
    clipped = names_of(cohort, facts.clipped)
    columns = {
        "einthoven_uv": facts.einthoven * 1000,
        "goldberger_uv": facts.goldberger * 1000,
        "flat_leads": facts.flat.sum(axis=1),
        "clipped_leads": facts.clipped.sum(axis=1),
        **by_lead(cohort.leads, {"noise_uv": measures["noise"], "wander_uv": measures["wander"]}),
    }
    return Section(
        "quality",
        "Quality of the signals",
        (
            f"With a flat lead: {counted(flat)}. With a lead that stays at its highest or lowest "
            f"value for {CLIPPED * 1000:g} ms or longer, as if clipped: {counted(clipped)}.",
            "Noise is what white noise would have to be to give the median second difference of "
            "neighbouring samples (what hums or is filtered counts too little); wander is the "
            f"root mean square of what is slower than {SLOW:g} Hz.",
            "A difference between the labels here comes from the recording rather than the heart, "
            "and a network can learn it as well as hypertrophy. The median over its leads alone "
            f"ranks a record by {told}; .5 is no skill, below it LVH has less. Age may be behind "
            "it.",
            "i + iii - ii and avr + (i + ii) / 2 are 0 where all limb leads share a unit; here "
            f"they are {' and '.join(largest)} µV at most; above {1000 * UNFIT:g} µV in "
            f"{counted(unfit)}.",
        ),
        (
            Picture(
                "quality",
                "Noise and baseline wander by lead and label, and how well limb leads fit",
                partial(draw_signals.quality, spreads, facts),
            ),
        ),
        (
            table_of("quality", waves.Spread, spreads),
            table_of("recording", GivenAway, ranked),
            of_records("quality_by_record", cohort.records, columns),
        ),
    )


def _signals_of(name: str, one: Example) -> Table:
    samples = range(one.start, one.start + len(one.signals))
    rows = zip(samples, *one.signals.T.tolist(), strict=True)
    return Table(name, ("sample", *one.leads), tuple(rows))
