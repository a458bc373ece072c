"""Run the original study's experiments under named protocols, honest and leaking.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/report_reproduction/reproduce.py --only dnn dnn_bn_0.9 --epochs 60 100 200
    python experiments/report_reproduction/reproduce.py --only cnn_k250_s10 --epochs 60 --seeds 1

Appends a row a cross-validation to results.csv beside this file, leaves out those that are there,
and makes the tables and the picture of README.md anew. Ctrl-C loses one cross-validation.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rows import EXPERIMENTS, PROTOCOLS, RESULTS, Key, Row, read
from table import write_readme

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import append

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import train_folds
from lvh.runs.experiment_data import load_data, new_trainer

COHORTS = {
    "ludb": ["data=ludb", "data.same_subject=false"],  # the study's own folds
    "null": ["data=synthetic", "data.effect=0"],
}
LEAKS = {
    "honest": [],
    "carried": ["cv.weights=carried"],
    "best_on_scored": ["cv.epoch=best_on_scored"],
    "carried-best_on_scored": ["cv.weights=carried", "cv.epoch=best_on_scored"],
}


def main() -> None:
    """Run what is asked for and is not there yet."""
    given = parsed()
    done = {row.key for row in read(RESULTS)}
    for key in keys(given):
        if key in done:
            continue
        started = time.perf_counter()
        for row in cross_validated(key, given.threads):
            if row.key not in done:
                append(RESULTS, [row.cells()])
                done.add(row.key)
                print(
                    f"{time.perf_counter() - started:5.1f} s {row.mean:.3f} {row.key}", flush=True
                )
    write_readme(read(RESULTS))


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--cohorts", nargs="+", choices=COHORTS, default=list(COHORTS))
    parser.add_argument("--epochs", nargs="+", type=int, help="default: those of the experiment")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="default: as python -m lvh.run")
    return parser.parse_args()


def keys(given: argparse.Namespace) -> Iterator[Key]:
    """Yield what is asked for, a seed of all before the next seed of any."""
    # best_on_scored first, which brings the honest row along
    protocols = sorted(given.protocols, key=["best_on_scored", *PROTOCOLS].index)
    for seed, name, protocol, cohort in itertools.product(
        range(given.seeds), given.only, protocols, given.cohorts
    ):
        experiment = EXPERIMENTS[name]
        if protocol.startswith("carried") and experiment.is_holdout:
            continue  # one fold carries nothing
        for epochs in given.epochs or experiment.epochs:
            yield Key(name, protocol, cohort, seed, epochs)


def cross_validated(key: Key, threads: int | None = None) -> list[Row]:
    """Cross-validate; return the accuracy of each fold.

    What a training under `best_on_scored` says after its last epoch is what the honest protocol
    asks for, where that differs in nothing else: it comes as a row of its own.
    """
    settings = configured(key)
    data = load_data(settings)
    own = replace(settings, train=replace(settings.train, threads=threads))
    trainer = new_trainer(own, data.features, data.cohort.fs)
    how = {"seed": settings.seed, "cv": settings.cv}
    results = list(train_folds(data.features, data.splits, trainer, **how))
    rows = [Row(key, tuple(result.metrics.accuracy for result in results))]
    honest = replace(key, protocol="honest")
    if key.protocol == "best_on_scored" and configured(honest) == replace(
        settings, cv=replace(settings.cv, epoch="last")
    ):
        last = tuple(result.history.validation_accuracy[-1] for result in results)
        rows.append(Row(honest, last))
    return rows


def configured(key: Key) -> RunSettings:
    """Compose the settings of a run as `python -m lvh.run` does."""
    overrides = [*EXPERIMENTS[key.experiment].overrides, *COHORTS[key.cohort]]
    overrides += [*LEAKS[key.protocol], f"seed={key.seed}", f"train.epochs={key.epochs}"]
    overrides += ["cv.allow_leakage=true"]
    if "best_on_scored" in key.protocol:  # test records take the place of validation records
        overrides += ["cv.validation=0", "train.patience=null"]
    return settings_of(*overrides)


if __name__ == "__main__":
    sys.exit(main())
