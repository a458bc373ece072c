"""TensorFlow's uniform numbers in NumPy: one seed gives every backend the same weights.

Keras draws by the library below it, each of which has numbers of its own. Those of TensorFlow
are Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011) under a
key that is itself scrambled by Philox.
"""

import math

import numpy as np
import numpy.typing as npt

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_ROUNDS = 10
_SCRAMBLING_KEY = np.uint64(0x3EC8F720), np.uint64(0x02461E29)
_LARGEST_SEED = 2**31 - 2  # of Keras: it takes the remainder
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)

_Words = npt.NDArray[np.uint64]


def glorot_uniform(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Draw what `keras.initializers.GlorotUniform(seed)` draws on TensorFlow, to the bit.

    Args:
        shape: Of a kernel: (n_in, n_out), or (kernel_size, n_in, n_out).
        seed: Any 32 bits.
    """
    taps = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * taps, shape[-1] * taps
    limit = math.sqrt(3 / max(1.0, (fan_in + fan_out) / 2))
    low, high = np.float32(-limit), np.float32(limit)
    return _unit_uniform(math.prod(shape), seed).reshape(shape) * (high - low) + low


def _unit_uniform(n: int, seed: int) -> npt.NDArray[np.float32]:
    """Return n numbers from [0, 1), of 23 random bits each."""
    zero = np.zeros(1, np.uint64)
    given = np.full(1, seed % _LARGEST_SEED, np.uint64)
    mixed = _philox([given, zero, zero, zero], _SCRAMBLING_KEY)
    blocks = np.arange(-(-n // 4), dtype=np.uint64)
    words = _philox([blocks, zero, mixed[2], mixed[3]], (mixed[0], mixed[1]))
    bits = np.stack(np.broadcast_arrays(*words), axis=-1).ravel()[:n].astype(np.uint32)
    mantissas = bits & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)
    return mantissas.view(np.float32) - np.float32(1)


def _philox(
    counter: list[_Words], key: tuple[_Words | np.uint64, _Words | np.uint64]
) -> list[_Words]:
    """Encrypt counters of four 32-bit words; each word is held in 64 bits."""
    for _ in range(_ROUNDS):
        first, second = counter[0] * _MULTIPLIERS[0], counter[2] * _MULTIPLIERS[1]
        counter = [
            second >> _SHIFT ^ counter[1] ^ key[0],
            second & _LOW,
            first >> _SHIFT ^ counter[3] ^ key[1],
            first & _LOW,
        ]
        key = (key[0] + _KEY_STEPS[0]) & _LOW, (key[1] + _KEY_STEPS[1]) & _LOW
    return counter
