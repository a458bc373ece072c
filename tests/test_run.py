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


@pytest.fixture(scope="module")
def dnn(tmp_path_factory) -> Done:
    # a blank and a sign that has a meaning in addresses: people have such folders
    return command(*SMALL, cwd=tmp_path_factory.mktemp("a folder 100% mine"))


def test_the_run_tree_can_be_filtered_and_compared(dnn):
    (run,) = dnn.runs("tags.level = 'configuration'")
    folds = dnn.runs(f"tags.level = 'fold' and tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert len(folds) == 3
    assert {one.info.status for one in [run, *folds]} == {"FINISHED"}
    assert run.info.run_name == "dnn-ntp folds=3 epochs=3"
    params = run.data.params
    assert (params["model"], params["features"], params["data"]) == ("dnn", "ntp", "synthetic")
    assert (params["cv.folds"], params["train.epochs"], params["seed"]) == ("3", "3", "0")
    shown = run.data.metrics
    for name in ("ap", "accuracy", "precision", "recall"):
        values = [one.data.metrics[name] for one in folds]
        assert shown[name] == pytest.approx(np.mean(values))
        assert shown[f"std_{name}"] == pytest.approx(np.std(values, ddof=1))
    assert shown["pooled_ap_low"] <= shown["pooled_ap"] <= shown["pooled_ap_high"]
    assert shown.keys() >= {"baseline_no_skill_ap", "baseline_age_sex_ap", "roc_auc", "seconds"}


def test_the_folder_holds_all_that_is_needed_to_check_the_scores(dnn):
    from sklearn.metrics import accuracy_score, average_precision_score

    folder = dnn.folder()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["train"]["epochs"] == 3
    assert json.loads((folder / "versions.json").read_text())["lvh"]
    parts = csv_rows(folder / "splits.csv")
    predictions = csv_rows(folder / "predictions.csv")
    scored = {(row["fold"], row["record"]) for row in parts if row["part"] == "test"}
    assert scored == {(row["fold"], row["record"]) for row in predictions}
    assert len(parts) == 3 * 42
    for row in csv_rows(folder / "folds.csv"):
        own = [one for one in predictions if one["fold"] == row["fold"]]
        y_true = [int(one["y_true"]) for one in own]
        y_score = [float(one["y_score"]) for one in own]
        y_pred = [int(one["y_pred"]) for one in own]
        assert float(row["accuracy"]) == pytest.approx(accuracy_score(y_true, y_pred))
        assert float(row["ap"]) == pytest.approx(average_precision_score(y_true, y_score))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data.root=nowhere"], 2, "nowhere/RECORDS"),
        (["data=synthetic", "data.records=8", "cv.folds=7"], 2, "lvh: cv.folds: expected at most"),
        (["data.url=http://127.0.0.1:9/ludb.zip"], 3, "data=synthetic"),
    ],
)
def test_what_cannot_run_ends_with_a_plain_line_and_its_code(arguments, code, message, tmp_path):
    done = done_here(*arguments, cwd=tmp_path)
    assert done.code == code, done.err
    assert message in done.err
    lines = done.err.strip().splitlines()
    assert len([line for line in lines if not line.startswith("INFO: ")]) <= 3
    assert "Traceback" not in done.err
    assert not (tmp_path / "mlflow.db").exists()


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
