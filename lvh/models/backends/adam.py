"""Adam: its constants, and what it does to TensorFlow's variables, one operation each."""

from typing import Any

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # as in Keras


def move(
    weights: list[Any], moments: list[Any], steps: Any, gradients: list[Any], learning_rate: Any
) -> None:
    """Move by Adam (Kingma and Ba, 2015) with Keras's constants, one operation a variable.

    Keras's own takes a dozen, which is most of the time of a small network.

    Args:
        weights: TensorFlow's variables.
        moments: Of all weights, the mean of the gradients, then that of their squares.
        steps: How many were made.
        gradients: Of the weights.
        learning_rate: Step size.
    """
    import tensorflow as tf

    steps.assign_add(1.0)
    powers = {"beta1_power": BETA_1**steps, "beta2_power": BETA_2**steps}
    constants = {"beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON, "lr": learning_rate}
    first, second = moments[: len(weights)], moments[len(weights) :]
    for weight, m, v, gradient in zip(weights, first, second, gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle, m=m.handle, v=v.handle, grad=gradient, **powers, **constants
        )
