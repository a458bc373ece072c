"""A sweep as a user types it: every point once, one tree, one table, failures named, resumed."""

import csv
import re
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


def leaderboard(cwd: Path, at: int = -1) -> list[dict[str, str]]:
    file = sorted(cwd.glob("outputs/*/*/report/leaderboard.csv"))[at]
    with file.open() as opened:
        return list(csv.DictReader(opened))


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


def test_a_sweep_without_one_valid_point_is_refused_before_anything_runs(tmp_path):
    done = command("-m", "data=synthetic", "kernel=250,400,500", "stride=5,10,50,125", cwd=tmp_path)
    assert done.code == 2
    assert done.err == (
        "lvh: kernel and stride: model=dnn has no convolution. Add model=cnn, or leave them out\n"
    )
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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
def test_what_cannot_be_searched_is_refused(arguments, message, tmp_path):
    done = command("-m", "data=synthetic", *arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert message in done.err
    assert "secret" not in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (tmp_path / "mlflow.db").exists()
