"""A sweep as a user types it: every point once, one table, the report as often as it is asked."""

import contextlib
import json
import re
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from beginnings import runs
from conftest import command, csv_rows

from lvh.cli import report
from lvh.tracking.run_dir import STUDY, link_latest

GRID = (
    *("-m", "data=synthetic", "data.records=40", "cv.folds=2", "train.epochs=1"),
    *("model=cnn", "model.filters=[4,4]", "kernel=250,400", "stride=125"),
)


def test_every_point_is_a_row_the_best_first_and_the_report_is_made_again(tmp_path):
    done = command(*GRID, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    (first,) = tmp_path.glob("outputs/2*/*/report")
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
    for name in ("leaderboard.csv", "folds.csv", "comparisons.csv"):
        assert (tmp_path / "later" / name).read_bytes() == (first / name).read_bytes()
    with contextlib.chdir(tmp_path):
        _forget_a_score()
        resumed = Path("outputs/resumed")  # the folder of a command that had nothing to train
        resumed.mkdir()
        shutil.copy(first.parent / STUDY, resumed)
        link_latest(resumed)
        assert report.main(["outputs/latest", "--out", "older"]) == 0
        assert report.main(["latest/0", "outputs/latest/1", "--out", "side"]) == 0
        assert report.main(["latest/2"]) == 2
    assert (tmp_path / "older/folds.csv").read_bytes() == (first / "folds.csv").read_bytes()
    side = {row["kernel"]: row["mean"] for row in csv_rows(tmp_path / "side/leaderboard.csv")}
    assert {key: float(mean) for key, mean in side.items()} == pytest.approx(
        {row["kernel"]: float(row["mean"]) for row in rows}
    )


def _forget_a_score():
    """Make the trials of `studies.db` older than the score `brier`."""
    with contextlib.closing(sqlite3.connect("studies.db")) as database, database:
        select = "select trial_user_attribute_id, value_json from trial_user_attributes"
        for row, text in database.execute(f"{select} where key = 'outcome'").fetchall():
            outcome = json.loads(text)
            for fold in outcome["folds"]:
                del fold["metrics"]["brier"]
            database.execute(
                "update trial_user_attributes set value_json = ? where trial_user_attribute_id = ?",
                (json.dumps(outcome), row),
            )


@pytest.mark.slow
def test_runs_of_two_local_workers_are_tracked_once_by_the_command(begin, tmp_path):
    """Each worker would import MLflow; the command is the only one that has to."""
    cwd = tmp_path / "work"
    given = ("-m", "data=synthetic", "data.records=40", "cv.folds=2", "model=svm")
    swept = ("model.C=0.1,1,10,100", "model.gamma=0.01,0.1,1")
    sweep = begin(cwd, *given, *swept, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert (sweep.ended(), sweep.err) == (0, "")
    levels = Counter(
        (run.data.tags["level"], run.info.status) for run in runs(f"sqlite:///{cwd}/mlflow.db")
    )
    counts = {"sweep": 1, "configuration": 12, "fold": 24}
    assert levels == {(level, "FINISHED"): count for level, count in counts.items()}
