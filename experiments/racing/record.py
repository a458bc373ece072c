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
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import append, ludb

from lvh.config.composition import settings_of
from lvh.evaluation.cross_validation import train_folds
from lvh.runs.experiment_data import load_data, new_trainer

HERE = Path(__file__).resolve().parent
SCORES = ("ap", "accuracy", "roc_auc")
OVERRIDES = {
    "units": "model.units=[{}]",
    "l2": "model.l2={}",
    "learning_rate": "train.learning_rate={}",
    "missing_p": "features.missing_p={}",
    "kernel": "kernel={}",
    "stride": "stride={}",
}
GRIDS = {
    "dnn": {
        "units": ("32 16 8", "64 32 8"),
        "l2": (0.001, 0.01),
        "learning_rate": (0.0003, 0.001),
        "missing_p": ("mean", "zero"),
    },
    "spread": {
        "units": ("16 8 4", "64 32 8"),
        "l2": (0.001,),
        "learning_rate": (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1),
        "missing_p": ("mean",),
    },
    "cnn": {"kernel": (250, 400, 500), "stride": (50, 75, 100, 125)},
}
COMMON = (
    "data.same_subject=false",
    "cv=stratified",
    "cv.validation=0",
    "train.threads=1",
    "train.side_by_side=1",
)
DENSE = ("model=dnn", "cv.repeats=5", "train.epochs=100")
FIXED = {
    "dnn": DENSE,
    "spread": DENSE,
    # the original study has five layers of 64 to 512: too slow for this; and momentum .9, for .99
    # lags behind so few epochs and the scores would be noise
    "cnn": (
        *("model=cnn", "cv.repeats=3", "train.epochs=15"),
        *("model.filters=[16,32,32]", "model.bn_momentum=0.9"),
    ),
}


def main() -> None:
    """Record one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=GRIDS)
    table = parser.parse_args().table
    path = HERE / f"scores_{table}.csv"
    path.unlink(missing_ok=True)
    for values in itertools.product(*GRIDS[table].values()):
        started, params = time.perf_counter(), dict(zip(GRIDS[table], values, strict=True))
        own = (OVERRIDES[name].format(value) for name, value in params.items())
        typed = (text.replace(" ", ",") for text in own)
        settings = settings_of("data=ludb", *ludb(), *COMMON, *FIXED[table], *typed)
        data = load_data(settings)
        trainer = new_trainer(settings, data.features, data.cohort.fs)
        for fold in train_folds(data.features, data.splits, trainer, seed=0):
            split = {"repeat": fold.split.repeat, "fold": fold.split.fold}
            scores = {name: f"{getattr(fold.metrics, name):.6f}" for name in SCORES}
            seconds = f"{fold.seconds + fold.setup_seconds:.3f}"
            append(path, [params | split | scores | {"seconds": seconds}])
        print(f"{time.perf_counter() - started:.1f} s {params}", flush=True)


if __name__ == "__main__":
    main()
