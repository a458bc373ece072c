"""Completion: in real shells, and of every command's flags."""

import contextlib
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lvh
from lvh.cli.completion import SCRIPTS, candidates

ROOT = Path(lvh.__file__).resolve().parent.parent
_SHELLS = {"bash": ["--norc", "--noprofile", "-i"], "fish": ["--no-config", "-i"], "zsh": ["-fi"]}
_START = {"fish": "lvh completion fish | source"}


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
    ],
)
def test_candidates_are_what_may_follow(typed, some):
    found = candidates(words(typed))
    assert some <= set(found)
    assert all(one.startswith(words(typed)[-1]) for one in found)


@pytest.mark.parametrize(
    "typed", ["run data.root=/tm", "run data.root=", "export F", "run a=b c=", "run --plugin m"]
)
def test_nothing_stands_in_the_way_of_files(typed, monkeypatch):
    monkeypatch.delenv("LVH_LUDB_ROOT", raising=False)
    assert candidates(words(typed)) == []


def test_it_imports_nothing_heavy():
    code = (
        "import sys; from lvh.cli.completion import candidates; candidates(['run', 'model.']);"
        "print({'tensorflow', 'keras', 'mlflow', 'optuna', 'sklearn', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes_a_command_line(shell, tmp_path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "a folder").mkdir()
    script = tmp_path / "bin/lvh"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lvh "$@"\n')
    script.chmod(0o755)
    start = _START.get(shell, f'eval "$(lvh completion {shell})"')
    lines = ["lvh repo\t", "lvh run model=tw\t", "lvh run model=cnn model.st\t5", "lvh export bi\t"]
    # after a completion: to the start of the line, where echo prints what it has become
    typed = [start, *(f"{line}\x01echo : \x05" for line in lines), "exit"]
    shown = _interactive([program, *_SHELLS[shell]], typed, tmp_path)
    found = {line.rstrip("/") for line in shown.splitlines() if line.startswith(": lvh ")}
    assert found >= {
        ": lvh report",
        ": lvh run model=two_branch",
        ": lvh run model=cnn model.strides=5",
        ": lvh export bin",
    }


def _interactive(command: list[str], typed: list[str], folder: Path) -> str:
    """Type lines into a shell that has a terminal; return what the terminal gets."""
    pid, terminal = pty.fork()
    if pid == 0:
        path = f"{folder}/bin:{os.environ['PATH']}"
        variables = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        os.chdir(folder)
        os.execve(command[0], command, variables)
    os.write(terminal, "".join(f"{line}\r" for line in typed).encode())
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 4096):
            shown += part
    os.waitpid(pid, 0)
    os.close(terminal)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
