"""Our way, in a process of its own: `lvh.runs.run` as `python -m lvh.run` calls it.

    python experiments/speed/ours.py --configurations 5 model=dnn
    python experiments/speed/ours.py --write DATA.npz model=dnn

Takes the overrides of `python -m lvh.run`, without tracking and resuming. Configurations after
the first differ in their seed. A configuration is timed from the call, so that building,
compiling, splits on disk and kept folds count, until its last fold is scored; its figures and
files come after that (`whole`). As for the notebook's way, importing the libraries is not counted.
With --write it trains nothing, and writes the records and folds for notebook.py.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common.memory import held

from lvh.config.composition import Composed, settings_of
from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import Callback
from lvh.runs.experiment_data import ExperimentData, load_data
from lvh.runs.run import run_configuration
from lvh.tracking.tracker import Tracker

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclass
class Clock(Callback):
    """Notes when epochs and folds of one configuration were done.

    Folds that are trained side by side are one entry of `folds`.
    """

    started: float = field(default_factory=time.perf_counter)
    epochs: list[float] = field(default_factory=list)
    folds: list[dict[str, Any]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def on_epoch(self, split: Any, done: int) -> None:
        """Take the number of epochs done; several may be reported at once."""
        self.epochs += [time.perf_counter() - self.started] * (done - len(self.epochs))

    def on_fold(self, fold: Any, known: bool) -> None:
        """Take a fold; the next begins now, unless it was trained beside this one."""
        now = time.perf_counter()
        if self.epochs:
            self.folds.append({"seconds": now - self.started, "epochs": self.epochs})
        else:
            self.folds[-1]["seconds"] += now - self.started
        self.accuracies.append(fold.metrics.accuracy)
        self.started, self.epochs = now, []

    def result(self, whole: float) -> dict[str, Any]:
        """Return what is printed."""
        return {
            "seconds": sum(fold["seconds"] for fold in self.folds),
            "folds": self.folds,
            "accuracy": float(np.mean(self.accuracies)),
            "whole": whole,
        }


def main() -> None:
    """Cross-validate as often as asked and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--folds", type=int)
    parser.add_argument("--configurations", type=int, default=1)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fixed = ("tracking=off", "resume=false", f"store={folder}/store")
        settings = settings_of(*fixed, *asked.overrides)
        prepared = load_data(settings)
        if asked.write is not None:
            write(prepared, Path(asked.write))
            return
        configurations = trained(settings, prepared, asked, Path(folder))
    print(json.dumps({"configurations": configurations, "peak_mib": held()["VmHWM"]}))


def trained(
    settings: RunSettings, prepared: ExperimentData, asked: argparse.Namespace, folder: Path
) -> list[dict[str, Any]]:
    """Train configurations, one after the other."""
    # imported, not started: what a backend sets when it starts counts
    os.environ["KERAS_BACKEND"] = settings.backend
    importlib.import_module(settings.backend)
    importlib.import_module("keras")
    done = []
    for number in range(asked.configurations):
        one = replace(settings, seed=settings.seed + number)
        started, clock = time.perf_counter(), Clock()
        run_configuration(
            Composed(one, ""),
            prepared,
            folder / str(number),
            tracker=Tracker(one.tracking),
            callbacks=[clock],
            order=prepared.splits[: asked.folds],
            verbosity="line",
        )
        done.append(clock.result(time.perf_counter() - started))
    return done


def write(prepared: ExperimentData, path: Path) -> None:
    """Write records and folds: missing values are filled for each fold, as ours are."""
    from lvh.features import fill_missing

    features = prepared.features
    arrays = {"y": features.y}
    has_missing = bool(np.isnan(features.X).any())
    if not has_missing:
        arrays["X"] = features.X
    for fold, split in enumerate(prepared.splits):
        arrays[f"train_{fold}"], arrays[f"scored_{fold}"] = split.train, split.test
        if has_missing:
            train = features.X[split.train]
            _, arrays[f"X_{fold}"] = fill_missing(features.fill, train, features.X)
    np.savez(path, **arrays)


if __name__ == "__main__":
    main()
