"""What is known of the records that are looked at, and their inputs as they can be changed."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import Cohort
from lvh.data.lazy_array import read
from lvh.explanations.input_groups import Table, rows_of
from lvh.explanations.occlusion import Floats, Score, Signals
from lvh.explanations.overlap import deepest_s
from lvh.explanations.wave_windows import View, view_of
from lvh.features import FeatureSet
from lvh.features.amplitudes import measure
from lvh.features.criteria import CRITERIA, Measurements

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is known of the records, whatever the fold.

    Attributes:
        cohort: Their source.
        features: What models read.
        positions: Of each of the features' records in the cohort, shape (n_records,).
        view: Of the signals among the features; None where there are none.
        measured: Waves of the cohort; None where no record has fiducials.
        deepest: Lead with the deepest S of each record of the cohort.
    """

    cohort: Cohort
    features: FeatureSet
    positions: Positions
    view: View | None
    measured: Measurements | None
    deepest: tuple[str | None, ...]

    @property
    def n_tabular(self) -> int:
        """Number of tabular inputs in front of the signal, or all of them."""
        kind = self.features.kind
        return {"signal": 0, "tabular": len(self.features.names)}.get(
            kind, self.features.input_shape[0]
        )


def subject_of(cohort: Cohort, features: FeatureSet, settings: Any) -> Subject:
    """Look up what all folds share.

    Args:
        cohort: Of the run.
        features: Extracted from it.
        settings: Of the form.
    """
    at = {name: position for position, name in enumerate(cohort.records)}
    positions = np.array([at[name] for name in features.records], dtype=np.int64)
    shape = features.signal_shape or features.input_shape
    view = None if features.kind == "tabular" else view_of(settings, shape, cohort.fs)
    if not len(cohort.delineation.samples):
        return Subject(cohort, features, positions, view, None, (None,) * len(cohort.records))
    measured = measure(cohort)
    return Subject(
        *(cohort, features, positions, view, measured),
        tuple(deepest_s(measured.s, measured.leads)),
    )


def table_of(subject: Subject, rows: Signals, scored: Positions) -> Table:
    """Return the tabular inputs of some records, without a missing value, to be changed."""
    names, features = subject.features.names[: subject.n_tabular], subject.features
    known = ~np.isnan(read(features.X[scored])[:, : subject.n_tabular])
    measured = None
    if subject.measured is not None and any(name in CRITERIA for name in names):
        measured = rows_of(subject.measured, subject.positions[scored])
    return Table(names, rows, known, measured)


def signal_of(score: Score, X: Signals, subject: Subject) -> tuple[Signals, Score]:
    """Return the signals among inputs, and what scores changed ones beside the same others."""
    n_tabular, shape = subject.n_tabular, subject.features.signal_shape
    if not n_tabular:
        return X, score
    head = X[:, :n_tabular]
    return X[:, n_tabular:].reshape(-1, *shape), partial(_with_head, score, head)


def _with_head(score: Score, head: Signals, signals: Signals) -> Floats:
    """Score changed signals, window after window, each beside the same tabular inputs."""
    flat = signals.reshape(len(signals), -1)
    return score(np.concatenate([np.tile(head, (len(flat) // len(head), 1)), flat], axis=1))
