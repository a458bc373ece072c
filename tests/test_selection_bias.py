"""The score of the best of several configurations, without the bias of its choice."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss

from lvh.validation.selection_bias import Predictions, bias_corrected


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
