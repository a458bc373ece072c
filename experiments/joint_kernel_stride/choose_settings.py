"""Choose how the network is trained on millivolts, by generated records alone.

    nice -n 19 python experiments/joint_kernel_stride/choose_settings.py

Writes settings.csv beside this file: for each learning rate and momentum of batch normalization,
the scores of the test records of three folds after some epochs, with moving and with precise
statistics. Kernel 250, stride 125: the cheapest pair. No real record takes part.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from record import points

import lvh
from lvh.runs.experiment_data import load_data

HERE = Path(__file__).resolve().parent
RATES = (1e-3, 3e-4, 1e-4)
MOMENTA = (0.99, 0.9)
EPOCHS = (2, 5, 10, 15, 20, 30)
N_FOLDS = 3
FIELDS = ("learning_rate", "momentum", "statistics", "epochs", "fold", "ap", "roc_auc", "loss")


def rows(learning_rate: float, momentum: float) -> Iterator[dict[str, float | str]]:
    """Train three folds, and score them after each number of epochs."""
    settings = lvh.settings(
        "data=synthetic",
        "model=cnn",
        "stride=125",
        "cv=stratified",
        "features.leads=all",
        "features.scaling=none",
        "train.threads=1",
        f"train.learning_rate={learning_rate}",
        f"model.bn_momentum={momentum}",
    )
    data = load_data(settings)
    for fold, split in enumerate(data.splits[:N_FOLDS]):
        for row, _ in points(settings, data, split, EPOCHS):
            shown = {name: value for name, value in row.items() if name in FIELDS}
            yield {"learning_rate": learning_rate, "momentum": momentum, "fold": fold, **shown}


def main() -> None:
    """Train all, and write the table."""
    with (HERE / "settings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for learning_rate in RATES:
            for momentum in MOMENTA:
                for row in rows(learning_rate, momentum):
                    writer.writerow(row)
                file.flush()
                print(learning_rate, momentum, flush=True)


if __name__ == "__main__":
    main()
