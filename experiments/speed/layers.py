"""Where a step of the CNN spends the processor's time: its widest convolution and what follows.

    python experiments/speed/layers.py

One thread and 32 records; a figure is the least of five calls. Writes layers.csv and a table of the
README.md here.
"""

import time
from collections.abc import Callable
from typing import Any

import commands
import keras
import numpy as np
import tensorflow as tf
from _common import put, table, write
from costs import TAPS, TILE

from lvh.models import fast_layers as fast
from lvh.models.backends import start

N, WIDTH, SQUARE, WINDOW = 32, 512, 2048, TILE + TAPS - 1
STEPS = {"stride 10": 472, "stride 50": 92}  # of the inputs of the third convolution


def draw(*shape: int) -> Any:
    """Draw numbers."""
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype("f"))


def milliseconds(call: Callable[..., Any], *given: Any) -> float:
    """Return the least processor time of some calls of a graph."""
    graph, spent = tf.function(call, autograph=False), []
    for _ in range(6):
        began = time.process_time()
        graph(*given)
        spent.append(time.process_time() - began)
    return 1000 * min(spent[1:])


def both_ways(layer: Callable[..., Any], *inputs: Any) -> float:
    """Measure a layer and its gradients."""

    def run(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(*inputs)
        return outputs, tape.gradient(outputs, inputs, output_gradients=outputs)

    return milliseconds(run, *inputs)


def parts(n_steps: int) -> dict[str, float]:
    """Measure each part, in ms."""
    X, kernel, bias = draw(N, n_steps, WIDTH), draw(TAPS, WIDTH, WIDTH), draw(WIDTH)
    rows, kernels = draw(WINDOW, N * n_tiles(n_steps), WIDTH), draw(WINDOW, WIDTH, WIDTH)
    products = (
        milliseconds(tf.matmul, rows, kernels)
        + milliseconds(lambda a, b: tf.matmul(a, b, transpose_b=True), rows, kernels)
        + milliseconds(lambda a: tf.matmul(a, a, transpose_a=True), rows)
    )
    normalization, dropout = fast.BatchNormalization(), fast.Dropout(0.5)
    for layer in (normalization, dropout):
        layer.build(X.shape)
    return {
        "its products of matrices, three times twelve": products,
        "its transforms": both_ways(fast._convolution(stride=1), X, kernel, bias) - products,
        "batch normalization": both_ways(lambda X: normalization(X, training=True), X),
        "ReLU": both_ways(tf.nn.relu, X),
        "dropout": both_ways(lambda X: dropout(X, training=True), X),
    }


def n_tiles(n_steps: int) -> int:
    """Return how many tiles of outputs a convolution has."""
    return -(-(n_steps - TAPS + 1) // TILE)


def rounding() -> list[tuple[str, ...]]:
    """Compare Keras's convolution and ours with Keras's in double precision."""
    random = np.random.default_rng(0)
    X, kernel = random.normal(size=(8, 120, WIDTH)), random.normal(size=(TAPS, WIDTH, WIDTH))

    def results(kind: type[keras.layers.Conv1D], dtype: str) -> list[Any]:
        layer = kind(WIDTH, TAPS, use_bias=False, dtype=dtype)
        layer.build(X.shape)
        layer.set_weights([kernel / (TAPS * WIDTH) ** 0.5])
        inputs = tf.constant(X.astype(dtype))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(loss, [inputs, layer.kernel.value])]

    exact = [np.asarray(one) for one in results(keras.layers.Conv1D, "float64")]
    rows = []
    for name, kind in {"Keras's, float32": keras.layers.Conv1D, "ours": fast.Conv1D}.items():
        off = [
            np.asarray(one) - of for one, of in zip(results(kind, "float32"), exact, strict=True)
        ]
        far = [np.sqrt(np.mean(one**2)) / of.std() for one, of in zip(off, exact, strict=True)]
        rows.append((name, *(f"{one:.1e}" for one in far)))
    return rows


def main() -> None:
    """Measure all parts at both strides."""
    start("tensorflow", 1, 1)
    square = draw(SQUARE, SQUARE)
    rate = 2 * SQUARE**3 / milliseconds(tf.matmul, square, square)
    by_stride = [parts(n_steps) for n_steps in STEPS.values()]
    totals = [sum(one.values()) for one in by_stride]
    least = [  # of its products, at the rate of the large one
        3 * 2 * N * n_tiles(n) * WINDOW * WIDTH**2 / rate for n in STEPS.values()
    ]
    cells = [
        (part, *(f"{ms:.1f} ({ms / total:.0%})" for ms, total in zip(row, totals, strict=True)))
        for part, *row in zip(by_stride[0], *(one.values() for one in by_stride), strict=True)
    ]
    cells.append(("all of them", *(f"{total:.1f}" for total in totals)))
    cells.append(("its products at the rate of a large one", *(f"{one:.1f}" for one in least)))
    rows = [dict(zip(("part", *STEPS), one, strict=True)) for one in cells]
    write(commands.HERE / "layers.csv", rows)
    put(
        commands.HERE / "README.md",
        "<!-- made by layers.py -->",
        table(("part, ms", *STEPS), cells),
    )
    header = ("convolution", "outputs", "gradient of its inputs", "of its kernel")
    found = rounding()
    write(commands.HERE / "rounding.csv", [dict(zip(header, one, strict=True)) for one in found])
    put(
        commands.HERE / "README.md",
        "<!-- rounding, made by layers.py -->",
        table(header, found),
    )


if __name__ == "__main__":
    main()
