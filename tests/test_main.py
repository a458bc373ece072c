"""The command `lvh`: what it dispatches to, and how it ends."""

import sys
from functools import partial
from types import SimpleNamespace

import conftest
import numpy as np
import pytest

import lvh
from lvh.cli import main as command
from lvh.cli import select
from lvh.cli.completion import SCRIPTS, candidates
from lvh.cli.main import main
from lvh.errors import InputError, RenamedWarning, warn_renamed
from lvh.models import MODEL_ALIASES
from lvh.runs.cache_key import run_key
from lvh.search import SearchSettings


@pytest.fixture
def called(monkeypatch):
    """Replace the modules of all commands; return what they are called with."""
    calls = []
    monkeypatch.setattr(sys, "argv", list(sys.argv))

    def imported(module: str) -> SimpleNamespace:
        return SimpleNamespace(main=lambda: calls.append((module, *sys.argv[1:])) or 5)

    monkeypatch.setattr(command.importlib, "import_module", imported)
    return calls


@pytest.mark.parametrize(
    ("typed", "module", "arguments"),
    [
        ("run model=cnn", "run", "model=cnn"),
        ("model=cnn stride=10", "run", "model=cnn stride=10"),
        ("~budget", "run", "~budget"),
        ("sweep model=cnn stride=10,50", "run", "-m model=cnn stride=10,50"),
        ("report --list", "report", "--list"),
        ("select FOLDER", "select", "FOLDER"),
    ],
)
def test_a_command_is_called_with_its_arguments(called, typed, module, arguments):
    assert main(typed.split()) == 5
    assert called == [(f"lvh.cli.{module}", *arguments.split())]


def test_an_unknown_command_is_refused_with_a_suggestion(capsys):
    assert main(["raport"]) == 2
    assert "Did you mean report? Received: 'raport'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "typed", "code", "printed"),
    [
        ("lvh", "--version", 0, lvh.__version__),
        ("lvh.run", "model=trees --cfg job", 0, "lvh: model=trees is called model=extra_trees now"),
    ],
)
def test_a_command_line_has_its_output_and_exit_code(tmp_path, module, typed, code, printed):
    done = conftest.command(*typed.split(), cwd=tmp_path, module=module)
    assert done.code == code, done.err
    assert printed in done.out + done.err


@pytest.fixture
def not_warned_yet():
    warn_renamed.cache_clear()
    yield
    warn_renamed.cache_clear()


@pytest.mark.usefixtures("not_warned_yet")
@pytest.mark.parametrize(("old", "new"), MODEL_ALIASES.items())
def test_an_old_name_of_a_model_warns_once_and_gives_the_same(old, new):
    with pytest.warns(RenamedWarning, match=f"model={old} is called model={new} now"):
        settings = lvh.settings(f"model={old}")
    assert type(lvh.estimator(old)) is type(lvh.estimator(new))  # a second warning is an error
    assert settings == lvh.settings(f"model={new}")
    assert run_key(settings, "", []) == run_key(lvh.settings(f"model={new}"), "", [])


@pytest.mark.usefixtures("not_warned_yet")
def test_the_old_name_of_export_warns_and_exports(monkeypatch):
    monkeypatch.setattr(select.export, "main", lambda: 7)
    with pytest.warns(RenamedWarning, match="lvh select is called lvh export now"):
        assert select.main() == 7


@pytest.mark.usefixtures("not_warned_yet")
def test_the_old_name_of_a_race_warns_and_is_a_race():
    X, y = np.arange(160.0).reshape(80, 2), np.tile([0, 1], 40)
    swept = partial(lvh.sweep, "logistic", X, y, space={"C": [0.1, 1.0]}, cv=3)
    warns = pytest.warns(RenamedWarning, match='race=True is called budget="race" now')
    with warns, pytest.raises(InputError, match="the old name of search"):
        swept(race=True, budget="both")  # refused before any training
    assert SearchSettings(race=True).races
    assert SearchSettings(budget="race").races


def words(line: str) -> list[str]:
    return [*line.split(), *([] if line[-1:].strip() else [""])]


@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ("", {"run", "sweep", "report", "compare", "doctor"}),
        ("run --pl", {"--plugin"}),
        ("run --plugin mine.py model=", {"model=cnn", "model=svm"}),
        ("ru", {"run"}),
        ("model=c", {"model=cnn", "model=criteria"}),
        ("run -m model=cnn model.", {"model.kernel_size=", "model.filters."}),
        ("run model=cnn kernel=400 stride=5,1", {"stride=5,10", "stride=5,125"}),
        ("explore cv", {"cv=", "cv."}),
        ("run --c", {"--cfg", "--config-dir"}),
        ("completion ", set(SCRIPTS)),
        ("run data.root=/tm", set()),  # files are the shell's
    ],
)
def test_candidates_are_what_may_follow(typed, some):
    found = candidates(words(typed))
    assert some <= set(found)
    assert bool(found) == bool(some)
    assert all(one.startswith(words(typed)[-1]) for one in found)
