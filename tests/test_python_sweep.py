"""Sweeps from Python: they rank as scikit-learn's grid search, and hold what was asked for."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection as sk
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator
from test_python_api import GROUPS, X, Y

import lvh
from lvh.runs.python_sweep import space_from

CV = sk.StratifiedGroupKFold(3, shuffle=True, random_state=5)
TWINS = pd.DataFrame(X, ["0", *range(len(X) - 1)])  # two names that look the same
GRID = {"logisticregression__C": [*np.array([0.01, 1.0, 30.0])]}


def pipeline():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_a_grid_ranks_as_scikit_learns_search_on_the_same_splits():
    study = lvh.sweep(pipeline(), TWINS, Y, GROUPS, space=GRID, cv=CV)
    theirs = sk.GridSearchCV(pipeline(), GRID, scoring="average_precision", cv=CV, refit=False)
    theirs.fit(X, Y, groups=GROUPS)
    scores = theirs.cv_results_["mean_test_score"]
    means = dict(zip(GRID["logisticregression__C"], scores, strict=True))
    summary = study.summary()
    assert len(summary) == len(means)
    for _, row in summary.iterrows():
        assert row["mean"] == pytest.approx(means[row["logisticregression__C"]], abs=1e-12)
    assert summary["mean"].is_monotonic_decreasing
    frame = study.to_frame()
    assert frame.groupby("trial").ap.mean().to_dict() == pytest.approx(
        dict(zip(summary.trial, summary["mean"], strict=True))
    )
    assert study.compare(study).loc["ap", "difference"] == 0
    other = lvh.sweep(pipeline(), X, 1 - Y, space=GRID, cv=[*CV.split(X, Y, GROUPS)])
    for wrong, message in ((frame, "a sweep"), (other, ".*labels.* two without a fold in common")):
        with pytest.raises(lvh.InputError, match=f"compare: expected {message}"):
            study.compare(wrong)
    assert len(study.plot("folds").data)
    assert "Best" in study._repr_html_()


def test_constants_of_folds_rank_nothing_together():
    space = {"random_state": [0, 1]}
    study = lvh.sweep(DummyClassifier(strategy="prior"), X[1:], Y[1:], space=space, cv=5)
    prevalence, said = f"{Y[1:].mean():.3f}", " ".join(study.sentences())
    assert f"an ap of {prevalence}, " in said
    assert f"best pooled ap {prevalence}, " in said


def test_several_estimators_and_what_only_some_options_have():
    space = {
        "svm": {"kernel": {"rbf": {"gamma": (0.01, 1.0, "log")}, "linear": {}}, "C": [1.0, 10.0]},
        "forest": {"max_depth": [1, None]},
        "ours": {"C": (0.1, 1.0)},
    }
    estimators = {"svm": SVC(), "forest": ExtraTreesClassifier(5), "ours": "logistic"}
    study = lvh.sweep(
        estimators, X, Y, space=space, n_trials=6, cv=2, sampler="random", objectives="roc_auc"
    )
    names = {
        ("forest", None): {"model", "forest.max_depth"},
        ("ours", None): {"model", "ours.C"},
        ("svm", "linear"): {"model", "svm.kernel", "svm.C"},
        ("svm", "rbf"): {"model", "svm.kernel", "svm.C", "svm.gamma"},
    }
    assert [trial.state for trial in study.trials] == ["complete"] * 6
    for trial in study.trials:
        of = trial.params["model"], trial.params.get("svm.kernel")
        assert {*trial.params} == names[of]
    assert len({trial.params["model"] for trial in study.trials}) == 3
    with pytest.raises(lvh.InputError, match="estimator and space"):
        lvh.sweep(estimators, X, Y, space={**space, "swm": {}}, cv=2)
    with pytest.raises(lvh.InputError, match="train: expected None"):
        lvh.sweep(estimators, X, Y, space=space, cv=2, train={"epochs": 1})


def test_options_share_a_parameter_and_a_range_is_listed():
    under = {"degree": range(2, 5, 2)}
    huge, _ = space_from({"kernel": {"linear": {}, "poly": under}, "C": range(1, 10**9)})
    assert huge.having("degree") == {"kernel": "poly", "degree": 2, "C": 1}
    space, _ = space_from({"kernel": {"poly": under, "sigmoid": under, "linear": {}}})
    points = [{"kernel": "linear"}]
    points += [{"kernel": name, "degree": at} for name in ("poly", "sigmoid") for at in (2, 4)]
    listed = [*space.points()]
    assert len(listed) == len(points)
    assert all(point in listed for point in points)


REFUSED = {
    "empty": ({}, "space: expected one parameter"),
    "same": ({"C": [1, "1"]}, "look the same"),
    "log": ({"C": (0, 1, "log")}, "of C"),
    "name": ({"gama": [1]}, "space: Invalid parameter 'gama'"),
    "training": ({"train.epochs": [2]}, "train: expected None"),
    "twice": ({"C": [1], "kernel": {"rbf": {"C": [1]}, "linear": {}}}, "each once.* 'C'"),
    "not a dict": ({"kernel": {"rbf": [1]}}, "a dict under kernel='rbf'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_space_that_cannot_be_meant_is_refused(name):
    space, message = REFUSED[name]
    with pytest.raises(lvh.InputError, match=message):
        lvh.sweep(SVC(), X, Y, space=space, cv=2)


def test_a_trial_fails_alone_and_a_sweep_of_failures_says_so():
    study = lvh.sweep(SVC(), X, Y, space={"C": [1.0, -1.0]}, cv=2)
    assert [trial.state for trial in study.trials] == ["complete", "failed"]
    assert "C" in study.trials[1].error
    with pytest.raises(lvh.LvhError, match=r"every trial failed.*train\.patience: expected"):
        lvh.sweep("dnn", X, Y, space={"train.patience": [1]}, cv=2)
    with pytest.raises(lvh.InputError, match=r"search\.objectives"):
        lvh.sweep(SVC(), X, Y, space={"C": [1.0]}, objectives="auc")


FEW = {
    "boosting": {"trees": 3},
    "extra_trees": {"trees": 3},
    "logistic": {},
    "nested_selection": {"candidates": ("logistic C:0.1", "logistic C:1"), "folds": 2},
    "svm": {},
    "voting": {"members": ("logistic C:0.1", "logistic C:1")},
}
EXPECTED = {
    "svm": {"check_fit2d_1feature": "calibration needs five records of each class; it has three"}
}
SLOW = ("boosting", "extra_trees", "nested_selection", "voting")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FEW]
)
def test_scikit_learns_checks_pass(name):
    results = check_estimator(
        lvh.estimator(name, **FEW[name]),
        expected_failed_checks=EXPECTED.get(name),
        on_fail=None,
        on_skip=None,
    )
    failed = [(one["check_name"], one["exception"]) for one in results if one["status"] == "failed"]
    assert not failed
    assert sum(one["status"] == "passed" for one in results) > 40


@pytest.mark.slow
def test_a_network_works_in_a_pipeline_a_search_a_clone_and_a_pickle():
    network = lvh.estimator("dnn", epochs=2, units=(4, 4, 2))
    pipeline = make_pipeline(MinMaxScaler(), network)
    labels = np.where(Y, "yes", "no")
    search = GridSearchCV(pipeline, {"dnn__l2": [0.0, 0.1]}, cv=2, error_score="raise")
    search.fit(X, labels)
    best = search.best_estimator_
    assert list(best.classes_) == ["no", "yes"]
    assert {*best.predict(X)} <= {"no", "yes"}
    np.testing.assert_allclose(best.predict_proba(X).sum(axis=1), 1)
    again, restored = clone(best).fit(X, labels), pickle.loads(pickle.dumps(best))
    changed = pickle.loads(pickle.dumps(best)).set_params(dnn__units=(8, 8, 2))  # for the next fit
    for other in (again, restored, changed):
        np.testing.assert_array_equal(other.predict_proba(X), best.predict_proba(X))


def test_what_is_no_estimator_is_refused():
    with pytest.raises(ValueError, match="model=svm: expected 5 training subjects"):
        lvh.estimator("svm").fit(X, Y, groups=np.arange(len(Y)) // 20)
    lvh.estimator("svm").fit(X, Y)
    with pytest.raises(lvh.InputError, match=r"gama: no such parameter of svm .did you mean gamma"):
        lvh.estimator("svm", gama=1)
    with pytest.raises(ValueError, match=r"model\.C: .*Received: -1"):
        lvh.estimator("svm", C=-1).fit(X, Y)
    with pytest.raises(ValueError, match="cnn needs signal inputs"):
        lvh.estimator("cnn").fit(X, Y)
