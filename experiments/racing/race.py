"""A race on a table of known scores: what a rule for stopping trials costs and saves."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lvh.search import SearchSettings
from lvh.search.racing import LEVEL, Flags, Floats, beaten

BURN_IN = SearchSettings().burn_in


class Rule(Protocol):
    """Says which trials of a race are to be stopped; `beaten` is one."""

    def __call__(self, scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
        """Return a flag for each row of scores."""


@dataclass(frozen=True, slots=True)
class Race:
    """A race that was run on a table of known scores.

    Attributes:
        winner: Row of the trial that leads at the end.
        folds_run: Folds that each trial ran, shape (n_trials,), int64.
        stopped: Whether it was stopped before the last fold, shape (n_trials,).
    """

    winner: int
    folds_run: npt.NDArray[np.int64]
    stopped: Flags


def race(
    table: Floats,
    *,
    maximize: bool,
    burn_in: int = BURN_IN,
    level: float = LEVEL,
    rule: Rule = beaten,
) -> Race:
    """Run a race on scores that are all known: all burn in, then survivors fold by fold.

    Args:
        table: Shape (n_trials, n_folds), all known, columns in the order in which folds are run.
        maximize: Whether higher scores are better.
        burn_in: Folds that every trial runs.
        level: See `beaten`.
        rule: Decides who stops.

    Raises:
        ValueError: Fewer folds than `burn_in`.
    """
    n_trials, n_folds = table.shape
    if burn_in > n_folds:
        raise ValueError(f"burn_in: expected at most the {n_folds} folds. Received: {burn_in}")
    folds_run = np.full(n_trials, n_folds, dtype=np.int64)
    racing = np.arange(n_trials)
    for at in range(burn_in, n_folds):
        if len(racing) == 1:
            break
        known = np.where(np.arange(n_folds) < at, table[racing], np.nan)
        out = rule(known, maximize=maximize, burn_in=burn_in, level=level)
        folds_run[racing[out]] = at
        racing = racing[~out]
    values = table[racing] if maximize else -table[racing]
    return Race(int(racing[np.argmax(values.mean(axis=1))]), folds_run, folds_run < n_folds)
