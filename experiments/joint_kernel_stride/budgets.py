"""Replay the budgets of a sweep on recorded curves, and compare with training everything.

    python experiments/joint_kernel_stride/budgets.py

Reads each curves_*.csv beside this file; writes budgets.csv. A replay takes the configurations in a
random order, one after the other as one worker does, and the folds in a random order that they
share; it stops them by the functions that a sweep uses.
"""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lvh.search import SearchSettings
from lvh.search.racing import beaten, is_out

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
REPLAYS = 100
BUDGETS = ("race", "halving", "both")
REDUCTIONS = (2, 3)


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
    replays whose winner is the grid's, or at most .1 standard errors of a difference behind it.
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
    loss: float
    worst_loss: float


def read(path: Path, statistics: str) -> Curves:
    """Read the complete configurations of a table."""
    values: dict[str, dict[str, dict[int, tuple[float, float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["statistics"] == statistics:
                folds = values.setdefault(row["configuration"], {})
                point = float(row["ap"]), float(row["seconds"])
                folds.setdefault(row["fold"], {})[int(row["epochs"])] = point
    epochs = sorted({number for folds in values.values() for one in folds.values() for number in one})
    n_folds = max(map(len, values.values()))
    whole = [
        [[one[number] for number in epochs] for _, one in sorted(folds.items())]
        for folds in values.values()
        if len(folds) == n_folds and all(len(one) == len(epochs) for one in folds.values())
    ]
    array = np.array(whole)
    return Curves(tuple(epochs), array[..., 0], array[:, :, -1, 1])


def replay(curves: Curves, search: SearchSettings, generator: np.random.Generator) -> tuple[int, Floats]:
    """Return the winner of one sweep, and the share of each fold's epochs that it trained."""
    n, n_folds, _ = curves.scores.shape
    stages = [curves.epochs.index(number) for number in search.rungs(curves.epochs[-1])]
    order = generator.permutation(n_folds)
    scores = curves.scores[:, order][:, :, stages]
    known = np.full_like(scores, np.nan)
    trained = np.zeros((n, n_folds))
    raced: set[int] = set()  # trials that were stopped
    complete: list[int] = []
    for trial in generator.permutation(n):
        for stage, at in enumerate(stages):
            for fold in range(n_folds):
                known[trial, fold, stage] = scores[trial, fold, stage]
                trained[trial, order[fold]] = curves.epochs[at] / curves.epochs[-1]
                if fold + 1 < n_folds and search.races:
                    rivals = [
                        other
                        for other in range(n)
                        if other != trial and other not in raced
                        and np.isfinite(known[other, 0, stage])
                    ]
                    rows = known[[trial, *rivals], :, stage]
                    if beaten(rows, maximize=True, burn_in=search.burn_in)[0]:
                        raced.add(trial)
                        break
            if trial in raced:
                break
            others = [known[other, :, stage] for other in range(n) if other != trial]
            others = [one[np.isfinite(one)] for one in others if np.isfinite(one[0])]
            if stage + 1 < len(stages) and is_out(scores[trial, :, stage], others, search.reduction):
                raced.add(trial)
                break
        if trial not in raced:
            complete.append(trial)
    means = curves.scores[:, :, -1].mean(axis=1)
    return max(complete, key=lambda trial: means[trial]), trained


def rows(path: Path) -> Iterator[Row]:
    """Replay every budget on a table."""
    for statistics in ("precise", "moving"):
        curves = read(path, statistics)
        n, n_folds, _ = curves.scores.shape
        means = curves.scores[:, :, -1].mean(axis=1)
        best = int(means.argmax())
        differences = curves.scores[best, :, -1] - curves.scores[:, :, -1]
        # of a difference, corrected for training records that folds share (Nadeau and Bengio)
        errors = differences.std(axis=1, ddof=1) * np.sqrt(1 / n_folds + 1 / (n_folds - 1))
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
                    loss=float(losses.mean()),
                    worst_loss=float(losses.max()),
                )


def main() -> None:
    """Replay all tables, and write and print the result."""
    with (HERE / "budgets.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        for path in sorted(HERE.glob("curves_*.csv")):
            for row in rows(path):
                rounded = {
                    name: round(value, 4) if isinstance(value, float) else value
                    for name, value in asdict(row).items()
                }
                writer.writerow(rounded)
                print(*rounded.values(), flush=True)


if __name__ == "__main__":
    main()
