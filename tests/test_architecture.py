"""What no module may do: run code from data, trust markup, or import what costs seconds early.

Which room may import from which is the contract of import-linter, in pyproject.toml.
"""

import ast
from functools import cache
from pathlib import Path

import pytest
from conftest import python

import lvh

PACKAGE = Path(lvh.__file__).parent
MODULES = [*PACKAGE.rglob("*.py")]
RUNS_CODE = {
    *("eval", "exec", "__import__", "instantiate", "get_class", "get_method", "get_object"),
    *("pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve", "read_pickle"),
    *("load_model", "model_from_json", "unsafe_load", "full_load", "UnsafeLoader"),
    *("CmaEsSampler", "JournalStorage"),  # Optuna's, which store pickles
}
HEAVY = {"tensorflow", "jax", "torch", "keras", "mlflow", "matplotlib", "neurokit2"}
ALL = HEAVY | {"numpy", "sklearn", "optuna", "hydra"}
SVM = "lvh data=synthetic data.records=42 cv.folds=3 tracking=off model=svm features=voltage"
LIGHT = [
    (["-c", "import lvh; dir(lvh)"], ALL),
    (["-m", "lvh", "--help"], ALL),
    (["-m", "lvh", "run", "--help"], HEAVY),
    (["-c", "import lvh.config.composition"], HEAVY),
    (["-c", "from lvh.cli.completion import candidates as c; c(['run', 'model.'])"], HEAVY),
    (["-m", *SVM.split()], {"tensorflow", "jax", "torch", "keras"}),
]
"""What needs no network, and what that must not load."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def names(path: Path) -> set[str]:
    used = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            used.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            used.update([str(node.module), *(alias.name for alias in node.names)])
        elif isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
    return used


def test_nothing_runs_code_from_data_nor_allows_pickles_shells_or_markup():
    assert not {path: found for path in MODULES if (found := names(path) & RUNS_CODE)}
    for path in MODULES:
        for node in nodes(path):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if name in ("np.load", "np.save", "np.savez", "np.savez_compressed"):
                assert given["allow_pickle"] == "False", (path, name)
            if name.startswith("subprocess."):
                assert "shell" not in given, (path, name)
            if name.endswith("Environment"):
                assert given["autoescape"] == "True", (path, name)


def test_mlflow_is_set_to_load_no_pickle_before_it_is_imported():
    for path in PACKAGE.rglob("*.py"):
        if any(name.split(".")[0] == "mlflow" for name in names(path)):
            # MLflow itself imports serve.py
            assert path.name == "serve.py" or "set_mlflow_variables" in names(path), path
    code = (
        "import os, lvh.tracking as e; e.set_mlflow_variables();"
        "print(os.environ['MLFLOW_ALLOW_PICKLE_DESERIALIZATION'])"
    )
    done = python("-c", code)
    assert done.stdout == "false\n"


@pytest.mark.parametrize(("arguments", "heavy"), LIGHT)
def test_a_heavy_library_is_loaded_where_it_is_needed(arguments, heavy, tmp_path):
    done = python("-X", "importtime", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & heavy
