"""What several tests share: the cohorts, a cache of their own, and tiny data sets on disk."""

import contextlib
import csv
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from lvh.data import synthetic
from lvh.data.cohort import Cohort, Delineation

if TYPE_CHECKING:
    from beginnings import Begin
    from final_models import Trained
    from mlflow import MlflowClient
    from servers import Mlflow

BACKEND = os.environ.get("LVH_TEST_BACKEND", "tensorflow")
"""What Keras runs on in this process; test_backends.py starts others for the other backends."""

os.environ["KERAS_BACKEND"] = BACKEND

# The same examples in every run, and no verdict that depends on the machine's speed.
settings.register_profile("lvh", derandomize=True, deadline=None)
settings.load_profile("lvh")


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the user's own cache out of every test."""
    home = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def ludb_root() -> Path:
    """Folder of the real data; tests that take it are marked `ludb`."""
    root = os.environ.get("LVH_LUDB_ROOT")
    if not root:
        pytest.skip("LVH_LUDB_ROOT is not set: it names the folder of LUDB 1.0.1")
    return Path(root)


@pytest.fixture(scope="session")
def ptbxl_root(ludb_root: Path) -> Path:
    """Folder of the sample of PTB-XL: as the setting says, or next to LUDB."""
    root = Path(os.environ.get("LVH_PTBXL_ROOT", ludb_root.parent / "ptbxl"))
    if not root.is_dir():
        pytest.skip("LVH_PTBXL_ROOT is not set: it names the folder of ptbxl_database.csv")
    return root


@pytest.fixture(scope="session")
def ludb(ludb_root: Path, cache_home: Path) -> Cohort:
    from record_files import load_ludb

    return read_only(load_ludb(ludb_root))


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    """Forty generated records of both labels, a few of them without p waves."""
    return read_only(
        synthetic.load(
            synthetic.SyntheticSettings("synthetic", records=40, effect=1.0, noise=0.02, seed=0)
        )
    )


@pytest.fixture(scope="session")
def written_set(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort) -> Path:
    from record_files import write_data_set

    return write_data_set(tmp_path_factory.mktemp("written") / "set", cohort, 3)


@pytest.fixture
def data_set(tmp_path: Path, written_set: Path) -> Path:
    """The first three generated records on disk, in LUDB's layout, for a test to spoil."""
    return shutil.copytree(written_set, tmp_path / "set", copy_function=shutil.copyfile)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached cohorts of one test, empty at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache/lvh/cohorts"


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Import the scripts of a folder of experiments by their short names, in one test alone."""
    before = set(sys.modules)
    folders: list[Path] = []

    def use(name: str) -> Path:
        folders.append(Path(__file__).resolve().parent.parent / "experiments" / name)
        monkeypatch.syspath_prepend(str(folders[-1]))
        return folders[-1]

    yield use
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent in folders:
            del sys.modules[name]


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_only(cohort: Cohort) -> Cohort:
    """Lock the arrays of a cohort that many tests share."""
    waves = cohort.delineation
    of_records = (cohort.signals, cohort.male, cohort.age, cohort.label)
    for array in (*of_records, waves.symbols, waves.samples, waves.offsets):
        array.flags.writeable = False
    return cohort


def with_waves(
    cohort: Cohort, waves: Mapping[tuple[int, int], tuple[str, Sequence[int]]]
) -> Cohort:
    """Copy a cohort with other delineations: (record, lead) -> symbols and samples."""
    n_leads = len(cohort.leads)
    parts = [
        waves.get((record, lead), cohort.delineation.lead(record, lead))
        for record in range(len(cohort.records))
        for lead in range(n_leads)
    ]
    return replace(
        cohort,
        delineation=Delineation(
            np.frombuffer("".join(symbols for symbols, _ in parts).encode(), np.uint8),
            np.concatenate([np.asarray(samples, np.int32) for _, samples in parts]),
            np.cumsum([0, *(len(symbols) for symbols, _ in parts)]),
            n_leads,
        ),
    )


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands in a text file exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} in {path}"
    path.write_text(text.replace(old, new))


@dataclass(frozen=True)
class Done:
    """A finished command and the directory it ran in."""

    code: int
    out: str
    err: str
    cwd: Path

    def client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{self.cwd}/mlflow.db")

    def runs(self, filter_string: str = "") -> list:
        client = self.client()
        experiment = client.get_experiment_by_name("lvh")
        return client.search_runs([experiment.experiment_id], filter_string)

    def folder(self) -> Path:
        (folder,) = (self.cwd / "outputs").glob("20*/*")
        return folder


@pytest.fixture
def plugins_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what plugins of a test registered."""
    from lvh.config import plugins
    from lvh.config.groups import register_options

    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for top in {*plugins._plugins, *plugins._modules.values()}:
        plugins._forget(top)
    register_options()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, cohort: Cohort) -> Callable[..., Path]:
    """Save a final model of two members once, for tests that only read it."""
    from final_models import save_model, settings

    @cache
    def save(model: str, features: str, *typed: str) -> Path:
        folder = tmp_path_factory.mktemp(model) / "m"
        save_model(folder, settings(model, features, *typed), cohort)
        return folder

    return save


@pytest.fixture
def begin() -> "Iterator[Begin]":
    """Start commands that are ended with the test, even if it fails."""
    from beginnings import beginning

    with beginning() as start:
        yield start


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Callable[..., Trained]":
    """Cross-validate small configurations in this process, in a directory of its own."""
    from final_models import train

    monkeypatch.chdir(tmp_path)
    return partial(train, tmp_path / "run")


@pytest.fixture
def mlflow(tmp_path: Path) -> "Iterator[Mlflow]":
    """A server of MLflow on a free port of this machine."""
    from servers import Mlflow

    server = Mlflow(tmp_path / "mlflow")
    try:
        server.start()
        yield server
    finally:
        server.end(signal.SIGKILL)


_OURS = ("LVH_LUDB_ROOT", "LVH_PTBXL_ROOT", "MLFLOW_TRACKING_URI", "HYDRA_FULL_ERROR")


def start(*arguments: str, cwd: Path, module: str = "lvh.run", **more: Any) -> subprocess.Popen:
    """Start a command in a group of processes, as a terminal does; more variables may be given."""
    variables = {key: value for key, value in os.environ.items() if key not in _OURS}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=more.pop("out", subprocess.PIPE),
        stderr=more.pop("err", subprocess.PIPE),
        text=True,
        cwd=cwd,
        start_new_session=True,
        env={**variables, "COLUMNS": "100", **more},
    )


def in_process(*arguments: str) -> tuple[int, str, str]:
    """Run `lvh run` in this process; return its exit code and what it printed."""
    from lvh.cli.run import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lvh", *arguments])
        patch.setenv("HYDRA_FULL_ERROR", "0")  # which the command changes
        # Hydra closes all handlers, and TensorFlow's then closes what pytest captures
        patch.setattr(logging, "_handlerList", [])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main()
    return code, out.getvalue(), err.getvalue()


def done_here(*arguments: str, cwd: Path) -> Done:
    """Run `lvh run` in this process, in a directory, without the data and stores of this user."""
    with contextlib.chdir(cwd), pytest.MonkeyPatch.context() as patch:
        for name in _OURS:
            patch.delenv(name, raising=False)
        return Done(*in_process(*arguments), cwd)


def exit_code(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Return how a command ends in this process, whether argparse or the command ends it."""
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def python(*arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess:
    """Run Python to its end; more variables of the environment may be given."""
    line, environment = [sys.executable, *arguments], {**os.environ, **more}
    return subprocess.run(
        line, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def command(*arguments: str, cwd: Path, **more: Any) -> Done:
    process = start(*arguments, cwd=cwd, **more)
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, err, cwd)
