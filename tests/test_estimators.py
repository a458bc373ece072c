"""Models without epochs: scikit-learn's results on our folds, the criteria's own verdict."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from final_models import FEW
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lvh.config.composition import settings_of
from lvh.errors import InputError
from lvh.evaluation.cross_validation import cross_validate
from lvh.evaluation.cv_result import CVResult
from lvh.features import FORMS, FeatureSet
from lvh.features.criteria import CRITERIA
from lvh.models import MODELS, Estimator
from lvh.models.classifiers import (
    Judge,
    NestedSelection,
    NestedSelectionSettings,
    VotingSettings,
    build,
    build_voting,
    parse_candidates,
)
from lvh.models.trainers import EstimatorTrainer
from lvh.validation.metrics import THRESHOLD
from lvh.validation.splits import CvSettings, splits

ESTIMATORS = sorted(name for name, model in MODELS.items() if isinstance(model, Estimator))
TREES = 20  # as FEW has
FOLDS = CvSettings("kfold", 3, 1, 123, 0.2, 0.0)


def settings(name: str, *overrides: str):
    typed = [f"model={name}", "features=voltage", "data=synthetic", *overrides]
    return settings_of(*typed)


def learner(name: str, data: FeatureSet, *overrides: str) -> EstimatorTrainer:
    model = settings(name, *FEW.get(name, []), *overrides).model
    return EstimatorTrainer(partial(MODELS[name].build, model, data.names), 1)


def run(own, data: FeatureSet, folds: CvSettings = FOLDS, seed: int = 0) -> CVResult:
    found = splits(data.y, data.subjects, folds)
    return cross_validate(data, found, lambda: own, seed=seed, baselines=dict)


def with_scored(data: FeatureSet, test, value: float) -> FeatureSet:
    X, y = data.X.copy(), data.y.copy()
    X[test], y[test] = value, 1 - y[test]
    return replace(data, X=X, y=y)


@pytest.fixture(scope="module")
def voltage(cohort) -> FeatureSet:
    """Forty records; inputs that are missing, and one that is the same in all."""
    data = FORMS["voltage"].extract(cohort, settings("svm").features)
    X = data.X.copy()
    X[::7, 20] = np.nan
    X[:, 30] = 0.3
    return replace(data, X=X)


def by_hand(name: str, random_state: int):
    """Return scikit-learn's classifier; the machine's scaler is fitted anew in each inner fold."""
    if name == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=10_000))
    if name == "boosting":
        return HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False)
    if name == "svm":
        folds = StratifiedKFold(5, shuffle=True, random_state=random_state)
        machine = make_pipeline(StandardScaler(), SVC())
        return CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    return ExtraTreesClassifier(TREES, random_state=random_state)


@pytest.mark.parametrize("name", ["logistic", "boosting", "svm", "extra_trees"])
def test_agrees_with_scikit_learn_by_hand(name, voltage):
    result = run(learner(name, voltage), voltage)
    for fold in result.folds:
        X, test = filled_by_hand(voltage, fold.split)
        y = voltage.y[fold.split.train]
        own = np.random.SeedSequence([0, fold.split.repeat, fold.split.fold])
        model = by_hand(name, int(own.generate_state(1)[0])).fit(X, y)
        np.testing.assert_array_equal(fold.y_score, model.predict_proba(test)[:, 1])
        (loss,), (accuracy,) = fold.history.loss, fold.history.accuracy
        learned = np.clip(model.predict_proba(X)[:, 1], 1e-7, 1 - 1e-7)
        assert loss == pytest.approx(log_loss(y, learned))
        assert accuracy == pytest.approx(accuracy_score(y, learned > THRESHOLD))
        assert fold.history.kept_epoch == 1


def filled_by_hand(data: FeatureSet, split) -> tuple[np.ndarray, np.ndarray]:
    X, test = data.X[split.train], data.X[split.test]
    mean = np.nan_to_num(np.nanmean(X.astype(np.float64), axis=0)).astype(np.float32)
    parts = (np.where(np.isnan(part), mean, part) for part in (X, test))
    return tuple(part.astype(np.float64) for part in parts)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_training_repeats_to_the_bit_and_a_planted_leak_has_no_way_in(name, voltage):
    own = learner(name, voltage)
    first, again = run(own, voltage), run(own, voltage)
    np.testing.assert_array_equal(again.y_score, first.y_score)
    assert [fold.history for fold in again.folds] == [fold.history for fold in first.folds]
    assert ((first.y_score >= 0) & (first.y_score <= 1)).all()
    assert np.ptp(first.y_score) > 0
    test = first.folds[1].split.test
    poisoned = run(learner(name, voltage), with_scored(voltage, test, 50.0))
    assert poisoned.folds[1].history == first.folds[1].history
    assert poisoned.folds[0].history != first.folds[0].history  # the poison was there
    # nor do other test records depend on it
    half = test[: len(test) // 2]
    changed = run(learner(name, voltage), with_scored(voltage, half, 50.0))
    np.testing.assert_array_equal(
        changed.folds[1].y_score[len(half) :], first.folds[1].y_score[len(half) :]
    )


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("male", [True, False])
def test_scores_are_positive_where_the_criterion_is_and_keep_its_order(name, male):
    criterion = CRITERIA[name]
    at = np.float32(criterion.men if male else criterion.women)
    below, above = np.nextafter(at, np.float32([0, 99]))
    values = np.array([0, at / 3, below, at, above, 1.01 * at, 3 * at, 9 * at], np.float32)
    sex = np.full(len(values), male)
    judge = Judge((criterion,), ("male", name))
    scores = judge.predict_proba(np.column_stack([sex, values]))[:, 1]
    np.testing.assert_array_equal(scores > THRESHOLD, criterion.positive(values, sex))
    assert (np.diff(scores) >= 0).all()
    assert (scores[2] <= 0.5) & (scores[4] > 0.5)
    assert ((scores > 0) & (scores < 1)).all()


STRENGTHS = (0.001, 0.03, 1.0, 30.0)
NAMES = tuple("abcdefgh")


def problem(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, 8, n_informative=2, flip_y=0.3, random_state=seed)


@pytest.mark.parametrize("seed", range(3))
def test_it_chooses_as_scikit_learns_grid_search(seed):
    X, y = problem(seed=seed)
    oracle = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)),
        {"logisticregression__C": STRENGTHS},
        scoring="average_precision",
        cv=StratifiedKFold(4, shuffle=True, random_state=seed),
    ).fit(X, y)
    candidates = tuple(f"logistic C:{value}" for value in STRENGTHS)
    given = NestedSelectionSettings("nested_selection", candidates, folds=4, choose_by="ap")
    found = NestedSelection(given, NAMES, seed, np.arange(len(y)).astype(str)).fit(X, y)
    assert found.chosen == f"logistic C:{oracle.best_params_['logisticregression__C']}"
    new, _ = problem(seed=seed + 10)
    np.testing.assert_allclose(found.predict_proba(new), oracle.predict_proba(new), rtol=1e-9)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (("dnn", "logistic C:1"), r"expected one of boosting, logistic, svm, extra_trees.*'dnn'"),
        (("svm C:1", "logistic C:1"), r"expected svm C:\.\.\. gamma:\.\.\.\. Received: 'svm C:1'"),
        (("logistic C:-1", "logistic C:1"), r"expected greater than 0 for C"),
        (("logistic C:1", "logistic C:1.0"), r"expected different ones.*logistic C:1.0"),
    ],
)
def test_a_bad_candidate_or_member_is_refused(candidates, message):
    with pytest.raises(InputError, match=rf"model\.candidates: .*{message}"):
        NestedSelectionSettings("nested_selection", candidates, folds=4, choose_by="ap")
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
        build(one, *given).fit(X[:80], y[:80]).predict_proba(X[80:])
        for one in parse_candidates("model.members", MEMBERS).values()
    ]
    found = build_voting(VotingSettings("voting", MEMBERS), *given).fit(X[:80], y[:80])
    np.testing.assert_allclose(found.predict_proba(X[80:]), np.mean(alone, axis=0), rtol=1e-12)
    assert np.ptp([one[:, 1] for one in alone], axis=0).max() > 0.1  # they do not agree
