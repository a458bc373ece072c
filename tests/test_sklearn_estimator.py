"""Models of lvh as scikit-learn's estimators: its own checks, searches, clones and pickles."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator
from test_python_api import X, Y

import lvh

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
    again = clone(best).fit(X, labels)
    np.testing.assert_array_equal(again.predict_proba(X), best.predict_proba(X))
    other = clone(best).set_params(dnn__random_state=1).fit(X, labels)
    assert (other.predict_proba(X) != best.predict_proba(X)).any()
    np.testing.assert_array_equal(again.predict_proba(X), best.predict_proba(X))
    restored = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(restored.predict_proba(X), best.predict_proba(X))


def test_what_is_no_estimator_is_refused():
    six = np.arange(len(Y)) // 20
    with pytest.raises(ValueError, match="model=svm: expected 5 training subjects"):
        lvh.estimator("svm").fit(X, Y, groups=six)
    lvh.estimator("svm").fit(X, Y)
    with pytest.raises(lvh.InputError, match=r"name: .*did you mean logistic"):
        lvh.estimator("logistics")
    with pytest.raises(lvh.InputError, match="name: "):
        lvh.estimator("criteria")
    with pytest.raises(lvh.InputError, match=r"gama: no such parameter of svm .did you mean gamma"):
        lvh.estimator("svm", gama=1)
    with pytest.raises(ValueError, match=r"model\.C: .*Received: -1"):
        lvh.estimator("svm", C=-1).fit(X, Y)
    with pytest.raises(ValueError, match="cnn needs signal inputs"):
        lvh.estimator("cnn").fit(X, Y)
