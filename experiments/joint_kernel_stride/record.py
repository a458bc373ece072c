"""Record learning curves of a grid on the test records of each fold.

    export LVH_LUDB_ROOT=FOLDER
    nice -n 19 python experiments/joint_kernel_stride/record.py millivolts

Writes curves_millivolts.csv beside this file: for each pair and fold the scores of the test
records after some epochs, with moving and with precise statistics of batch normalization, and the
seconds of the processor, with tracing. Every fold of the last epochs goes into the fold store of
the working directory too, so that the sweep itself has nothing left to train. What is in the table
already is not trained again; `--part 1/2` takes every second fold, for a second process.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import append, read

import lvh
from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import fit_job, fold_seed
from lvh.evaluation.cv_result import FoldResult
from lvh.models.training import Checkpoint
from lvh.runs.cache_key import deciding, fold_keys
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.tracking.fold_store import FoldStore
from lvh.validation.metrics import THRESHOLD, score
from lvh.validation.splits import Split

HERE = Path(__file__).resolve().parent
SCORES = ("ap", "roc_auc", "accuracy", "loss")


@dataclass(frozen=True)
class Grid:
    """A grid: what all configurations share, what differs, and after which epochs they score."""

    shared: tuple[str, ...]
    swept: tuple[tuple[str, ...], ...]
    epochs: tuple[int, ...]
    either: bool = True  # score with either kind of statistics, not only as the settings say


STRIDES = tuple(f"stride={value}" for value in (125, 50, 10, 5))  # the cheapest first
KERNELS = tuple(f"kernel={value}" for value in (250, 400, 500))
DENSE = (
    ("model.units=[32,16,8]", "model.units=[64,32,8]"),
    ("model.l2=0.001", "model.l2=0.01"),
    ("train.learning_rate=0.0003", "train.learning_rate=0.001"),
    ("features.missing_p=mean", "features.missing_p=zero"),
)
LONG = (*range(5, 105, 5), 12, 34)
RUNGS = (12, 25, 34, 50, 100)
RESNET = (
    ("train.learning_rate=0.0003", "train.learning_rate=0.001", "train.learning_rate=0.003"),
    ("model.dropout=0.2", "model.dropout=0.5"),
)
GRIDS = {
    "millivolts": Grid(("experiment=joint_millivolts",), (STRIDES, KERNELS), (2, 4, 5, 10)),
    "minmax": Grid(("model=cnn", "cv=stratified"), (STRIDES, KERNELS), (2, 4, 5, 10)),
    "ptbxl": Grid(
        ("experiment=joint_millivolts", "data=ptbxl", "data.fs=500"),
        (STRIDES[:2], KERNELS),
        (2, 4, 5, 10),
    ),
    "dnn": Grid(("model=dnn", "cv=stratified", "train.threads=1"), DENSE, LONG, False),
    "dnn_repeated": Grid(("model=dnn", "cv=repeated", "train.threads=1"), DENSE, RUNGS, False),
    "resnet": Grid(
        ("model=resnet", "cv=stratified", "train.threads=1"), RESNET, (4, 8, 10, 15, 30)
    ),
}


def settings_of(grid: Grid, swept: tuple[str, ...]) -> RunSettings:
    """Return the settings of a configuration, on one thread."""
    given = [*grid.shared, *swept]
    if not any(one.startswith("train.threads") for one in given):
        given.append("train.threads=1")
    if not any("epochs" in one for one in given):
        given.append(f"train.epochs={max(grid.epochs)}")
    return lvh.settings(*given)


def points(
    settings: RunSettings,
    data: ExperimentData,
    split: Split,
    epochs: tuple[int, ...],
    *,
    either: bool = True,
) -> Iterator[tuple[dict[str, float | str], FoldResult]]:
    """Train one fold; yield its row and its result after some epochs, by the settings last."""
    y = data.features.y[split.test]
    job, test = fit_job(data.features, split, fold_seed(settings.seed, split))
    start: Checkpoint | None = None
    spent = setup = 0.0
    own = settings.train.precise_bn
    for n_epochs in sorted(epochs):
        for precise in (not own, own) if either else (own,):
            train = replace(settings.train, epochs=n_epochs, precise_bn=precise)
            trainer = new_trainer(replace(settings, train=train), data.features, data.cohort.fs)
            started, before = time.process_time(), trainer.setup_seconds
            begun = replace(job, start=start, keep_checkpoint=True)
            (history,) = trainer.fit([begun], lambda at, epoch: None)  # the second time no epoch
            (y_score,) = trainer.predict([test])
            (start,) = trainer.checkpoints()
            setup += trainer.setup_seconds - before
            spent += time.process_time() - started
            scores = score(y, y_score, THRESHOLD)
            row: dict[str, float | str] = {"epochs": n_epochs}
            row |= {"statistics": "precise" if precise else "moving"}
            row |= {name: round(getattr(scores, name), 5) for name in SCORES}
            row |= {"seconds": round(spent, 2), "setup_seconds": round(setup, 2)}
            yield row, FoldResult(split, y_score, scores, history, spent, THRESHOLD, setup)


def main() -> None:
    """Record what is missing of a grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", choices=GRIDS)
    parser.add_argument("--part", default="0/1", help="which folds, such as 1/2")
    args = parser.parse_args()
    grid, table = GRIDS[args.grid], HERE / f"curves_{args.grid}.csv"
    part, parts = map(int, args.part.split("/"))
    store = FoldStore(Path("outputs/folds"))
    store.check()
    done = {(row["configuration"], row["fold"]) for row in read(table)}
    number = 0
    for swept in product(*grid.swept):
        settings, name = settings_of(grid, swept), " ".join(swept)
        data = load_data(settings)
        decisions = deciding(settings)
        keys = fold_keys(decisions, data.cohort.fingerprint, data.splits)
        for fold, split in enumerate(data.splits):
            number += 1
            if number % parts != part or (name, str(fold)) in done:
                continue
            rows, results = zip(
                *points(settings, data, split, grid.epochs, either=grid.either), strict=True
            )
            result = results[-1]
            store.save(keys[split.number], data.features, result, decisions)
            append(table, ({"configuration": name, "fold": fold, **row} for row in rows))
            print(name, fold, f"{result.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
