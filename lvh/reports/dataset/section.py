"""What a section of the page is made of, and how records are named in its words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort, SourceMetadata
from lvh.reports.dataset.canvas import Draw
from lvh.reports.dataset.survey import Survey
from lvh.reports.dataset.table import Table
from lvh.validation.splits import CvSettings

_MOST_NAMED = 30  # records in a sentence


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be drawn.

    Attributes:
        name: Of its file, without the ending.
        alt: What it shows, for who cannot see it.
        draw: Draws it.
    """

    name: str
    alt: str
    draw: Draw


@dataclass(frozen=True, slots=True)
class Section:
    """One question to the data, with its answer.

    Attributes:
        key: Of its place on the page.
        title: Of it.
        words: Paragraphs.
        pictures: In the order of reading.
        tables: What the pictures draw, and more.
        points: A list below the paragraphs.
    """

    key: str
    title: str
    words: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """All that the sections are made of.

    Attributes:
        cohort: Of which signals are read once more, for the examples.
        about: What is to be known of its source.
        found: All that was measured.
        cv: Folds of the baselines.
    """

    cohort: Cohort
    about: SourceMetadata
    found: Survey
    cv: CvSettings


def percent(share: float) -> str:
    """Return a share in words."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def names_of(cohort: Cohort, leads: npt.NDArray[np.bool_]) -> list[str]:
    """Return the records of which some lead is marked, in an array (n_records, n_leads)."""
    return [cohort.records[at] for at in np.flatnonzero(leads.any(axis=1)).tolist()]


def counted(names: Sequence[str]) -> str:
    """Say how many records, and which if they are few."""
    if not names:
        return "no record"
    return f"{len(names)} record{'s' if len(names) > 1 else ''} ({listed(names)})"


def listed(names: Sequence[str]) -> str:
    """Return names in words, the first of them if there are many."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
