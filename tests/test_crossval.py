"""Cross-validation: the test fold decides nothing."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import BACKEND
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainers import Fake

from lvh.evaluation.cross_validation import Callback, cross_validate
from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.models.backends import start
from lvh.models.keras_trainer import KerasTrainer
from lvh.models.networks import DnnSettings, TwoBranchSettings, build_dnn, build_two_branch
from lvh.models.programs import new_program
from lvh.models.training import TrainSettings
from lvh.validation.splits import CvSettings, splits


class Recorder(Fake):
    """Scores by the mean of the first input of the training records."""

    def fit(self, jobs, on_epoch):
        self._means = [job.X[:, 0].mean() for job in jobs]
        return super().fit(jobs, on_epoch)

    def predict(self, parts):
        assert not any(np.isnan(X).any() for X in parts)
        pairs = zip(parts, self._means, strict=True)
        return [1 / (1 + np.exp(-(X[:, 0] - mean).astype(float))) for X, mean in pairs]


def features(n: int = 42, missing: bool = True) -> FeatureSet:
    random = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = random.normal(size=(n, 3)).astype(np.float32) + y[:, None]
    if missing:
        X[::5, 2] = np.nan
    return FeatureSet(
        "tabular",
        X,
        y,
        ("a", "b", "c"),
        tuple(map(str, range(n))),
        np.arange(n).astype(str),
        np.column_stack([random.uniform(20, 80, n) + 10 * y, random.integers(0, 2, n)]),
        fill="mean",
    )


def cv(**changes) -> CvSettings:
    return replace(CvSettings("kfold", 7, 1, 123, 0.2, 0.0), **changes)


def run(learner, data: FeatureSet, settings: CvSettings, seed: int = 0) -> CVResult:
    folds = splits(data.y, data.subjects, settings)
    return cross_validate(data, folds, lambda: learner, seed=seed, cv=settings)


def test_every_record_is_scored_once_by_a_model_that_never_saw_it():
    data = features()
    learner = Recorder()
    result = run(learner, data, cv(validation=0.2))
    assert sorted(result.test) == list(range(42))
    for fold, job in zip(result.folds, learner.jobs, strict=True):
        parts = [fold.split.train, fold.split.validation, fold.split.test]
        assert sorted(np.concatenate(parts)) == list(range(42))
        np.testing.assert_array_equal(job.y, data.y[fold.split.train])
        np.testing.assert_array_equal(job.X[:, 0], data.X[fold.split.train, 0])
        np.testing.assert_array_equal(job.X_validation[:, 0], data.X[fold.split.validation, 0])


@pytest.mark.parametrize("name", ["dnn", "two_branch"])
def test_real_trainings_repeat_to_the_bit_and_have_no_way_in_either(name):
    start(BACKEND, None, 1)
    data = features()
    if name == "dnn":
        model = build_dnn(DnnSettings("dnn", (8, 4, 2), 0.01, 0.9), (3,))
    else:
        beats = np.random.default_rng(1).normal(size=(42, 32 * 2))
        data = replace(data, kind="mixed", X=np.hstack([data.X, beats]), signal_shape=(32, 2))
        of_both = TwoBranchSettings("two_branch", (4,), 5, 4, 0.01, 0.3, 0.9)
        model = build_two_branch(of_both, data.input_shape)
    data = replace(data, X=data.X.astype(np.float32))
    program = new_program(lambda: model, 32, "float32")
    learner = KerasTrainer(program, TrainSettings(3, 32, 1e-3, None, True, None, None, "float32"))
    first, again = run(learner, data, cv()), run(learner, data, cv())
    np.testing.assert_array_equal(again.y_score, first.y_score)
    test = first.folds[2].split.test
    X, y = data.X.copy(), data.y.copy()
    X[test], y[test] = 50.0, 1 - y[test]
    poisoned = run(learner, replace(data, X=X, y=y), cv())
    assert poisoned.folds[2].history == first.folds[2].history
    assert poisoned.folds[1].history != first.folds[1].history  # the poison was there


def test_callbacks_follow_the_folds_and_known_ones_are_not_trained():
    data = features()
    folds = splits(data.y, data.subjects, cv())
    whole = run(Recorder(), data, cv())
    known = {fold.split.number: fold for fold in whole.folds if fold.split.fold != 3}
    order = [folds[at] for at in (5, 3, 0, 1, 6, 4, 2)]
    learner, seen = Recorder(), []

    class Events(Callback):
        def on_epoch(self, split, epoch):
            seen.append((split.fold, epoch))

        def on_fold(self, fold, known):
            seen.append((fold.split.fold, known))

    again = cross_validate(data, order, lambda: learner, seed=0, known=known, callbacks=[Events()])
    assert len(learner.jobs) == 1
    assert again.scores == whole.scores
    assert again.baselines == whole.baselines
    np.testing.assert_array_equal(again.y_score, whole.y_score)
    assert seen[:3] == [(5, True), (3, 1), (3, False)]


def test_baselines_are_scikit_learns_and_no_skill_has_none():
    data = features(84)
    result = run(Recorder(), data, cv())
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    accuracies, aps, majorities = [], [], []
    for fold in result.folds:
        train, test = fold.split.train, fold.split.test
        logistic.fit(data.age_and_sex[train], data.y[train])
        y_score = logistic.predict_proba(data.age_and_sex[test])[:, 1]
        accuracies.append(accuracy_score(data.y[test], y_score > 0.5))
        aps.append(average_precision_score(data.y[test], y_score))
        dummy = DummyClassifier().fit(data.age_and_sex[train], data.y[train])
        majorities.append(dummy.score(data.age_and_sex[test], data.y[test]))
    assert result.baselines["age + sex"].mean.accuracy == pytest.approx(np.mean(accuracies))
    assert result.baselines["age + sex"].std.accuracy == pytest.approx(np.std(accuracies, ddof=1))
    assert result.baselines["age + sex"].mean.ap == pytest.approx(np.mean(aps))
    assert result.baselines["no skill"].mean.accuracy == pytest.approx(np.mean(majorities))
    assert result.baselines["no skill"].mean.roc_auc == pytest.approx(0.5)
    # Constants that follow each fold's training prevalence would rank folds, wrongly.
    summary = run(Recorder(), features(43), cv()).baselines["no skill"]
    assert summary.pooled["roc_auc"].estimate == 0.5
    for name in ("roc_auc", "ap"):
        assert summary.pooled[name].low < summary.pooled[name].estimate < summary.pooled[name].high
    assert summary.mean.ap > summary.pooled["ap"].estimate > 21 / 43  # small folds have more
