"""Scores that are raced on: recorded ones, drawn again and again, and generated ones."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
FOLDS_A_REPEAT = 7
GRID = 12
CONFIGURATION = ["learning_rate", "l2", "units", "missing_p", "kernel", "stride"]


class Table(NamedTuple):
    """Scores of some configurations in some folds, and what the folds cost.

    Attributes:
        scores: Shape (n_configurations, n_folds).
        repeat: Repetition of each fold, shape (n_folds,).
        setup: Seconds that a configuration costs before its first fold.
        fold_seconds: Median seconds of its folds.
    """

    scores: Floats
    repeat: npt.NDArray[np.int64]
    setup: Floats
    fold_seconds: Floats


class Found(NamedTuple):
    """Means over resamplings.

    Attributes:
        share: Folds run, of all folds.
        share_seconds: The same in seconds of training and tracing.
        same: The winner of the full table won.
        not_told: It or one that a corrected t-test cannot tell from it.
        not_told_plain: The same by a t-test without the correction, which tells more.
        alike: Share of the grid that the corrected test cannot tell from the winner.
        loss: Score of the full table's winner less that of the race's.
        loss_se: The same in standard errors of a difference over all folds.
    """

    share: float
    share_seconds: float
    same: float
    not_told: float
    not_told_plain: float
    alike: float
    loss: float
    loss_se: float


def recorded(name: str, metric: str = "ap") -> Table:
    """Read a table of record.py; `mixed` is dnn and spread together, recorded alike.

    The surplus of seconds of a configuration's first fold is tracing.
    """
    names = ("dnn", "spread") if name == "mixed" else (name,)
    folds = pd.concat([pd.read_csv(HERE / f"scores_{one}.csv") for one in names])
    keys = [column for column in CONFIGURATION if column in folds]
    folds = folds.drop_duplicates([*keys, "repeat", "fold"])
    groups = [group for _, group in folds.groupby(keys, sort=False)]
    seconds = np.array([group["seconds"] for group in groups])
    median = np.median(seconds, axis=1)
    scores = np.array([group[metric] for group in groups])
    setup = np.maximum(seconds[:, 0] - median, 0)
    return Table(scores, groups[0]["repeat"].to_numpy(), setup, median)


def resampled(generator: np.random.Generator, table: Table, n_folds: int) -> Table:
    """Draw a grid and folds, in random order; whole repetitions where that is possible."""
    configurations = generator.permutation(len(table.scores))[:GRID]
    folds = np.arange(len(table.repeat))
    if n_folds % FOLDS_A_REPEAT == 0:
        repeats = generator.permutation(table.repeat.max() + 1)[: n_folds // FOLDS_A_REPEAT]
        folds = folds[np.isin(table.repeat, repeats)]
    folds = generator.permutation(folds)[:n_folds]
    return Table(
        table.scores[np.ix_(configurations, folds)],
        table.repeat[folds],
        table.setup[configurations],
        table.fold_seconds[configurations],
    )


def generated(generator: np.random.Generator, regime: str, n_folds: int) -> Table:
    """Generate scores, in units of their noise."""
    spread = {"null": 0.0, "middle": 1.0, "wide": 3.0}.get(regime, 0.5)
    effects = generator.normal(0, spread, (GRID, 1))
    noise = generator.normal(size=(GRID, n_folds))
    half = GRID // 2
    if regime == "unequal noise":
        # t with 5 degrees of freedom has a variance of 5 / 3
        noise = generator.standard_t(5, noise.shape) * np.sqrt(3 / 5)
        noise *= generator.uniform(0.3, 2, (GRID, 1))
    elif regime == "alike":  # four by four, much of the noise is common
        common = np.repeat(generator.normal(size=(GRID // 4, n_folds)), 4, axis=0)
        noise = np.sqrt(0.8) * common + np.sqrt(0.2) * noise
    elif regime == "bad half":
        effects[:half] -= generator.uniform(3, 10, (half, 1))
        noise[:half] *= 3
    scores = effects + generator.normal(0, 2, n_folds) + noise
    ones = np.ones(GRID)
    return Table(scores, np.zeros(n_folds, dtype=np.int64), 0 * ones, ones)
