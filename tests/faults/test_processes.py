"""Trials that kill their process or come to no number fail, and no other trial does."""

import os
import re
import signal
from collections import Counter
from pathlib import Path

import optuna
import pytest
from beginnings import runs
from conftest import command, csv_rows
from optuna.trial import TrialState
from servers import until

from lvh.models.backends import cores
from lvh.search.storage import OWNER, Storage, is_dead
from lvh.search.study import MAX_RETRIES, Study

SMALL = ("data=synthetic", "data.records=42", "model.units=[8,4,2]", "train.side_by_side=1")


def leaderboard(cwd: Path) -> list[dict[str, str]]:
    """Return the rows of the only table."""
    (file,) = cwd.glob("outputs/*/*/report/leaderboard.csv")
    return csv_rows(file)


def store_of(cwd: Path) -> str:
    return f"sqlite:///{cwd}/mlflow.db"


def statuses(cwd: Path, level: str) -> Counter:
    found = [run for run in runs(store_of(cwd)) if run.data.tags["level"] == level]
    return Counter(run.info.status for run in found)


def shown_folds(out: str) -> int:
    return len(re.findall(r"^fold \d+ of \d+: ", out, re.MULTILINE))


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
    """Its worker is shot as the kernel does when memory is short; next to it one works on."""
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
    assert statuses(cwd, "configuration") == {"FINISHED": 3, "FAILED": 1}


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_fails_its_configuration_and_no_other(tmp_path):
    given = ("-m", *SMALL, "cv.folds=3", "train.epochs=20", f"{RATE}=0.001,1e38,0.003")
    done = command(*given, cwd=tmp_path)
    assert (done.code, done.err) == (1, "lvh: 1 of 3 configurations failed\n")
    assert "Traceback" not in done.out
    assert statuses(tmp_path, "configuration") == {"FINISHED": 2, "FAILED": 1}
    assert statuses(tmp_path, "sweep") == {"FINISHED": 1}
    (run,) = [run for run in runs(store_of(tmp_path)) if run.info.status == "FAILED"]
    assert run.data.params[RATE] == "1e+38"
    assert "A lower train.learning_rate" in run.data.tags["error"]
    rows = {row[RATE]: row for row in leaderboard(tmp_path)}
    lost = rows.pop("1e+38")
    assert (lost["state"], lost["rank"], lost["mean"]) == ("failed", "", "")
    assert sorted(row["rank"] for row in rows.values()) == ["1", "2"]
    again = command(*given, cwd=tmp_path)
    assert (again.code, shown_folds(again.out)) == (1, 0)


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two workers need two cores")
def test_a_sweep_of_two_workers_that_is_ended_has_tracked_what_was_finished(begin, tmp_path):
    cwd = tmp_path / "work"
    given = ("-m", *SMALL, "cv.folds=5", "seed=range(0,40)", "train.epochs=200")
    sweep = begin(cwd, *given, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    until(lambda: len(list(cwd.glob("outputs/folds/runs/*.json"))) > 1, "some are finished")
    os.kill(sweep.process.pid, signal.SIGTERM)
    assert sweep.ended() == 143
    assert re.search(r"^\d begun trials are not recorded; the same command", sweep.out, re.M)
    storage = Storage(f"sqlite:///{cwd}/studies.db", to_read=True)
    (study,) = storage.studies()
    states = Counter(trial.state for trial in Study(storage, study).trials())
    assert statuses(cwd, "configuration") == {"FINISHED": states[TrialState.COMPLETE]}
