"""Every command that README, site and configuration show is valid; links lead somewhere."""

import importlib
import re
import shlex
import statistics
from pathlib import Path

import pytest
from conftest import csv_rows

from lvh.cli import command
from lvh.config.command_line import read_arguments
from lvh.config.composition import compose
from lvh.config.groups import conf_dir
from lvh.config.sweep_space import one_point, with_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Those of docs/extend have commands of a package that is extended: test_docs_examples.py."""
BLOCKS = [
    re.sub(r"\$\w+", "1", block)
    for page in PAGES
    for block in re.findall(r"```(?:ba)?sh\n(.*?)```", page.read_text(), re.DOTALL)
]
LINES = {line for block in BLOCKS for line in block.replace("\\\n", "").splitlines()}
CONF = {
    line.removeprefix("#")
    for path in conf_dir().rglob("*.yaml")
    for line in path.read_text().splitlines()
    if line.startswith("#   ")
}

MINE = """from dataclasses import dataclass
import lvh

@dataclass(frozen=True)
class Settings:
    alpha: float = 1.0

@lvh.register_model("mine", settings=Settings)
def build(settings): ...
"""


def commands(*names: str) -> list[tuple[str, str]]:
    """Return the name and the arguments of every command shown, as `lvh NAME` or `lvh.NAME`."""
    found = (
        (name, re.search(rf"^ *(?:srun )?(?:python -m )?lvh[ .]{name}\b(.*)", line))
        for line in LINES | CONF
        for name in names
    )
    typed = {(name, shlex.join(shlex.split(at[1], comments=True))) for name, at in found if at}
    return sorted(typed)


@pytest.mark.parametrize(("name", "arguments"), commands("run", "sweep", "doctor"))
def test_every_run_and_sweep_is_valid(name, arguments, tmp_path, monkeypatch, plugins_forgotten):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    command_line, flags = read_arguments(shlex.split(arguments))
    command_line = with_recipe(command_line)
    swept = [override.is_sweep_override() for override in command_line.parsed()]
    assert any(swept) <= (flags.multirun or name == "sweep")
    compose(one_point(command_line))


@pytest.mark.parametrize(
    ("name", "arguments"), commands("report", "export", "select", "predict", "serve", "ui")
)
def test_every_other_command_is_valid(name, arguments, monkeypatch):
    module = importlib.import_module(f"lvh.cli.{name.replace('select', 'export')}")
    for caller in (command, module):
        monkeypatch.setattr(caller, "exit_code_of", lambda body: 0, raising=False)
    assert module.main(shlex.split(arguments)) == 0  # argparse exits where it refuses


def test_links_lead_somewhere_and_scores_are_the_means_of_their_folds():
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), target
    folder = ROOT / "experiments/best_honest"
    folds = csv_rows(folder / "results.csv")
    rows = [row for row in csv_rows(folder / "scores.csv") if row["of"] == "model"]
    for row in rows:
        values = [float(fold[row["metric"]]) for fold in folds if fold["run"] == row["run"]]
        assert len(values) == (7 if row["run"].endswith("_report") else 35)
        # the same sum in another order
        assert statistics.fmean(values) == pytest.approx(float(row["mean"]), rel=1e-12)
