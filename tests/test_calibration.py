"""Calibration: scikit-learn's and SciPy's, figures from the literature, and by hand."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from lvh.validation.calibration import line, recalibration, wilson_interval


def logits(probabilities):
    return np.log(probabilities / (1 - probabilities))


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def drawn(seed, n=200, intercept=0.0, slope=1.0):
    """Scores, and labels whose logit is a line of the scores' logit."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(0, 1.5, n)
    y_true = (generator.random(n) < sigmoid(intercept + slope * logit)).astype(int)
    return y_true, sigmoid(logit)


class TestWilson:
    @pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
    @pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (81, 263)])
    def test_equals_scipys(self, k, n, level):
        expected = binomtest(k, n).proportion_ci(level, method="wilson")
        found = wilson_interval(k, n, level=level)
        assert found.estimate == k / n
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= found.low <= found.estimate <= found.high <= 1


class TestRecalibration:
    @pytest.mark.parametrize("seed", range(5))
    def test_slope_is_scikit_learns(self, seed):
        y_true, y_score = drawn(seed, intercept=0.5, slope=0.7)
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(logits(y_score)[:, None], y_true)
        assert recalibration(y_true, y_score).slope == pytest.approx(model.coef_[0, 0], rel=1e-5)

    def test_what_is_not_defined(self):
        y_score = np.array([0.2, 0.4, 0.6, 0.8])
        for labels in ([1, 1, 1, 1], [0, 0, 0, 0]):
            found = recalibration(np.array(labels), y_score)
            assert math.isnan(found.intercept)
            assert math.isnan(found.slope)
        for labels in ([0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]):  # no overlap
            found = recalibration(np.array(labels), y_score)
            assert math.isfinite(found.intercept)
            assert math.isnan(found.slope)
        equal = recalibration(np.array([0, 1, 1, 1]), np.full(4, 0.5))
        assert equal.intercept == pytest.approx(math.log(3), rel=1e-9)
        assert math.isnan(equal.slope)


def optimum(y_true, y_score, weights):
    """Firth's penalized likelihood, climbed without its derivatives."""
    X = np.column_stack([np.ones(len(y_score)), logits(y_score)])

    def loss(beta):
        log_odds = X @ beta
        p = sigmoid(log_odds)
        information = X.T @ (X * (weights * p * (1 - p))[:, None])
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0:
            return math.inf
        likelihood = weights * (y_true * log_odds - np.logaddexp(0, log_odds))
        return -likelihood.sum() - log_determinant / 2

    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20_000}
    ways = [minimize(loss, x0, method="Nelder-Mead", options=options) for x0 in ([0, 0], [0, 1])]
    return min(ways, key=lambda way: way.fun).x


class TestLine:
    @pytest.mark.parametrize(("n", "spread"), [(8, 0.2), (60, 4), (200, 1)])
    def test_equals_a_direct_optimisation(self, n, spread):
        random = np.random.default_rng(n)
        logit = random.normal(0.3, spread, n)
        y_true = (random.random(n) < sigmoid(0.5 + 0.8 * logit)).astype(int)
        weights = random.multinomial(n, np.full(n, 1 / n)).astype(float)
        found = line(y_true, sigmoid(logit), weights)
        expected = optimum(y_true, sigmoid(logit), weights)
        assert tuple(found) == pytest.approx(tuple(expected), rel=1e-4, abs=1e-4)
