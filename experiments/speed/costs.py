"""Floating point operations of training the CNN."""

import itertools
from dataclasses import dataclass

FILTERS = (256, 512, 512, 128, 64)
TAPS, TILE = 5, 8  # of every convolution but the first; outputs of one product
N_SAMPLES, N_LEADS = 5000, 4


@dataclass(frozen=True, slots=True)
class Operations:
    """Of all convolutions, for one record in one epoch: forwards and both gradients.

    Attributes:
        direct: Those of the direct convolutions, two for each multiplication and addition. The
            network asks for them, however they are done; so they compare implementations.
        done: Those of the matrix products with minimal filtering (`lvh.models.fast_layers`), 12
            multiplications for 8 outputs of five taps, or of five strides of the first convolution
            where that is less by half; what is before and after is not counted.
    """

    direct: float
    done: float


def operations(kernel: int, stride: int) -> Operations:
    """Count for inputs of 5000 samples of 4 leads.

    The first convolution has no gradient of its inputs, as nobody asks for it; batch
    normalization, activations, the last dense layer and Adam are left out (below 1 %).
    """
    n_steps = (N_SAMPLES - kernel) // stride + 1
    of_tap = 2 * 2 * N_LEADS * FILTERS[0]
    n_groups, n_tiles = -(-kernel // (TAPS * stride)), -(-n_steps // TILE)
    direct = float(n_steps * kernel * of_tap)
    done = float(n_tiles * (TILE + TAPS - 1) * n_groups * stride * of_tap)
    if 2 * (TILE + TAPS - 1) * n_groups * stride > TILE * kernel:
        done = direct
    for n_in, n_out in itertools.pairwise(FILTERS):
        n_outputs = n_steps - TAPS + 1
        direct += 3 * 2 * n_outputs * TAPS * n_in * n_out
        done += 3 * 2 * -(-n_outputs // TILE) * (TILE + TAPS - 1) * n_in * n_out
        n_steps = n_outputs
    return Operations(direct, done)
