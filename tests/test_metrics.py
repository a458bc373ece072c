"""Metrics: scikit-learn's, ties and undefined cases included; intervals that cover."""

import math
from dataclasses import astuple
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle
from sklearn.metrics import average_precision_score

import lvh
from lvh.errors import InputError
from lvh.validation.metrics import (
    NAMES,
    Metrics,
    expected_at_random,
    intervals_at_random,
    mean_and_std,
    score,
    weighted_scores,
)

ROUNDING = 1e-12
"""Both sides sum some hundred float64 terms of order 1, in another order."""


def predictions(seed, n=60, decimals=1):
    """Labels and scores with ties, some of them exactly 0, .5 and 1."""
    generator = np.random.default_rng(seed)
    y_true = generator.integers(0, 2, n)
    y_true[:2] = 0, 1
    return y_true, np.clip(generator.normal(0.3 + 0.4 * y_true, 0.3), 0, 1).round(decimals)


def by_curve(y_true, y_score, weights=None, specificity=0.9):
    fpr, tpr, _ = oracle.roc_curve(y_true, y_score, sample_weight=weights, drop_intermediate=False)
    return tpr[1 - fpr >= specificity - ROUNDING].max()


def by_scikit_learn(y_true, y_score, weights=None, threshold=0.5):
    y_pred = (y_score > threshold).astype(int)
    kwargs = {"sample_weight": weights}
    return Metrics(
        accuracy=oracle.accuracy_score(y_true, y_pred, **kwargs),
        precision=oracle.precision_score(y_true, y_pred, zero_division=0, **kwargs),
        recall=oracle.recall_score(y_true, y_pred, **kwargs),
        specificity=oracle.recall_score(y_true, y_pred, pos_label=0, **kwargs),
        f1=oracle.f1_score(y_true, y_pred, **kwargs),
        ap=oracle.average_precision_score(y_true, y_score, **kwargs),
        ap_thresholded=oracle.average_precision_score(y_true, y_pred, **kwargs),
        roc_auc=oracle.roc_auc_score(y_true, y_score, **kwargs),
        recall_at_90=by_curve(y_true, y_score, weights),
        brier=oracle.brier_score_loss(y_true, y_score, **kwargs),
        # Keras clips at 1e-7, scikit-learn at the precision of float64.
        loss=oracle.log_loss(y_true, np.clip(y_score, 1e-7, 1 - 1e-7), **kwargs),
    )


@pytest.mark.parametrize("decimals", [0, 1, 2, 15])
@pytest.mark.parametrize("seed", range(3))
def test_every_score_is_scikit_learns(seed, decimals):
    y_true, y_score = predictions(seed, decimals=decimals)
    for threshold in (0.5, np.random.default_rng(seed).uniform(0, 1, 60)):
        found = score(y_true, y_score, threshold)
        expected = by_scikit_learn(y_true, y_score, threshold=threshold)
        assert astuple(found) == pytest.approx(astuple(expected), rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_scores_are_scikit_learns(seed):
    """As in a bootstrap: whole weights, many of them zero."""
    y_true, y_score = predictions(seed)
    weights = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), size=8).astype(float)
    table = np.array(weighted_scores(y_true, y_score, weights))
    for column, row in zip(table.T, weights, strict=True):
        expected = astuple(by_scikit_learn(y_true, y_score, row))
        assert column.tolist() == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def undefined(metrics):
    return {name for name, value in zip(NAMES, astuple(metrics), strict=True) if math.isnan(value)}


def test_what_is_undefined_does_not_count():
    positives = score(np.ones(3, int), np.array([0.9, 0.6, 0.2]))
    negatives = score(np.zeros(3, int), np.array([0.9, 0.6, 0.2]))
    quiet = score(np.zeros(3, int), np.array([0.4, 0.3, 0.2]))
    needs_both = {"ap", "ap_thresholded", "roc_auc", "recall_at_90"}
    assert undefined(positives) == {"specificity"} | needs_both
    assert undefined(negatives) == {"recall"} | needs_both
    assert undefined(quiet) == undefined(negatives) | {"f1"}
    assert positives.accuracy == 2 / 3
    assert (negatives.accuracy, negatives.precision) == (1 / 3, 0)
    folds = [score(*predictions(seed)) for seed in range(3)]
    folds.append(score(np.ones(3, int), np.array([0.9, 0.6, 0.2])))
    mean, std = mean_and_std(folds)
    defined = [fold.roc_auc for fold in folds[:3]]
    assert mean.roc_auc == pytest.approx(np.mean(defined), rel=ROUNDING)
    assert std.roc_auc == pytest.approx(np.std(defined, ddof=1), rel=1e-9)
    assert mean.accuracy == pytest.approx(np.mean([fold.accuracy for fold in folds]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": [1, 2, 2]}, "y_true: expected 0 or 1"),
        ({"y_true": [[0], [1], [1]]}, "y_true: expected 3 values"),
        ({"y_score": [0.2, math.nan, 0.3]}, "y_score: expected finite"),
        ({"subjects": [1, math.nan, 2]}, "subjects, level and resamples: expected none missing"),
        ({"level": 95}, "subjects, level and resamples: .*between 0 and 1"),
    ],
)
def test_only_what_can_be_scored_is_scored_in_any_form(change, message):
    """Pandas selects by the index of a Series, here another one than the order."""
    y_true, y_score = predictions(0)
    series = [pd.Series(column, range(60)[::-1]) for column in (y_true, y_score)]
    for given in ([y_true.tolist(), y_score.tolist()], series):
        assert lvh.score(*given) == score(y_true, y_score)
    with pytest.raises(InputError, match=message):
        lvh.bootstrap_intervals(
            **{"y_true": [0, 1, 1], "y_score": [0.2, 0.6, 0.3], "subjects": names(3), **change}
        )


def names(n):
    return np.array([f"s{record}" for record in range(n)])


def width(interval):
    return interval.high - interval.low


def test_more_records_of_the_same_subjects_add_nothing():
    y_true, y_score = predictions(5)
    once = lvh.bootstrap_intervals(y_true, y_score, names(60))
    y_twice, score_twice = np.tile(y_true, 2), np.tile(y_score, 2)
    together = lvh.bootstrap_intervals(y_twice, score_twice, np.tile(names(60), 2))
    apart = lvh.bootstrap_intervals(y_twice, score_twice, names(120))
    assert [one.estimate for one in once.values()] == list(astuple(score(y_true, y_score)))
    for name in NAMES:
        assert once[name].low < once[name].estimate < once[name].high
        assert astuple(together[name]) == pytest.approx(astuple(once[name]), rel=1e-9)
        assert width(apart[name]) < 0.9 * width(once[name])  # about .71 of it


def test_an_interval_covers_a_known_accuracy_about_as_often_as_it_says():
    """Each of 100 subjects is right with probability .8; 100 simulations, four deviations."""
    generator = np.random.default_rng(0)
    y_true = np.tile([0, 1], 50)
    covered, widths = 0, []
    for simulation in range(100):
        right = generator.random(100) < 0.8
        y_score = np.where(right, y_true, 1 - y_true).astype(float)
        found = lvh.bootstrap_intervals(y_true, y_score, names(100), resamples=250, seed=simulation)
        covered += found["accuracy"].low <= 0.8 <= found["accuracy"].high
        widths.append(width(found["accuracy"]))
    assert 0.85 < covered / 100
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 100), rel=0.07)


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
