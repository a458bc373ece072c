"""A sweep as a user types it: every point once, one table, the report as often as it is asked."""

import contextlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import command, csv_rows, in_process
from record_files import write_data_set

from lvh.cli import report
from lvh.data import synthetic
from lvh.search.study import load
from lvh.tracking.run_dir import STUDY

GRID = (
    *("-m", "data=synthetic", "data.records=40", "cv.folds=2", "train.epochs=1"),
    *("model=cnn", "model.filters=[4,4]", "kernel=250,400", "stride=125"),
)


def test_every_point_is_a_row_the_best_first_and_the_report_is_made_again(tmp_path):
    done = command(*GRID, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    (first,) = tmp_path.glob("outputs/2*/*/report")
    assert "sweep-kernel" in first.parent.name
    rows = csv_rows(first / "leaderboard.csv")
    assert {row["kernel"] for row in rows} == {"250", "400"}
    means = [float(row["mean"]) for row in rows]
    assert means == sorted(means, reverse=True)
    assert all(f"{mean:.3f}" in done.out for mean in means)
    trained = re.findall(r"^fold \d+ of \d+: ", done.out, re.M)
    assert len(trained) == len([*tmp_path.glob("outputs/folds/??/[!.]*.json")]) == 4
    by_trial = {int(row["trial"]): float(row["mean"]) for row in rows}
    best = {at for at, mean in by_trial.items() if mean >= max(map(by_trial.get, range(at + 1)))}
    assert best == {int(file.parent.name) for file in first.parent.glob("*/summary.png")}
    with contextlib.chdir(tmp_path):
        assert report.main(["outputs/latest", "--out", "later"]) == 0
        assert report.main(["latest/0", "outputs/latest/1", "--out", "side"]) == 0
        assert report.main(["latest/2"]) == 2
    for name in ("leaderboard.csv", "folds.csv", "comparisons.csv"):
        assert (tmp_path / "later" / name).read_bytes() == (first / name).read_bytes()
    side = {row["kernel"]: row["mean"] for row in csv_rows(tmp_path / "side/leaderboard.csv")}
    assert {key: float(mean) for key, mean in side.items()} == pytest.approx(
        {row["kernel"]: float(row["mean"]) for row in rows}
    )


def test_a_sweep_begun_anew_trains_and_reads_folds_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = "data=synthetic data.records=42 cv.folds=3 model=svm features=voltage tracking=off"
    given = (*given.split(), "model.C=1")
    assert in_process(*given)[0] == 0
    sweep = ("-m", *given[:-1], "model.C=1,0.1", "search.budget=race")
    names = []
    for more, n_trained in ((["resume=false"], 6), (["resume=false"], 6), ([], 0)):
        out = in_process(*sweep, *more)[1]
        assert f"{n_trained} folds trained now" in out
        assert "no trial is stopped between its folds, by search.burn_in=3 with 3 folds" in out
        names.append(Path("outputs/latest", STUDY).read_text().strip())
    assert [name.partition(".")[2] for name in names] == ["1", "2", "2"]
    for path in Path("outputs/folds").glob("??"):
        shutil.rmtree(path)
    assert load(None, None, "outputs/folds").predictions.keys() == {0, 1}
    # the latest command had nothing to train, and so has no folders of trials
    assert report.main(["latest/0", "outputs/latest/1"]) == 0
    next(Path("outputs/folds").glob("*.2/runs/*.json")).write_text("{")  # damaged
    assert report.main(["outputs/latest"]) == 0


TAIL = 40
KERNELS, STRIDES = (250, 400, 500), (120, 130, 150, 210)
SEEING = (500, 150)


@pytest.mark.slow
def test_the_search_finds_the_planted_pair_and_tells_it_apart(tmp_path):
    cohort = synthetic.load(
        synthetic.SyntheticSettings("synthetic", records=105, effect=0.0, noise=0.0, seed=0)
    )
    random = np.random.default_rng(0)
    signals = random.normal(0, 0.02, cohort.signals.shape)  # mV
    burst = np.sin(np.arange(TAIL) * 2 * np.pi / TAIL)  # whole periods: its mean is 0
    signals[:, -TAIL:] += (2 * cohort.label[:, None, None] - 1) * burst[None, :, None]
    root = write_data_set(tmp_path / "set", replace(cohort, signals=signals), 105)
    done = command(
        *("-m", "data=ludb", f"data.root={root}", "model=cnn", "cv=repeated"),
        *("cv.repeats=2", "features.scaling=none", "features.leads=[i,v5]", "model.filters=[16]"),
        *("model.bn_momentum=0.9", "model.dropout=0", "train.epochs=20", "train.batch_size=8"),
        "train.learning_rate=0.03",
        f"kernel={','.join(map(str, KERNELS))}",
        f"model.strides={','.join(map(str, STRIDES))}",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    (file,) = tmp_path.glob("outputs/*/*/report/leaderboard.csv")
    best, *others = csv_rows(file)
    assert (int(best["kernel"]), int(best["model.strides"])) == SEEING
    assert best["verdict"] == "best"
    assert float(best["mean"]) > 0.95
    assert len(others) == 11
    assert {row["verdict"] for row in others} == {"worse"}
    assert all(float(row["mean"]) < 0.8 for row in others)  # chance, on 15 records a fold
