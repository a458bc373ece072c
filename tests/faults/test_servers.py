"""Rows 5 to 8: servers that die or hang, stores that are fresh or locked; all of them real."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from beginnings import assert_done_once_each, assert_one_tree, runs, stored
from mlflow import MlflowClient
from servers import until

RUN = ("data=synthetic", "data.records=42", "train.side_by_side=1", "train.epochs=3")
SWEEP = ("-m", *RUN, "cv.folds=3", "model.units=[8,4,2]")
RATES = "train.learning_rate=0.001,0.003,0.01,0.03"


def of_level(uri: str, level: str) -> list:
    return [run for run in runs(uri) if run.data.tags["level"] == level]


@pytest.mark.slow
def test_5_what_a_server_missed_is_recorded_later_without_training(mlflow, begin, tmp_path):
    """By `lvh.track`, by the same command, and after a server was killed in the middle of it."""
    cwd = tmp_path / "work"
    what = (*RUN, "cv.folds=7", f"tracking.uri={mlflow.address}")
    mlflow.end(signal.SIGKILL)
    first = begin(cwd, *what)
    assert first.ended() == 3, first.err
    assert "age + sex" in first.out
    assert "python -m lvh.track, records them without training" in first.err.splitlines()[-1]
    (folder,) = cwd.glob("outputs/20*/*")
    assert len(stored(cwd)) == 7

    mlflow.start()
    tracking = [sys.executable, "-m", "lvh.track", f"tracking.uri={mlflow.address}"]
    amid = subprocess.Popen(tracking, cwd=cwd, stderr=subprocess.DEVNULL)
    until(lambda: of_level(mlflow.address, "fold"), "a fold is recorded")
    amid.kill()
    amid.wait()
    for again in (tracking, [sys.executable, "-m", "lvh.run", *what]):
        done = subprocess.run(again, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = runs(mlflow.address)
        assert Counter(run.data.tags["level"] for run in found) == {"configuration": 1, "fold": 7}
        assert {run.info.status for run in found} == {"FINISHED"}
    (run,) = of_level(mlflow.address, "configuration")
    numbers = [one.data.params["fold"] for one in of_level(mlflow.address, "fold")]
    assert sorted(numbers) == list("1234567")
    kept = {path.name for path in folder.iterdir() if path.is_file()}
    client = MlflowClient(mlflow.address)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == kept


@pytest.mark.slow
def test_6_a_server_that_hangs_is_waited_for_a_few_seconds(mlflow, begin, tmp_path):
    cwd = tmp_path / "work"
    points = "train.learning_rate=0.001,0.003,0.01,0.03"
    what = ("-m", *RUN, "cv.folds=4", points, f"tracking.uri={mlflow.address}")
    first = begin(cwd, *what)
    until(lambda: of_level(mlflow.address, "sweep"), "the sweep is recorded")
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
from lvh.tracking import Tracker, TrackingSettings
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


def test_7_processes_that_track_at_once_on_a_fresh_store_do_not_break_it(tmp_path):
    started = [tracker(tmp_path) for _ in range(4)]
    assert [process.wait(timeout=240) for process in started] == [0] * 4
    found = runs(f"sqlite:///{tmp_path}/mlflow.db")
    assert [run.info.status for run in found] == ["FINISHED"] * 4


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
def test_7_commands_that_start_at_once_in_an_empty_folder_train_each_point_once(begin, tmp_path):
    cwd = tmp_path / "work"
    commands = [begin(cwd, *SWEEP, RATES) for _ in range(4)]
    assert [one.ended(600) for one in commands] == [0] * 4, [one.err for one in commands]
    (study,) = {one.study for one in commands}
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", study, 4)
    reported = Counter(fold for one in commands for fold in one.folds())
    assert set(reported.values()) == {1}
    assert len(reported) == len(stored(cwd)) == 12
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 3)


@pytest.mark.slow
def test_8_a_locked_database_is_waited_for(begin, tmp_path):
    """Longer than the five seconds that SQLite's drivers wait by themselves."""
    cwd = tmp_path / "work"
    command = begin(cwd, *SWEEP, RATES)
    until(command.amid, "the command is between two folds")
    names = ("studies.db", "mlflow.db")
    connections = [sqlite3.connect(cwd / name, 60, isolation_level=None) for name in names]
    for connection in connections:
        with closing(connection):
            connection.execute("begin exclusive")
            threading.Event().wait(6)
    assert command.ended() == 0, command.err
    assert_done_once_each(f"sqlite:///{cwd}/studies.db", command.study, 4)
    assert_one_tree(f"sqlite:///{cwd}/mlflow.db", 4, 3)
