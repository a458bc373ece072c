"""Replay the budgets of a sweep on recorded curves, and compare with training everything.

    python experiments/joint_kernel_stride/budgets.py [NAME ...]

Reads curves_NAME.csv beside this file, by default all; writes their rows of budgets.csv and of
leaders.csv. A replay takes the configurations in a random order, one after the other as one worker
does, and the folds in a random order that they share; it stops them by the functions that a sweep
uses. The leaders are those that all folds of all configurations show after some of the epochs: what
any rule that ends trainings early can know of the end.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.search import SearchSettings
from lvh.search.racing import beaten, is_behind
from lvh.validation.comparison import corrected_t, holm

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
REPLAYS = 400
BUDGETS = ("race", "halving", "both")
REDUCTIONS = (2, 3)
TEST_SHARE = 1 / 6  # test records by training records, of seven folds


@dataclass(frozen=True)
class Curves:
    """Scores at the end of each stage, shape (n_configurations, n_folds, n_stages), and seconds."""

    epochs: tuple[int, ...]
    scores: Floats
    seconds: Floats  # of all epochs of a fold, shape (n_configurations, n_folds)


@dataclass(frozen=True)
class Row:
    """Means over replays; losses are of the mean AP over folds.

    `training` is the share of the grid's epochs, `seconds` of its time; `near` is the share of
    replays whose winner is the grid's, or at most .1 standard errors of a difference behind it;
    `not_worse` of those whose winner all folds of the grid do not tell apart from the grid's.
    """

    curves: str
    statistics: str
    configurations: int
    folds: int
    epochs: int
    budget: str
    reduction: int
    training: float
    seconds: float
    same: float
    near: float
    not_worse: float
    loss: float
    worst_loss: float


@dataclass(frozen=True)
class Leader:
    """The configuration that leads after some epochs of all folds, as the last epoch judges it.

    `training` is the share of the grid's epochs; `rank` is the rank that the grid's winner has
    then; `loss` is what the leader has less than the winner in the end, `errors` the same in
    standard errors of their difference.
    """

    curves: str
    statistics: str
    configurations: int
    folds: int
    epochs: int
    training: float
    same: bool
    rank: int
    loss: float
    errors: float


def read(path: Path, statistics: str) -> Curves | None:
    """Read the complete configurations of a table, if it has these statistics."""
    values: dict[str, dict[str, dict[int, tuple[float, float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["statistics"] == statistics:
                folds = values.setdefault(row["configuration"], {})
                point = float(row["ap"]), float(row["seconds"])
                folds.setdefault(row["fold"], {})[int(row["epochs"])] = point
    if not values:
        return None
    epochs = sorted({number for one in values.values() for fold in one.values() for number in fold})
    n_folds = max(map(len, values.values()))
    whole = [
        [[one[number] for number in epochs] for _, one in sorted(folds.items())]
        for folds in values.values()
        if len(folds) == n_folds and all(len(one) == len(epochs) for one in folds.values())
    ]
    array = np.array(whole)
    return Curves(tuple(epochs), array[..., 0], array[:, :, -1, 1])


@dataclass
class Sweep:
    """One sweep that is replayed: what it knows of each trial, and what that cost."""

    curves: Curves
    search: SearchSettings
    order: npt.NDArray[np.int64]  # of the folds

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        rungs = self.search.rungs(self.curves.epochs[-1])
        self.stages = [self.curves.epochs.index(number) for number in rungs]
        shape = (*self.curves.scores.shape[:2], len(rungs))
        self.known = np.full(shape, np.nan)
        self.trained = np.zeros(shape[:2])
        self.stopped: set[int] = set()
        self.complete: list[int] = []

    def train(self, trial: int) -> None:
        """Train a trial until it is stopped or complete."""
        for number, stage in enumerate(self.stages):
            for at, fold in enumerate(self.order):
                self.known[trial, at, number] = self.curves.scores[trial, fold, stage]
                share = self.curves.epochs[stage] / self.curves.epochs[-1]
                self.trained[trial, fold] = share
                if self._is_beaten(trial, at, number):
                    self.stopped.add(trial)
                    return
        self.complete.append(trial)

    def _is_beaten(self, trial: int, at: int, number: int) -> bool:
        n, n_folds, n_stages = self.known.shape
        others = [one for one in range(n) if one != trial]
        others = [one for one in others if np.isfinite(self.known[one, 0, number])]
        if at + 1 < n_folds:
            rows = [trial, *(one for one in others if one not in self.stopped)]
            scores, burn_in = self.known[rows, :, number], self.search.burn_in
            return self.search.races and bool(beaten(scores, maximize=True, burn_in=burn_in)[0])
        if number + 1 == n_stages:
            return False
        rivals = [self.known[one, :, number] for one in others]
        rivals = [one[np.isfinite(one)] for one in rivals]
        return is_behind(self.known[trial, :, number], rivals, self.search.reduction)


def replay(
    curves: Curves, search: SearchSettings, generator: np.random.Generator
) -> tuple[int, Floats]:
    """Return the winner of one sweep, and the share of each fold's epochs that it trained."""
    n, n_folds, _ = curves.scores.shape
    sweep = Sweep(curves, search, generator.permutation(n_folds))
    for trial in generator.permutation(n):
        sweep.train(int(trial))
    means = curves.scores[:, :, -1].mean(axis=1)
    return max(sweep.complete, key=lambda trial: means[trial]), sweep.trained


def tables(path: Path) -> Iterator[tuple[str, Curves]]:
    """Yield the curves of a file, with either kind of statistics that it has."""
    for statistics in ("precise", "moving"):
        curves = read(path, statistics)
        if curves is not None:
            yield statistics, curves


def behind(curves: Curves) -> tuple[int, Floats, Floats]:
    """Return the winner, by how much each fold has it ahead of each other, and standard errors."""
    scores = curves.scores[:, :, -1]
    best = int(scores.mean(axis=1).argmax())
    differences = scores[best] - scores
    # of a mean, corrected for training records that folds share (Nadeau and Bengio)
    scale = np.sqrt(1 / scores.shape[1] + TEST_SHARE)
    return best, differences, differences.std(axis=1, ddof=1) * scale


def leaders(path: Path) -> Iterator[Leader]:
    """Say which configuration leads after each number of epochs of a file."""
    for statistics, curves in tables(path):
        best, differences, errors = behind(curves)
        for stage, epochs in enumerate(curves.epochs[:-1]):
            means = curves.scores[:, :, stage].mean(axis=1)
            leader, loss = int(means.argmax()), float(differences[means.argmax()].mean())
            yield Leader(
                curves=path.stem.removeprefix("curves_"),
                statistics=statistics,
                configurations=len(means),
                folds=curves.scores.shape[1],
                epochs=epochs,
                training=epochs / curves.epochs[-1],
                same=leader == best,
                rank=1 + int((means > means[best]).sum()),
                loss=loss,
                errors=loss / float(errors[leader]) if leader != best else 0.0,
            )


def rows(path: Path) -> Iterator[Row]:
    """Replay every budget on a table."""
    for statistics, curves in tables(path):
        n, n_folds, _ = curves.scores.shape
        means = curves.scores[:, :, -1].mean(axis=1)
        best, differences, errors = behind(curves)
        p_values = [corrected_t(one, TEST_SHARE)[1] for one in differences]
        worse = np.array(holm(p_values)) < 0.05
        for budget in BUDGETS:
            for reduction in REDUCTIONS if budget != "race" else (3,):
                search = SearchSettings(budget=budget, reduction=reduction)
                if not set(search.rungs(curves.epochs[-1])) <= set(curves.epochs):
                    continue
                generator = np.random.default_rng(0)
                found = [replay(curves, search, generator) for _ in range(REPLAYS)]
                losses = np.array([means[best] - means[winner] for winner, _ in found])
                near = [
                    loss <= 0.1 * errors[winner] or winner == best
                    for loss, (winner, _) in zip(losses, found, strict=True)
                ]
                spent = np.array([(trained * curves.seconds).sum() for _, trained in found])
                yield Row(
                    curves=path.stem.removeprefix("curves_"),
                    statistics=statistics,
                    configurations=n,
                    folds=n_folds,
                    epochs=curves.epochs[-1],
                    budget=budget,
                    reduction=reduction,
                    training=float(np.mean([trained.mean() for _, trained in found])),
                    seconds=float(spent.mean() / curves.seconds.sum()),
                    same=float(np.mean([winner == best for winner, _ in found])),
                    near=float(np.mean(near)),
                    not_worse=float(np.mean([not worse[winner] for winner, _ in found])),
                    loss=float(losses.mean()),
                    worst_loss=float(losses.max()),
                )


def write(path: Path, name: str, rows: Iterator[Row] | Iterator[Leader]) -> None:
    """Put the rows of the curves NAME in the place of those that the file has."""
    table = pd.DataFrame(map(asdict, rows)).round(4)
    print(table.to_string(), flush=True)
    if path.exists():
        others = pd.read_csv(path)
        table = pd.concat([others[others["curves"] != name], table])
    table.sort_values("curves", kind="stable").to_csv(path, index=False)


def main() -> None:
    """Judge the leaders of the tables that are named, or of all, and replay the budgets."""
    names = sys.argv[1:] or [
        path.stem.removeprefix("curves_") for path in sorted(HERE.glob("curves_*.csv"))
    ]
    for name in names:
        path = HERE / f"curves_{name}.csv"
        write(HERE / "leaders.csv", name, leaders(path))
        write(HERE / "budgets.csv", name, rows(path))


if __name__ == "__main__":
    main()
