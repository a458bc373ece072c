"""Several classifiers as one: averaged, or the best chosen inside the training records."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lvh.errors import InputError
from lvh.models.ensembles import (
    NestedSelectionSettings,
    VotingSettings,
    build_nested_selection,
    build_voting,
    parse_candidates,
)

STRENGTHS = (0.001, 0.03, 1.0, 30.0)
NAMES = tuple("abcdefgh")


def settings(*candidates: str, **changes) -> NestedSelectionSettings:
    given = candidates or tuple(f"logistic C:{value}" for value in STRENGTHS)
    return NestedSelectionSettings(
        "nested_selection", given, **{"folds": 4, "choose_by": "ap", **changes}
    )


def problem(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, 8, n_informative=2, flip_y=0.3, random_state=seed)


def singles(y: np.ndarray) -> np.ndarray:
    """Subjects of one record each."""
    return np.arange(len(y)).astype(str)


@pytest.mark.parametrize("seed", range(3))
def test_it_chooses_as_scikit_learns_grid_search(seed):
    X, y = problem(seed=seed)
    oracle = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)),
        {"logisticregression__C": STRENGTHS},
        scoring="average_precision",
        cv=StratifiedKFold(4, shuffle=True, random_state=seed),
    ).fit(X, y)
    found = build_nested_selection(settings(), NAMES, seed, singles(y)).fit(X, y)
    assert found.chosen == f"logistic C:{oracle.best_params_['logisticregression__C']}"
    new, _ = problem(seed=seed + 10)
    np.testing.assert_allclose(found.predict_proba(new), oracle.predict_proba(new), rtol=1e-9)


def test_what_knows_subjects_again_is_not_preferred():
    """Labels follow the first input a little; the others are a subject's own, as a face is."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(40) % 2, 5)
    own = np.repeat(random.normal(size=(40, 8)), 5, axis=0) + random.normal(0, 0.05, (200, 8))
    X = np.column_stack([random.normal(0.7 * y, 1), own])
    both = settings("logistic C:0.1", "svm C:100 gamma:1.0")
    subjects = np.repeat(np.arange(40).astype(str), 5)
    names = tuple("abcdefghi")
    assert build_nested_selection(both, names, 0, subjects).fit(X, y).chosen == "logistic C:0.1"
    assert (
        build_nested_selection(both, names, 0, singles(y)).fit(X, y).chosen == "svm C:100 gamma:1.0"
    )


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (("dnn", "logistic C:1"), r"expected one of boosting, logistic, svm, extra_trees.*'dnn'"),
        (("svm C:1", "logistic C:1"), r"expected svm C:\.\.\. gamma:\.\.\.\. Received: 'svm C:1'"),
        (("logistic C:1 D:2", "logistic C:1"), r"expected logistic C:\.\.\."),
        (("logistic C:-1", "logistic C:1"), r"logistic C: expected greater than 0"),
        (("logistic C:much", "logistic C:1"), r"logistic C: expected a valid number"),
        (("logistic C:1", "logistic C:1.0"), r"expected different ones.*'logistic C:1.0' twice"),
    ],
)
def test_a_bad_candidate_or_member_is_refused(candidates, message):
    with pytest.raises(InputError, match=rf"model\.candidates: .*{message}"):
        settings(*candidates)
    with pytest.raises(InputError, match=rf"model\.members: .*{message}"):
        VotingSettings("voting", candidates)


MEMBERS = (
    "logistic C:0.1",
    "svm C:3 gamma:null",
    "trees trees:20 min_samples_leaf:3 max_features:0.3",
)


def test_voting_gives_the_mean_of_its_members():
    X, y = make_classification(120, 8, n_informative=3, flip_y=0.2, random_state=0)
    given = (NAMES, 7, np.arange(80).astype(str))
    alone = [
        one.build(one.settings, *given).fit(X[:80], y[:80]).predict_proba(X[80:])
        for one in parse_candidates("model.members", MEMBERS)
    ]
    found = build_voting(VotingSettings("voting", MEMBERS), *given).fit(X[:80], y[:80])
    np.testing.assert_allclose(found.predict_proba(X[80:]), np.mean(alone, axis=0), rtol=1e-12)
    assert np.ptp([one[:, 1] for one in alone], axis=0).max() > 0.1  # they do not agree
