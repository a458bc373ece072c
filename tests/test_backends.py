"""Backends: one a process, all with the same weights, each with the tests of the others."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import BACKEND, command
from lvh.runs.evaluate import automatic_threads

from lvh.config.composition import settings_of
from lvh.errors import EnvironmentFault, InputError
from lvh.models import backends
from lvh.models.backends import BACKENDS, check_installed, cores, new_program, start, threads_of
from lvh.models.backends.draws import glorot_uniform

TESTS = Path(__file__).parent
OTHERS = sorted(set(BACKENDS) - {"tensorflow"})
SMALL = ["data=synthetic", "data.records=42", "cv.folds=3", "train.epochs=3", "tracking=off"]

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="starts the other backends itself")


def need(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


@pytest.fixture(scope="module", autouse=True)
def _backend():
    start("tensorflow", None, cores())


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_the_tests_of_models_and_training_pass_on_another_backend(backend, tmp_path):
    need(backend)
    files = [TESTS / f"test_{name}.py" for name in ("models", "two_branch", "training", "crossval")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env={
            **os.environ,
            "LVH_TEST_BACKEND": backend,
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path),  # most tests build the same model
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


TRAINED = """
import json, sys
import numpy as np
from lvh.models.backends import new_program, start

start(sys.argv[1], 1, 1)

from lvh.models import cnn, dnn, resnet, two_branch

random = np.random.default_rng(0)
y = random.integers(0, 2, 75)
orders = np.stack([random.permutation(75) for _ in range(3)])
models = [
    (dnn, dnn.DnnSettings("dnn", (16, 8, 4), 0.01, 0.9), (12,)),
    (cnn, cnn.CnnSettings("cnn", 50, 10, (6, 5, 4), 0.0, 0.9), (400, 2)),
    (resnet, resnet.ResnetSettings("resnet", (6, 8), 1, 7, 0.0, 0.9), (350, 3)),
    (
        two_branch,
        two_branch.TwoBranchSettings("two_branch", (6,), 7, 5, 0.01, 0.0, 0.9),
        (9, 64, 3),
    ),
]
found = []
for module, settings, shape in models:
    model = module.build(settings, shape)
    X = random.normal(size=(75, *model.input_shape[1:])).astype(np.float32)
    program = new_program(lambda: model, 32, "float32")
    program.begin_anew([np.random.SeedSequence(7)], 0.02)
    start_at = [one.tolist() for one in program.values(0)]
    log = program.train(program.place([(X, y)]), [orders], 1e-3)
    found.append((start_at, log.tolist(), program.scores([X])[0].tolist()))
print(json.dumps(found))
"""


def trained(backend: str) -> list:
    """Return weights, losses and scores of each network."""
    done = subprocess.run(
        [sys.executable, "-c", TRAINED, backend], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reference() -> list:
    return trained("tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_backends_start_equal_and_agree_but_for_rounding(backend, reference):
    need(backend)
    found = trained(backend)
    assert trained(backend) == found  # to the bit
    for (weights, log, scores), (weights_, log_, scores_) in zip(found, reference, strict=True):
        assert weights == weights_
        np.testing.assert_allclose(log, log_, rtol=1e-4)
        np.testing.assert_allclose(scores, scores_, atol=1e-4)


@pytest.mark.parametrize("shape", [(117, 64), (8, 1), (3, 7), (250, 4, 16), (5, 64, 128)])
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 2, 2**31, 2**32 - 1])
def test_draws_are_those_of_keras_on_tensorflow_to_the_bit(shape, seed):
    expected = np.asarray(keras.initializers.GlorotUniform(seed)(shape))
    drawn = glorot_uniform(shape, seed)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, expected)


def test_other_initializers_are_keras_own():
    layers = [keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="he_normal")]
    program = new_program(lambda: keras.Sequential(layers), 32, "float32")
    drawn = []
    for seed in (1, 1, 2):
        program.begin_anew([np.random.SeedSequence(seed)], None)
        drawn.append(program.values(0)[0].tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_process_has_one_backend_and_one_explicit_number_of_threads():
    n = threads_of("tensorflow", None, 1)
    start("tensorflow", None, n + 1)  # what nobody asked for never conflicts
    start("tensorflow", n, n + 1)
    assert threads_of("tensorflow", None, n + 1) == n
    with pytest.raises(InputError, match=rf"train\.threads: expected one .* {n + 1} after {n}"):
        start("tensorflow", n + 1, 1)
    with pytest.raises(InputError, match=r"backend: expected one .* jax after tensorflow"):
        start("jax", None, 1)


@pytest.mark.parametrize(("model", "expected"), [("dnn", 1), ("cnn", cores())])
def test_only_signals_are_worth_several_threads(model, expected):
    settings = settings_of(f"model={model}")
    assert settings.train.threads is None
    assert automatic_threads(settings) == expected


def test_threads_before_a_process_has_begun(monkeypatch):
    monkeypatch.setattr(backends, "_started", None)
    assert threads_of("tensorflow", None, 3) == 3
    assert threads_of("jax", 2, 3) == 2


def test_keras_that_runs_already_is_not_taken_for_another(monkeypatch):
    need("jax")
    monkeypatch.setattr(backends, "_started", None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(InputError, match=r"backend: expected one .* jax after tensorflow"):
        start("jax", None, 1)


def test_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"backend=jax is not .* pip install 'lvh\[jax\]'"):
        check_installed("jax")


@pytest.mark.slow
def test_a_command_on_another_backend(tmp_path):
    need("jax")
    done = command(*SMALL, "backend=jax", cwd=tmp_path, KERAS_BACKEND="torch")  # the setting wins
    assert done.code == 0, done.err
    assert done.err == ""
    versions = json.loads((done.folder() / "versions.json").read_text())
    assert (versions["backend"], versions["threads"]) == ("jax", "1")
    assert "jaxlib" in versions
    assert "tensorflow" not in versions


def test_a_command_on_a_backend_that_is_missing(tmp_path):
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed")
    done = command(*SMALL, "backend=torch", cwd=tmp_path)
    assert done.code == 3
    assert done.err == "lvh: backend=torch is not installed: pip install 'lvh[torch]'\n"
    assert not list(tmp_path.rglob("versions.json"))


def test_backends_are_not_swept(tmp_path):
    done = command("-m", *SMALL, "backend=tensorflow,jax", cwd=tmp_path)
    assert done.code == 2
    assert "backend: expected one for a whole sweep" in done.err


def test_what_keras_does_not_need_is_neither_imported_nor_lost():
    code = (
        "import sys; from lvh.models.backends import start; start('tensorflow', 1, 1)\n"
        "names = ['jax', 'matplotlib', 'pandas']\n"
        "assert not set(names) & sys.modules.keys(), sys.modules.keys() & set(names)\n"
        "import matplotlib.figure, pandas, keras\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
