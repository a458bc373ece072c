"""Thresholds chosen inside the training part: honest, and what a reader finds of them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainers import Fake

from lvh.evaluation.cross_validation import cross_validate, train_folds
from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.models.classifiers import LogisticSettings, build
from lvh.models.trainers import EstimatorTrainer
from lvh.validation.inner_splits import held_out
from lvh.validation.splits import CvSettings, splits


class Memory(Fake):
    """Knows what it has learned by heart; of other records it says what their first input does."""

    def fit(self, jobs, on_epoch):
        pairs = [zip(job.X.tolist(), job.y, strict=True) for job in jobs]
        self._known = [{tuple(row): label for row, label in one} for one in pairs]
        return super().fit(jobs, on_epoch)

    def predict(self, parts):
        return [
            np.array([float(known.get(tuple(row), 1 / (1 + np.exp(-row[0])))) for row in part])
            for known, part in zip(self._known, [part.tolist() for part in parts], strict=True)
        ]


def logistic() -> EstimatorTrainer:
    settings = LogisticSettings(C=1.0)
    return EstimatorTrainer(lambda *given: build(settings, (), *given), 1)


def features(n: int = 120, a_subject: int = 1, effect: float = 1.0) -> FeatureSet:
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(n // a_subject) % 2, a_subject)
    X = random.normal(size=(n, 3)).astype(np.float32) + np.float32(effect) * y[:, None]
    return FeatureSet(
        *("tabular", X.astype(np.float32), y, ("a", "b", "c"), tuple(map(str, range(n)))),
        np.array([f"s{at // a_subject}" for at in range(n)]),
        np.column_stack([random.uniform(20, 80, n) + 20 * y, random.integers(0, 2, n)]),
    )


def cv(**changes) -> CvSettings:
    given = CvSettings("stratified", 4, 1, 123, 0.2, 0.0, threshold="specificity_90")
    return replace(given, **changes)


def run(learner, data: FeatureSet, settings: CvSettings, seed: int = 0) -> CVResult:
    folds = splits(data.y, data.subjects, settings)
    return cross_validate(data, folds, lambda: learner, seed=seed, cv=settings)


def test_where_there_are_validation_records_they_choose():
    data = features()
    learner = Memory()
    result = run(learner, data, cv(validation=0.25))
    assert len(learner.jobs) == len(result.folds)  # no training more
    for fold in result.folds:
        (part,) = held_out(fold.split, data.y, data.subjects)
        assert part.test.tolist() == fold.split.validation.tolist()
        negative = part.test[data.y[part.test] == 0]
        shares = 1 / (1 + np.exp(-data.X[negative, 0].astype(float)))
        expected = np.sort(shares)[int(np.ceil(0.9 * len(negative))) - 1]
        assert fold.threshold == pytest.approx(expected, rel=1e-12)


def test_inner_folds_give_the_threshold_that_scikit_learn_gives_by_hand():
    data = features()
    result = run(logistic(), data, cv())
    for fold in result.folds:
        X, y = data.X[fold.split.train].astype(float), data.y[fold.split.train]
        state = int(np.random.SeedSequence([0, fold.split.fold]).generate_state(1)[0])
        y_score = np.empty(len(y))
        for others, own in StratifiedKFold(5, shuffle=True, random_state=state).split(X, y):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
            y_score[own] = model.fit(X[others], y[others]).predict_proba(X[own])[:, 1]
        fpr, tpr, _ = roc_curve(y, y_score, drop_intermediate=False)
        best = tpr[fpr <= 0.1 + 1e-9].max()
        assert (y_score[y == 1] > fold.threshold).mean() == pytest.approx(best)
        assert (y_score[y == 0] <= fold.threshold).mean() >= 0.9
        assert fold.threshold in y_score[y == 0]


def test_a_model_that_knows_its_records_by_heart_keeps_its_specificity():
    """By the records that it learned, any threshold from 0 on would do."""
    result = run(Memory(), features(2000), cv())
    # of 1000 negatives twice: a standard deviation of .0095 and .0095
    assert result.scores.pooled["specificity"].estimate == pytest.approx(0.9, abs=0.04)
    assert 0.2 < result.scores.pooled["recall"].estimate < 0.8


@pytest.mark.parametrize(("learner", "validation"), [(Memory, 0.0), (logistic, 0.25)])
def test_a_planted_leak_cannot_move_the_threshold(learner, validation):
    """Wild values and flipped labels in a test fold move those of the others alone."""
    data, settings = features(), cv(validation=validation)
    first = run(learner(), data, settings)
    test = first.folds[2].split.test
    X, y = data.X.copy(), data.y.copy()
    X[test], y[test] = X[test] + 3, 1 - y[test]
    folds = [fold.split for fold in first.folds]  # they are drawn by label

    def thresholds(of: FeatureSet) -> list[float]:
        found = train_folds(of, folds, learner(), seed=0, cv=cv())
        return [fold.threshold for fold in found]

    poisoned = thresholds(replace(data, X=X, y=y))
    clean = [fold.threshold for fold in first.folds]
    assert thresholds(data) == clean
    assert [at for at in range(4) if poisoned[at] == clean[at]] == [2]  # the poison was there
