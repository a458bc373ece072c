"""The experiments, and the rows of results.csv."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import read as read_csv

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.csv"
PROTOCOLS = ("honest", "carried", "best_on_scored", "carried-best_on_scored")


class Experiment(NamedTuple):
    """A row of the original study's table.

    Attributes:
        what: For a person.
        overrides: What makes it, beside cohort, protocol, epochs and seed.
        epochs: Of the original study; where it prints none, what we try.
        printed: Its accuracy in the original study, or nothing.
        folds: Its accuracy in each fold there; nothing for one that is not printed.
        is_holdout: Whether it has one fold only.
    """

    what: str
    overrides: tuple[str, ...]
    epochs: tuple[int, ...]
    printed: float | None = None
    folds: tuple[float | None, ...] = ()
    is_holdout: bool = False


def _cnn(
    kernel: int, stride: int, printed: float, folds: tuple[float | None, ...] = ()
) -> Experiment:
    overrides = ("model=cnn", f"kernel={kernel}", f"stride={stride}")
    return Experiment(f"CNN, kernel {kernel}, stride {stride}", overrides, (60,), printed, folds)


EXPERIMENTS = {
    "dnn": Experiment("DNN", ("experiment=report_dnn",), (100,), 0.796),
    "dnn_bn_0.9": Experiment(
        "DNN, momentum .9", ("experiment=report_dnn", "model.bn_momentum=0.9"), (100,)
    ),
    "dnn_holdout": Experiment(
        "DNN, hold-out", ("experiment=report_dnn_holdout",), (120,), 0.833, (), True
    ),
    "dnn_early_stopping": Experiment(
        "DNN, early stopping", ("experiment=report_dnn_early_stopping",), (200,), 0.8667, (), True
    ),
    "cnn_holdout": Experiment(
        "CNN, hold-out", ("experiment=report_cnn_holdout",), (60,), 0.82, (), True
    ),
    "cnn_k250_s5": _cnn(250, 5, 0.94),
    "cnn_k500_s5": _cnn(500, 5, 0.8907),
    "cnn_k400_s5": _cnn(400, 5, 0.9405, (0.7586, 0.9655, 0.9655, 0.9655, 0.9643, None, 0.9643)),
    "cnn_k250_s10": _cnn(250, 10, 0.9551, (0.8276, 0.9655, 1.0, 1.0, None, 0.9643, 0.9643)),
    "cnn_k250_s50": _cnn(250, 50, 0.9062, (0.7586, 1.0, 0.6207, 1.0, 1.0, 1.0, 0.9643)),
    "cnn_k250_s125": _cnn(250, 125, 0.9357, (0.7931, 0.8276, 0.9655, 1.0, 0.9643, 1.0, 1.0)),
}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What tells one row from another."""

    experiment: str
    protocol: str
    cohort: str
    seed: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One cross-validation: the accuracy of each fold, in order."""

    key: Key
    folds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over folds."""
        return sum(self.folds) / len(self.folds)

    def cells(self) -> dict[str, object]:
        """Return what stands in the file, by column."""
        folds = " ".join(f"{one:.4f}" for one in self.folds)
        return {**asdict(self.key), "folds": folds, "mean": f"{self.mean:.4f}"}


def read(path: Path) -> list[Row]:
    """Read what there is, each once; a line that was torn off counts as absent."""
    rows = {}
    for line in read_csv(path):
        if line["mean"]:
            seed, epochs = int(line["seed"]), int(line["epochs"])
            key = Key(line["experiment"], line["protocol"], line["cohort"], seed, epochs)
            rows[key] = Row(key, tuple(map(float, line["folds"].split())))
    return [*rows.values()]
