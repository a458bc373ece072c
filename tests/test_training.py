"""Training: Keras's own results, repeatable to the bit, compiled once; on any backend."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import BACKEND
from scipy.stats import ks_2samp

from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError, LvhError
from lvh.models.backends import Program, cores, new_program, start
from lvh.models.cnn import CnnSettings
from lvh.models.cnn import build as build_cnn
from lvh.models.dnn import DnnSettings
from lvh.models.dnn import build as build_dnn
from lvh.models.training import KerasLearner, Lesson, TrainSettings, _children, check_train
from lvh.models.two_branch import TwoBranchSettings
from lvh.models.two_branch import build as build_two_branch
from lvh.validation.metrics import score

NOTHING = (np.zeros((0, 12), np.float32), np.zeros(0, np.int64))


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start(BACKEND, None, cores())


def train_settings(**changes) -> TrainSettings:
    values = {
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "patience": None,
        "restore_best": True,
        "threads": None,
        "side_by_side": None,
        "precision": "float32",
        **changes,
    }
    return TrainSettings(**values)


def program_of(model: keras.Model, precision: str = "float32") -> Program:
    return new_program(lambda: model, 32, precision)


def dnn(**changes) -> KerasLearner:
    settings = train_settings(**changes)
    model = build_dnn(DnnSettings("dnn", (16, 8, 4), 0.01, 0.9), (12,))
    return KerasLearner(new_program(lambda: model, settings.batch_size, "float32"), settings)


def compilations(program: Program) -> int:
    """Return how many functions were made of a training step."""
    if BACKEND == "torch":
        pytest.skip("torch compiles nothing")
    if BACKEND == "jax":
        return program._alone.step._cache_size()
    return program._epochs.experimental_get_tracing_count()


def problem(n: int = 75, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make a learnable problem; 75 records leave a last partial batch of 11."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 12)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * random.normal(size=n) > 0).astype(np.int64)


def lesson(X, y, seed=1, validation=NOTHING) -> Lesson:
    subjects = np.arange(len(y)).astype(str)
    return Lesson(X, y, subjects, *validation, np.random.SeedSequence(seed))


def fit(learner, X, y, seed=1, validation=NOTHING, on_epoch=lambda at, epoch: None):
    (history,) = learner.fit([lesson(X, y, seed, validation)], on_epoch)
    return history


def predict(learner, X) -> np.ndarray:
    (y_score,) = learner.predict([X])
    return y_score


@pytest.mark.parametrize("name", ["dnn", "cnn", "two_branch"])
def test_agrees_with_keras_fit(name):
    """From the same weights, in the same order, an epoch is Keras's epoch.

    Penalties, moving statistics, the last partial batch and Adam's state all enter.
    """
    random = np.random.default_rng(0)
    if name == "dnn":
        X, y = problem()
        model = build_dnn(DnnSettings("dnn", (16, 8, 4), 0.01, 0.9), (12,))
    elif name == "two_branch":
        X = random.normal(size=(45, 9 + 64 * 3)).astype(np.float32)
        y = random.integers(0, 2, 45)
        of_both = TwoBranchSettings("two_branch", (6,), 7, 5, 0.01, 0.0, 0.9)
        model = build_two_branch(of_both, (9, 64, 3))
    else:
        X = random.normal(size=(45, 400, 2)).astype(np.float32)
        y = random.integers(0, 2, 45)
        model = build_cnn(CnnSettings("cnn", 50, 10, (6, 5, 4), 0.0, 0.9), (400, 2))
    oracle = keras.models.clone_model(model)
    oracle.set_weights(model.get_weights())
    oracle.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    history = oracle.fit(X, y, batch_size=32, epochs=2, shuffle=False, verbose=0).history
    orders = np.stack([np.arange(len(y))] * 2)
    program = program_of(model)
    sums = program.train(program.place([(X, y)]), [orders], 1e-3)
    (got,) = sums.sum(axis=2) / len(y)
    # the same sums in another order: float32 rounding, enlarged by two epochs of Adam
    np.testing.assert_allclose([loss for loss, _ in got], history["loss"], rtol=1e-4)
    np.testing.assert_allclose([acc for _, acc in got], history["accuracy"], rtol=1e-6)
    for mine, theirs in zip(
        program.values(0), oracle.variables[: len(model.variables)], strict=True
    ):
        np.testing.assert_allclose(
            mine, keras.ops.convert_to_numpy(theirs.value), atol=2e-4, err_msg=theirs.path
        )


def test_learns():
    X, y = problem(300)
    learner = dnn(epochs=40)
    history = fit(learner, X, y)
    assert len(history.loss) == len(history.accuracy) == history.kept_epoch == 40
    assert history.loss[-1] < 0.6 * history.loss[0]
    X_new, y_new = problem(300, seed=9)
    assert ((predict(learner, X_new) > 0.5) == y_new).mean() > 0.8  # chance is .5 +- .03


def test_repeats_to_the_bit_and_forgets_what_it_learned_before():
    X, y = problem()
    learner = dnn()
    first = fit(learner, X, y, seed=1), predict(learner, X)
    fit(learner, X[::-1].copy(), 1 - y, seed=2)  # another fold in between
    again = fit(learner, X, y, seed=1), predict(learner, X)
    fresh = dnn()
    anew = fit(fresh, X, y, seed=1), predict(fresh, X)
    for history, scores in (again, anew):
        assert history == first[0]
        np.testing.assert_array_equal(scores, first[1])


def test_dropout_repeats_to_the_bit():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, 400, 2)).astype(np.float32), random.integers(0, 2, 40)
    nothing = X[:0], y[:0]
    runs = []
    for _ in range(2):
        model = build_cnn(CnnSettings("cnn", 50, 10, (6, 5, 4), 0.5, 0.9), (400, 2))
        learner = KerasLearner(program_of(model), train_settings())
        runs.append((fit(learner, X, y, validation=nothing), predict(learner, X)))
    assert runs[0][0] == runs[1][0]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_a_lesson_that_goes_on_is_keras_fit_called_again():
    """On the same compiled model: weights, moving statistics and Adam's state stay."""
    first, second = lesson(*problem(75, 0), seed=1), lesson(*problem(60, 5), seed=2)
    learner = dnn()
    oracle = keras.models.clone_model(learner._program._model)
    learner._program.begin_anew([_children(first.seed)[0]], 0.01)
    begun = learner._program.values(0)
    oracle.set_weights(begun[: len(oracle.get_weights())])
    oracle.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    for one in (first, second._replace(goes_on=True)):
        (history,) = learner.fit([one], lambda at, epoch: None)
        order = np.random.default_rng(_children(one.seed)[1])
        for epoch in range(3):
            shown = order.permutation(len(one.y))
            told = oracle.fit(
                one.X[shown], one.y[shown], batch_size=32, epochs=1, shuffle=False, verbose=0
            ).history
            assert history.loss[epoch] == pytest.approx(told["loss"][0], rel=1e-4)
            assert history.accuracy[epoch] == pytest.approx(told["accuracy"][0], rel=1e-6)
    X_new = problem(50, seed=9)[0]
    expected = oracle.predict(X_new, verbose=0)[:, 0]
    np.testing.assert_allclose(predict(learner, X_new), expected, atol=2e-4)


def test_going_on_starts_where_the_lesson_before_ended():
    """Continued by hand from there, it is the same training."""
    first, second = lesson(*problem(75, 0), seed=1), lesson(*problem(60, 5), seed=2)
    learner = dnn()
    learner.fit([first], lambda at, epoch: None)
    ended = learner._program.values(0)
    (went_on,) = learner.fit([second._replace(goes_on=True)], lambda at, epoch: None)
    (anew,) = learner.fit([second], lambda at, epoch: None)
    assert went_on.loss[0] != anew.loss[0]
    by_hand = dnn()
    by_hand.fit([first], lambda at, epoch: None)
    for mine, theirs in zip(by_hand._program.values(0), ended, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    order = np.random.default_rng(_children(second.seed)[1])
    data = by_hand._program.place([(second.X, second.y)])
    orders = np.stack([order.permutation(60) for _ in range(3)])
    (sums,) = by_hand._program.train(data, [orders], 1e-3)
    log = sums.sum(axis=1) / 60
    np.testing.assert_allclose(log[:, 0], went_on.loss, rtol=1e-6)


def test_the_most_accurate_epoch_is_kept_the_first_of_equals():
    X, y = problem(60)
    chosen = lesson(X, y, 1, problem(20, seed=3))._replace(keeps_most_accurate=True)
    learner = dnn(epochs=60, learning_rate=0.03, restore_best=False)
    (history,) = learner.fit([chosen], lambda at, epoch: None)
    accuracy = np.array(history.validation_accuracy)
    assert (accuracy == accuracy.max()).sum() > 1  # 20 records: there are equals
    assert history.kept_epoch == int(np.argmax(accuracy)) + 1 < 60
    assert len(history.loss) == 60
    y_score = predict(learner, chosen.X_validation)
    assert np.mean((y_score > 0.5) == chosen.y_validation) == accuracy.max()
    assert history.loss == fit(learner, X, y).loss  # what is chosen by trains nothing


def test_seeds_differ():
    X, y = problem()
    learner = dnn()
    assert fit(learner, X, y, seed=1).loss != fit(learner, X, y, seed=2).loss


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others compile for each size of a batch")
def test_traces_once_whatever_the_fold_sizes():
    learner = dnn(epochs=2)
    for n in (75, 64, 33):
        X, y = problem(n)
        fit(learner, X, y, seed=n)
        predict(learner, X)
    assert compilations(learner._program) == 1
    assert learner._program._scores.experimental_get_tracing_count() == 1


def test_another_fold_of_the_same_size_compiles_nothing():
    learner = dnn(epochs=2)
    counts = []
    for seed in range(3):
        X, y = problem(75, seed)
        fit(learner, X, y, seed=seed)
        predict(learner, X)
        counts.append(compilations(learner._program))
    assert counts == [1 if BACKEND == "tensorflow" else 2] * 3  # full and last partial batch


def test_another_rate_or_penalty_needs_no_new_graph():
    X, y = problem()
    program = dnn()._program
    settings = DnnSettings("dnn", (16, 8, 4), 0.3, 0.9)
    for rate, l2 in ((1e-3, 0.01), (1e-2, 0.3)):
        own = KerasLearner(
            program_of(build_dnn(replace(settings, l2=l2), (12,))),
            train_settings(learning_rate=rate),
        )
        shared = KerasLearner(program, train_settings(learning_rate=rate), l2)
        assert fit(shared, X, y) == fit(own, X, y)
        np.testing.assert_array_equal(predict(shared, X), predict(own, X))
    assert compilations(program) == compilations(own._program)


def test_how_many_epochs_run_at_once_changes_nothing():
    """Validation records, looked at after every epoch, force one at a time."""
    X, y = problem()
    together = fit(dnn(epochs=40), X, y)
    one_by_one = fit(dnn(epochs=40), X, y, validation=problem(20, seed=4))
    assert together.loss == one_by_one.loss


def test_reports_every_epoch():
    X, y = problem()
    seen: list[tuple[int, int]] = []
    fit(dnn(epochs=4), X, y, on_epoch=lambda at, epoch: seen.append((at, epoch)))
    assert seen == [(0, 1), (0, 2), (0, 3), (0, 4)]


def test_early_stopping_keeps_the_best_epoch():
    X, y = problem(60)
    validation = problem(60, seed=3)
    learner = dnn(epochs=400, patience=5, learning_rate=0.03)
    history = fit(learner, X, y, validation=validation)
    best = int(np.argmin(history.validation_loss))
    assert history.kept_epoch == best + 1
    assert len(history.loss) == history.kept_epoch + 5 < 400
    y_score = np.clip(predict(learner, validation[0]), 1e-7, 1 - 1e-7)
    loss = -np.mean(np.where(validation[1] == 1, np.log(y_score), np.log(1 - y_score)))
    assert loss == pytest.approx(history.validation_loss[best], rel=1e-5)


def test_early_stopping_without_restoring_uses_the_last_epoch():
    X, y = problem(60)
    learner = dnn(epochs=400, patience=5, learning_rate=0.03, restore_best=False)
    history = fit(learner, X, y, validation=problem(60, seed=3))
    assert history.kept_epoch == len(history.loss)
    assert len(history.loss) == int(np.argmin(history.validation_loss)) + 1 + 5


def test_validation_records_do_not_train():
    """They may stop a training; without patience they may not change a bit of it."""
    X, y = problem()
    learner = dnn()
    without = fit(learner, X, y), predict(learner, X)
    with_ = fit(learner, X, y, validation=problem(20, seed=4)), predict(learner, X)
    assert with_[0].loss == without[0].loss
    assert len(with_[0].validation_loss) == 3
    np.testing.assert_array_equal(with_[1], without[1])


def test_a_loss_that_is_not_finite_is_an_error():
    X, y = problem()
    X[0, 0] = np.inf
    with pytest.raises(LvhError, match=r"loss became nan in epoch 1.*train\.learning_rate"):
        fit(dnn(), X, y)


def test_patience_without_validation_is_refused():
    with pytest.raises(InputError, match=r"train\.patience: needs .*cv\.validation"):
        check_train(train_settings(patience=3), 0.0, has_epochs=True)
    check_train(train_settings(patience=3), 0.2, has_epochs=True)
    with pytest.raises(InputError, match=r"train\.patience: .*in one go"):
        check_train(train_settings(patience=3), 0.2, has_epochs=False)


def test_bfloat16_computes_in_it_and_keeps_all_else_in_float32():
    X, y = problem(300)
    settings = DnnSettings("dnn", (16, 8, 4), 0.01, 0.9)
    policy = keras.config.dtype_policy()
    built = []

    def build() -> keras.Model:
        built.append(build_dnn(settings, (12,)))
        return built[-1]

    found = {}
    for precision in ("float32", "bfloat16"):
        program = new_program(build, 32, precision)
        learner = KerasLearner(program, train_settings(epochs=20))
        found[precision] = fit(learner, X, y).loss, predict(learner, X)
        assert {one.dtype for one in program.values(0)} == {np.dtype(np.float32)}
    assert keras.config.dtype_policy().name == policy.name
    assert [layer.compute_dtype for layer in built[0].layers] == ["float32"] * 6
    assert [layer.compute_dtype for layer in built[1].layers] == ["bfloat16"] * 5 + ["float32"]
    exact, rounded = found["float32"], found["bfloat16"]
    assert exact[0] != rounded[0]
    # 8 bits: a relative error of 2^-9 in each value, and 200 steps on the way
    np.testing.assert_allclose(rounded[0], exact[0], rtol=0.05)
    assert len(np.unique(rounded[1])) > 200  # probabilities are not rounded to 8 bits


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="the data set that shuffles is TensorFlow's")
def test_twenty_seeds_score_as_twenty_of_keras_fit():
    """Weights, orders, partial batches, moving averages and Adam give what `fit` gives.

    Keras shows new batches in every epoch here: `fit` under a seed would not, but a data set that
    shuffles does.
    """
    import tensorflow as tf

    (X, y), (X_new, y_new) = problem(171), problem(400, seed=9)
    settings = DnnSettings("dnn", (16, 8, 4), 0.01, 0.9)

    def outcome(history: list[float], y_score: np.ndarray) -> tuple[float, float, float]:
        scores = score(y_new, y_score)
        return history[-1], scores.loss, scores.ap

    def of_keras(seed: int) -> tuple[float, float, float]:
        keras.utils.set_random_seed(seed)
        model = build_dnn(settings, (12,))
        model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
        data = tf.data.Dataset.from_tensor_slices((X, y)).shuffle(171, seed=seed).batch(32)
        history = model.fit(data, epochs=15, verbose=0, shuffle=False).history["loss"]
        return outcome(history, model.predict(X_new, verbose=0)[:, 0].astype(np.float64))

    def ours(rate: float) -> list[tuple[float, float, float]]:
        learner = KerasLearner(
            program_of(build_dnn(settings, (12,))), train_settings(epochs=15, learning_rate=rate)
        )
        found = []
        for seed in range(20):
            history = fit(learner, X, y, seed=seed)
            found.append(outcome(list(history.loss), predict(learner, X_new)))
        return found

    theirs = np.array([of_keras(seed) for seed in range(20)])
    same, other = np.array(ours(3e-3)), np.array(ours(1.5e-3))
    # all seeds are fixed, so that this either passes always or never
    assert min(ks_2samp(a, b).pvalue for a, b in zip(same.T, theirs.T, strict=True)) > 0.02
    # and it would see a learning rate of one half
    assert ks_2samp(other[:, 0], theirs[:, 0]).pvalue < 1e-4


@pytest.mark.parametrize("batch_size", [32, 20])
def test_a_training_is_the_same_to_the_bit_beside_others(batch_size):
    """Of other sizes, seeds and records, some of which stop earlier; whatever their number."""
    sizes, seeds = (75, 80, 66, 65), (3, 1, 4, 2)
    lessons = [
        lesson(*problem(n, seed), seed, problem(n // 3, seed + 10))
        for n, seed in zip(sizes, seeds, strict=True)
    ]
    for changes in ({"restore_best": True}, {"restore_best": False}):
        settings = {"epochs": 60, "patience": 4, "learning_rate": 0.03, **changes}
        settings["batch_size"] = batch_size
        learner = dnn(**settings)
        n = learner.together(sizes)
        assert n == (4 if BACKEND == "tensorflow" else 1)
        new = problem(70, seed=9)[0]
        together = learner.fit(lessons[:n], lambda at, epoch: None)
        scores = learner.predict([new[: 70 - at] for at in range(n)])
        assert n == 1 or len({len(history.loss) for history in together}) > 1
        for at in range(n):
            alone = dnn(**settings)
            assert alone.fit([lessons[at]], lambda at, epoch: None) == [together[at]]
            np.testing.assert_array_equal(predict(alone, new)[: 70 - at], scores[at])


def test_only_trainings_with_as_many_steps_go_side_by_side():
    many = BACKEND == "tensorflow"
    learner = dnn()
    assert learner.together([65, 96, 80, 64, 70]) == (3 if many else 1)
    assert learner.together([64]) == 1
    assert learner.together([80] * 100) == (16 if many else 1)
    learner = KerasLearner(
        new_program(
            lambda: build_dnn(DnnSettings("dnn", (4, 4, 4), 0.0, 0.9), (12,)), 32, "float32", 2
        ),
        train_settings(),
    )
    assert learner.together([80] * 3) == (1 if BACKEND == "torch" else 2)


@pytest.mark.parametrize("beside", [1, 2])
def test_unread_records_teach_to_the_bit_what_those_in_memory_do(beside, monkeypatch):
    """In parts of two batches, of which the last is cut; and side by side, where that is done."""
    random = np.random.default_rng(0)
    shape = (400, 2)
    model = build_cnn(CnnSettings("cnn", 50, 10, (6, 5, 4), 0.5, 0.9), shape)
    learner = KerasLearner(new_program(lambda: model, 32, "float32", beside), train_settings())
    n = learner.together([75] * beside)
    assert n == (beside if BACKEND == "jax" else 1)
    monkeypatch.setattr("lvh.models.training._SENT_AT_ONCE", n * 2 * 32 * 4 * 400 * 2)
    arrays = [random.normal(size=(75, *shape)).astype(np.float32) for _ in range(n)]
    validation = (arrays[0][:40], random.integers(0, 2, 40))
    lessons = [
        lesson(X, random.integers(0, 2, 75), seed, validation) for seed, X in enumerate(arrays)
    ]
    of_arrays = learner.fit(lessons, lambda at, epoch: None), learner.predict(arrays)
    unread = [
        one._replace(X=as_unread(one.X), X_validation=as_unread(one.X_validation))
        for one in lessons
    ]
    histories = learner.fit(unread, lambda at, epoch: None)
    assert histories == of_arrays[0]
    scores = learner.predict([as_unread(X) for X in arrays])
    for one, other in zip(scores, of_arrays[1], strict=True):
        np.testing.assert_array_equal(one, other)


def as_unread(X: np.ndarray) -> LazyArray:
    return LazyArray(np.arange(len(X)), X.shape[1:], X.dtype, lambda at: X[at])


def test_every_epoch_of_every_training_is_reported():
    learner = dnn(epochs=2)
    lessons = [lesson(*problem(75, seed), seed) for seed in range(learner.together([75] * 3))]
    seen: list[tuple[int, int]] = []
    learner.fit(lessons, lambda at, epoch: seen.append((at, epoch)))
    assert sorted(seen) == [(at, epoch) for at in range(len(lessons)) for epoch in (1, 2)]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the graph of dense networks is TensorFlow's")
@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (keras.layers.Dense(3, activation="relu"), True),
        (keras.layers.Dense(3), True),
        (keras.layers.BatchNormalization(), True),
        (keras.layers.Dense(3, activation="tanh"), False),
        (keras.layers.Dense(3, use_bias=False), False),
        (keras.layers.Dense(3, kernel_regularizer="l1"), False),
        (keras.layers.BatchNormalization(scale=False), False),
        (keras.layers.Dropout(0.5), False),
    ],
)
def test_what_is_not_computed_side_by_side_is_left_to_keras(layer, expected):
    layers = [keras.Input((12,)), layer, keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    program = program_of(model)
    assert (program.together([40, 40]) == 2) is expected
    X, _ = problem(40)
    program.begin_anew([np.random.SeedSequence(1)], None)
    oracle = keras.models.clone_model(model)
    oracle.set_weights([value for value in program.values(0) if value.dtype == np.float32])
    (scores,) = program.scores([X])
    np.testing.assert_allclose(scores, oracle.predict(X, verbose=0)[:, 0], atol=1e-6)


@pytest.mark.skipif(BACKEND != "jax", reason="on others, nothing but dense networks goes together")
@pytest.mark.parametrize("name", ["dnn", "cnn"])
def test_jax_trains_any_model_side_by_side_where_asked(name):
    """As on a GPU. XLA orders its sums anew for each number of trainings, so rounding differs."""
    if name == "dnn":
        shape, build = (12,), lambda: build_dnn(DnnSettings("dnn", (16, 8, 4), 0.01, 0.9), (12,))
    else:
        of_cnn = CnnSettings("cnn", 50, 10, (6, 5, 4), 0.5, 0.9)
        shape, build = (400, 2), lambda: build_cnn(of_cnn, (400, 2))
    random = np.random.default_rng(0)
    lessons = [
        lesson(
            random.normal(size=(40, *shape)).astype(np.float32),
            random.integers(0, 2, 40),
            seed,
            (random.normal(size=(n, *shape)).astype(np.float32), random.integers(0, 2, n)),
        )
        for seed, n in enumerate((12, 9, 11))
    ]
    new = [random.normal(size=(n, *shape)).astype(np.float32) for n in (40, 33, 36)]
    settings = train_settings(epochs=5, patience=2)
    together = KerasLearner(new_program(build, 32, "float32", 16), settings)
    assert together.together([40, 40, 40, 39]) == 3
    histories = together.fit(lessons, lambda at, epoch: None)
    alone = KerasLearner(new_program(build, 32, "float32", 1), settings)
    for one, history, X, y_score in zip(
        lessons, histories, new, together.predict(new), strict=True
    ):
        (expected,) = alone.fit([one], lambda at, epoch: None)
        assert len(history.loss) == len(expected.loss)
        np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-4)
        np.testing.assert_allclose(history.validation_loss, expected.validation_loss, rtol=1e-4)
        np.testing.assert_allclose(y_score, alone.predict([X])[0], atol=1e-4)


@pytest.mark.skipif(BACKEND != "jax", reason="on others, nothing but dense networks goes together")
def test_jax_holds_as_many_trainings_as_fit():
    program = dnn()._program
    assert program._fitting(None) == 1  # of a processor, one training takes all
    found = [program._fitting(2**power) for power in range(10, 31)]
    assert found[0] == 1
    assert found[-1] == 16
    assert found == sorted(found)
    assert len(set(found)) > 3


def test_training_records_alone_are_augmented_anew_in_every_epoch(monkeypatch):
    from lvh.models import training
    from lvh.models.augment import AugmentSettings, augmented

    seen = []

    def watched(X, settings, fs, generator):
        found = augmented(X, settings, fs, generator)
        seen.append((X, found, fs))
        return found

    monkeypatch.setattr(training, "augmented", watched)
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, 400, 2)).astype(np.float32), random.integers(0, 2, 40)
    validation = random.normal(size=(9, 400, 2)).astype(np.float32), random.integers(0, 2, 9)
    program = program_of(build_cnn(CnnSettings("cnn", 50, 10, (6, 5, 4), 0.5, 0.9), (400, 2)))
    plain = fit(KerasLearner(program, train_settings(epochs=3)), X, y, validation=validation)
    assert not seen
    noisy = train_settings(epochs=3, augment=AugmentSettings(noise=0.1))
    learner = KerasLearner(program, noisy, fs=500.0)
    first = fit(learner, X, y, validation=validation)
    assert [(given is X, fs) for given, _, fs in seen] == [(True, 500.0)] * 3
    changes = [found - X for _, found, _ in seen]
    assert np.std(changes, axis=(1, 2, 3)) == pytest.approx(0.1, rel=0.02)  # 32,000 draws
    assert abs(np.corrcoef(changes[0].ravel(), changes[1].ravel())[0, 1]) < 0.03
    assert first.loss != plain.loss
    assert fit(learner, X, y, validation=validation) == first
