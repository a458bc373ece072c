"""Who may import whom, and what may be imported before the configuration is known."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import lvh

PACKAGE = Path(lvh.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "keras": {"models"},
    "tensorflow": {"models"},
    "jax": {"models"},
    "torch": {"models"},
    "mlflow": {"tracking", "cli"},
    "neurokit2": {"data"},
    "skops": {"inference"},
    "starlette": {"cli"},
    "uvicorn": {"cli"},
    "sklearn": {"models", "reports"},
    "edfio": {"data"},
    "matplotlib": {"explanations", "reports"},
    "optuna": {"search", "reports"},
    "hydra": {"cli", "config", "runs"},
    "omegaconf": {"cli", "config", "runs"},
}


OURS = [*MODULES, *(PACKAGE.parent / "hydra_plugins").rglob("*.py")]
RUNS_CODE = [
    *("eval", "exec", "__import__", "instantiate", "get_class", "get_method", "get_object"),
    *("pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve", "read_pickle"),
    *("load_model", "model_from_json", "unsafe_load", "full_load", "UnsafeLoader"),
    *("CmaEsSampler", "JournalStorage"),  # Optuna's, which keep pickles in their storage
]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize(("library", "rooms"), HEAVY.items())
def test_a_library_has_its_rooms(library, rooms):
    users = {
        room(path)
        for path in MODULES
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users <= rooms


@pytest.mark.parametrize("library", ["tensorflow", "jax", "torch"])
def test_a_library_below_keras_has_one_module(library):
    """But for what is computed faster than Keras does, which is TensorFlow's."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(name.split(".")[0] == library for name in imported(path))
    }
    fast = {
        *("models/backends/adam.py", "models/backends/dense.py"),
        "models/backends/dense_layers.py",
        *("models/convolution.py", "models/layers.py"),
    }
    assert users - (fast if library == "tensorflow" else set()) == {f"models/backends/{library}.py"}


@cache
def named(path: Path) -> set[str]:
    """Return every name that a module uses, its own attributes' too."""
    used = {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Name, ast.Attribute))
    }
    return used | imported(path)


@pytest.mark.parametrize("function", RUNS_CODE)
def test_nothing_runs_code_from_data(function):
    for path in OURS:
        assert function not in named(path), path


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Yield the name of all that a module calls, and the arguments that have one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            named = {one.arg: one.value for one in node.keywords if one.arg is not None}
            yield ast.unparse(node.func), named


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_what_could_run_code_is_told_not_to(path):
    """A pickle in an array, a shell in a command, markup in a name."""
    for name, named in calls(path):
        if name in ("np.load", "np.save", "np.savez", "np.savez_compressed"):
            assert ast.unparse(named["allow_pickle"]) == "False", name
        if name.startswith("subprocess."):
            assert "shell" not in named, name
        if name.endswith("Environment") or name.endswith("Template"):
            assert name == "Template" or ast.unparse(named["autoescape"]) == "True", name


def test_mlflow_is_told_to_load_no_pickle():
    importing = [
        path for path in MODULES if re.search(r"^ *(from|import) mlflow\b", path.read_text(), re.M)
    ]
    assert {path.name for path in importing} == {
        *("mlflow_store.py", "run_lookup.py", "registry.py", "serve.py"),
    }
    for path in importing:
        source = path.read_text()
        if path.name != "serve.py":  # whose importer is MLflow, or which has a model from it
            assert source.index("\ntell_mlflow()\n") < source.index(" mlflow import ")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import lvh.tracking.environment as e, os; e.tell_mlflow();"
            "print(os.environ['MLFLOW_ALLOW_PICKLE_DESERIALIZATION'])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "false\n"


def test_nothing_heavy_is_imported_before_the_configuration_is_known():
    """`--help` and a wrong override answer in about a second because of this."""
    code = (
        "import sys, lvh.run, lvh.config.run_settings, lvh.cli.explore\n"
        "heavy = {'tensorflow', 'jax', 'torch', 'keras', 'mlflow', 'optuna', 'matplotlib',\n"
        "         'sklearn', 'pandas', 'pooch', 'requests', 'scipy', 'neurokit2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
