"""The page on own data, command by command, and what follows: a model of one lead."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_process
from final_models import own_store  # noqa: F401

from lvh.cli import export, predict

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
        if not line.startswith(("training: ", "tracking: ")):  # which SHORT and FEW change
            assert line in out
    assert "age + sex" not in out
    record = json.loads((folder / "network/run.json").read_text())
    assert record["params"]["features.leads"] == "ii"  # not the default ones, which it lacks
    summary = json.loads((folder / "network/data.json").read_text())
    assert (summary["records"], summary["leads"], summary["dropped"]) == (120, ["ii"], {})
    code, out, err = in_process(*columns, *SHORT, "hydra.run.dir=columns")
    assert (code, err) == (0, "")


@pytest.mark.slow
@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("kind", ["array", "files"])
def test_what_export_proposes_can_be_typed(kind, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    table, signals = pd.read_csv("records.csv"), np.load("signals.npy")
    made = "signals/r{}.csv" if kind == "files" else "RECORD.csv"
    Path("signals").mkdir(exist_ok=True)
    for number, signal in enumerate(signals if kind == "files" else signals[:1]):
        pd.DataFrame({"II": signal}).to_csv(made.format(number), index=False)
    own = ["data.signals=signals.npy", "data.leads=[ii]"]
    if kind == "files":
        files = table.assign(path=[made.format(at) for at in range(120)], age=50, sex="F")
        files.to_csv("files.csv", index=False)
        own = ["data.path=files.csv"]
    code, _, err = in_process(
        *("data=table", "data.path=records.csv", "data.fs=250", "data.label=af", *own),
        *("model=cnn", "model.kernel_size=50", FEW, "train.epochs=1", *SHORT),
        f"hydra.run.dir={kind}",
    )
    assert (code, err) == (0, "")
    assert export.main([kind, "--seeds", "1", "--no-register", "--out", f"model_{kind}"]) == 0
    line = re.search("^next: (.*)$", capsys.readouterr().out, re.M)[1]
    assert predict.main(shlex.split(line.partition("predict ")[2])) == 0
