"""The page on own data, command by command, and what follows: a model of one lead."""

import json
import re
import shlex
from pathlib import Path

import pytest
from conftest import in_process
from final_models import own_store  # noqa: F401

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
    summary = json.loads((folder / "network/data.json").read_text())
    assert (summary["records"], summary["leads"], summary["dropped"]) == (120, ["ii"], {})
    code, out, err = in_process(*columns, *SHORT, "hydra.run.dir=columns")
    assert (code, err) == (0, "")
