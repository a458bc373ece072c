"""Models of lvh as scikit-learn's estimators: its own checks, searches, clones and pickles."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator
from test_python_api import GROUPS, X, Y

import lvh

FEW = {
    "boosting": {"trees": 5},
    "extra_trees": {"trees": 5},
    "logistic": {},
    "nested_selection": {"candidates": ("logistic C:0.1", "logistic C:1"), "folds": 2},
    "svm": {},
    "voting": {"members": ("logistic C:0.1", "logistic C:1")},
}


def expected_failures(name):
    return {}


@pytest.mark.parametrize("name", FEW)
def test_scikit_learns_checks_pass(name):
    estimator = lvh.estimator(name, **FEW[name])
    results = check_estimator(
        estimator, expected_failed_checks=expected_failures(name), on_fail=None, on_skip=None
    )
    failed = {
        one["check_name"]: repr(one["exception"])[:300]
        for one in results
        if one["status"] == "failed"
    }
    assert not failed
