"""Who may import whom, and what may be imported before the configuration is known."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lvh

PACKAGE = Path(lvh.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {
    "errors": set(),
    "files": {"errors"},
    "cohort": {"errors"},
    "criteria": set(),
    "metrics": {"errors"},
    "folds": {"errors"},
    "inner": {"errors", "folds"},
    "threshold": {"errors", "folds", "inner", "metrics"},
    "models": {"criteria", "errors", "inner", "metrics"},
    "sources": {"cohort", "errors", "files"},
    "features": {"cohort", "criteria", "errors"},
    "augment": set(),
    "backends": {"metrics", "errors"},
    "training": {"augment", "backends", "metrics", "errors"},
    "estimators": {"backends", "errors", "inner", "models", "training"},
    "crossval": {
        *("backends", "features", "folds", "training", "metrics", "errors", "threshold"),
    },
    "racing": {"errors"},
    "permutation": {"crossval", "features", "files", "folds", "metrics", "training"},
    "study": set(),
    "identity": {"backends", "cohort", "config", "folds", "training"},
    "fold_store": {"crossval", "features", "files", "folds", "metrics", "study", "training"},
    "search": {"cohort", "errors", "fold_store", "racing", "study", "tracking"},
    "report": {"console", "errors", "files", "fold_store", "metrics", "search", "study"},
    "calibration": {"metrics"},
    "figures": {"calibration", "crossval", "metrics", "files"},
    "artifacts": {"backends", "crossval", "features", "folds", "training", "metrics", "files"},
    "tracking": {"study", "cohort", "crossval", "metrics", "errors"},
    "config": {
        "study",
        *("errors", "features", "folds", "metrics", "models", "search", "sources", "tracking"),
        *("backends", "training"),
    },
    "console": {
        *("cohort", "config", "crossval", "features", "folds", "metrics", "threshold", "tracking"),
    },
    "evaluation": {
        "study",
        *("artifacts", "cohort", "config", "console", "crossval", "errors", "features", "figures"),
        *(
            "fold_store",
            "permutation",
            "folds",
            "identity",
            "models",
            "backends",
            "estimators",
            "sources",
            "threshold",
            "tracking",
            "training",
        ),
    },
    "worker": {
        *(
            "cohort",
            "fold_store",
            "config",
            "console",
            "crossval",
            "errors",
            "evaluation",
            "search",
            "study",
            "tracking",
        ),
    },
    "sweep": {
        *("cohort", "config", "console", "errors", "evaluation", "fold_store", "identity"),
        *("backends", "report", "search", "study", "tracking", "worker"),
    },
    "hydra_errors": {"config", "errors", "tracking"},
    "usage": {"config"},
}
HEAVY = {
    "keras": {"backends", "models"},
    "tensorflow": {"backends", "models"},
    "jax": {"backends"},
    "torch": {"backends"},
    "mlflow": {"tracking"},
    "sklearn": {"folds", "inner", "models", "figures"},
    "matplotlib": {"figures", "report"},
    "optuna": {"search", "report"},
    "hydra": {"run", "hydra_errors"},
    "omegaconf": {"run", "hydra_errors", "config", "usage"},
}


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    here = room(path)
    if here in ("run", "__init__"):
        return  # the entry may import all
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("lvh.")}
    known = ours & {room(module) for module in MODULES}
    assert known - {here} <= ROOMS[here]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_the_entry(path):
    assert path.name == "run.py" or "lvh.run" not in imported(path)


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
        *("backends/adam.py", "backends/dense.py", "backends/dense_layers.py"),
        *("models/convolution.py", "models/layers.py"),
    }
    assert users - (fast if library == "tensorflow" else set()) == {f"backends/{library}.py"}


@pytest.mark.parametrize(
    "function", ["eval", "exec", "instantiate", "pickle", "joblib", "cloudpickle"]
)
def test_nothing_runs_code_from_data(function):
    for path in [*MODULES, *(PACKAGE.parent / "hydra_plugins").rglob("*.py")]:
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Name, ast.Attribute))
        }
        assert function not in names | imported(path), path


def test_nothing_heavy_is_imported_before_the_configuration_is_known():
    """`--help` and a wrong override answer in about a second because of this."""
    code = (
        "import sys, lvh.run, lvh.config\n"
        "heavy = {'tensorflow', 'jax', 'torch', 'keras', 'mlflow', 'optuna', 'matplotlib',\n"
        "         'sklearn', 'pandas', 'pooch', 'requests', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
