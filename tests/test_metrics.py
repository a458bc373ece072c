"""Metrics: scikit-learn's, ties and undefined cases included; intervals that cover."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from sklearn import metrics as oracle

from lvh.validation.metrics import (
    NAMES,
    Metrics,
    bootstrap_intervals,
    chosen_threshold,
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


def by_scikit_learn(y_true, y_score, weights=None):
    y_pred = (y_score > 0.5).astype(int)
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

    found = score(y_true, y_score)

    expected = by_scikit_learn(y_true, y_score)
    assert astuple(found) == pytest.approx(astuple(expected), rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_scores_are_scikit_learns(seed):
    """As in a bootstrap: whole weights, many of them zero."""
    y_true, y_score = predictions(seed)
    weights = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), size=8).astype(float)

    table = np.array(weighted_scores(y_true, y_score, weights))

    assert table.shape == (len(NAMES), 8)
    for column, row in zip(table.T, weights, strict=True):
        expected = astuple(by_scikit_learn(y_true, y_score, row))
        assert column.tolist() == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
def test_equal_scores_rank_nothing(value):
    y_true = np.repeat([1, 0], [3, 5])

    found = score(y_true, np.full(8, value))

    assert found.ap == found.ap_thresholded == 3 / 8
    assert found.roc_auc == 0.5
    assert found.accuracy == (3 / 8 if value > 0.5 else 5 / 8)
    assert found.loss < 16.2  # finite where a certain prediction is wrong: -log(1e-7)


def undefined(metrics):
    return {name for name, value in zip(NAMES, astuple(metrics), strict=True) if math.isnan(value)}


def test_one_class_leaves_undefined_what_needs_the_other():
    positives = score(np.ones(3, int), np.array([0.9, 0.6, 0.2]))
    negatives = score(np.zeros(3, int), np.array([0.9, 0.6, 0.2]))
    quiet = score(np.zeros(3, int), np.array([0.4, 0.3, 0.2]))

    assert undefined(positives) == {"specificity", "roc_auc", "recall_at_90"}
    assert undefined(negatives) == {"recall", "ap", "ap_thresholded", "roc_auc", "recall_at_90"}
    assert undefined(quiet) == undefined(negatives) | {"f1"}
    assert (positives.accuracy, positives.ap) == (2 / 3, 1)
    assert (negatives.accuracy, negatives.precision) == (1 / 3, 0)


class TestMeanAndStd:
    def test_undefined_folds_do_not_count(self):
        folds = [score(*predictions(seed)) for seed in range(3)]
        folds.append(score(np.ones(3, int), np.array([0.9, 0.6, 0.2])))

        mean, std = mean_and_std(folds)

        defined = [fold.roc_auc for fold in folds[:3]]
        assert mean.roc_auc == pytest.approx(np.mean(defined), rel=ROUNDING)
        assert std.roc_auc == pytest.approx(np.std(defined, ddof=1), rel=1e-9)
        assert mean.accuracy == pytest.approx(np.mean([fold.accuracy for fold in folds]))


class TestSpecificity:
    @pytest.mark.parametrize(
        ("specificity", "threshold"),
        [
            *((0, -np.inf), (0.01, 0.1), (0.25, 0.1), (0.26, 0.2)),
            *((0.5, 0.2), (0.75, 0.4), (0.76, 0.8), (1, 0.8)),
        ],
    )
    def test_by_hand(self, specificity, threshold):
        y_true = np.array([0, 1, 0, 1, 0, 1, 0])
        y_score = np.array([0.4, 0.4, 0.1, 0.7, 0.2, 0.9, 0.8])

        assert chosen_threshold(y_true, y_score, specificity) == threshold

    @pytest.mark.parametrize("decimals", [1, 2, 15])
    @pytest.mark.parametrize("seed", range(3))
    def test_on_the_records_that_chose_it_recall_is_that_at_90(self, seed, decimals):
        y_true, y_score = predictions(seed, decimals=decimals)

        found = score(y_true, y_score, chosen_threshold(y_true, y_score))

        assert found.specificity >= 0.9
        assert found.recall == pytest.approx(found.recall_at_90, rel=ROUNDING)


class TestThreshold:
    @pytest.mark.parametrize("seed", range(5))
    def test_predictions_by_another_one_are_scored_as_scikit_learn_does(self, seed):
        y_true, y_score = predictions(seed)
        threshold = np.random.default_rng(seed).uniform(0, 1, 60)

        found, fixed = score(y_true, y_score, threshold), score(y_true, y_score)

        y_pred = y_score > threshold
        assert found.accuracy == pytest.approx(oracle.accuracy_score(y_true, y_pred))
        assert found.precision == pytest.approx(oracle.precision_score(y_true, y_pred))
        assert found.recall == pytest.approx(oracle.recall_score(y_true, y_pred))
        assert found.f1 == pytest.approx(oracle.f1_score(y_true, y_pred))
        ap = oracle.average_precision_score(y_true, y_pred)
        assert found.ap_thresholded == pytest.approx(ap)
        for name in ("ap", "roc_auc", "recall_at_90", "brier", "loss"):
            assert getattr(found, name) == getattr(fixed, name)


def names(n):
    return np.array([f"s{record}" for record in range(n)])


def width(interval):
    return interval.high - interval.low


class TestIntervals:
    def test_each_interval_is_around_its_estimate(self):
        y_true, y_score = predictions(3, n=150)

        found = bootstrap_intervals(y_true, y_score, names(150))

        assert tuple(found) == NAMES
        assert [interval.estimate for interval in found.values()] == list(
            astuple(score(y_true, y_score))
        )
        for interval in found.values():
            assert interval.low < interval.estimate < interval.high

    def test_more_records_of_the_same_subjects_add_nothing(self):
        y_true, y_score = predictions(5)
        once = bootstrap_intervals(y_true, y_score, names(60))
        y_twice, score_twice = np.tile(y_true, 2), np.tile(y_score, 2)

        together = bootstrap_intervals(y_twice, score_twice, np.tile(names(60), 2))
        apart = bootstrap_intervals(y_twice, score_twice, names(120))

        for name in NAMES:
            assert astuple(together[name]) == pytest.approx(astuple(once[name]), rel=1e-9)
            assert width(apart[name]) < 0.9 * width(once[name])  # about .71 of it

    def test_it_covers_a_known_accuracy_about_as_often_as_it_says(self):
        """Each of 100 subjects is right with probability .8; 100 simulations, four deviations."""
        generator = np.random.default_rng(0)
        y_true = np.tile([0, 1], 50)
        covered = 0
        for simulation in range(100):
            right = generator.random(100) < 0.8
            y_score = np.where(right, y_true, 1 - y_true).astype(float)
            found = bootstrap_intervals(
                y_true, y_score, names(100), resamples=250, seed=simulation
            )["accuracy"]
            covered += found.low <= 0.8 <= found.high

        assert 0.85 < covered / 100
