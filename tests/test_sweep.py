"""A grid as a user types it: every point, one tree, one table, failures told."""

import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Done, command, start
from mlflow import MlflowClient

from lvh.sweep import _choices, _params, _threads, cores

SMALL = [
    "-m",
    "data=synthetic",
    "data.records=40",
    "cv.folds=2",
    "train.epochs=1",
    "model=cnn",
    "model.filters=[4,4]",
]


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Done:
    cwd = tmp_path_factory.mktemp("serial")
    return command(*SMALL, "kernel=250,400", "stride=50,125", cwd=cwd)


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> Done:
    """Four points, one of which cannot work, in processes side by side."""
    cwd = tmp_path_factory.mktemp("parallel")
    return command(
        *SMALL, "hydra/launcher=joblib", "stride=50,125", "model.kernel_size=250,5001", cwd=cwd
    )


def table(done: Done) -> list[list[str]]:
    lines = done.out[done.out.index("configurations by mean ap") :].splitlines()
    return [line.split() for line in lines if re.match(r" +\d", line)]


def test_every_point_is_a_row_the_best_first(serial):
    assert serial.code == 0, serial.err
    found = table(serial)
    points = {(kernel, stride) for kernel in ("250", "400") for stride in ("50", "125")}
    assert {(row[0], row[1]) for row in found} == points
    ap = [float(row[2]) for row in found]
    assert ap == sorted(ap, reverse=True)
    assert "synthetic cohort" in serial.out[serial.out.index("configurations by") :]


def test_every_point_is_a_configuration_below_one_sweep(serial):
    (sweep,) = serial.runs("tags.level = 'sweep'")
    runs = serial.runs(f"tags.mlflow.parentRunId = '{sweep.info.run_id}'")
    assert {run.data.tags["level"] for run in runs} == {"configuration"}
    assert sorted((run.data.params["kernel"], run.data.params["stride"]) for run in runs) == sorted(
        (kernel, stride) for kernel in ("250", "400") for stride in ("50", "125")
    )
    by_point = {(run.data.params["kernel"], run.data.params["stride"]): run for run in runs}
    for row in table(serial):
        assert by_point[row[0], row[1]].data.metrics["ap"] == pytest.approx(float(row[2]), abs=5e-4)
    assert not serial.runs("attributes.status != 'FINISHED'")


def test_a_point_that_fails_is_recorded_and_the_others_go_on(parallel):
    assert parallel.code == 1
    assert "2 of 4 configurations failed" in parallel.err
    assert "Traceback" not in parallel.err
    finished = parallel.runs("tags.level = 'configuration' and attributes.status = 'FINISHED'")
    failed = parallel.runs("tags.level = 'configuration' and attributes.status = 'FAILED'")
    assert {run.data.params["kernel"] for run in finished} == {"250"}
    assert {run.data.params["model.kernel_size"] for run in failed} == {"5001"}
    assert {run.data.params["stride"] for run in failed} == {"50", "125"}
    assert all("model.kernel_size: expected at most" in run.data.tags["error"] for run in failed)
    (sweep,) = parallel.runs("tags.level = 'sweep'")
    assert {run.data.tags["mlflow.parentRunId"] for run in finished + failed} == {sweep.info.run_id}


def test_parallel_runs_share_the_cores(parallel):
    threads = {run.data.params["train.threads"] for run in parallel.runs("params.kernel = '250'")}
    workers = min(cores(), 4)
    assert threads == {str(max(1, cores() // workers))}


@pytest.mark.slow
def test_an_interrupted_parallel_sweep_leaves_nothing_open(tmp_path):
    small = ["-m", "data=synthetic", "data.records=42", "cv.folds=3", "seed=0,1,2"]
    process = start(*small, "train.epochs=100000", "hydra/launcher=joblib", cwd=tmp_path)
    while not has_configuration(tmp_path / "mlflow.db"):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    runs = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"])
    assert {run.info.status for run in runs} == {"KILLED"}


def has_configuration(database: Path) -> bool:
    """Look without MLflow, which would make the schema a second time."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
            query = "select count(*) from tags where key = 'level' and value = 'configuration'"
            return store.execute(query).fetchone()[0] > 0
    except sqlite3.OperationalError:  # not made yet
        return False


def test_a_sweep_without_one_valid_point_is_refused_before_anything_runs(tmp_path):
    done = command("-m", "data=synthetic", "kernel=250,400,500", "stride=5,10,50,125", cwd=tmp_path)
    assert done.code == 2
    assert done.err == (
        "lvh: kernel and stride: model=dnn has no convolution. Add model=cnn, or leave them out\n"
    )
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_option_in_a_sweep_is_refused(tmp_path):
    done = command("-m", "model=cnn", "stride=5,7", cwd=tmp_path)
    assert done.code == 2
    assert "stride=7: expected one of 5, 10, 50, 125" in done.err


@pytest.mark.parametrize("workers", [1, 2, 3, 16, 64])
@pytest.mark.parametrize("points", [1, 2, 12])
def test_workers_times_threads_never_exceed_the_cores(workers, points, monkeypatch):
    monkeypatch.setattr("lvh.sweep.cores", lambda: 16)
    assert min(workers, points, 16) * _threads(min(workers, 16), points) <= 16
    assert _threads(None, points) is None


def test_points_are_told_apart_by_what_differs():
    points = [["model=cnn", "stride='5'", "+x.y=1"], ["model=cnn", "stride='10'", "+x.y=1"]]
    assert _choices(points) == [{"stride": "5"}, {"stride": "10"}]
    assert _choices(points[:1]) == [{"model": "cnn", "stride": "5", "x.y": "1"}]
    assert _params(["~train", "a=b=c"]) == {"train": "", "a": "b=c"}
