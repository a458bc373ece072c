"""Record real fold scores, on which simulate.py replays races.

    export LVH_LUDB_ROOT=FOLDER
    nice -n 19 python experiments/racing/record.py dnn
    nice -n 19 python experiments/racing/record.py spread
    nice -n 19 python experiments/racing/record.py cnn

Writes scores_dnn.csv, scores_spread.csv or scores_cnn.csv beside this file: one row for each
configuration and fold of a repeated stratified cross-validation of LUDB, on one thread. The
first fold of a configuration (repeat 0, fold 0) includes tracing its graph.
"""

import argparse
import csv
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lvh.data.cohort import Cohort
from lvh.data.ludb import LudbSettings, load
from lvh.errors import LvhError
from lvh.features import FeatureSet, fill_missing, ntp, raw
from lvh.models import cnn, dnn
from lvh.models.backends import start
from lvh.models.keras_trainer import KerasTrainer, new_program
from lvh.models.training import FitJob, TrainSettings
from lvh.validation.metrics import score
from lvh.validation.splits import CvSettings, Split, splits

HERE = Path(__file__).resolve().parent
SCORES = ("ap", "accuracy", "roc_auc")
CV = CvSettings("stratified", folds=7, repeats=5, random_state=123, test_size=0.2, validation=0.0)
TRAIN = TrainSettings(
    epochs=100,
    batch_size=32,
    learning_rate=1e-3,
    patience=None,
    restore_best=True,
    threads=1,
    side_by_side=None,
    precision="float32",
)
CNN_REPEATS = 3
CNN_EPOCHS = 15
CNN_FILTERS = (16, 32, 32)  # the original study has five layers of 64 to 512: too slow for this
SEED = 0

DNN_GRID = {
    "units": ("32 16 8", "64 32 8"),
    "l2": (0.001, 0.01),
    "learning_rate": (3e-4, 1e-3),
    "missing_p": ("mean", "zero"),
}
SPREAD_GRID = {
    "units": ("16 8 4", "64 32 8"),
    "l2": (0.001,),
    "learning_rate": (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1),
    "missing_p": ("mean",),
}
CNN_GRID = {"kernel": (250, 400, 500), "stride": (50, 75, 100, 125)}


@dataclass(frozen=True, slots=True)
class Configuration:
    """One point of a grid, ready to train."""

    params: dict[str, Any]
    features: FeatureSet
    learner: KerasTrainer
    splits: tuple[Split, ...]


def main() -> None:
    """Record one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=("dnn", "spread", "cnn"))
    table = parser.parse_args().table
    start("tensorflow", 1, 1)
    cohort = load(LudbSettings("ludb", os.environ["LVH_LUDB_ROOT"], ""))
    configurations = {
        "dnn": lambda: dense(cohort, DNN_GRID),
        "spread": lambda: dense(cohort, SPREAD_GRID),
        "cnn": lambda: convolutional(cohort, CNN_GRID),
    }[table]()
    with (HERE / f"scores_{table}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for at, configuration in enumerate(configurations):
            if at == 0:
                writer.writerow((*configuration.params, "repeat", "fold", *SCORES, "seconds"))
            started = time.perf_counter()
            for split in configuration.splits:
                row = fold_row(configuration, split)
                writer.writerow((*configuration.params.values(), split.repeat, split.fold, *row))
            file.flush()
            print(f"{time.perf_counter() - started:.1f} s {configuration.params}", flush=True)


def dense(cohort: Cohort, grid: dict[str, tuple[Any, ...]]) -> Iterator[Configuration]:
    """Build the dense networks of a grid, one when it is asked for."""
    for params in points(grid):
        inputs = ntp.NtpSettings("ntp", params["missing_p"], "drop", "minmax")
        features = ntp.extract(cohort, inputs)
        units = tuple(int(width) for width in params["units"].split())
        settings = dnn.DnnSettings("dnn", units, params["l2"], 0.99)
        train = replace(TRAIN, learning_rate=params["learning_rate"])
        folds = splits(features.y, features.subjects, CV)
        build = partial(dnn.build, settings, features.input_shape)
        program = new_program(build, train.batch_size, train.precision)
        yield Configuration(params, features, KerasTrainer(program, train), folds)


def convolutional(cohort: Cohort, grid: dict[str, tuple[Any, ...]]) -> Iterator[Configuration]:
    """Build the convolutional networks of a grid, one when it is asked for."""
    leads = ("avl", "v1", "v5", "v6")
    features = raw.extract(cohort, raw.RawSettings("raw", leads, "minmax"))
    folds = splits(features.y, features.subjects, replace(CV, repeats=CNN_REPEATS))
    for params in points(grid):
        settings = cnn.CnnSettings(
            # .9, for .99 lags behind so few epochs and the scores would be noise
            "cnn",
            params["kernel"],
            params["stride"],
            CNN_FILTERS,
            dropout=0.5,
            bn_momentum=0.9,
        )
        train = replace(TRAIN, epochs=CNN_EPOCHS)
        build = partial(cnn.build, settings, features.input_shape)
        program = new_program(build, train.batch_size, train.precision)
        yield Configuration(params, features, KerasTrainer(program, train), folds)


def points(grid: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Return every combination of a grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def fold_row(configuration: Configuration, split: Split) -> tuple[str, ...]:
    """Train and score one fold; a training that diverges has no scores."""
    features = configuration.features
    started = time.perf_counter()
    parts = (split.train, split.validation, split.test)
    train, validation, test = fill_missing(features.fill, *(features.X[part] for part in parts))
    seed = np.random.SeedSequence([SEED, split.repeat, split.fold])
    try:
        y, subjects = features.y, features.subjects[split.train]
        lesson = FitJob(train, y[split.train], subjects, validation, y[split.validation], seed)
        configuration.learner.fit([lesson], ignore)
        (y_score,) = configuration.learner.predict([test])
        metrics = score(y[split.test], y_score)
        values = [getattr(metrics, name) for name in SCORES]
    except LvhError:
        values = [np.nan] * len(SCORES)
    return (*(f"{value:.6f}" for value in values), f"{time.perf_counter() - started:.3f}")


def ignore(at: int, epoch: int) -> None:
    """Take no notice of an epoch."""


if __name__ == "__main__":
    main()
