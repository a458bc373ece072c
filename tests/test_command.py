"""How commands end: in processes of their own, as a shell sees it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import python

import lvh
from lvh.cli.command import exit_code_of
from lvh.errors import EnvironmentFault, InputError


def script(body: str, **environment: str) -> subprocess.Popen:
    code = f"import sys, signal, time\nfrom lvh.cli import command\ndef body():\n    {body}\n"
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}sys.exit(command.exit_code_of(body))"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_by_its_number(number, code):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    process = script("print('ready', flush=True)\n    signal.pause()")
    signal.signal(signal.SIGHUP, before)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"lvh: interrupted by {number.name}\n"


@pytest.mark.parametrize("instead", ["pass\n    signal.pause()", "raise TypeError('no such type')"])
def test_an_interruption_that_a_library_swallows_ends_it_all_the_same(instead):
    lines = (
        "print('ready', flush=True)",
        "try: signal.pause()",
        f"except BaseException: {instead}",
    )
    process = script("\n    ".join(lines))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "lvh: interrupted by SIGINT\n")


def test_what_an_interruption_leaves_to_do_is_done_in_peace():
    lines = (
        "try: print('ready', flush=True); signal.pause()",
        "finally: signal.pause(); print('written', flush=True)",
    )
    process = script("\n    ".join(lines))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "written\n", "lvh: interrupted by SIGINT\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a: wrong"), 2, "lvh: a: wrong\n"),
        (EnvironmentFault("a: wrong"), 3, "lvh: a: wrong\n"),
        (InputError("postgresql://me:secret@db/x"), 2, "lvh: postgresql://me:***@db/x\n"),
    ],
)
def test_an_error_is_a_line_without_passwords_and_a_code(error, code, line, capsys, monkeypatch):
    def body():
        raise error

    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = signal.getsignal(signal.SIGINT)
    assert exit_code_of(body) == code
    assert capsys.readouterr().err == line
    assert signal.getsignal(signal.SIGINT) == before


def test_a_working_directory_that_is_gone_is_a_fault_of_the_environment(tmp_path):
    code = "import os, sys; os.rmdir(os.getcwd()); from lvh.cli.run import main; sys.exit(main())"
    done = python("-c", code, "seed=1", cwd=tmp_path, PYTHONPATH=str(Path(lvh.__file__).parents[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "working directory" in done.stderr
