"""A sweep against real servers: many commands, one study, nothing done twice, nothing lost."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from conftest import _OURS
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import TrialState
from servers import PASSWORD, QUOTED, Dashboard, Mlflow, Postgres, get, get_json, until
from servers import postgres_programs as programs_of_postgres

pytestmark = pytest.mark.services

SMALL = ("-m", "data=synthetic", "data.records=40", "train.epochs=1")
CNN = (*SMALL, "cv.folds=3", "model=cnn", "model.filters=[4,4]")
DNN = (*SMALL, "cv.folds=2", "model=dnn", "train.learning_rate=0.001,0.003,0.01,0.03")
TWELVE = (*CNN, "kernel=250,400,500", "stride=5,10,50,125")
SIX = (*CNN, "kernel=250,400,500", "stride=50,125")

_BEGUN = re.compile(r"^(.+?): [\dx ]+ inputs, .*folds x \d+ epochs$")
_FOLD = re.compile(r"^fold (\d+) of \d+: ")
_CONCLUDED = re.compile(r"^(.+?): ap \d")


@dataclass
class Command:
    """A command that runs, or has run, with all it prints in files."""

    process: subprocess.Popen
    cwd: Path
    log: Path

    @property
    def out(self) -> str:
        return self.log.read_text()

    @property
    def err(self) -> str:
        return self.log.with_suffix(".err").read_text()

    def ended(self, seconds: float = 420) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it with all its processes, with no time to say anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    @property
    def study(self) -> str:
        return re.search(r"^study (\S+) in ", self.out, re.MULTILINE)[1]

    @property
    def n_trained(self) -> int:
        return int(re.search(r"^(\d+) folds trained now", self.out, re.MULTILINE)[1])

    @property
    def leaderboard(self) -> str:
        shown = re.search(r"^\d+ configurations by .* complete\.$", self.out, re.DOTALL | re.M)
        assert shown, self.out + self.err
        return shown[0]

    def folds(self) -> list[tuple[str, int]]:
        """Return the folds that it says to have trained, by configuration and number."""
        told, waiting, configuration = [], [], ""
        for line in self.out.splitlines():
            if fold := _FOLD.match(line):
                waiting.append(int(fold[1]))
            elif begun := _BEGUN.match(line):
                configuration = begun[1]
            elif done := _CONCLUDED.match(line):  # one that is taken up again is not announced
                told += [(done[1], number) for number in waiting]
                waiting = []
        return told + [(configuration, number) for number in waiting]

    def concluded(self) -> list[str]:
        """Return the configurations that it says to have done."""
        return [found[1] for line in self.out.splitlines() if (found := _CONCLUDED.match(line))]

    def amid(self) -> bool:
        """Whether it trains a configuration of which it has done a fold, but not all."""
        assert self.process.poll() is None, self.out + self.err
        amid = False
        for line in self.out.splitlines():
            if fold := _FOLD.match(line):
                amid = int(fold[1]) < 3
            elif _BEGUN.match(line) or _CONCLUDED.match(line):
                amid = False
        return amid


Begin = Callable[..., Command]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start commands that are ended with the test, whatever becomes of it."""
    begun: list[Command] = []

    def start(cwd: Path, *arguments: str) -> Command:
        cwd.mkdir(exist_ok=True)
        log = cwd / f"command-{len(begun)}.log"
        variables = {key: value for key, value in os.environ.items() if key not in _OURS}
        with log.open("w") as out, log.with_suffix(".err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "lvh.run", *arguments],
                stdout=out,
                stderr=err,
                cwd=cwd,
                start_new_session=True,
                env={**variables, "COLUMNS": "100"},
            )
        begun.append(Command(process, cwd, log))
        return begun[-1]

    yield start
    for command in begun:
        if command.process.poll() is None:
            command.kill()


def lacking(what: str) -> None:
    """Skip, or fail where the servers are promised to be there."""
    if os.environ.get("LVH_NEED_SERVICES") == "1":
        pytest.fail(what)
    pytest.skip(what)


def need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        lacking(f"{module} is missing: pip install '{package}'")


@pytest.fixture(scope="module")
def postgres_programs() -> Path:
    need("psycopg", "psycopg[binary]")
    found = programs_of_postgres()
    if found is None:
        lacking("PostgreSQL is missing: apt install postgresql")
    return found


@pytest.fixture
def postgres(postgres_programs) -> Iterator[Postgres]:
    server = Postgres(postgres_programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def mlflow(tmp_path) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path / "mlflow")
    try:
        server.start()
        yield server
    finally:
        server.end(signal.SIGKILL)


def trials(storage: str, study: str) -> list[optuna.trial.FrozenTrial]:
    address = storage.replace("postgresql://", "postgresql+psycopg://")
    kept = optuna.storages.RDBStorage(address)
    try:
        return optuna.load_study(study_name=study, storage=kept).trials
    finally:
        kept.remove_session()
        kept.engine.dispose()


def assert_done_once_each(storage: str, study: str, n_points: int) -> None:
    found = trials(storage, study)
    assert [one.state for one in found] == [TrialState.COMPLETE] * n_points
    assert len({tuple(sorted(one.params.items())) for one in found}) == n_points


def runs(uri: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    client = MlflowClient(uri)
    found = [one.experiment_id for one in client.search_experiments(filter_string="name = 'lvh'")]
    return client.search_runs(found, run_view_type=view, max_results=1000)


def assert_one_tree(uri: str, n_points: int, n_folds: int) -> None:
    """One sweep, its configurations with their scores, their folds once each, all ended well."""
    found = runs(uri)
    assert Counter(one.info.status for one in found) == {"FINISHED": 1 + n_points * (1 + n_folds)}
    of_level = {
        level: [one for one in found if one.data.tags["level"] == level]
        for level in ("sweep", "configuration", "fold")
    }
    (sweep,) = of_level["sweep"]
    above = {one.info.run_id: one.data.tags.get("mlflow.parentRunId") for one in found}
    configurations = {one.info.run_id for one in of_level["configuration"]}
    assert len(configurations) == n_points
    assert {above[one] for one in configurations} == {sweep.info.run_id}
    assert all("ap" in one.data.metrics for one in of_level["configuration"])
    folds = [(above[one.info.run_id], one.data.params["fold"]) for one in of_level["fold"]]
    assert len(set(folds)) == len(folds) == n_points * n_folds
    assert {parent for parent, _ in folds} == configurations


def stored(cwd: Path) -> list[Path]:
    return list((cwd / "outputs" / "folds").glob("*/*.json"))


def assert_nowhere(secret: str, folder: Path) -> None:
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert files
    assert [one for one in files if secret.encode() in one.read_bytes()] == []


def test_commands_share_a_study_and_one_of_them_is_killed(postgres, mlflow, begin, tmp_path):
    storage, cwd = postgres.new_database(), tmp_path / "work"
    what = (*TWELVE, f"search.storage={storage}", f"tracking.uri={mlflow.address}")
    commands = [begin(cwd, *what) for _ in range(4)]
    victim = commands[0]
    until(victim.amid, "the command to be killed is between two folds", 300)
    victim.kill()
    others = commands[1:]
    assert [one.ended() for one in others] == [0, 0, 0], [one.err for one in others]

    (study,) = {one.study for one in commands}
    assert_done_once_each(storage, study, 12)
    told = Counter(fold for one in commands for fold in one.folds())
    # what the victim trained last may lie in the store without having been told
    assert set(told.values()) == {1}
    assert len(told) in (35, 36)
    assert victim.folds()
    assert sum(one.n_trained for one in others) + len(victim.folds()) in (35, 36)
    assert len(stored(cwd)) == 36
    assert_one_tree(mlflow.address, 12, 3)

    again = begin(cwd, *what)
    assert again.ended() == 0, again.err
    assert "nothing to train" in again.out
    assert again.folds() == []
    assert {one.leaderboard for one in [again, *others]} == {again.leaderboard}
    assert_one_tree(mlflow.address, 12, 3)

    for secret in (PASSWORD, QUOTED):
        assert_nowhere(secret, tmp_path)  # what the commands print, write, and send to MLflow
        for run in runs(mlflow.address, ViewType.ALL):
            assert secret not in str(run.to_dictionary())


def test_commands_on_different_machines_share_a_study(postgres, mlflow, begin, tmp_path):
    """Each has a folder of its own, so no folds but those it has trained itself."""
    storage = postgres.new_database()
    what = (*SIX, f"search.storage={storage}", f"tracking.uri={mlflow.address}")
    commands = [begin(tmp_path / name, *what) for name in ("first", "second")]
    assert [one.ended() for one in commands] == [0, 0], [one.err for one in commands]
    (study,) = {one.study for one in commands}
    assert_done_once_each(storage, study, 6)
    told = Counter(fold for one in commands for fold in one.folds())
    assert set(told.values()) == {1}
    assert len(told) == 18
    assert [len(stored(one.cwd)) for one in commands] == [len(one.folds()) for one in commands]
    assert_one_tree(mlflow.address, 6, 3)


def test_a_machine_that_dies_leaves_its_trial_to_another(postgres, begin, tmp_path):
    storage = postgres.new_database()
    what = (*SIX, f"search.storage={storage}", "tracking=off")
    victim = begin(tmp_path / "first", *what)
    until(victim.amid, "the command to be killed is between two folds")
    victim.kill()
    other = begin(tmp_path / "second", *what)
    assert other.ended() == 0, other.err
    assert_done_once_each(storage, victim.study, 6)
    # the trial is trained from its start, since its folds went with the machine
    assert other.n_trained == 18 - 3 * len(victim.concluded())


def test_submitit_starts_the_processes(begin, tmp_path):
    need("hydra_plugins.hydra_submitit_launcher", "hydra-submitit-launcher")
    cwd = tmp_path / "work"
    command = begin(cwd, *DNN, "hydra/launcher=submitit_local", "search.workers=2")
    assert command.ended() == 0, command.err
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", command.study, 4)
    assert command.n_trained == len(stored(cwd)) == 8
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 2)


def test_commands_start_at_once_in_an_empty_folder(begin, tmp_path):
    need("optuna_dashboard", "optuna-dashboard")
    cwd = tmp_path / "work"
    n_commands = 8 if free_gib() > 10 else 4
    commands = [begin(cwd, *DNN) for _ in range(n_commands)]
    assert [one.ended(600) for one in commands] == [0] * n_commands, [one.err for one in commands]
    (study,) = {one.study for one in commands}
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", study, 4)
    told = Counter(fold for one in commands for fold in one.folds())
    assert set(told.values()) == {1}
    assert len(told) == len(stored(cwd)) == 8
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 2)
    assert_dashboard_lists(f"sqlite:///{cwd}/studies.db", study, tmp_path)


def test_the_dashboard_opens_postgresql(postgres, begin, tmp_path):
    need("optuna_dashboard", "optuna-dashboard")
    storage = postgres.new_database()
    command = begin(tmp_path / "work", *DNN, f"search.storage={storage}", "tracking=off")
    assert command.ended() == 0, command.err
    address = storage.replace("postgresql://", "postgresql+psycopg://")
    assert_dashboard_lists(address, command.study, tmp_path)


def assert_dashboard_lists(storage: str, study: str, folder: Path) -> None:
    dashboard = Dashboard(storage, folder / "dashboard.log")
    try:
        dashboard.start()
        assert "<html" in get(f"{dashboard.address}/").lower()
        listed = get_json(f"{dashboard.address}/api/studies")["study_summaries"]
        (number,) = [one["study_id"] for one in listed if one["study_name"] == study]
        shown = get_json(f"{dashboard.address}/api/studies/{number}")["trials"]
    finally:
        dashboard.end(signal.SIGKILL)
    assert [one["state"] for one in shown] == ["Complete"] * 4
    rates = {one["name"]: [] for trial in shown for one in trial["params"]}
    for trial in shown:
        for one in trial["params"]:
            rates[one["name"]].append(float(one["param_external_value"]))
    assert {name: sorted(values) for name, values in rates.items()} == {
        "train.learning_rate": [0.001, 0.003, 0.01, 0.03]
    }


def free_gib() -> float:
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"^MemAvailable: +(\d+) kB", text, re.MULTILINE)[1]) / 2**20


def test_a_database_that_stops_is_told_and_the_sweep_goes_on_later(postgres, begin, tmp_path):
    storage, cwd = postgres.new_database(), tmp_path / "work"
    what = (*SIX, f"search.storage={storage}")
    first = begin(cwd, *what)
    until(first.amid, "the command is between two folds")
    postgres.end()
    assert first.ended() == 3, first.err
    assert re.fullmatch(r"lvh: search\.storage: cannot use .+\n", first.err)
    assert "Traceback" not in first.out
    assert PASSWORD not in first.out + first.err
    assert QUOTED not in first.out + first.err

    postgres.start()
    second = begin(cwd, *what)
    assert second.ended() == 0, second.err
    assert second.study == first.study
    assert_done_once_each(storage, second.study, 6)
    assert set(Counter(first.folds() + second.folds()).values()) == {1}
    assert len(stored(cwd)) == 18
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 6, 3)


def test_a_tracking_server_that_dies_costs_no_training(mlflow, begin, tmp_path):
    cwd = tmp_path / "work"
    what = (*SIX, f"tracking.uri={mlflow.address}")
    first = begin(cwd, *what)
    until(first.amid, "the command is between two folds")
    mlflow.end(signal.SIGKILL)
    assert first.ended() == 3, first.err
    assert "6 of 6 configurations complete." in first.leaderboard
    assert re.fullmatch(r"lvh: tracking: .+\n", first.err)
    assert "Traceback" not in first.out
    # a fold may be in the store untold, where the fault came between the two
    assert set(Counter(first.folds()).values()) == {1}
    assert len(stored(cwd)) == 18

    mlflow.start()
    second = begin(cwd, *what)
    assert second.ended() == 0, second.err
    assert second.folds() == []
    assert second.n_trained == 0
    assert second.leaderboard == first.leaderboard
    assert_one_tree(mlflow.address, 6, 3)
