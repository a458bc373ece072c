"""Sweeps from Python: scikit-learn's grid search, and what is left of one that was interrupted."""

import linecache
import sys
from itertools import islice
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from test_python_api import GROUPS, X, Y

import lvh
from lvh.api.code_identity import identity
from lvh.api.dict_space import space_from

CV = sk.StratifiedGroupKFold(3, shuffle=True, random_state=5)
GRID = {"logisticregression__C": [0.01, 1.0, 30.0]}


def pipeline():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_a_grid_ranks_as_scikit_learns_search_on_the_same_splits():
    study = lvh.sweep(pipeline(), X, Y, GROUPS, space=GRID, cv=CV)
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
    assert len(frame) == 9
    assert frame.groupby("trial").ap.mean().to_dict() == pytest.approx(
        dict(zip(summary.trial, summary["mean"], strict=True))
    )
    assert len(study.predictions) == 3
    assert study.compare(study).loc["ap", "difference"] == 0
    assert len(study.plot("folds").data)
    assert "Best" in study._repr_html_()


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


class Counting(ClassifierMixin, BaseEstimator):
    """Counts its fits, and may be interrupted in one of them."""

    fits = 0
    stops_at = -1

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, inputs, y):
        if Counting.fits == Counting.stops_at:
            raise KeyboardInterrupt
        Counting.fits += 1
        self.mean_ = inputs.mean() + self.shift
        return self

    def decision_function(self, inputs):
        return inputs[:, 0] - self.mean_


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "fits", 0)
    monkeypatch.setattr(Counting, "stops_at", 4)  # in the second fold of the second trial
    options = {
        "space": {"shift": [0.0, 0.1, 0.2]},
        "cv": 3,
        "sampler": "grid",
        "storage": f"sqlite:///{tmp_path}/studies.db",
        "store": tmp_path / "folds",
    }
    with pytest.raises(KeyboardInterrupt):
        lvh.sweep(Counting(), X, Y, **options)
    monkeypatch.setattr(Counting, "stops_at", -1)
    study = lvh.sweep(Counting(), X, Y, **options)
    assert Counting.fits == 9  # each fold of each trial once
    assert [(trial.number, trial.state) for trial in study.trials] == [
        (number, "complete") for number in range(3)
    ]
    whole = lvh.sweep(Counting(), X, Y, space=options["space"], cv=3)
    assert [trial.values for trial in study.trials] == [trial.values for trial in whole.trials]
    assert lvh.sweep(Counting(), X, Y, **options).trials == study.trials
    assert Counting.fits == 18  # those of `whole`
    loaded = lvh.load_study(options["storage"], None, options["store"])
    assert loaded.summary().equals(study.summary())
    # other data, labels, folds, estimators and seeds are other sweeps
    for changed in ({"X": X + 1}, {"estimator": Counting(1)}):
        given_now = {"estimator": Counting(), "X": X, "y": Y, **options, **changed, "n_trials": 1}
        assert lvh.sweep(**given_now).name != study.name


CELL = """
factor = {factor}

def scaled(inputs):
    return {factor} * inputs

class Rule:
    def __init__(self, add={add}):
        self.add = add

    def fit(self, inputs, y):
        return scaled(inputs)
"""


def in_notebook(name: str, **values: int):
    """Define a class as a notebook does: in a module without a file, of cells without a name."""
    text = CELL.format(**values)
    cell = f"<cell of {name}>"
    linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, cell, "exec"), vars(module))
    return module


def test_the_identity_of_code_follows_its_source_and_what_it_uses(monkeypatch):
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def enclosing(value):
        return lambda inputs: inputs + value

    assert identity(enclosing(1)) == identity(enclosing(1)) != identity(enclosing(2))
    assert identity(SVC(C=2)) == identity(SVC(C=2)) != identity(SVC(C=3))
    assert identity({1: "a"}) != identity({"1": "a"})
    assert identity(np.arange(3)) != identity(np.arange(3.0))
    assert identity(pipeline()) != identity(pipeline().set_params(standardscaler=None))
    with pytest.raises(lvh.InputError, match=r"storage: .* same in another process"):
        identity(ExtraTreesClassifier(random_state=np.random.RandomState(0)))
    one, same, other = (
        identity(in_notebook("notebook", factor=factor, add=add).Rule(5))
        for factor, add in ((1, 2), (1, 2), (3, 2))
    )
    assert one == same != other  # by a function that a method calls
    assert identity(in_notebook("notebook", factor=1, add=9).Rule(5)) != one


finite = st.floats(-1e6, 1e6)
VALUES = st.one_of(
    st.tuples(finite, finite).filter(lambda pair: pair[0] < pair[1]),
    st.tuples(st.integers(1, 9), st.integers(10, 99), st.just("log")),
    st.lists(st.one_of(st.integers(), st.booleans(), st.none()), min_size=1, unique_by=repr),
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=1), VALUES)
def test_every_point_of_a_drawn_space_holds_what_was_asked_for(values, under):
    read = space_from({**values, "choice": {"one": {"inner": under}, "other": {}}})
    for point in islice(read.space.probes(), 50):
        params = read.params(point)
        assert ("inner" in params) == (params["choice"] == "one")
        for name, asked in {**values, "inner": under}.items():
            if name not in params:
                continue
            if isinstance(asked, list):
                assert any(params[name] is one or params[name] == one for one in asked)
            else:
                assert asked[0] <= params[name] <= asked[1]
                assert type(params[name]) is type(asked[0])


REFUSED = {
    "empty": ({}, "space: expected one parameter"),
    "one value": ({"C": 1.0}, "space: expected a list .* of C"),
    "empty list": ({"C": []}, "of C"),
    "same": ({"C": [1, "1"]}, "look the same"),
    "order": ({"C": (3, 1)}, "of C"),
    "log": ({"C": (0, 1, "log")}, "of C"),
    "name": ({"gama": [1]}, "no parameter gama; did you mean gamma"),
    "not a dict": ({"kernel": {"rbf": [1]}}, "a dict under kernel=rbf"),
    "twice": ({"C": [1], "kernel": {"rbf": {"C": [1]}, "linear": {}}}, "expected C once"),
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
    with pytest.raises(lvh.LvhError, match=r"every trial failed, the first so: .*C"):
        lvh.sweep(SVC(), X, Y, space={"C": [-2.0, -1.0]}, cv=2)
    with pytest.raises(lvh.InputError, match=r"search\.objectives"):
        lvh.sweep(SVC(), X, Y, space={"C": [1.0]}, objectives="auc")
