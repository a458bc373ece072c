"""The Python API: scikit-learn's scores on the same splits, the command's for the same settings."""

from functools import partial

import hydra
import mlflow
import numpy as np
import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection as sk
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

import lvh

SCORES = {"ap": "average_precision", "roc_auc": "roc_auc", "accuracy": "accuracy"}
N = 120
GROUPS = np.arange(N) // 2


def drawn(n: int = N, n_inputs: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < 0.4).astype(int)
    y[:2] = 0, 1
    return 0.7 * y[:, None] + generator.normal(size=(n, n_inputs)), y


X, Y = drawn()
WITH_GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
TABLE = pd.DataFrame(X, columns=list("abcd")).assign(place=np.where(X[:, 0] > 0, "in", "out"))
ESTIMATORS = {
    "pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), X),
    "margins": (Perceptron(), 1000 * X),  # of some thousands
    "missing": (HistGradientBoostingClassifier(max_iter=2), WITH_GAPS),
    "columns": (
        make_pipeline(
            make_column_transformer((OneHotEncoder(), ["place"]), remainder="passthrough"),
            LogisticRegression(),
        ),
        TABLE,
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_scores_are_those_of_scikit_learn_on_the_same_splits(name):
    estimator, inputs = ESTIMATORS[name]
    cv = sk.StratifiedGroupKFold(4, shuffle=True, random_state=5)
    result = lvh.cross_validate(estimator, inputs, Y, GROUPS, cv=cv)
    theirs = sk.cross_validate(
        estimator, inputs, Y, groups=GROUPS, cv=cv, scoring=list(SCORES.values())
    )
    frame = result.to_frame()
    for own, scorer in SCORES.items():
        np.testing.assert_allclose(frame[own], theirs[f"test_{scorer}"], rtol=0, atol=1e-12)
    assert list(frame.n_test + frame.n_train) == [N] * 4
    assert np.isnan(result.scores.mean.brier) == (name == "margins")
    assert not hasattr(estimator, "classes_")  # a person's own object is not fitted
    assert list(result.baselines) == ["no skill"]  # age and sex are not known


@settings(max_examples=5)
@given(st.data())
def test_a_group_is_never_in_two_parts_of_a_fold(data):
    n = data.draw(st.integers(24, 60))  # more records than subjects
    groups = data.draw(st.lists(st.integers(0, 19), min_size=n, max_size=n))
    folds = data.draw(st.integers(2, 4))
    inputs, y = drawn(n, seed=data.draw(st.integers(0, 9)))
    names = np.array([f"s{group}" for group in groups])
    try:
        result = lvh.cross_validate(LogisticRegression(), inputs, y, names, cv=folds)
    except lvh.InputError:  # too few subjects of a class
        return
    for fold in result.folds:
        assert not {*names[fold.split.train]} & {*names[fold.split.test]}
    assert sorted(result.test.tolist()) == list(range(n))
    np.testing.assert_array_equal(result.y_true, y[result.test])
    each_record = [(np.delete(np.arange(n), at), [at]) for at in range(n)]
    with pytest.raises(lvh.InputError, match="cv: expected every subject in one part"):
        lvh.cross_validate(LogisticRegression(), inputs, y, names, cv=each_record)


def test_pairs_repeat_a_splitter_and_a_result_draws_itself():
    cv = sk.RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    by_splitter = lvh.cross_validate(LogisticRegression(), X, Y, cv=cv)
    numbers = [fold.split.number for fold in by_splitter.folds]
    assert numbers == [(repeat, fold) for repeat in range(2) for fold in range(3)]
    by_pairs = lvh.cross_validate(LogisticRegression(), X, Y, cv=list(cv.split(X, Y)))
    np.testing.assert_array_equal(by_pairs.y_score, by_splitter.y_score)
    given = LogisticRegression(), X, Y
    result = lvh.cross_validate(*given, cv=sk.LeaveOneOut())
    scores = sk.cross_val_predict(*given, cv=sk.LeaveOneOut(), method="predict_proba")[:, 1]
    pooled = result.scores.pooled["roc_auc"].estimate
    assert pooled == pytest.approx(roc_auc_score(Y, scores), abs=1e-12)
    assert len(result.plot("roc").data)
    assert "no skill" in result._repr_html_()


def test_a_name_and_a_cohort_give_the_scores_of_the_settings():
    chosen = ("data=synthetic", "data.records=42", "features=voltage", "cv.folds=3")
    own = lvh.settings(*chosen, "model=svm")
    data = lvh.load_data(own)
    expected = lvh.cross_validate(own, data)
    cohort = lvh.load_data("synthetic", records=42)
    for given_data, more in ((cohort, {"features": "voltage", "cv": 3}), (data, {})):
        result = lvh.cross_validate(own.model, given_data, **more)
        np.testing.assert_array_equal(result.y_score, expected.y_score)
        assert result.scores == expected.scores
        assert result.baselines == expected.baselines


def network(input_shape, units=4, compiled=False):
    import keras

    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    if compiled:
        model.compile(keras.optimizers.SGD(0.3), "binary_crossentropy")
    return model


@pytest.mark.slow
def test_a_function_that_builds_a_network_trains_a_new_one_for_each_fold():
    signals = np.stack([X, X[:, ::-1]], axis=2)  # records, samples, leads
    folds = list(sk.KFold(2, shuffle=True, random_state=0).split(X))
    options = {"train": {"epochs": 8, "learning_rate": 0.03}}
    result = lvh.cross_validate(network, signals, Y, cv=folds, **options)
    assert result.scores.mean.roc_auc > 0.7
    assert [len(fold.history.loss) for fold in result.folds] == [8] * 2
    # a test record changes nothing but its own score: not the training, not the other scores
    changed, test = signals.copy(), folds[1][1]
    changed[test[:10]] = 50
    dirty = lvh.cross_validate(network, changed, Y, cv=folds[1:], **options)
    again = lvh.cross_validate(network, signals, Y, cv=folds[1:], **options)
    assert dirty.folds[0].history == again.folds[0].history
    np.testing.assert_array_equal(dirty.folds[0].y_score[10:], again.folds[0].y_score[10:])


def test_metrics_choose_what_tables_show():
    def cost(y_true, y_score):
        return log_loss(y_true, y_score)

    result = lvh.cross_validate(LogisticRegression(), X, Y, cv=3, metrics=["ap", cost])
    assert list(result.to_frame())[2:4] == ["ap", "cost"]
    np.testing.assert_allclose(
        result.to_frame().cost, [fold.metrics.loss for fold in result.folds], rtol=1e-6
    )
    summary = result.summary()
    assert list(summary.index) == ["ap", "cost"]
    assert summary.loc["ap", "no skill"] == result.baselines["no skill"].mean.ap
    assert summary.loc["cost", "pooled"] == log_loss(result.y_true, result.y_score)
    for value, message in ("none", "<lambda> fails: ValueError"), ("inf", "a number of.*inf"):
        with pytest.raises(lvh.LvhError, match=f"metrics: .*{message}"):
            lvh.cross_validate("logistic", X, Y, cv=2, metrics=[lambda *of, value=value: value])


def always_the_same():
    model = network((4,))
    return lambda input_shape: model


NAN = np.where(np.arange(N * 4).reshape(N, 4) == 5, np.nan, X)


FROZEN = make_pipeline(FrozenEstimator(StandardScaler().fit(X)), SVC())
TUNED = make_pipeline(StandardScaler(), sk.TunedThresholdClassifierCV(LogisticRegression()))
HALVES = [(np.arange(60), np.arange(60, N))]
LEAK = {"weights": "carried", "allow_leakage": True}
AUGMENTED = {"augment": {"shift": 0.1}}
REFUSED = {  # what is given in place of SVC(), X and Y, and the message
    "regressor": ({"estimator": Ridge()}, "estimator: Ridge: expected a classifier"),
    "train": ({"train": {"epochs": 3}}, "train: expected None"),
    "groups": ({"groups": GROUPS[:, None]}, "groups: expected 120 values"),
    "one class": ({"y": 0 * Y}, "labels: expected both classes"),
    "one class in a fold": (
        {"y": np.arange(N) >= 60, "cv": HALVES},
        "expected both classes in the training part of fold 1",
    ),
    "leak": ({"cv": LEAK}, "cv: expected"),
    "positions": ({"cv": [(np.arange(60), [N])]}, "cv: expected different positions"),
    "metric": ({"metrics": ["auc"]}, "metrics: .*roc_auc"),
    "nan": ({"estimator": network, "X": NAN[:, :, None]}, "X: expected finite"),
    "margins": ({"metrics": ["brier"]}, "brier: needs probabilities, which SVC"),
    "index": (
        {"X": TABLE[["a"]], "y": pd.Series(Y[::-1], range(N)[::-1])},
        "y: expected the index of X",
    ),
    "label in the inputs": (
        {"X": TABLE.assign(af=Y), "y": pd.Series(Y, name="af")},
        "X: .*a column af, the name of y",
    ),
    "masked": ({"X": np.ma.masked_less(X, 0)}, "X: .*MaskedArray"),
    "frozen": ({"estimator": FROZEN}, "fitted or frozen .*FrozenEstimator"),
    "threshold": ({"estimator": TUNED}, "without a threshold.*TunedThreshold"),
    "no criterion": (
        {"estimator": "criteria", "X": TABLE[["a"]].assign(male=Y)},
        r"model\.criterion: expected the inputs male, cornell.*'a', 'male'",
    ),
    "augmented table": ({"estimator": "dnn", "train": AUGMENTED}, r"train\.augment: expected sig"),
    "compiled": ({"estimator": partial(network, compiled=True)}, "a network that is not compiled"),
    "one network": (
        {"estimator": always_the_same(), "cv": 2, "train": {"epochs": 1}},
        "expected a new network",
    ),
    "times": (
        {"estimator": "svm", "X": TABLE.assign(place=pd.to_timedelta(range(len(X)), unit="s"))},
        "X: .*columns of numbers.*place",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_before_any_training(name):
    changed, message = REFUSED[name]
    with pytest.raises(lvh.InputError, match=message):
        lvh.cross_validate(**{"estimator": SVC(), "X": X, "y": Y, **changed})


TAKE_A_SEED = {
    "cross_validate": lambda seed: lvh.cross_validate("logistic", X, Y, cv=3, seed=seed),
    "sweep": lambda seed: lvh.sweep("svm", X, Y, space={"C": [0.1, 1.0]}, cv=3, seed=seed),
    "bootstrap_intervals": lambda seed: lvh.bootstrap_intervals(Y, X[:, 0], GROUPS, seed=seed),
}
NO_SEEDS = st.integers(max_value=-1) | st.integers(2**32) | st.sampled_from([None, True, "3", 1.5])


@pytest.mark.parametrize("name", TAKE_A_SEED)
@given(NO_SEEDS)
def test_what_is_no_seed_is_refused_by_its_name(name, seed):
    with pytest.raises(lvh.InputError, match="seed: expected a whole number from 0 to 4294967295"):
        TAKE_A_SEED[name](seed)


def test_data_that_do_not_fit_their_settings_are_refused():
    with pytest.raises(lvh.LvhError, match=r"ValueError: Input X contains NaN"):
        lvh.cross_validate(LogisticRegression(), WITH_GAPS, Y, cv=3)
    permuted = lvh.settings("data=synthetic", "model=svm", "features=voltage", "cv.permutations=5")
    with pytest.raises(lvh.InputError, match=r"cv\.permutations: expected 0 here"):
        lvh.cross_validate(permuted, lvh.load_data(permuted))
    small, noise = ("data=synthetic", "data.records=42"), {"augment": {"noise": 0.1}}
    scaled = lvh.load_data(lvh.settings(*small, "model=cnn"))
    for other in (X, scaled):
        with pytest.raises(lvh.InputError, match="X: expected the data of these settings"):
            lvh.cross_validate(lvh.settings(*small, "model=svm", "features=voltage"), other)
    for data in (scaled, scaled.cohort):
        with pytest.raises(lvh.InputError, match=r"train\.augment: .*features\.scaling=none"):
            lvh.cross_validate("cnn", data, train=noise)


@pytest.mark.slow
def test_a_notebook_with_a_run_and_an_application_of_its_own_keeps_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/own.db")
    mlflow.set_experiment("Default")  # another test may have left one of another store
    try:
        with hydra.initialize(version_base=None, config_path=None), mlflow.start_run() as run:
            config = hydra.compose(overrides=["+a=1"], return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            config = HydraConfig.instance().cfg
            own = lvh.settings("data=synthetic", "data.records=42", "model=svm", "cv.folds=3")
            data = lvh.load_data(own)
            lvh.cross_validate(own, data)
            lvh.sweep("logistic", data, space={"C": [0.1]})
            assert GlobalHydra.instance().is_initialized()
            assert HydraConfig.instance().cfg is config
            assert mlflow.active_run().info.run_id == run.info.run_id
        (own_run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
        assert (own_run.info.run_id, own_run.info.status) == (run.info.run_id, "FINISHED")
        assert not {**own_run.data.params, **own_run.data.metrics}
        assert {path.name for path in tmp_path.iterdir()} <= {"own.db", "mlruns", "mlartifacts"}
    finally:
        HydraConfig.instance().cfg = None
        mlflow.set_tracking_uri(None)
