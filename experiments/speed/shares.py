"""What a further configuration of a sweep costs, part by part, in one process.

LVH_LUDB_ROOT=FOLDER python experiments/speed/shares.py

It trains 16 dense configurations. shares.csv and the README's table have milliseconds of the
processor and of the clock: medians of each part over all configurations but the first.
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

import rows  # noqa: F401  # finds what experiments share
from _common import put, table, write

from lvh.cli import run as command
from lvh.evaluation import cross_validation
from lvh.models.keras_trainer import KerasTrainer
from lvh.reports import run_report
from lvh.runs import run, worker
from lvh.search.study import OpenTrial, Study
from lvh.tracking import run_dir
from lvh.tracking.fold_store import FoldStore

N = 16
HERE = Path(__file__).resolve().parent
STUDY = "claim, scores and outcome, in the study"
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "training and scoring": ((KerasTrainer, "fit"), (KerasTrainer, "predict")),
    "composition and checks of settings": ((worker.Worker, "_composed"),),
    STUDY: tuple((of, name) for of, name in ((Study, "trials"), (OpenTrial, "report"))),
    "scores and intervals over all folds": ((cross_validation, "summarize"),),
    "tables of its folder": ((run_dir, "write_before"), (run_dir, "write_after")),
    "seven folds, stored": ((FoldStore, "save"), (FoldStore, "load")),
    "its record": ((run, "save"),),
    "figures": ((run_report, "draw_all"),),
    "everything else": ((worker.Worker, "_train"),),
}

_open: list[list[float]] = []
_spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
_configurations: list[dict[str, list[float]]] = []
_begun: list[float] = []


def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Add the time of a function to a part, without that of other parts inside of it."""

    @wraps(call)
    def measured(*args: Any, **more: Any) -> Any:
        began = time.process_time(), time.perf_counter()
        _begun.append(began[0])
        _open.append([0.0, 0.0])
        try:
            return call(*args, **more)
        finally:
            inner, now = _open.pop(), (time.process_time(), time.perf_counter())
            for at, seconds in enumerate(b - a for a, b in zip(began, now, strict=True)):
                _spent[part][at] += seconds - inner[at]
                if _open:
                    _open[-1][at] += seconds
            if call.__name__ == "_train_next":
                _configurations.append(dict(_spent))
                _spent.clear()

    return measured


def main() -> None:
    """Run a sweep in this process, and write what its parts took."""
    for part, calls in PARTS.items():
        for owner, name in calls:
            setattr(owner, name, timed(part, getattr(owner, name)))
    Study._train_next = timed(STUDY, Study._train_next)  # type: ignore[method-assign]
    rates = ",".join(f"{0.001 + 0.0001 * (7 * number % N):.4f}" for number in range(N))
    with tempfile.TemporaryDirectory() as folder:
        to = [f"hydra.sweep.dir={folder}/sweep", f"store={folder}/folds"]
        to += [f"search.storage=sqlite:///{folder}/studies.db"]
        to += [f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        sys.argv[1:] = ["-m", "model=dnn", f"train.learning_rate={rates}", *to]
        command.main()
    first, *later = _configurations
    found = [(part, middle([one.get(part, [0.0, 0.0]) for one in later])) for part in PARTS]
    sums = [[sum(values) for values in zip(*one.values(), strict=True)] for one in (first, *later)]
    found += [("a further configuration", middle(sums[1:])), ("the first one", middle(sums[:1]))]
    found += [("the command before it", (1000 * _begun[0], float("nan")))]
    cells = [
        (part, f"{cpu:.0f}", f"{clock:.0f}".replace("nan", "")) for part, (cpu, clock) in found
    ]
    header = ("part", "processor, ms", "clock, ms")
    write(HERE / "shares.csv", [dict(zip(header, row, strict=True)) for row in cells])
    put(HERE / "README.md", "<!-- made by shares.py -->", table(header, cells))


def middle(pairs: list[list[float]]) -> tuple[float, float]:
    """Return the medians of processor and clock, in ms."""
    cpu, clock = (1000 * statistics.median(pair[at] for pair in pairs) for at in (0, 1))
    return cpu, clock


if __name__ == "__main__":
    main()
