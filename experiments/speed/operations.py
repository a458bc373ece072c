"""What a step of the dense network costs, operation by operation, for seven folds side by side.

    python experiments/speed/operations.py

Writes operations.csv beside this file: each operation alone in a loop of a compiled graph, less
the same loop without it, the least of five; its count in a step; and their product. The sum is a
bound from below: nothing in it starts a step, reads a batch or adds up a loss.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lvh.models.backends import start

start("tensorflow", 1, 1)

import tensorflow as tf  # noqa: E402

HERE = Path(__file__).resolve().parent
FOLDS, ROWS = 7, 32
LAYERS = ((117, 64), (64, 32), (32, 8), (8, 1))
NORMALIZED = (64, 32)
STEPS = 3000


def main() -> None:
    """Time all and write them down."""
    found = [(name, count, seconds(call, *shapes)) for name, count, call, shapes in operations()]
    with (HERE / "operations.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("operation", "a_step", "each_us", "step_us"))
        for name, count, each in found:
            writer.writerow((name, count, f"{each * 1e6:.1f}", f"{each * count * 1e6:.1f}"))
        total = sum(count * each for _, count, each in found)
        writer.writerow(("sum", "", "", f"{total * 1e6:.1f}"))
    print(f"{total * 1e6:.0f} us a step, {total * 600:.3f} s of 600 steps")


def operations() -> list[tuple[str, int, Callable[..., Any], tuple[tuple[int, ...], ...]]]:
    """Return name, count in a step, call and shapes of each operation."""
    listed: list[tuple[str, int, Callable[..., Any], tuple[tuple[int, ...], ...]]] = []
    for at, (n_in, n_out) in enumerate(LAYERS):
        inputs, kernel, outputs = (ROWS, n_in), (n_in, n_out), (ROWS, n_out)
        name = f"{n_in} x {n_out}"
        listed.append((f"product, {name}", 1, tf.matmul, (inputs, kernel)))
        listed.append((f"gradient of weights, {name}", 1, of_weights, (inputs, outputs)))
        if at:
            listed.append((f"gradient of inputs, {name}", 1, of_inputs, (outputs, kernel)))
        listed.append((f"Adam, {name}", 1, adam, (kernel,)))
        listed.append((f"Adam, {n_out}", 1 + 2 * (n_out in NORMALIZED), adam, ((1, n_out),)))
        listed.append((f"sums over rows, {n_out}", 1, tf.matmul, ((1, ROWS), outputs)))
        listed.append((f"bias, {n_out}", 1, tf.add, (outputs, (1, n_out))))
        listed.append((f"activation and its gradient, {n_out}", 2, tf.nn.relu, (outputs,)))
    for width in NORMALIZED:
        outputs = (ROWS, width)
        listed.append((f"normalization, products, {width}", 4, tf.matmul, ((1, ROWS), outputs)))
        listed.append((f"normalization, rows, {width}", 8, tf.multiply, (outputs, (1, width))))
        listed.append((f"normalization, statistics, {width}", 25, tf.multiply, ((1, width),) * 2))
    return listed


def of_weights(inputs: Any, gradient: Any) -> Any:
    """Multiply as the gradient of a kernel does."""
    return tf.matmul(inputs, gradient, transpose_a=True)


def of_inputs(gradient: Any, kernel: Any) -> Any:
    """Multiply as the gradient of inputs does."""
    return tf.matmul(gradient, kernel, transpose_b=True)


def adam(gradient: Any) -> Any:
    """Move a variable; made on the first call, when the loop is traced."""
    shape = gradient.shape
    if shape not in _VARIABLES:
        with tf.init_scope():
            _VARIABLES[shape] = [tf.Variable(tf.ones(shape)) for _ in range(3)]
    weight, first, second = _VARIABLES[shape]
    constants = {"beta1_power": 0.9, "beta2_power": 0.999, "beta1": 0.9, "beta2": 0.999}
    handles = {"var": weight.handle, "m": first.handle, "v": second.handle}
    tf.raw_ops.ResourceApplyAdam(**handles, grad=gradient, lr=1e-3, epsilon=1e-7, **constants)
    return gradient


_VARIABLES: dict[Any, list[Any]] = {}


def seconds(call: Callable[..., Any], *shapes: tuple[int, ...]) -> float:
    """Return what one call takes, on arrays of these shapes for each fold."""
    random = np.random.default_rng(0)
    given = [tf.constant(random.normal(size=(FOLDS, *one)).astype(np.float32)) for one in shapes]

    def looped(once: Callable[..., Any]) -> Callable[..., Any]:
        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def loop(first: Any, *others: Any) -> Any:
            def following(at: Any, total: Any) -> Any:
                found = once(first + total * 0.0, *others)
                return at + 1, total + tf.reshape(found, [-1])[0] * 0.0

            return tf.while_loop(lambda at, total: at < STEPS, following, [0, 0.0])[1]

        return loop

    with_it, without = looped(call), looped(lambda first, *others: first)
    for loop in (with_it, without):
        loop(*given)
    times = {with_it: [], without: []}
    for _ in range(5):
        for loop, of_loop in times.items():
            started = time.perf_counter()
            loop(*given)
            of_loop.append(time.perf_counter() - started)
    return max(min(times[with_it]) - min(times[without]), 0.0) / STEPS


if __name__ == "__main__":
    main()
