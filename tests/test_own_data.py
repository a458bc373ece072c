"""The page on own data, command by command, and what follows: a model of one lead."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import exit_code, in_process
from final_models import own_store  # noqa: F401

from lvh.cli import explain, explore, export, predict
from lvh.inference import load
from lvh.inference.mlflow_model import PyfuncModel

PAGE = Path(__file__).resolve().parent.parent / "docs/own_data.md"
FEW = "model.filters=[8,8,8,8,8]"
SHORT = ["cv.folds=3", "tracking=off"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of a reader who has made the records of the page."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(blocks("python")[0], {})
    return folder


def commands() -> list[list[str]]:
    lines = "".join(blocks("sh")).splitlines()
    return [shlex.split(line)[1:] for line in lines]


def test_both_runs_of_the_page(folder, monkeypatch):
    monkeypatch.chdir(folder)
    network, columns = (typed for name, *typed in commands() if name == "run")
    code, out, err = in_process(*network, *SHORT, "train.epochs=1", FEW, "hydra.run.dir=network")
    assert (code, err) == (0, "")
    for line in blocks("text")[0].splitlines():
        assert line in out
    assert "age + sex" not in out
    summary = json.loads((folder / "network/data.json").read_text())
    assert (summary["records"], summary["leads"], summary["dropped"]) == (120, ["ii"], {})
    code, out, err = in_process(*columns, *SHORT, "hydra.run.dir=columns")
    assert (code, err) == (0, "")
    assert "columns rate; text, so no input: site" in out


@pytest.mark.slow
def test_its_other_commands(folder, monkeypatch, capsys, own_store):  # noqa: F811
    monkeypatch.chdir(folder)
    test_both_runs_of_the_page(folder, monkeypatch)
    (explored,) = (typed for name, *typed in commands() if name == "explore")
    assert explore.main([*explored, *SHORT, "hydra.run.dir=explored"]) == 0
    page = (folder / "explored/explore.html").read_text("utf-8")
    assert "Left out: age or sex of some records is unknown." in page
    # a model of one lead, from a file of that lead
    assert exit_code(export.main, ["network", "--out", "model", "--seeds", "1"]) == 0
    signal = np.load("signals.npy")[7]
    Path("new.csv").write_text("ii\n" + "\n".join(map(repr, signal.tolist())) + "\n")
    capsys.readouterr()
    assert (
        exit_code(predict.main, [*commands()[-1][1:3], "model", *commands()[-1][4:], "--json"]) == 0
    )
    (row,) = json.loads(capsys.readouterr().out)
    assert row["fitted_on"]
    assert 0 <= row["probability"] <= 1
    served = PyfuncModel(load(Path("model")))
    (answer,) = served.predict({"signal": [signal[:, None].tolist()]}, {"fs": 250.0})
    assert answer["probability"] == pytest.approx(row["probability"], abs=1e-6)
    assert exit_code(explain.main, ["network", "--folds", "1"]) == 0
    importance = pd.read_csv("network/explanation/importance.csv")
    assert importance[["kind", "name"]].to_numpy().tolist() == [["lead", "ii"]]
    assert exit_code(export.main, ["columns", "--out", "other"]) == 2
    assert "expected a run on records with signals" in capsys.readouterr().err
