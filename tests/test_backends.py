"""Backends: one a process, the same networks on each, and a message for what is missing."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BACKEND, command

from lvh.errors import InputError
from lvh.models.backends import BACKENDS, cores, start, threads_of

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
    """Among them that an epoch is Keras's own from equal weights: so backends agree."""
    need(backend)
    files = [TESTS / f"test_{name}.py" for name in ("models", "training", "crossval")]
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
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


def test_a_process_has_one_backend_and_one_explicit_number_of_threads():
    n = threads_of("tensorflow", None, 1)
    start("tensorflow", None, n + 1)  # what nobody asked for never conflicts
    start("tensorflow", n, n + 1)
    assert threads_of("tensorflow", None, n + 1) == n
    with pytest.raises(InputError, match=rf"train\.threads: expected one .* {n}\. .* {n + 1}"):
        start("tensorflow", n + 1, 1)
    with pytest.raises(InputError, match=r"backend .*: expected one .*, tensorflow .*: jax"):
        start("jax", None, 1)


@pytest.mark.slow
def test_a_command_runs_on_another_backend(tmp_path):
    need("jax")
    done = command(*SMALL, "backend=jax", cwd=tmp_path, KERAS_BACKEND="torch")  # the setting wins
    assert done.code == 0, done.err
    assert done.err == ""
    versions = json.loads((done.folder() / "versions.json").read_text())
    assert (versions["backend"], versions["threads"]) == ("jax", "1")
    assert "jaxlib" in versions
    assert "tensorflow" not in versions
