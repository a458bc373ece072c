"""The notebook's way, in a process of its own: a new Keras model for each fold, and `fit`.

    python experiments/speed/notebook.py DATA.npz dnn --epochs 100

A student who follows the original study writes this: the network is built and compiled for each
fold again, the CNN convolves in two dimensions, `fit` shows its progress bar, and TensorFlow keeps
its own settings (all threads, no determinism). DATA.npz comes from ours.py: the very same records
and folds. The last line of the output is JSON; importing TensorFlow is not counted.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common.memory import held


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ended."""

    def __init__(self) -> None:
        """Start with no epoch."""
        super().__init__()
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the time."""
        self.times.append(time.perf_counter())


def dnn(n_inputs: int) -> keras.Model:
    """Build the original study's dense network."""
    return keras.Sequential(
        [
            keras.Input((n_inputs,)),
            layers.Dense(64, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(0.001)),
            layers.BatchNormalization(),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def cnn(n_samples: int, n_leads: int, kernel: int, stride: int) -> keras.Model:
    """Build the original study's convolutional network, in two dimensions as there."""
    model = keras.Sequential([keras.Input((n_samples, n_leads, 1))])
    model.add(layers.Conv2D(256, (kernel, n_leads), strides=(stride, 1)))
    for filters in (512, 512, 128, 64):
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.Dropout(0.5))
        model.add(layers.Conv2D(filters, (5, 1)))
    model.add(layers.BatchNormalization())
    model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def main() -> None:
    """Cross-validate as often as asked and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("model", choices=("dnn", "cnn"))
    parser.add_argument("--kernel", type=int, default=250)
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--folds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--configurations", type=int, default=1)
    asked = parser.parse_args()
    with np.load(asked.data) as file:
        data = dict(file)
    configurations = [cross_validation(asked, data) for _ in range(asked.configurations)]
    print()  # ends the line of the progress bar
    print(json.dumps({"configurations": configurations, "peak_mib": held()["VmHWM"]}))


def cross_validation(asked: argparse.Namespace, data: dict[str, Any]) -> dict[str, Any]:
    """Train and score every fold; return seconds since the start of each fold."""
    folds, correct = [], []
    y = data["y"]
    for fold in range(asked.folds):
        started = time.perf_counter()
        X = data[f"X_{fold}" if f"X_{fold}" in data else "X"]
        train, test = data[f"train_{fold}"], data[f"scored_{fold}"]
        if asked.model == "dnn":
            model = dnn(X.shape[1])
        else:
            X = X[..., None]
            model = cnn(*X.shape[1:3], asked.kernel, asked.stride)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        clock = Clock()
        model.fit(X[train], y[train], epochs=asked.epochs, verbose=1, callbacks=[clock])
        y_score = model.predict(X[test])[:, 0]
        correct.append(float(np.mean((y_score > 0.5) == y[test])))
        epochs = [at - started for at in clock.times]
        folds.append({"seconds": time.perf_counter() - started, "epochs": epochs})
    return {
        "seconds": sum(fold["seconds"] for fold in folds),
        "folds": folds,
        "accuracy": float(np.mean(correct)),
    }


if __name__ == "__main__":
    main()
