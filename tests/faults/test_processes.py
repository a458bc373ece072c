"""Trials that kill their process or come to no number fail, and no other trial does."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from beginnings import assert_done_once_each, assert_one_tree, at_work, runs, stored
from conftest import command, csv_rows
from optuna.trial import TrialState
from servers import until

from lvh.models.backends import cores
from lvh.search.storage import OWNER, Storage, is_dead
from lvh.search.study import MAX_RETRIES

SMALL = ("data=synthetic", "data.records=42", "model.units=[8,4,2]", "train.side_by_side=1")


def leaderboard(cwd: Path) -> list[dict[str, str]]:
    (file,) = cwd.glob("outputs/*/*/report/leaderboard.csv")
    return csv_rows(file)


def statuses(uri: str, level: str) -> Counter:
    found = [run for run in runs(uri) if run.data.tags["level"] == level]
    return Counter(run.info.status for run in found)


RATE = "train.learning_rate"


def trainers(cwd: Path) -> dict[int, int]:
    """Return which process trains which trial, by number."""
    if not (cwd / "studies.db").exists() or not Storage(f"sqlite:///{cwd}/studies.db").studies():
        return {}
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{cwd}/studies.db")
    running = study.get_trials(states=(TrialState.RUNNING,))
    owners = {one.number: one.user_attrs.get(OWNER, "") for one in running}
    return {at: int(of.split()[1]) for at, of in owners.items() if of and not is_dead(of)}


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two workers need two cores")
def test_a_trial_that_is_killed_again_and_again_fails_and_no_other_does(begin, tmp_path):
    cwd = tmp_path / "work"
    given = ("-m", *SMALL, "cv.folds=5", "seed=0,1,2,3", "train.epochs=1500")
    sweep = begin(cwd, *given, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    for _ in range(MAX_RETRIES + 1):
        worker = until(lambda: trainers(cwd).get(0), "a process trains the first trial")
        os.kill(worker, signal.SIGKILL)
        until(lambda pid=worker: pid not in trainers(cwd).values(), "it is dead")
    assert sweep.ended() == 1, sweep.err
    assert "1 of 4 configurations failed" in sweep.err
    assert sweep.out.count("a process of this sweep died") == MAX_RETRIES + 1
    states = {row["seed"]: row["state"] for row in leaderboard(cwd)}
    assert states == {"0": "failed", "1": "complete", "2": "complete", "3": "complete"}
    assert statuses(f"sqlite:///{cwd}/mlflow.db", "configuration") == {"FINISHED": 3, "FAILED": 1}


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_fails_its_configuration_and_no_other(tmp_path):
    given = ("-m", *SMALL, "cv.folds=3", "train.epochs=20", f"{RATE}=0.001,1e38,0.003")
    done = command(*given, cwd=tmp_path)
    assert (done.code, done.err) == (1, "lvh: 1 of 3 configurations failed\n")
    assert "Traceback" not in done.out
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert statuses(uri, "configuration") == {"FINISHED": 2, "FAILED": 1}
    assert statuses(uri, "sweep") == {"FINISHED": 1}
    (run,) = [run for run in runs(uri) if run.info.status == "FAILED"]
    assert "A lower train.learning_rate" in run.data.tags["error"]
    ranks = {row[RATE]: row["rank"] for row in leaderboard(tmp_path)}
    assert sorted(ranks.values()) == ["", "1", "2"]
    again = command(*given, cwd=tmp_path)
    assert (again.code, "fold 1 of 3" in again.out) == (1, False)


RUN = ("data=synthetic", "data.records=42", "train.side_by_side=1", "train.epochs=3")
SWEEP = ("-m", *RUN, "cv.folds=3", "model.units=[8,4,2]")
RATES = "train.learning_rate=0.001,0.003,0.01,0.03"


@pytest.mark.slow
def test_6_a_server_that_hangs_is_waited_for_a_few_seconds(mlflow, begin, tmp_path):
    cwd = tmp_path / "work"
    what = ("-m", *RUN, "cv.folds=4", RATES, f"tracking.uri={mlflow.address}")
    first = begin(cwd, *what)
    until(lambda: statuses(mlflow.address, "sweep"), "the sweep is recorded")
    mlflow.signal(signal.SIGSTOP)
    assert first.ended() == 3, first.err
    assert len(stored(cwd)) == 16
    mlflow.signal(signal.SIGCONT)
    second = begin(cwd, *what)
    assert second.ended() == 0, second.err
    assert second.folds() == []
    assert_one_tree(mlflow.address, 4, 4)


TRACKER = """
import os
from lvh.tracking import TrackingSettings
from lvh.tracking.tracker import Tracker
from lvh.tracking.run_record import DataRecord, RunRecord, save

with Tracker(TrackingSettings()) as tracker:
    data = DataRecord("", "", "", 0)
    one = RunRecord(f"{os.getpid():064}", "one", {}, data, "complete", root="folds")
    save(one)
    tracker.track(one)
"""


def tracker(folder: Path) -> subprocess.Popen:
    script = folder / "one.py"
    if not script.exists():  # one that is written again is empty for a moment, and others read it
        script.write_text(TRACKER)
    return subprocess.Popen([sys.executable, script.name], cwd=folder, start_new_session=True)


def test_7_a_store_whose_maker_was_shot_is_made_by_the_next(tmp_path):
    """MLflow does not complete a store that has half its tables."""
    first = tracker(tmp_path)

    def is_half_made() -> bool:
        assert first.poll() is None
        return any(path.stat().st_size > 60_000 for path in tmp_path.glob(".mlflow.db.new"))

    until(is_half_made, "the store is being made")
    for child in children(first.pid):  # the process that records has a session of its own
        os.kill(child, signal.SIGKILL)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert tracker(tmp_path).wait(timeout=240) == 0
    assert runs(f"sqlite:///{tmp_path}/mlflow.db")[0].info.status == "FINISHED"
    assert not list(tmp_path.glob(".mlflow.db.new*"))


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.mark.slow
def test_8_commands_that_start_at_once_wait_for_locked_databases(begin, tmp_path):
    """Longer than the five seconds that SQLite's drivers wait by themselves."""
    cwd = tmp_path / "work"
    commands = [begin(cwd, *SWEEP, RATES) for _ in range(4)]
    until(lambda: at_work(commands), "a command is between two folds")
    for name in ("studies.db", "mlflow.db"):
        with closing(sqlite3.connect(cwd / name, 60, isolation_level=None)) as connection:
            connection.execute("begin exclusive")
            threading.Event().wait(6)
    assert [one.ended(600) for one in commands] == [0] * 4, [one.err for one in commands]
    (study,) = {one.study for one in commands}
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", study, 4)
    reported = Counter(fold for one in commands for fold in one.folds())
    assert set(reported.values()) == {1}
    assert len(reported) == len(stored(cwd)) == 12
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 3)
