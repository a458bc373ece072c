"""The page from top to bottom."""

from collections.abc import Iterator

import numpy as np

from lvh.features.wave_patterns import incomplete_records
from lvh.reports.dataset import of_people, of_signals, of_waves, people
from lvh.reports.dataset.section import Known, Section, listed, percent
from lvh.reports.dataset.table import Table


def sections(known: Known) -> Iterator[Section]:
    """Yield the sections in the order of reading."""
    yield of_people.balance(known)
    yield of_people.ages(known)
    yield of_people.alone(known)
    yield of_signals.ranges(known)
    yield of_signals.examples(known)
    yield from of_waves.delineated(known)
    yield of_signals.quality(known)


def head(known: Known) -> Table:
    """Say what the source is."""
    cohort = known.cohort
    n_records, n_samples = len(cohort.records), cohort.signals.shape[1]
    per_subject = people.records_per_subject(cohort)
    rows = [
        ("source", cohort.name),
        ("records", str(n_records)),
        ("subjects", str(len(np.unique(cohort.subjects)))),
        (
            "subjects with",
            ", ".join(f"{one} record{'s' * (one > 1)}: {n}" for one, n in per_subject.items()),
        ),
        ("with LVH", f"{int(cohort.label.sum())} ({percent(cohort.prevalence)})"),
        ("sampling frequency", f"{cohort.fs:g} Hz"),
        ("duration", f"{n_samples / cohort.fs:g} s, {n_samples} samples"),
        ("leads", " ".join(cohort.leads)),
        ("labels", known.about.labels),
        ("left out", _left_out(known)),
        ("licence", known.about.licence),
        ("citation", known.about.citation),
        ("fingerprint", cohort.fingerprint),
    ]
    return Table("source", ("what", "value"), tuple(rows))


def _left_out(known: Known) -> str:
    cohort, beats = known.cohort, known.found.beats
    told = [cohort.note] if "left out" in cohort.note else ["nothing by the source"]
    if beats is not None:
        lacking = beats.lacks["no_qrs_t"]
        reasons = incomplete_records(cohort, cohort.leads, lacking, "(N)(t)", "drop")
        named = [f"{cohort.records[at]} ({reason})" for at, reason in reasons.items()]
        told.append(f"by features=ntp: {listed(named) if named else 'nothing'}")
    return "; ".join(told)
