"""The public names of `lvh`: each has an example that runs."""

import contextlib
import doctest
import inspect
from pathlib import Path

import pytest
from conftest import done_here, exit_code

import lvh
from lvh.cli import export

SMALL = "data=synthetic data.records=42 cv.folds=3 tracking=off"
SWEEP = f"-m {SMALL} features=voltage model=logistic model.C=0.1,1".split()


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    done = done_here(*SWEEP, cwd=folder)
    assert done.code == 0, done.err
    with contextlib.chdir(folder):
        assert exit_code(export.main, "--no-register --seeds 1 --out model".split()) == 0
    return folder


def doctest_of(name: str) -> doctest.DocTest:
    text = inspect.getdoc(lvh if name == "lvh" else getattr(lvh, name)) or ""
    return doctest.DocTestParser().get_doctest(text, {"lvh": lvh}, name, None, None)


@pytest.mark.parametrize("name", ["lvh", *lvh.__all__])
def test_every_name_has_an_example_that_runs(name, directory, monkeypatch, plugins_forgotten):
    """Its own, or its part of the tour in the docstring of the package."""
    monkeypatch.chdir(directory)
    for variable in ("LVH_LUDB_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    own = doctest_of(name)
    in_tour = any(f"lvh.{name}" in example.source for example in doctest_of("lvh").examples)
    assert own.examples or in_tour
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert not runner.run(own, out=failures.append).failed, "".join(failures)
