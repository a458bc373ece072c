"""Tracking: after any fault of a store, records and folds complete it, without training."""

import json
import os
import shutil
import signal
from collections import Counter
from dataclasses import asdict, astuple, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import in_process
from mlflow import MlflowClient
from trainers import Fake

from lvh.cli.track import main as track
from lvh.evaluation.cross_validation import cross_validate
from lvh.features import FORMS
from lvh.features.waveforms import NtpSettings
from lvh.models.training import History
from lvh.tracking import TrackingSettings, resolved_uri
from lvh.tracking.fold_store import FoldStore
from lvh.tracking.run_record import DataRecord, RunRecord, SweepLink, SweepRecord, load_sweep, save
from lvh.tracking.tracker import RecordWriter, Tracker
from lvh.validation.splits import CvSettings, splits

FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")


class Constant(Fake):
    """Scores every record .6; some scores of that are not defined."""

    history = History((0.7, 0.6), (0.5, 0.6), (0.8, 0.9), (0.4, 0.3), 1)

    def predict(self, parts):
        return [np.full(len(X), 0.6) for X in parts]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """The tables of a store, which take seconds to make."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def settings(empty_store, tmp_path, monkeypatch) -> TrackingSettings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lvh.tracking.mlflow_store._MOST_RUNS", 1)  # of a page
    shutil.copy(empty_store, tmp_path)
    return TrackingSettings()


@pytest.fixture
def record(tmp_path, cohort) -> RunRecord:
    """A configuration of two folds, twice, with its folds and a folder of files."""
    data = FORMS["ntp"].extract(cohort, NtpSettings("ntp", "mean", "drop", "minmax"))
    folds = splits(data.y, data.subjects, CvSettings("stratified", 2, 2, 0, 0.2, 0.0))
    result = cross_validate(data, folds, Constant, seed=0)
    store = FoldStore(tmp_path / "folds")
    keys = tuple(f"{at}{at}" + "0" * 62 for at in range(4))
    for key, fold in zip(keys, result.folds, strict=True):
        store.save(key, data, replace(fold, seconds=12.0), {})
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "scores.csv").write_text("ap\n")
    made = RunRecord(
        key="ab" * 32,
        name="one",
        params={"kernel": 250, "x": None},
        data=DataRecord(cohort.name, cohort.fingerprint, "no patients", 39),
        status="complete",
        tags={"note": "no patients"},
        fold_keys=keys,
        mean=asdict(result.scores.mean),
        std=asdict(result.scores.std),
        pooled={name: astuple(one) for name, one in result.scores.pooled.items()},
        baselines={name: asdict(one.mean) for name, one in result.baselines.items()},
        seconds=48.0,
        folder=str(tmp_path / "files"),
        root=str(tmp_path / "folds"),
    )
    save(made)
    return made


def tracked(settings: TrackingSettings, *records: RunRecord | SweepRecord) -> None:
    writer = RecordWriter(settings)
    assert [writer.write(str(one.path)) for one in records] == [""] * len(records)


def client(settings: TrackingSettings) -> MlflowClient:
    return MlflowClient(tracking_uri=resolved_uri(settings))


def runs(settings: TrackingSettings, *levels: str) -> list:
    found = client(settings)
    experiment = found.get_experiment_by_name(settings.experiment)
    every = found.search_runs([experiment.experiment_id])
    return [run for run in every if run.data.tags["level"] in levels or not levels]


def levels(settings: TrackingSettings) -> Counter:
    every = runs(settings)
    assert all(run.info.status == "FINISHED" for run in every)
    return Counter(run.data.tags["level"] for run in every)


def test_the_tree_has_three_levels_and_a_second_time_changes_nothing(settings, record, cohort):
    linked = replace(record, sweep=SweepLink("kernel-1", 0))
    sweep = SweepRecord(
        "kernel-1", "kernel", ("Done.",), (str(linked.path),), True, root=linked.root
    )
    for one in (linked, sweep):
        save(one)
    for _ in range(2):
        tracked(settings, linked, sweep)
        assert levels(settings) == {"sweep": 1, "configuration": 1, "fold": 4}
    (top,), (run,), folds = (runs(settings, one) for one in ("sweep", "configuration", "fold"))
    assert top.info.run_name == "kernel"
    assert top.data.tags["mlflow.note.content"].endswith("\n\nDone.")
    assert run.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert {fold.data.tags["mlflow.parentRunId"] for fold in folds} == {run.info.run_id}
    names = {f"one fold {fold}{repeat}" for fold in (1, 2) for repeat in ("", " of repeat 2")}
    assert {fold.info.run_name for fold in folds} == names
    assert run.data.params == {"kernel": "250", "x": "null"}
    assert run.data.metrics["ap"] == record.mean["ap"]
    assert "roc_auc" in run.data.metrics
    assert {"accuracy", "ap"} <= set(sorted(run.data.metrics)[:6])  # the UI's boxes show six
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.profile)["fingerprint"] == cohort.fingerprint
    listed = client(settings).list_artifacts(run.info.run_id)
    assert {item.path for item in listed} == {"scores.csv", "run.json"}
    for name, values in (("train_loss", [0.7, 0.6]), ("validation_loss", [0.8, 0.9])):
        history = client(settings).get_metric_history(folds[0].info.run_id, name)
        assert [(one.step, one.value) for one in history] == [(1, values[0]), (2, values[1])]
    assert folds[0].info.end_time - folds[0].info.start_time == 12_000


def test_what_was_deleted_by_hand_is_made_whole_or_named(settings, record):
    tracked(settings, record)
    (run,), folds = runs(settings, "configuration"), runs(settings, "fold")
    store = client(settings)
    for one in (run, folds[0]):
        store.delete_run(one.info.run_id)
    tracked(settings, record)
    assert levels(settings) == {"configuration": 1, "fold": 4}
    (again,) = runs(settings, "configuration")
    assert again.data.metrics == run.data.metrics
    tracked(settings, record)
    store = client(settings)
    store.delete_experiment(store.get_experiment_by_name("lvh").experiment_id)
    fault = RecordWriter(settings).write(str(record.path))
    assert "mlflow experiments restore --experiment-id 1" in fault
    tracked(replace(settings, experiment="other"), record)


def test_killed_processes_leave_nothing_running_and_are_reported(settings, record, monkeypatch):
    def killed(*args, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            RecordWriter(settings).write(str(record.path))
    assert [run.info.status for run in runs(settings)] == ["KILLED", "KILLED"]
    tracked(settings, record)
    assert levels(settings) == {"configuration": 1, "fold": 4}
    tracker = Tracker(settings)
    os.kill(tracker._worker.pid, signal.SIGKILL)
    tracker._worker.wait()
    tracker.track(record)
    (fault,) = tracker.close()
    assert "1 result was not written to MLflow" in fault
    tracked(settings, record)
    assert levels(settings) == {"configuration": 1, "fold": 4}


def test_a_run_that_failed_and_then_came_to_its_end_is_one_run(settings, record):
    first = record.fold_keys[:1]
    failed = replace(record, status="failed", error="too hot", fold_keys=first, mean={})
    save(failed)
    tracked(settings, failed)
    (run,) = runs(settings, "configuration")
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "too hot")
    save(record)
    tracked(settings, record)
    (run,) = runs(settings, "configuration")
    assert "error" not in run.data.tags
    assert levels(settings) == {"configuration": 1, "fold": 4}


def test_a_run_of_two_sweeps_is_tracked_once_below_the_newest_with_its_name(settings, record):
    for study in ("first", "second"):
        linked = replace(record, name=f"in {study}", sweep=SweepLink(study, 0))
        sweep = SweepRecord(
            study,
            study,
            ("Done.",),
            (str(record.path),),
            complete=True,
            dimensions={"model": False, study: True},
            root=record.root,
        )
        for one in (linked, sweep):
            save(one)
        tracked(settings, linked, sweep)
    first = load_sweep(Path(record.root) / "sweeps" / "first.json")
    tracked(settings, first)
    assert levels(settings) == {"sweep": 2, "configuration": 1, "fold": 4}
    (run,) = runs(settings, "configuration")
    (second,) = (one for one in runs(settings, "sweep") if one.data.tags["key"] == "second")
    assert run.data.tags["mlflow.parentRunId"] == second.info.run_id
    assert run.info.run_name == "in second"
    tags = client(settings).get_experiment_by_name(settings.experiment).tags
    of_sweep = f"tags.`mlflow.parentRunId` = '{second.info.run_id}'"
    charts = ["PARALLEL", "SCATTER", "SCATTER"]
    assert view(tags, "second") == (of_sweep, ["model", "second"], charts)
    assert view(tags, "lvh") == ("tags.level = 'configuration'", ["model", "first"], charts)


def test_artifacts_are_beside_their_database_wherever_it_is_moved(settings, record, tmp_path):
    before, after = tmp_path / "with a blank", tmp_path / "after"
    before.mkdir()
    (tmp_path / "mlflow.db").rename(before / "mine.db")
    tracked(replace(settings, uri=f"sqlite:///{before}/mine.db"), record)
    assert len(list(before.rglob("scores.csv"))) == 1
    before.rename(after)
    here = replace(settings, uri=f"sqlite:///{after}/mine.db")
    other = replace(record, key="cd" * 32)
    save(other)
    tracked(here, other)
    assert not before.exists()
    for run in runs(here, "configuration"):
        assert client(here).download_artifacts(run.info.run_id, "scores.csv", str(tmp_path))


def test_a_run_without_tracking_is_tracked_later_into_any_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = in_process(*FAST, "tracking=off")
    assert code == 0, err
    for experiment in ("mine", "lvh", "lvh"):
        assert track([f"tracking.experiment={experiment}"]) == 0
        assert f"1 runs and 0 sweeps are in mlflow.db, experiment {experiment}" in (
            capsys.readouterr().out
        )
    for experiment in ("lvh", "mine"):
        own = TrackingSettings(experiment=experiment)
        assert levels(own) == {"configuration": 1, "fold": 3}
    assert "nothing to train" in in_process(*FAST)[1]
    assert levels(TrackingSettings()) == {"configuration": 1, "fold": 3}


def view(tags: dict[str, str], key: str) -> tuple[str, list[str], list[str]]:
    state = json.loads(json.loads(tags[f"mlflow.sharedViewState.{key}"])["state"])
    columns = [one.removeprefix("params.").strip("`") for one in state["selectedColumns"]]
    params = [one for one in columns if not one.startswith("metrics.")]
    charts = [one["type"] for one in state["compareRunCharts"]]
    return state["searchFilter"], params, charts
