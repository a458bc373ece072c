"""A sweep as a user types it: every point once, one tree, one table, failures named, resumed."""

import contextlib
import re
from pathlib import Path

import pytest
from conftest import Done, command, csv_rows

from lvh.cli import report

FOLDS = 2
DATA = ["-m", "data=synthetic", "data.records=40", f"cv.folds={FOLDS}", "train.epochs=1"]
SMALL = [*DATA, "model=cnn", "model.filters=[4,4]"]
GRID = [*SMALL, "kernel=250,400", "stride=50,125"]
POINTS = {(kernel, stride) for kernel in ("250", "400") for stride in ("50", "125")}


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> Done:
    return command(*GRID, cwd=tmp_path_factory.mktemp("serial"))


def leaderboard(cwd: Path, at: int = -1) -> list[dict[str, str]]:
    file = sorted(cwd.glob("outputs/*/*/report/leaderboard.csv"))[at]
    return csv_rows(file)


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
    assert trained(serial.out) == kept(serial.cwd) == 4 * FOLDS


def test_the_report_can_be_had_later(serial):
    with contextlib.chdir(serial.cwd):
        assert report.main(["outputs/latest", "--out", "later"]) == 0
    for name in ("leaderboard.csv", "folds.csv", "comparisons.csv"):
        (first,) = sorted(serial.cwd.glob(f"outputs/*/*/report/{name}"))
        assert (serial.cwd / "later" / name).read_bytes() == first.read_bytes()
