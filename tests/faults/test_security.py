"""No input, download or name runs code, shows a password or changes another file."""

from pathlib import Path

import pytest
from conftest import command, in_process

from lvh.errors import InputError, masked

SECRET = "s3same-0pen"
FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")
CODE = [
    "data._target_=builtins.open",
    "+model={_target_: builtins.open, file: evil, mode: w}",
    "++hydra/callbacks=evil",
    "+hydra.job_logging={handlers: {a: {class: logging.FileHandler, filename: evil}}}",
]


@pytest.mark.parametrize("override", CODE)
def test_an_override_that_names_code_is_refused(override, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = in_process(*FAST, override)
    assert code == 2
    assert override.partition("=")[0].lstrip("+") in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://me:***@host:5000/x"),
        ("at postgresql://me:s:e/c@ret@host/db.", "at postgresql://me:***@host/db."),
        (
            "postgresql://h/db?user=me&password=secret&x=1",
            "postgresql://h/db?user=me&password=***&x=1",
        ),
        ("invalid dsn: host=h password=secret port=1", "invalid dsn: host=h password=*** port=1"),
        ("https://host/?access_token=secret", "https://host/?access_token=***"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
    ],
)
def test_passwords_in_addresses_are_masked(text, shown):
    assert masked(text) == masked(shown) == str(InputError(text)) == shown


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [FAST, ("-m", *FAST, "seed=0,1")])
def test_the_password_of_a_tracking_server_is_nowhere(tmp_path, arguments):
    """Neither where the server does not answer, nor where a configuration of a sweep fails."""
    done = command(*arguments, f"tracking.uri=http://user:{SECRET}@127.0.0.1:9", cwd=tmp_path)
    assert done.code != 0
    assert "user:***@127.0.0.1:9" in done.out + done.err
    assert SECRET not in done.out + done.err
    assert list(tmp_path.rglob("config.yaml")) or list(tmp_path.rglob("multirun.yaml"))
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "typed",
    [
        "search.storag=postgresql://user:{}@host/db",
        "-m seed=1,2 data=synthetic search.storage=postgresql://user:{}@host:99999/db",
        "tracking.uri=http://user:{}@host x=[",
    ],
)
def test_passwords_are_in_no_error(typed):
    code, _, err = in_process(*typed.format(SECRET).split())
    assert code in (2, 3)
    assert SECRET not in err
