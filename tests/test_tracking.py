"""Tracking: one tree, ended as it should be, whatever happens beside it."""

import gc
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from lvh.tracking.recorder import _recorder
from mlflow import MlflowClient

from lvh.errors import EnvironmentFault, LvhError
from lvh.evaluation.cross_validation import baseline_summaries, conclude, fold_results
from lvh.features import FORMS
from lvh.features.ntp import NtpSettings
from lvh.models.baselines import BASELINES
from lvh.models.training import History
from lvh.tracking import RunKey, TrackingSettings, resolved_uri, tracked_run
from lvh.validation.splits import CvSettings, splits


@pytest.fixture
def settings(tmp_path, monkeypatch) -> TrackingSettings:
    monkeypatch.chdir(tmp_path)
    return TrackingSettings("mlflow", None, "lvh")


class Constant:
    """Scores every record .6; undefined metrics included."""

    n_parameters = 0

    def together(self, sizes):
        return len(sizes)

    def fit(self, lessons, on_epoch):
        return [History((0.7, 0.6), (0.5, 0.6), (0.8, 0.9), (0.4, 0.3), 1)] * len(lessons)

    def predict(self, parts):
        return [np.full(len(X), 0.6) for X in parts]


def result_of(cohort):
    data = FORMS["ntp"].extract(cohort, NtpSettings("ntp", "mean", "drop", "minmax"))
    folds = splits(data.y, data.subjects, CvSettings("stratified", 2, 2, 0, 0.2, 0.0))
    results = fold_results(data, folds, Constant, 0, lambda split: None, lambda split, epoch: None)
    return conclude(data, list(results), baseline_summaries(data, folds, BASELINES))


def client(settings: TrackingSettings) -> MlflowClient:
    return MlflowClient(tracking_uri=resolved_uri(settings))


def runs(settings: TrackingSettings, level: str) -> list:
    found = client(settings)
    experiment = found.get_experiment_by_name(settings.experiment)
    return found.search_runs([experiment.experiment_id], f"tags.level = '{level}'")


def test_the_tree_has_three_levels(settings, cohort):
    result = result_of(cohort)
    with tracked_run(settings, "sweep", "all", {}, {}) as sweep:
        below = replace(settings, parent=sweep.opened.run_id)
        with tracked_run(below, "configuration", "one", {"kernel": 250, "x": None}, {}) as tracked:
            tracked.log_data(cohort, 39)
            for fold in result.folds:
                tracked.log_fold(fold)
            tracked.log_result(result)
    (top,), (run,), folds = (runs(settings, one) for one in ("sweep", "configuration", "fold"))
    assert run.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert {fold.data.tags["mlflow.parentRunId"] for fold in folds} == {run.info.run_id}
    assert sorted(fold.info.run_name for fold in folds) == [
        "one fold 1",
        "one fold 1 of repeat 2",
        "one fold 2",
        "one fold 2 of repeat 2",
    ]
    assert run.data.params == {"kernel": "250", "x": "null"}
    assert run.data.metrics["folds_done"] == 4
    assert "no skill" in run.data.tags["mlflow.note.content"]
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.profile)["fingerprint"] == cohort.fingerprint


def test_the_means_sort_before_what_surrounds_them(settings, cohort):
    """The UI's boxes show the first six metrics; accuracy and ap must be among them."""
    with tracked_run(settings, "configuration", "one", {}, {}) as tracked:
        tracked.log_result(result_of(cohort))
    (run,) = runs(settings, "configuration")
    first = sorted(run.data.metrics)[:6]
    assert {"accuracy", "ap"} <= set(first)


def test_a_fold_lasts_as_long_as_it_trained(settings, cohort):
    fold = replace(result_of(cohort).folds[0], seconds=12.0)
    with tracked_run(settings, "configuration", "one", {}, {}) as tracked:
        tracked.log_fold(fold)
    (run,) = runs(settings, "fold")
    assert run.info.end_time - run.info.start_time == 12_000
    found = client(settings)
    for name, values in (("train_loss", [0.7, 0.6]), ("validation_loss", [0.8, 0.9])):
        history = found.get_metric_history(run.info.run_id, name)
        assert [(one.step, one.value) for one in history] == [(1, values[0]), (2, values[1])]


@pytest.mark.parametrize(
    ("error", "status"), [(LvhError("too hot"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_ends_as_its_body_does(settings, error, status):
    with pytest.raises(type(error)), tracked_run(settings, "configuration", "one", {}, {}):
        raise error
    (run,) = runs(settings, "configuration")
    assert run.info.status == status
    assert run.data.tags.get("error") == ("LvhError: too hot" if status == "FAILED" else None)


def test_off_leaves_nothing(settings, cohort, tmp_path):
    with tracked_run(replace(settings, name="off"), "configuration", "one", {}, {}) as tracked:
        tracked.log_data(cohort, 39)
        tracked.log_result(result_of(cohort))
    assert tracked.opened is None
    assert not list(tmp_path.iterdir())


def test_artifacts_lie_beside_the_store_not_in_the_working_directory(settings, tmp_path):
    elsewhere = tmp_path / "with a blank"
    elsewhere.mkdir()
    there = replace(settings, uri=f"sqlite:///{elsewhere}/mine.db")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("kept")
    with tracked_run(there, "configuration", "one", {}, {}) as tracked:
        tracked.log_folder(tmp_path / "folder")
    (kept,) = elsewhere.rglob("a.txt")
    assert kept.read_text() == "kept"
    assert not (tmp_path / "mlruns").exists()
    assert not (tmp_path / "mlartifacts").exists()


def test_a_store_that_cannot_be_reached_is_told(settings):
    nowhere = replace(settings, uri="sqlite:////proc/none/mlflow.db")
    with pytest.raises(EnvironmentFault, match=r"tracking\.uri.*tracking=off"):
        with tracked_run(nowhere, "configuration", "one", {}, {}):
            pytest.fail("the body ran")


def test_an_experiment_is_made_with_a_view_of_its_configurations(settings):
    with tracked_run(settings, "configuration", "one", {}, {}) as tracked:
        page = tracked.opened.page
    experiment = client(settings).get_experiment_by_name("lvh")
    view = json.loads(experiment.tags["mlflow.sharedViewState.lvh"])
    assert json.loads(view["state"])["searchFilter"] == "tags.level = 'configuration'"
    there = f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=lvh"
    assert page == f"{there}&workflowType=machine_learning"


def test_an_experiment_that_was_made_without_the_view_gets_it_and_keeps_its_description(settings):
    with tracked_run(settings, "configuration", "one", {}, {}):
        pass
    store = client(settings)
    experiment = store.get_experiment_by_name("lvh").experiment_id
    expected = store.get_experiment(experiment).tags["mlflow.sharedViewState.lvh"]
    store.set_experiment_tag(experiment, "mlflow.sharedViewState.lvh", '{"state": "{}"}')
    store.set_experiment_tag(experiment, "mlflow.note.content", "mine")
    with tracked_run(settings, "configuration", "two", {}, {}):
        pass
    tags = store.get_experiment(experiment).tags
    found = json.loads(tags["mlflow.sharedViewState.lvh"])["state"]
    assert found == json.loads(expected)["state"]
    assert tags["mlflow.note.content"] == "mine"


def test_the_recorder_has_imported_mlflow_before_its_memory_is_first_measured(settings):
    """With psutil, joblib's executor ends a process that has grown by 300 MB since its first call.

    Without, it looks for garbage every second, among all objects that are not frozen.
    """
    with tracked_run(settings, "configuration", "one", {}, {}):
        pass
    frozen = _recorder().submit(gc.get_freeze_count).result()
    assert frozen > 100_000  # MLflow's; a bare interpreter has some thousands


def test_a_recorder_that_is_shot_is_told_and_the_next_run_has_a_new_one(settings):
    def lose_the_recorder():
        with tracked_run(settings, "configuration", "one", {}, {}) as tracked:
            assert tracked.opened
            os.kill(_recorder().submit(os.getpid).result(), signal.SIGKILL)

    with pytest.raises(EnvironmentFault, match="the process that records ended"):
        lose_the_recorder()
    with tracked_run(settings, "configuration", "two", {}, {}):
        pass
    status = {run.info.run_name: run.info.status for run in runs(settings, "configuration")}
    assert status == {"one": "RUNNING", "two": "FINISHED"}


def test_what_could_not_be_recorded_keeps_the_run_open_for_the_next_time(settings, tmp_path):
    """FINISHED means that all of it is there; so a fault in between must not end so."""
    key = RunKey("one")
    (tmp_path / "mlartifacts").write_text("in the way")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "scores.csv").write_text("1")
    for expected in ("FAILED", "FINISHED"):
        try:
            with tracked_run(settings, "configuration", "one", {}, {}, key) as tracked:
                tracked.log_folder(folder)
        except EnvironmentFault:
            (tmp_path / "mlartifacts").unlink()
        (run,) = runs(settings, "configuration")
        assert run.info.status == expected
    listed = client(settings).list_artifacts(run.info.run_id)
    assert [item.path for item in listed] == ["scores.csv"]
    assert "error" not in run.data.tags


def test_what_leaks_stands_on_levels_of_its_own(settings, cohort):
    """Where no filter for configurations or folds, of this version or another, finds it."""
    result = result_of(cohort)
    tags = {"protocol": "carried", "leakage": "carried weights"}
    with tracked_run(settings, "configuration", "one", {}, tags, RunKey("one")) as tracked:
        tracked.log_fold(result.folds[0])
        tracked.log_result(result)
    assert not runs(settings, "configuration")
    assert not runs(settings, "fold")
    (run,), (fold,) = runs(settings, "leaking configuration"), runs(settings, "leaking fold")
    assert (run.data.tags["leakage"], run.data.tags["protocol"]) == ("carried weights", "carried")
    assert fold.data.tags["leakage"] == "carried weights"
    assert run.data.tags["mlflow.note.content"].startswith("NOT HONEST: carried weights. Mean ap")
