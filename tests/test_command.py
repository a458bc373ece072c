"""How commands end: in processes of their own, as a shell sees it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import lvh
from lvh.cli.command import ended
from lvh.errors import EnvironmentFault, InputError


def script(body: str, **environment: str) -> subprocess.Popen:
    code = f"import sys, signal, time\nfrom lvh.cli.command import ended\ndef body():\n    {body}\n"
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}sys.exit(ended(body))"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_by_its_number(number, code):
    process = script("print('ready', flush=True)\n    signal.pause()")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert told == f"lvh: interrupted by {number.name}\n"


def test_what_is_cleaned_up_after_a_signal_is_not_interrupted_by_the_next():
    cleanup = "signal.raise_signal(signal.SIGTERM); print('cleaned', flush=True)"
    process = script(
        f"try: print('ready', flush=True); signal.pause()\n    finally: {cleanup}",
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "cleaned\n")


@pytest.mark.parametrize("wants", ["0", "1"])
def test_where_a_fault_arose_is_shown_when_asked(wants):
    _, told = (process := script("1 / 0", HYDRA_FULL_ERROR=wants)).communicate(timeout=60)
    assert process.returncode == 1
    assert told.endswith(
        "lvh: unexpected ZeroDivisionError: division by zero (HYDRA_FULL_ERROR=1 shows where)\n"
    )
    assert ("Traceback" in told) == (wants == "1")


def raising(error: Exception):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"), [(InputError("a: wrong"), 2), (EnvironmentFault("a: wrong"), 3)]
)
def test_an_error_is_a_line_and_a_code(error, code, capsys, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = signal.getsignal(signal.SIGINT)
    assert ended(raising(error)) == code
    assert capsys.readouterr().err == "lvh: a: wrong\n"
    assert signal.getsignal(signal.SIGINT) == before


def test_passwords_are_masked(capsys):
    ended(raising(ValueError("postgresql://me:secret@db/x")))
    assert "secret" not in capsys.readouterr().err


def test_it_returns_what_the_body_does_in_any_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(ended(lambda: 3)))
    thread.start()
    thread.join()
    assert (found, ended(lambda: None)) == ([3], 0)


def test_a_working_directory_that_is_gone_is_a_fault_of_the_environment(tmp_path):
    code = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    code += "import sys; from lvh.cli.command import ended; sys.exit(ended(print))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(lvh.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "working directory" in done.stderr
