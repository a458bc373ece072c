"""What a further configuration of a sweep costs, part by part, in one process.

`python experiments/speed/shares.py` trains 16 dense configurations and writes shares.csv: median
milliseconds of each part over all configurations but the first, of the processor and of the clock.
"""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from rows import write

from lvh.cli import run as command
from lvh.evaluation import cross_validation
from lvh.models.keras_trainer import KerasTrainer
from lvh.reports import cv_figures
from lvh.reports.progress import ProgressReporter
from lvh.runs import run, worker
from lvh.search.study import OpenTrial, Study
from lvh.tracking import run_dir
from lvh.tracking.fold_store import FoldStore

N = 16
PARTS = (
    ("training and scoring", KerasTrainer, ("fit", "predict")),
    ("study: claim, folds, outcome", Study, ("optimize", "take_back", "trials")),
    ("study: claim, folds, outcome", OpenTrial, ("report", "set_records")),
    ("composition", worker.Worker, ("_composed",)),
    ("data and folds", worker, ("load_data",)),
    ("fold store", FoldStore, ("save", "load")),
    ("files", run_dir, ("write_before", "write_after", "versions")),
    ("scores and intervals", cross_validation, ("summarize",)),
    ("figures", cv_figures, ("draw_all",)),
    ("record", run, ("save", "fold_keys")),
    ("progress", ProgressReporter, ("on_fold", "on_epoch", "on_start", "show")),
    ("everything else", worker.Worker, ("_train",)),
)

_open: list[list[float]] = []
_spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
_configurations: list[dict[str, list[float]]] = []


def _now() -> list[float]:
    return [time.thread_time(), time.perf_counter()]


def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Add the time of a function to a part, without that of other parts inside of it."""

    @wraps(call)
    def measured(*args: Any, **more: Any) -> Any:
        began = _now()
        _open.append([0.0, 0.0])
        try:
            return call(*args, **more)
        finally:
            inner, spent = _open.pop(), [b - a for a, b in zip(began, _now(), strict=True)]
            for at, seconds in enumerate(spent):
                _spent[part][at] += seconds - inner[at]
                if _open:
                    _open[-1][at] += seconds
            if call.__name__ == "_outcome":
                _configurations.append(dict(_spent))
                _spent.clear()

    return measured


def main() -> None:
    """Run a sweep in this process, and write the medians."""
    for part, owner, names in PARTS:
        for name in names:
            setattr(owner, name, timed(part, getattr(owner, name)))
    Study._outcome = timed(PARTS[1][0], Study._outcome)
    rates = ",".join(f"{0.001 + 0.0001 * number:.4f}" for number in range(N))
    path = Path(__file__).with_name("shares.csv")
    with tempfile.TemporaryDirectory() as folder:
        to = [f"hydra.sweep.dir={folder}/sweep", f"store={folder}/folds"]
        to += [f"search.storage=sqlite:///{folder}/studies.db"]
        to += [f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        sys.argv[1:] = ["-m", "model=dnn", f"train.learning_rate={rates}", *to, *sys.argv[1:]]
        command.main()
    later = _configurations[1:]
    names = list(dict.fromkeys(part for part, _, _ in PARTS))
    of_part = [
        (
            name,
            *(
                1000 * statistics.median(one.get(name, [0, 0])[at] for one in later)
                for at in (0, 1)
            ),
        )
        for name in names
    ]
    sums = [
        1000 * statistics.median(sum(v[at] for v in one.values()) for one in later) for at in (0, 1)
    ]
    rows = [*of_part, ("all", *sums)]
    write(path, ("part", "processor_ms", "clock_ms"), rows)
    for name, *values in rows:
        print(f"| {name} | {values[0]:.0f} | {values[1]:.0f} |")


if __name__ == "__main__":
    main()
