"""PyTorch: a plain loop, one operation after another."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.models.backends.adam import BETA_1, BETA_2, EPSILON
from lvh.models.backends.state import (
    Floats,
    Labels,
    assign,
    drawn,
    penalized,
    values_of,
)
from lvh.validation.metrics import THRESHOLD

if TYPE_CHECKING:
    import keras


def start(threads: int) -> int:
    """Import PyTorch, and return how many threads it has."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else a GPU does not repeat
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return int(torch.get_num_threads())


class TorchProgram:
    """A model with the loop that trains it."""

    def __init__(self, model: "keras.Model", batch_size: int, side_by_side: int | None) -> None:
        """Take a model with one sigmoid output.

        Args:
            model: Freshly built.
            batch_size: Records a step.
            side_by_side: Of no account.
        """
        import torch

        self._model = model
        self._batch_size = batch_size
        self._weights = [one.value for one in model.trainable_variables]
        self._first = [torch.zeros_like(one) for one in self._weights]
        self._second = [torch.zeros_like(one) for one in self._weights]
        self._steps = 0
        self._blank = values_of(model.variables)

    @property
    def n_parameters(self) -> int:
        """Number of parameters, trainable or not."""
        return int(self._model.count_params())

    def together(self, sizes: Sequence[int]) -> int:
        """Hold one training."""
        return 1

    def begin_anew(self, seeds: Sequence[np.random.SeedSequence], l2: float | None) -> None:
        """Give model and optimizer the state that a new build under the seed has."""
        import torch

        (seed,) = seeds
        assign(self._model.variables, drawn(self._model, self._blank, seed))
        for moment in (*self._first, *self._second):
            moment.zero_()
        self._steps = 0
        for regularizer in penalized(self._model):
            if l2 is not None:
                regularizer.l2 = l2
        torch.manual_seed(int(seed.generate_state(1)[0]))  # of dropout: not by Keras's variables

    def place(self, parts: Sequence[tuple[Floats, Labels]]) -> Any:
        """Put tensors where the weights are."""
        import torch

        ((X, y),) = parts
        device = self._weights[0].device
        return torch.tensor(X, device=device), torch.tensor(y.astype(np.float32), device=device)

    def train(self, data: Any, orders: Sequence[Labels], learning_rate: float) -> Floats:
        """Train some epochs; return the sums of each step."""
        import torch

        (X, y), (of_epochs,) = data, orders
        log = []
        for order in torch.tensor(of_epochs, device=y.device):
            batches = order.split(self._batch_size)
            sums = [self._step(X[batch], y[batch, None], learning_rate) for batch in batches]
            log.append(torch.stack(sums))
        epochs: Floats = torch.stack(log).cpu().numpy()
        return epochs[None]

    def scores(self, parts: Sequence[Floats]) -> list[Floats]:
        """Return P(label = 1) in inference mode."""
        import torch

        (X,) = parts
        inputs = torch.tensor(X, device=self._weights[0].device)
        with torch.no_grad():
            return [self._model(inputs, training=False)[:, 0].cpu().numpy()]

    def values(self, at: int) -> list[npt.NDArray[Any]]:
        """Return copies of all variables of the model."""
        return values_of(self._model.variables)

    def assign(self, at: int, values: list[npt.NDArray[Any]]) -> None:
        """Put back what `values` returned."""
        assign(self._model.variables, values)

    def _step(self, X: Any, labels: Any, learning_rate: float) -> Any:
        """Train one batch; return its sum of losses and number of right answers."""
        import torch

        scores = self._model(X, training=True)
        loss = sum(self._model.losses, _binary_crossentropy(labels, scores))
        self._update(torch.autograd.grad(loss, self._weights), learning_rate)
        correct = ((scores > THRESHOLD) == (labels > THRESHOLD)).sum()
        return torch.stack([loss.detach() * len(labels), correct])

    def _update(self, gradients: Any, learning_rate: float) -> None:
        """Move by Adam (Kingma and Ba, 2015) as Keras does: `torch.optim` scales epsilon."""
        import torch

        self._steps += 1
        rate = learning_rate * (1 - BETA_2**self._steps) ** 0.5 / (1 - BETA_1**self._steps)
        with torch.no_grad():
            for weight, m, v, gradient in zip(
                self._weights, self._first, self._second, gradients, strict=True
            ):
                m.lerp_(gradient, 1 - BETA_1)
                v.lerp_(gradient * gradient, 1 - BETA_2)
                weight.addcdiv_(m, v.sqrt() + EPSILON, value=-rate)


def _binary_crossentropy(labels: Any, scores: Any) -> Any:
    """Return Keras's loss; PyTorch's own raises, or ends the process on a GPU, at a NaN."""
    import keras

    epsilon = keras.config.epsilon()
    clipped = scores.clip(epsilon, 1 - epsilon)
    return -(labels * clipped.log() + (1 - labels) * (1 - clipped).log()).mean()
