"""No skill: what a random order of the records has."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lvh.validation.metrics import score
from lvh.validation.random_ranking import expected_at_random, intervals_at_random


@pytest.mark.parametrize(("p", "n"), [(1, 2), (1, 7), (3, 7), (6, 7), (5, 12), (2, 22)])
def test_the_expectation_is_the_mean_over_all_orders(p, n):
    drawn = []
    for positions in combinations(range(n), p):
        y = np.zeros(n, int)
        y[list(positions)] = 1
        drawn.append(score(y, np.arange(n) / n))
    for name, expected in expected_at_random(y).items():
        assert np.mean([getattr(one, name) for one in drawn]) == pytest.approx(expected)


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_interval_holds_the_middle_of_random_orders(repeats):
    y = np.array([1] * 30 + [0] * 26)
    found = intervals_at_random(np.tile(y, repeats), np.tile(np.arange(56), repeats))["ap"]
    assert found.estimate == expected_at_random(y)["ap"] > 30 / 56
    generator = np.random.default_rng(1)
    values = [average_precision_score(y, generator.normal(size=56)) for _ in range(400)]
    inside = np.mean([found.low <= value <= found.high for value in values])
    assert 0.92 <= inside <= 0.98


def test_a_record_with_more_predictions_counts_more():
    """As in holdout with repeats."""
    y, records = np.array([1, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 0])
    found = intervals_at_random(y, records)["ap"]
    assert found.estimate == pytest.approx((1 + 3 / 4 + 3 / 5) / 3, abs=0.02)
