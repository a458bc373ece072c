"""A sweep as a user types it: every point once, one tree, one table, failures told, resumed."""

import csv
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Done, command

FOLDS = 2
SMALL = [
    "-m",
    "data=synthetic",
    "data.records=40",
    f"cv.folds={FOLDS}",
    "train.epochs=1",
    "model=cnn",
    "model.filters=[4,4]",
]
GRID = [*SMALL, "kernel=250,400", "stride=50,125"]
POINTS = {(kernel, stride) for kernel in ("250", "400") for stride in ("50", "125")}
DNN = ["-m", "data=synthetic", "data.records=42", "cv.folds=3"]


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Done:
    return command(*GRID, cwd=tmp_path_factory.mktemp("serial"))


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> Done:
    """Four points, one of which cannot work, in processes side by side."""
    cwd = tmp_path_factory.mktemp("parallel")
    return command(
        *SMALL, "hydra/launcher=joblib", "stride=50,125", "model.kernel_size=250,5001", cwd=cwd
    )


def leaderboard(cwd: Path, at: int = -1) -> list[dict[str, str]]:
    file = sorted(cwd.glob("outputs/*/*/report/leaderboard.csv"))[at]
    with file.open() as opened:
        return list(csv.DictReader(opened))


def statuses(cwd: Path) -> Counter:
    """Count runs by level and status, those taken away left out."""
    query = """select value, status, count(*) from runs join tags using (run_uuid)
        where key = 'level' and lifecycle_stage = 'active' group by value, status"""
    with closing(sqlite3.connect(f"file:{cwd}/mlflow.db?mode=ro", uri=True)) as store:
        return Counter({(level, status): n for level, status, n in store.execute(query)})


def trained(*outputs: str) -> int:
    """Count the folds that were trained, as the output has them."""
    return sum(len(re.findall(r"^fold \d+ of \d+: ", out, re.M)) for out in outputs)


def kept(cwd: Path) -> int:
    return len(list(cwd.glob("outputs/folds/??/[!.]*.json")))


def test_every_point_is_a_row_the_best_first(serial):
    assert serial.code == 0, serial.err
    assert serial.err == ""
    rows = leaderboard(serial.cwd)
    assert {(row["kernel"], row["stride"]) for row in rows} == POINTS
    means = [float(row["mean"]) for row in rows]
    assert means == sorted(means, reverse=True)
    for row in rows:
        assert f"{float(row['mean']):.3f}" in serial.out
    assert "generated signals, no patients" in serial.out
    assert trained(serial.out) == kept(serial.cwd) == 4 * FOLDS


def test_the_report_can_be_had_later(serial):
    import subprocess
    import sys

    report = [sys.executable, "-m", "lvh.report", "--out", "later"]
    done = subprocess.run(report, cwd=serial.cwd, capture_output=True, text=True, check=True)
    for name in ("leaderboard.csv", "folds.csv", "comparisons.csv"):
        (first,) = sorted(serial.cwd.glob(f"outputs/*/*/report/{name}"))
        assert (serial.cwd / "later" / name).read_bytes() == first.read_bytes()
    assert "by mean ap" in done.stdout


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_option_whose_file_changes_is_another_question(tmp_path):
    options = tmp_path / "mine/train"
    options.mkdir(parents=True)
    for name, epochs in (("a", 1), ("b", 2)):
        (options / f"{name}.yaml").write_text(f"defaults: [fixed]\nepochs: {epochs}\n")
    sweep = ["-m", "--config-dir", "mine", "data=synthetic", "data.records=42", "cv.folds=3"]
    first = command(*sweep, "train=a,b", cwd=tmp_path)
    (options / "b.yaml").write_text("defaults: [fixed]\nepochs: 3\n")
    second = command(*sweep, "train=a,b", cwd=tmp_path)
    assert first.code == second.code == 0, first.err + second.err
    assert trained(first.out) == 6
    assert trained(second.out) == 3  # a is the same


@pytest.mark.slow
def test_resume_false_starts_anew(tmp_path):
    space = [*DNN, "train.epochs=1", "seed=0,1"]
    first = command(*space, cwd=tmp_path)
    second = command(*space, "resume=false", cwd=tmp_path)
    assert trained(first.out) == trained(second.out) == 6
    assert statuses(tmp_path)["sweep", "FINISHED"] == 2


def test_a_sweep_without_one_valid_point_is_refused_before_anything_runs(tmp_path):
    done = command("-m", "data=synthetic", "kernel=250,400,500", "stride=5,10,50,125", cwd=tmp_path)
    assert done.code == 2
    assert done.err == (
        "lvh: kernel and stride: model=dnn has no convolution. Add model=cnn, or leave them out\n"
    )
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model=cnn", "stride=5,7"], "stride=7: expected one of 5, 10, 50, 125"),
        (["train.epochs=interval(5,1)"], "train.epochs: expected interval(low, high)"),
        (["seed=0,1", "search.objectives=[auc]"], "search.objectives: expected some of accuracy"),
        (["seed=0,1", "search.race=true", "search.pruner=median"], "expected one of them"),
        (["train.learning_rate=interval(0.1,1)", "search.sampler=grid"], "cannot be listed"),
        (["++cv.folds=2,3", "search.race=true"], "folds or data are swept"),
        (["search.seed=1,2"], "search.seed: expected something that makes a difference"),
        ([], "expected something to sweep"),
        (["seed=0,1", "search.workers=2"], "search.workers: needs a launcher"),
        (["seed=0,1", "search.storage='postgresql://me:secret@h:x/d'"], "search.storage: expected"),
        (["seed=0,1", "search.sampler=cmaes"], "search.sampler: expected 'auto', 'grid', 'tpe'"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, told, tmp_path):
    done = command("-m", "data=synthetic", *arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert told in done.err
    assert "secret" not in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (tmp_path / "mlflow.db").exists()
