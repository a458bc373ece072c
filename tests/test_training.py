"""Training: Keras's own results, repeatable to the bit, folds side by side; on any backend."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import BACKEND

from lvh.data.lazy_array import LazyArray
from lvh.errors import LvhError
from lvh.models.backends import cores, start
from lvh.models.keras_trainer import KerasTrainer, _children
from lvh.models.networks import (
    CnnSettings,
    DnnSettings,
    TwoBranchSettings,
    build_cnn,
    build_dnn,
    build_two_branch,
)
from lvh.models.programs import Program, copies, new_program
from lvh.models.training import AugmentSettings, FitJob, TrainSettings

NOTHING = (np.zeros((0, 12), np.float32), np.zeros(0, np.int64))
DNN = DnnSettings(units=(16, 8, 4), l2=0.01, bn_momentum=0.9)
CNN = CnnSettings(kernel_size=50, strides=10, filters=(6, 5, 4), dropout=0.5, bn_momentum=0.9)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start(BACKEND, None, cores())


def dnn(**changes) -> KerasTrainer:
    settings = TrainSettings(**{"epochs": 3, **changes})
    program = new_program(
        lambda: build_dnn(DNN, (12,)), settings.batch_size, "float32", settings.side_by_side
    )
    return KerasTrainer(program, settings)


def cnn(**changes) -> KerasTrainer:
    settings = TrainSettings(**{"epochs": 3, **changes})
    return KerasTrainer(new_program(lambda: build_cnn(CNN, (400, 2)), 32, "float32"), settings)


def problem(n: int = 75, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make a learnable problem; 75 records leave a last partial batch of 11."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 12)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * random.normal(size=n) > 0).astype(np.int64)


def signals(n: int = 45, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 400, 2)).astype(np.float32), random.integers(0, 2, n)


def fit_job(X, y, seed=1, validation=NOTHING, **changes) -> FitJob:
    return FitJob(
        X=X,
        y=y,
        subjects=np.arange(len(y)).astype(str),
        X_validation=validation[0],
        y_validation=validation[1],
        seed=np.random.SeedSequence(seed),
        **changes,
    )


def fit(trainer, X, y, seed=1, validation=NOTHING, **changes):
    (history,) = trainer.fit([fit_job(X, y, seed, validation, **changes)], lambda at, epoch: None)
    return history


def predict(trainer, X) -> np.ndarray:
    (y_score,) = trainer.predict([X])
    return y_score


def as_lazy(X: np.ndarray) -> LazyArray:
    return LazyArray(np.arange(len(X)), X.shape[1:], X.dtype, lambda at: X[at])


def oracle_of(program: Program, model: keras.Model) -> keras.Model:
    oracle = keras.models.clone_model(model)
    for variable, value in zip(oracle.variables, copies(program.network(0)), strict=True):
        variable.assign(value)
    oracle.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    return oracle


@pytest.mark.parametrize("name", ["dnn", "cnn", "two_branch"])
def test_agrees_with_keras_fit(name):
    """Penalties, moving statistics, the last partial batch and Adam's state all enter."""
    X, y = problem() if name == "dnn" else signals()
    if name == "dnn":
        model = build_dnn(DNN, (12,))
    elif name == "two_branch":
        X = X.reshape(45, -1)[:, : 9 + 64 * 3]
        model = build_two_branch(
            TwoBranchSettings(filters=(6,), units=5, l2=0.01, dropout=0.0), (9, 64, 3)
        )
    else:
        model = build_cnn(replace(CNN, dropout=0.0), (400, 2))
    program = new_program(lambda: model, 32, "float32")
    program.reset([np.random.SeedSequence(3)], None)
    oracle = oracle_of(program, model)
    orders = np.stack([np.arange(len(y))] * 2)
    (sums,) = program.train([(X, y)], [orders], 1e-3)
    got = sums / len(y)
    history = oracle.fit(X, y, batch_size=32, epochs=2, shuffle=False, verbose=0).history
    # the same sums in another order: float32 rounding, enlarged by two epochs of Adam
    np.testing.assert_allclose(got[:, 0], history["loss"], rtol=1e-4)
    np.testing.assert_allclose(got[:, 1], history["accuracy"], rtol=1e-6)
    for mine, theirs in zip(copies(program.network(0)), oracle.variables, strict=False):
        expected = keras.ops.convert_to_numpy(theirs.value)
        np.testing.assert_allclose(mine, expected, atol=2e-4, err_msg=theirs.path)
    np.testing.assert_allclose(
        program.scores([X])[0], oracle.predict(X, verbose=0)[:, 0], atol=2e-4
    )


def noisy() -> KerasTrainer:
    return cnn(augment=AugmentSettings(noise=0.1))


@pytest.mark.parametrize(("make", "data"), [(dnn, problem), (cnn, signals), (noisy, signals)])
def test_a_seed_decides_a_training_after_any_other(make, data):
    X, y = data()
    trainer = make()
    first = fit(trainer, X, y, seed=1), predict(trainer, X)
    other = fit(trainer, X[::-1].copy(), 1 - y, seed=2)  # another fold in between
    again = fit(trainer, X, y, seed=1), predict(trainer, X)
    fresh = make()
    from_new = fit(fresh, X, y, seed=1), predict(fresh, X)
    assert other != first[0]
    for history, scores in (again, from_new):
        assert history == first[0]
        np.testing.assert_array_equal(scores, first[1])


def test_a_warm_start_is_keras_fit_called_again():
    """On the same compiled model: weights, moving statistics and Adam's state stay."""
    jobs = [fit_job(*problem(75, 0), 1), fit_job(*problem(60, 5), 2, warm_start=True)]
    trainer = dnn()
    trainer._program.reset([_children(jobs[0].seed)[0]], None)
    oracle = oracle_of(trainer._program, build_dnn(DNN, (12,)))
    for job in jobs:
        (history,) = trainer.fit([job], lambda at, epoch: None)
        order = np.random.default_rng(_children(job.seed)[1])
        for epoch in range(3):
            rows = order.permutation(len(job.y))
            log = oracle.fit(
                job.X[rows], job.y[rows], batch_size=32, epochs=1, shuffle=False, verbose=0
            ).history
            assert history.loss[epoch] == pytest.approx(log["loss"][0], rel=1e-4)
    X_new = problem(50, seed=9)[0]
    expected = oracle.predict(X_new, verbose=0)[:, 0]
    np.testing.assert_allclose(predict(trainer, X_new), expected, atol=2e-4)


@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping_keeps_the_best_or_the_last_epoch(restore_best):
    X, y = problem(60)
    validation = problem(60, seed=3)
    trainer = dnn(epochs=400, patience=5, learning_rate=0.03, restore_best=restore_best)
    history = fit(trainer, X, y, validation=validation)
    best = int(np.argmin(history.validation_loss)) + 1
    assert len(history.loss) == best + 5 < 400
    assert history.kept_epoch == (best if restore_best else best + 5)
    y_score = np.clip(predict(trainer, validation[0]), 1e-7, 1 - 1e-7)
    loss = -np.mean(np.where(validation[1] == 1, np.log(y_score), np.log(1 - y_score)))
    assert loss == pytest.approx(history.validation_loss[history.kept_epoch - 1], rel=1e-5)


def test_a_loss_that_is_not_finite_is_an_error():
    X, y = problem()
    X[0, 0] = np.inf
    with pytest.raises(LvhError, match=r"loss became nan in epoch 1.*train\.learning_rate"):
        fit(dnn(), X, y)


def test_another_penalty_is_another_training_on_the_same_program():
    X, y = problem()
    program = dnn()._program
    settings = TrainSettings(epochs=3)
    histories = {}
    for l2 in (0.0, 0.3):
        build = lambda l2=l2: build_dnn(replace(DNN, l2=l2), (12,))  # noqa: E731
        own = KerasTrainer(new_program(build, 32, "float32"), settings)
        shared = KerasTrainer(program, settings, l2=l2)
        histories[l2] = fit(shared, X, y)
        np.testing.assert_allclose(histories[l2].loss, fit(own, X, y).loss, rtol=1e-6)
    assert histories[0.3].loss[0] > 1.5 * histories[0.0].loss[0]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dense networks are stacked on TensorFlow")
def test_a_training_beside_others_is_what_it_is_alone():
    """Of other sizes, seeds and records, some of which stop earlier."""
    sizes, seeds = (75, 80, 66, 65), (3, 1, 4, 2)
    jobs = [
        fit_job(*problem(n, seed), seed, problem(n // 3, seed + 10))
        for n, seed in zip(sizes, seeds, strict=True)
    ]
    settings = {"epochs": 60, "patience": 4, "learning_rate": 0.03}
    trainer = dnn(**settings)
    assert trainer.max_parallel(sizes) == 4
    new = problem(70, seed=9)[0]
    histories = trainer.fit(jobs, lambda at, epoch: None)
    scores = trainer.predict([new[: 70 - at] for at in range(4)])
    assert len({len(history.loss) for history in histories}) > 1
    for at, job in enumerate(jobs):
        alone = dnn(**settings)
        (history,) = alone.fit([job], lambda at, epoch: None)
        assert len(history.loss) == len(histories[at].loss)
        np.testing.assert_allclose(history.loss, histories[at].loss, rtol=1e-4)
        np.testing.assert_allclose(predict(alone, new)[: 70 - at], scores[at], atol=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dense networks are stacked on TensorFlow")
def test_a_training_alone_does_not_cost_what_many_side_by_side_do():
    """As in a race, whose folds are trained one by one after the first ones."""
    trainer, job = dnn(), fit_job(*problem(), 0)
    sizes = []
    for n in (8, 1, 5, 8, 2, 1):
        trainer.fit([job] * n, lambda at, epoch: None)
        sizes.append(trainer._program.n_networks)
    assert sizes == [8, 1, 8, 8, 2, 1]


def test_lazy_records_train_what_those_in_memory_do(monkeypatch):
    """In parts of two batches, of which the last is cut."""
    monkeypatch.setattr("lvh.models.keras_trainer._PART_BYTES", 2 * 32 * 4 * 400 * 2)
    (X, y), validation = signals(75), signals(40, seed=1)
    trainer = cnn()
    in_memory = fit(trainer, X, y, validation=validation), predict(trainer, X)
    lazy_validation = as_lazy(validation[0]), validation[1]
    lazy = fit(trainer, as_lazy(X), y, validation=lazy_validation), predict(trainer, as_lazy(X))
    np.testing.assert_allclose(lazy[0].loss, in_memory[0].loss, rtol=1e-6)
    np.testing.assert_array_equal(lazy[1], in_memory[1])


@pytest.mark.parametrize("case", ["dnn", "cnn", "changed"])
def test_a_training_continues_from_a_checkpoint_as_if_it_had_not_stopped(case):
    """Weights, moving statistics, optimizer, dropout, order and changes of the records."""
    X, y = problem() if case == "dnn" else signals()
    train = {"augment": AugmentSettings(shift=0.05)} if case == "changed" else {}
    new = dnn if case == "dnn" else cnn
    n_jobs = 3 if case == "dnn" and BACKEND == "tensorflow" else 1
    jobs = [fit_job(X, y, seed, keep_checkpoint=True) for seed in range(n_jobs)]
    whole, begun, continued = new(epochs=5, **train), new(epochs=2, **train), new(epochs=5, **train)
    histories = whole.fit(jobs, lambda at, epoch: None)
    begun.fit(jobs, lambda at, epoch: None)
    jobs = [replace(job, start=at) for job, at in zip(jobs, begun.checkpoints(), strict=True)]
    epochs = []
    assert continued.fit(jobs, lambda at, epoch: epochs.append(epoch)) == histories
    assert sorted(epochs) == sorted([3, 4, 5] * n_jobs)
    parts = [X] * n_jobs
    np.testing.assert_array_equal(continued.predict(parts), whole.predict(parts))


@pytest.mark.parametrize("case", ["dnn", "cnn"])
def test_precise_statistics_are_those_of_the_training_records(case):
    """Of the first normalization: the mean and the variance of what it gets, without dropout."""
    X, y = problem() if case == "dnn" else signals(64)
    trainer = (dnn if case == "dnn" else cnn)(precise_bn=True)
    fit(trainer, X, y)
    model = build_dnn(DNN, (12,)) if case == "dnn" else build_cnn(CNN, (400, 2))
    for variable, value in zip(model.variables, trainer.state()[0], strict=False):
        variable.assign(value)
    normalization = next(one for one in model.layers if hasattr(one, "moving_variance"))
    inputs = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], normalization.input)(X))
    flat = inputs.reshape(-1, inputs.shape[-1])
    mean, variance = map(
        keras.ops.convert_to_numpy, (normalization.moving_mean, normalization.moving_variance)
    )
    np.testing.assert_allclose(mean, flat.mean(axis=0), atol=1e-5)
    # a stack takes all records as one batch; smaller ones lack the variance between their means
    limit = 1e-4 if case == "dnn" and BACKEND == "tensorflow" else 0.2
    np.testing.assert_allclose(variance, flat.var(axis=0), rtol=limit)
