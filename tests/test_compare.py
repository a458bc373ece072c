"""Runs side by side, by their folders and by what MLflow calls them; their links to MLflow."""

import contextlib
import json
import re
import shutil
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import command, csv_rows, in_process
from pages import Page

from lvh.cli import report
from lvh.runs.result_page import in_mlflow
from lvh.tracking import TrackingSettings

PAGES = ("1.0/report/report.html", "both/report.html")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    given = "data=synthetic data.records=40 features=voltage model=logistic cv.folds=3".split()
    with contextlib.chdir(folder):
        for strength in ("0.1", "1.0"):
            own = (f"model.C={strength}", f"hydra.run.dir={strength}", "tracking=off")
            assert in_process(*given, *own)[0] == 0
        assert report.main(["0.1", "1.0", "--out", "both"]) == 0
        assert report.main(["1.0"]) == 0
    return folder


def test_a_run_is_its_own_files_and_several_are_compared_and_can_be_repeated(runs):
    scores = {
        one["metric"]: one for one in csv_rows(runs / "1.0/scores.csv") if one["of"] == "model"
    }
    text = {name: " ".join(Page(runs / name).text.split()) for name in PAGES}
    shown = [float(scores["ap"][name]) for name in ("mean", "std", "pooled", "low", "high")]
    assert "ap " + " ".join(f"{one:.3f}" for one in shown) in text[PAGES[0]]
    assert f"explain {runs / '1.0'}" in text[PAGES[0]]
    for name, one in text.items():
        shared = one.partition("Settings that all rows share")[2].partition("How to read")[0]
        assert "records 40 label LVH" in shared
        assert "cv.folds 3 " in shared
        assert ("model.C" in shared) == (name == PAGES[0])
    best, other = csv_rows(runs / "both/comparisons.csv")
    assert (best["verdict"], best["n_folds"], other["n_folds"]) == ("best", "3", "3")
    folds = {one: csv_rows(runs / one / "folds.csv") for one in ("0.1", "1.0")}
    means = {one: np.mean([float(fold["ap"]) for fold in own]) for one, own in folds.items()}
    assert abs(float(other["difference"])) == pytest.approx(abs(means["0.1"] - means["1.0"]))
    (typed,) = re.findall(
        r"python -m lvh.run (--config-path \S+/1\.0 .+)", Page(runs / PAGES[1]).text
    )
    # not in this process: Hydra would close the standard error that TensorFlow logs to here
    done = command(*typed.split(), "tracking.name=off", cwd=runs)
    assert (done.code, "nothing to train" in done.out) == (0, True)


def test_a_run_is_named_as_mlflow_shows_it(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    name = json.loads(Path("0.1/run.json").read_text())["name"]
    assert " C=0.1 " in name
    assert report.main([name, "1.0", "--out", "named"]) == 0
    for file in ("leaderboard.csv", "comparisons.csv"):
        assert (runs / "named" / file).read_bytes() == (runs / "both" / file).read_bytes()
    capsys.readouterr()
    assert report.main(["1.0", f"{name}5"]) == 2
    assert f"did you mean {name}?" in " ".join(capsys.readouterr().err.split())


def test_the_records_with_the_largest_errors_are_drawn(runs, tmp_path):
    rows = csv_rows(runs / "1.0/predictions.csv")
    errors = {one["record"]: abs(float(one["y_true"]) - float(one["y_score"])) for one in rows}
    page = Page(runs / "1.0/report/report.html")
    names = re.findall(r"Record (\S+) (?:has|does not have) LVH: P", page.text)
    assert names == sorted(errors, key=errors.get, reverse=True)[:4]
    assert [one[:18] for one in page.pictures] == ["data:image/svg+xml"] * 4
    shutil.copytree(runs / "1.0", tmp_path / "other", ignore=lambda *_: ["report"])
    record = json.loads((runs / "1.0/run.json").read_text())
    record["data"]["fingerprint"] = "another"
    (tmp_path / "other/run.json").write_text(json.dumps(record))
    (tmp_path / "other/explanation").mkdir()
    (tmp_path / "other/explanation/importance.png").write_bytes(b"a picture")
    assert report.main([str(tmp_path / "other")]) == 0
    other = Page(tmp_path / "other/report/report.html")
    assert "Left out: the records have changed since this run" in other.text
    assert other.pictures == ["data:image/png;base64," + b64encode(b"a picture").decode()]
    assert "../explanation/importance.csv" in other.links


def test_the_address_of_a_run_in_mlflow_has_no_password(monkeypatch):
    monkeypatch.setattr("lvh.tracking.mlflow_store.experiment_id", lambda settings: "7")
    tracking = TrackingSettings("mlflow", "http://me:secret@tracker:5000/")
    address = "http://me:***@tracker:5000/#/experiments/7/runs?searchFilter=tags.key = 'abc'"
    assert unquote(in_mlflow(tracking)("abc", Path("run"))) == address
