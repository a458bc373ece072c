"""Racing: an oracle for the statistic, and who is never stopped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lvh.search.racing import beaten

CLOSE = 1e-9


def table(seed, n_trials=6, n_folds=7, spread=1.0):
    generator = np.random.default_rng(seed)
    effects = generator.normal(0, spread, (n_trials, 1))
    return effects + generator.normal(0, 2, n_folds) + generator.normal(size=(n_trials, n_folds))


def prefixes(scores, lengths):
    return np.where(np.arange(scores.shape[1]) < np.array(lengths)[:, None], scores, np.nan)


def by_least_squares(scores, burn_in):
    """Return p of each trial against the leader, from the design matrix of the two-way model."""
    rows = [i for i in range(len(scores)) if np.isfinite(scores[i]).sum() >= burn_in]
    cells = [(i, j) for i in rows for j in np.nonzero(np.isfinite(scores[i]))[0]]
    design = np.zeros((len(cells), len(scores) + scores.shape[1]))
    for at, (i, j) in enumerate(cells):
        design[at, i] = design[at, len(scores) + j] = 1
    y = np.array([scores[cell] for cell in cells])
    fitted, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - rank
    variance = ((y - design @ fitted) ** 2).sum() / freedom
    leader = max(rows, key=lambda i: fitted[i])
    p = np.ones(len(scores))
    n = scores.shape[1]
    for i in set(rows) - {leader}:
        d = scores[leader] - scores[i]
        k = int(np.isfinite(d).sum())
        if np.isfinite(scores[i]).sum() == n:
            continue
        t = np.nanmean(d) / np.sqrt(2 * variance * (1 / k - 1 / n))
        p[i] = min(1, stats.t.sf(t, freedom) * (len(rows) - 1))
    return p


def assert_agrees(scores, burn_in, level):
    p = by_least_squares(scores, burn_in)
    clear = np.abs(p - level) > CLOSE
    found = beaten(scores, maximize=True, burn_in=burn_in, level=level)
    np.testing.assert_array_equal(found[clear], (p < level)[clear])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("level", [0.05, 0.6])
def test_it_is_the_two_way_analysis_of_variance(seed, level):
    scores = table(seed)
    assert_agrees(prefixes(scores, [3] * 6), 3, level)
    asynchronous = np.random.default_rng(seed).integers(0, 8, 6)
    asynchronous[:2] = 3, 5  # two, or nothing is judged
    assert_agrees(prefixes(scores, asynchronous), 3, level)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), level=st.floats(0.001, 0.999), data=st.data())
def test_the_leader_and_finished_trials_are_never_stopped(seed, level, data):
    """The leader is never beaten, nor who has too few folds, nor who has all of them."""
    scores = table(seed, n_trials=5, n_folds=6).round(1)  # with ties
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=5, max_size=5))
    scores[np.random.default_rng(seed).random(scores.shape) < 0.1] = np.nan
    scores = prefixes(scores, lengths)
    found = beaten(scores, maximize=True, burn_in=2, level=level)
    done = np.isfinite(scores).sum(axis=1)
    judged = done >= 2
    assert not found[~judged].any()
    assert not found[done == 6].any()
    assert not judged.any() or (judged & ~found).any()
