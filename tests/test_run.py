"""The command as a user types it, in a process of its own."""

import json
import re
import signal

import numpy as np
import pytest
import yaml
from conftest import Done, command, csv_rows, done_here, start

FAST = ["data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage"]
SMALL = ["data=synthetic", "data.records=42", "cv.folds=3", "train.epochs=3"]
SLOW = [*SMALL, "train.side_by_side=1", "train.epochs=2000"]
LEAKING = ["cv.weights=carried", "cv.epoch=best_on_scored", "cv.allow_leakage=true"]


def test_folder_and_tracked_run_hold_all_that_is_needed_to_check_the_scores(tmp_path):
    from sklearn.metrics import accuracy_score, average_precision_score

    cwd = tmp_path / "a folder 100% mine"  # people have blanks and signs of addresses in names
    cwd.mkdir()
    done = command(*SMALL, cwd=cwd)
    folder = done.folder()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["train"]["epochs"] == 3
    assert json.loads((folder / "versions.json").read_text())["lvh"]
    parts = csv_rows(folder / "splits.csv")
    predictions = csv_rows(folder / "predictions.csv")
    scored = {(row["fold"], row["record"]) for row in parts if row["part"] == "test"}
    assert scored == {(row["fold"], row["record"]) for row in predictions}
    assert len(parts) == 3 * 42
    folds = csv_rows(folder / "folds.csv")
    for row in folds:
        own = [one for one in predictions if one["fold"] == row["fold"]]
        y_true = [int(one["y_true"]) for one in own]
        y_score = [float(one["y_score"]) for one in own]
        y_pred = [int(one["y_pred"]) for one in own]
        assert float(row["accuracy"]) == pytest.approx(accuracy_score(y_true, y_pred))
        assert float(row["ap"]) == pytest.approx(average_precision_score(y_true, y_score))
    (run,) = done.runs("tags.level = 'configuration'")
    assert len(done.runs(f"tags.mlflow.parentRunId = '{run.info.run_id}'")) == len(folds) == 3
    known = {"model": "dnn", "features": "ntp", "data": "synthetic", "cv.folds": "3", "seed": "0"}
    assert known.items() <= run.data.params.items()
    for name in ("ap", "accuracy", "precision", "recall"):
        values = [float(row[name]) for row in folds]
        assert run.data.metrics[name] == pytest.approx(np.mean(values))
        assert run.data.metrics[f"std_{name}"] == pytest.approx(np.std(values, ddof=1))
    baselines = {"baseline_no_skill_ap", "baseline_age_sex_ap"}
    assert run.data.metrics.keys() >= {"pooled_ap_low", "pooled_ap", "seconds", *baselines}


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.slow) for one in (15, signal.SIGHUP))],
)
def test_an_interrupted_run_is_recorded_as_killed_and_then_finished(tmp_path, number):
    process = start(*SLOW, cwd=tmp_path)
    while not (line := process.stdout.readline()).startswith("fold 1 of 3"):
        assert line, process.stderr.read()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    killed = Done(process.returncode, out, err, tmp_path)
    assert killed.code == 128 + number, err
    (run,) = killed.runs("tags.level = 'configuration'")
    assert run.info.status == "KILLED"
    n_folds = len(killed.runs("tags.level = 'fold'"))
    assert n_folds == len(list(tmp_path.glob("outputs/folds/??/[!.]*.json"))) >= 1
    done = command(*SLOW, cwd=tmp_path)
    assert f"{n_folds} of 3 folds are done already" in done.out
    (again,) = done.runs("tags.level = 'configuration'")
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert len(done.runs("tags.level = 'fold'")) == 3


@pytest.mark.slow
def test_the_same_run_is_not_trained_twice_at_once(tmp_path):
    process = start(*SMALL, "train.epochs=100000", cwd=tmp_path)
    while not process.stdout.readline().startswith("note: synthetic cohort"):
        assert process.poll() is None
    done = command(*SMALL, "train.epochs=100000", cwd=tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert done.code == 2
    assert done.err.startswith("lvh: resume: another process trains this very run now")


@pytest.mark.slow
def test_a_server_that_is_down_costs_no_training(tmp_path):
    done = command(*FAST, "tracking.uri=http://127.0.0.1:9", cwd=tmp_path)
    assert done.code == 3
    assert "age + sex" in done.out
    assert (done.folder() / "scores.csv").exists()
    message = done.err.splitlines()[-1]
    assert re.match(r"lvh: tracking: 1 result was not written to MLflow: .*127\.0\.0\.1", message)
    assert "python -m lvh.track, records them without training" in message
    again = command(*FAST, cwd=tmp_path)
    assert "nothing to train" in again.out
    assert len(again.runs("tags.level = 'fold'")) == 3


def test_a_leak_is_named_before_and_after_the_table_and_tagged(tmp_path):
    leaking = done_here(*SMALL, *LEAKING, cwd=tmp_path)
    assert leaking.code == 0, leaking.err
    warning = "NOT HONEST: carried weights, best epoch on the test fold. "
    before, table_shown, after = leaking.out.split(warning)
    assert "age + sex" in table_shown
    assert "roc_auc" not in before + after
    assert "dnn-ntp-carried-best_on_scored" in before
    assert not leaking.runs("tags.level = 'configuration'")
    assert not leaking.runs("tags.level = 'fold'")
    (run,) = leaking.runs("tags.level = 'leaking configuration'")
    assert run.data.tags["leakage"] == "carried weights, best epoch on the test fold"
    assert run.data.tags["protocol"] == "carried-best_on_scored"
    assert run.info.status == "FINISHED"
