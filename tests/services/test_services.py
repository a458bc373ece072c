"""A sweep against real servers: many commands, one study, nothing done twice, nothing lost."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from beginnings import assert_done_once_each, assert_one_tree, at_work, runs, stored
from mlflow.entities import ViewType
from servers import PASSWORD, QUOTED, Postgres, until
from servers import postgres_programs as programs_of_postgres

pytestmark = pytest.mark.services

SMALL = ("-m", "data=synthetic", "data.records=40", "train.epochs=1")
CNN = (*SMALL, "cv.folds=3", "model=cnn", "model.filters=[4,4]")
DNN = (*SMALL, "cv.folds=2", "model=dnn", "train.learning_rate=0.001,0.003,0.01,0.03")
TWELVE = (*CNN, "kernel=250,400,500", "stride=5,10,50,125")
SIX = (*CNN, "kernel=250,400,500", "stride=50,125")


def need(is_there: object, what: str) -> None:
    """Skip, or fail where the servers are promised to be there."""
    if not is_there:
        (pytest.fail if os.environ.get("LVH_NEED_SERVICES") == "1" else pytest.skip)(what)


@pytest.fixture(scope="module")
def postgres_programs() -> Path:
    need(find_spec("psycopg"), "psycopg is missing: pip install 'psycopg[binary]'")
    found = programs_of_postgres()
    need(found, "PostgreSQL is missing: apt install postgresql")
    return found


@pytest.fixture
def postgres(postgres_programs) -> Iterator[Postgres]:
    server = Postgres(postgres_programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def assert_nowhere(secret: str, folder: Path) -> None:
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert files
    assert [one for one in files if secret.encode() in one.read_bytes()] == []


def test_commands_share_a_study_and_one_of_them_is_killed(postgres, mlflow, begin, tmp_path):
    storage, cwd = postgres.new_database(), tmp_path / "work"
    what = (*TWELVE, f"search.storage={storage}", f"tracking.uri={mlflow.address}")
    commands = [begin(cwd, *what) for _ in range(4)]
    victim = until(lambda: at_work(commands), "a command is between two folds", 300)[0]
    victim.kill()
    others = [one for one in commands if one is not victim]
    assert [one.ended() for one in others] == [0, 0, 0], [one.err for one in others]
    (study,) = {one.study for one in commands}
    assert_done_once_each(storage, study, 12)
    reported = Counter(fold for one in commands for fold in one.folds())
    # what the victim trained last may lie in the store without having been reported
    assert set(reported.values()) == {1}
    assert len(reported) in (35, 36)
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


@pytest.mark.parametrize("launcher", ["submitit", "ray"])
def test_a_launcher_starts_the_processes(launcher, begin, tmp_path):
    if launcher == "submitit":
        plugin = find_spec("hydra_plugins.hydra_submitit_launcher")
        need(plugin, "submitit is missing: pip install hydra-submitit-launcher")
        given = ["hydra/launcher=submitit_local"]
    else:
        for module in ("ray", "hydra_plugins.hydra_ray_launcher"):  # in no lock: they are large
            pytest.importorskip(module)
        given = ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"]
    cwd = tmp_path / "work"
    command = begin(cwd, *DNN, *given, "search.workers=2")
    assert command.ended() == 0, command.err
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", command.study, 4)
    assert command.n_trained == len(stored(cwd)) == 8
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 2)


def test_a_database_that_stops_is_reported_and_the_sweep_goes_on_later(postgres, begin, tmp_path):
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
