"""The command `lvh`: what it dispatches to, and how it ends."""

import sys
from types import SimpleNamespace

import conftest
import pytest

import lvh
from lvh.cli import main as command
from lvh.cli.main import main


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
        ("select FOLDER", "export", "FOLDER"),
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
        ("lvh.run", "model=cnn stride=50 --cfg job", 0, "strides: 50"),
    ],
)
def test_a_command_line_has_its_output_and_exit_code(tmp_path, module, typed, code, printed):
    done = conftest.command(*typed.split(), cwd=tmp_path, module=module)
    assert done.code == code, done.err
    assert printed in done.out + done.err
