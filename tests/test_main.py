"""The command `lvh`: what it dispatches to, and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import python

import lvh
from lvh.cli import main as command
from lvh.cli.completion import candidates
from lvh.cli.main import main
from lvh.errors import RenamedWarning, warn_renamed
from lvh.models import MODEL_ALIASES
from lvh.runs.cache_key import run_key


def test_sweep_is_run_with_m(monkeypatch):
    def imported(name: str) -> SimpleNamespace:
        return SimpleNamespace(main=lambda: [name, *sys.argv[1:]])

    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(command.importlib, "import_module", imported)
    assert main(["sweep", "stride=10,50"]) == ["lvh.cli.run", "-m", "stride=10,50"]


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


def words(line: str) -> list[str]:
    return [*line.split(), *([] if line[-1:].strip() else [""])]


@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ("", {"run", "sweep", "report", "compare", "doctor"}),
        ("run --plugin mine.py model=", {"model=cnn", "model=svm"}),
        ("run --pl", {"--plugin"}),
        ("model=c", {"model=cnn", "model=criteria"}),
        ("run -m model=cnn model.", {"model.kernel_size=", "model.filters."}),
        ("run model=cnn kernel=400 stride=5,1", {"stride=5,10", "stride=5,125"}),
        ("run data.root=/tm", set()),  # files are the shell's
    ],
)
def test_candidates_are_what_may_follow(typed, some):
    found = candidates(words(typed))
    assert some <= set(found)
    assert bool(found) == bool(some)
    assert all(one.startswith(words(typed)[-1]) for one in found)


@pytest.mark.parametrize(
    ("number", "code", "waits"),
    [
        (signal.SIGINT, 130, "signal.pause()"),
        (signal.SIGTERM, 143, "signal.pause()"),
        (signal.SIGHUP, 129, "signal.pause()"),
        # a library makes another error of the interruption
        (signal.SIGINT, 130, "try: signal.pause()\n    except BaseException: raise TypeError"),
    ],
)
def test_a_signal_ends_it_by_its_number(number, code, waits):
    body = f"def body():\n    print('ready', flush=True)\n    {waits}\n"
    script = f"import sys, signal\nfrom lvh.cli import command\n{body}"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script}sys.exit(command.exit_code_of(body))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGHUP, before)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, f"lvh: interrupted by {number.name}\n")


def test_a_working_directory_that_is_gone_is_a_fault_of_the_environment(tmp_path):
    code = "import os, sys; os.rmdir(os.getcwd()); from lvh.cli.run import main; sys.exit(main())"
    done = python("-c", code, "seed=1", cwd=tmp_path, PYTHONPATH=str(Path(lvh.__file__).parents[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "working directory" in done.stderr
