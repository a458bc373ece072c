"""Comparisons of scores of folds: closed forms, SciPy and simulations as oracles."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss
from studies import make_study, make_trial

from lvh.reports.leaderboard import comparisons
from lvh.validation import comparison
from lvh.validation.comparison import Predictions, bias_corrected, corrected_interval, holm
from lvh.validation.metrics import Interval

floats = st.floats(-1, 1, allow_subnormal=False)
several = st.lists(floats, min_size=2, max_size=20)


def dependent_folds(seed, n=10, rho=0.1):
    """2000 times ten scores of mean 0 with correlation rho = n_test / (n_test + n_train)."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(2000, 1)) * math.sqrt(rho)
    return shared + generator.normal(size=(2000, n)) * math.sqrt(1 - rho), rho / (1 - rho)


def test_by_hand():
    """Five folds of five: n_test / n_train is 1/4, variance 1/5 + 1/4 times .025."""
    interval = corrected_interval([0.5, 0.6, 0.7, math.nan, 0.8, 0.9], 0.25)
    half = 2.7764451051977987 * math.sqrt(0.45 * 0.025)
    assert astuple(interval) == pytest.approx((0.7, 0.7 - half, 0.7 + half))
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, math.nan, 0.7]) == pytest.approx([1, math.nan, 1], nan_ok=True)
    assert holm([]) == []


def test_intervals_cover_the_mean_of_dependent_folds_and_plain_ones_do_not():
    """The plain interval would cover about .8; 2000 simulations know .95 to .005."""
    values, share = dependent_folds(1)
    corrected = [corrected_interval(one, share) for one in values]
    plain = [corrected_interval(one, 0.0) for one in values]
    assert np.mean([one.low <= 0 <= one.high for one in corrected]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.low <= 0 <= one.high for one in plain]) < 0.88


@given(several)
def test_for_independent_folds_the_test_is_scipys(values):
    if np.std(values) < 1e-6:
        return
    t, p = comparison.corrected_t(values, 0.0)
    expected = stats.ttest_rel(values, np.zeros(len(values)))
    assert (t, p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("mean", [-0.03, 0.005])
def test_the_probabilities_are_an_integral_over_mean_and_variance(mean):
    """The posterior drawn: variance from its inverse chi-squared, then the mean.

    400 000 draws know a probability to .0008.
    """
    generator = np.random.default_rng(3)
    values, share = generator.normal(mean, 0.03, 10), 0.11
    squares = values.var(ddof=1) * 9 / generator.chisquare(9, 400_000)
    drawn = generator.normal(values.mean(), np.sqrt(squares * (1 / 10 + share)))
    expected = [(drawn < -0.01).mean(), (abs(drawn) <= 0.01).mean(), (drawn > 0.01).mean()]
    assert comparison.correlated_bayes(values, share, 0.01) == pytest.approx(expected, abs=0.004)


def guesses(skills, n=200, seed=0, n_subjects=None):
    """Predictions with the given skills, in standard deviations; two of five have the label."""
    generator = np.random.default_rng(seed)
    y_true = (generator.random(n) < 0.4).astype(int)
    y_true[:2] = 0, 1
    logits = [generator.normal(skill * (y_true - 0.5), 1) for skill in skills]
    y_score = 1 / (1 + np.exp(-np.array(logits)))
    subject = np.repeat(np.arange(n_subjects or n), n // (n_subjects or n)).astype(str)
    return Predictions(y_true, y_score, np.full(y_score.shape, 0.5), subject)


def by_loop(given, resamples, seed, scorer, sign):
    """Bootstrap bias corrected cross-validation, one resample and configuration at a time."""
    subjects = np.unique(given.subject)
    shares = np.full(len(subjects), 1 / len(subjects))
    draws = np.random.default_rng(seed).multinomial(len(subjects), shares, size=resamples)
    out = []
    for draw in draws:
        count = dict(zip(subjects, draw, strict=True))
        weights = np.array([count[one] for one in given.subject])
        bag, left = np.repeat(np.arange(len(weights)), weights), weights == 0
        scores = [sign * scorer(given.y_true[bag], y_score[bag]) for y_score in given.y_score]
        out.append(scorer(given.y_true[left], given.y_score[int(np.argmax(scores))][left]))
    return out


@pytest.mark.parametrize(
    ("metric", "scorer", "sign", "n_subjects"),
    [("ap", average_precision_score, 1, 60), ("brier", brier_score_loss, -1, 20)],
)
def test_the_estimate_equals_that_of_a_slow_loop(metric, scorer, sign, n_subjects):
    given = guesses([0.5, 0.7, 0.6], n=60, n_subjects=n_subjects)
    found = bias_corrected(given, metric, maximize=sign == 1, resamples=100, seed=7)
    out = by_loop(given, 100, 7, scorer, sign)
    expected = (np.mean(out), *np.quantile(out, [0.025, 0.975]))
    assert astuple(found.estimate) == pytest.approx(expected, rel=1e-9)
    naive = [sign * scorer(given.y_true, y_score) for y_score in given.y_score]
    assert found.naive == pytest.approx(sign * max(naive))


def test_each_prediction_has_the_threshold_of_its_fold():
    given = guesses([0.5, 0.7, 0.6], n=60)
    higher = np.repeat([0.0, 0.2, 0.4], 20)
    moved = replace(given, y_score=given.y_score + higher, threshold=given.threshold + higher)
    found = bias_corrected(moved, "accuracy", maximize=True, resamples=50)
    assert found == bias_corrected(given, "accuracy", maximize=True, resamples=50)


class TestTrials:
    def test_every_number_of_a_pair(self):
        generator = np.random.default_rng(4)
        best, other = generator.normal(0.7, 0.05, 10), generator.normal(0.6, 0.05, 10)
        one = comparisons(make_study([make_trial(0, other), make_trial(1, best)])).loc[0]
        t, p = comparison.corrected_t(other - best, 0.25)
        assert (one.n_folds, one.t, one.p, one.p_holm) == (10, t, p, p)
        interval = corrected_interval(other - best, 0.25)
        assert Interval(one.difference, one.low, one.high) == interval
        probabilities = (one.worse, one.equivalent, one.better)
        assert probabilities == comparison.correlated_bayes(other - best, 0.25)

    @pytest.mark.parametrize("objective", ["loss", "seconds"])
    def test_a_lower_value_may_be_better(self, objective):
        generator = np.random.default_rng(5)
        slow, fast = generator.normal(3, 0.02, 10), generator.normal(1, 0.02, 10)
        trials = [make_trial(at, own, objective=objective) for at, own in enumerate([slow, fast])]
        pairs = comparisons(make_study(trials, (objective,)))
        assert [*pairs.index] == [1, 0]
        other = pairs.loc[0]
        assert other.verdict == "worse"
        assert other.difference > 0
        assert other.worse > 0.99

    def test_only_folds_that_both_have_count(self):
        best = replace(make_trial(0, [0.8, 0.9, math.nan, 0.85, 0.8]), values=(0.84,))
        found = comparisons(make_study([best, make_trial(1, [0.5, 0.6, 0.9, 0.55])]))
        assert found.n_folds.tolist() == [4, 3]
        assert found.difference[1] == pytest.approx(-0.3)
        one_fold = comparisons(make_study([make_trial(0, [0.8]), make_trial(1, [0.5])]))
        assert one_fold.verdict.tolist() == ["best", "not comparable"]
        assert comparisons(make_study([])).empty
        unknown = make_study([make_trial(0, [0.5] * 5)], ("n_parameters",))
        for study in (make_study([make_trial(0, [math.nan] * 5)]), unknown):
            assert comparisons(study).verdict.tolist() == ["not comparable"]
