"""Choose how the network is trained on millivolts, by generated records alone.

    nice -n 19 python experiments/joint_kernel_stride/choose_settings.py

Writes settings.csv beside this file: for each learning rate and momentum of batch normalization,
the scores of the test records of three folds after some epochs, with moving and with precise
statistics. Kernel 250, stride 125: the cheapest pair. No real record takes part.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lvh
from lvh.evaluation.fold_training import fit_job, fold_seed
from lvh.runs.experiment_data import load_data, new_trainer
from lvh.validation.metrics import score

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
    y = data.features.y
    for split in data.splits[:N_FOLDS]:
        job, test = fit_job(data.features, split, fold_seed(settings.seed, split))
        for epochs in EPOCHS:
            train = replace(settings.train, epochs=epochs)
            for precise in (False, True):
                at = replace(settings, train=replace(train, precise_bn=precise))
                trainer = new_trainer(at, data.features, data.cohort.fs)
                # the second time no epoch is left: only the statistics are taken
                trainer.fit([replace(job, keep_checkpoint=True)], lambda job, epoch: None)
                (start,) = trainer.checkpoints()
                job = replace(job, start=start)
                (y_score,) = trainer.predict([test])
                scores = score(y[split.test], y_score, 0.5)
                yield {
                    "learning_rate": learning_rate,
                    "momentum": momentum,
                    "statistics": "precise" if precise else "moving",
                    "epochs": epochs,
                    "fold": split.fold,
                    **{name: round(getattr(scores, name), 4) for name in FIELDS[-3:]},
                }


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
