"""Augmentation: nothing where it is off; where it is on, changes as strong as the settings say."""

import numpy as np
import pytest

from lvh.models.training import AugmentSettings, augmented

FS = 500.0
ALL = {"noise": 0.02, "wander": 0.1, "shift": 0.02, "amplitude": 0.1}
EACH = {name: {name: value} for name, value in ALL.items()}


def batch(n=6, n_samples=350, n_leads=3):
    return np.random.default_rng(9).normal(size=(n, n_samples, n_leads)).astype(np.float32)


def change(X, seed=0, **settings):
    return augmented(X, AugmentSettings(**settings), FS, np.random.default_rng(seed))


@pytest.mark.parametrize("settings", [*EACH.values(), ALL], ids=[*EACH, "all"])
def test_a_seed_repeats_a_change_which_leaves_types_shapes_inputs_and_order(settings):
    """Records that differ by volts: none is mixed with, or put in place of, another."""
    X = batch() * np.float32(0.1) + np.arange(6, dtype=np.float32)[:, None, None]
    before, generator = X.copy(), np.random.default_rng(1)
    first, second = (augmented(X, AugmentSettings(**settings), FS, generator) for _ in range(2))
    assert np.array_equal(X, before)
    assert np.array_equal(first, change(X, 1, **settings))
    assert not np.array_equal(first, second)
    assert (first.dtype, first.shape) == (np.float32, X.shape)
    assert first.mean(axis=(1, 2)) == pytest.approx(np.arange(6), abs=0.6)


def test_each_change_is_as_strong_as_asked():
    """Of 4 million draws the deviation is known to 0.04 %, a correlation to .0005."""
    found = change(np.zeros((400, 1000, 10), np.float32), noise=0.05)
    assert found.std() == pytest.approx(0.05, rel=0.005)
    assert found.mean() == pytest.approx(0, abs=2e-4)
    neighbours = np.corrcoef(found[:, 1:].ravel(), found[:, :-1].ravel())
    assert neighbours[0, 1] == pytest.approx(0, abs=0.005)
    # A ramp tells by how much it was moved: 0.006 s at 500 Hz are 3 samples.
    X = np.tile(np.arange(50, dtype=np.float32)[:, None], (7000, 1, 2))
    found = change(X, shift=0.006)
    steps, counts = np.unique(25 - found[:, 25, 0], return_counts=True)
    assert steps.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert counts == pytest.approx(np.full(7, 1000), abs=4 * np.sqrt(1000))
    assert np.array_equal(found[..., 0], found[..., 1])  # leads move together
    assert change(X, shift=0.0009) is X  # less than half a sample
    X = batch(n=20000, n_samples=4, n_leads=2)
    factors = change(X, amplitude=0.3) / X
    # float32 rounds the product and our quotient
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-6
    assert factors.min() == pytest.approx(0.7, abs=1e-3)
    assert factors.max() == pytest.approx(1.3, abs=1e-3)
    assert factors.mean() == pytest.approx(1, abs=0.005)
    assert factors[:, 0, 0].std() == pytest.approx(0.3 / np.sqrt(3), rel=0.02)
