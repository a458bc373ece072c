"""`lvh ui`: what it says, who listens, what it leaves behind."""

import json
import re
import signal
import sqlite3
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import optuna
import pytest
from mlflow import MlflowClient
from servers import listening, ui, until

from lvh.cli.ui import main


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TRACKING", "BACKEND_STORE", "REGISTRY_STORE"):
        monkeypatch.delenv(f"MLFLOW_{name}_URI", raising=False)


def refusal(capsys, *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


def test_what_is_no_store_is_neither_made_nor_changed(capsys, tmp_path):
    code, line = refusal(capsys)
    assert (code, f"Received: {tmp_path}/mlflow.db, not there" in line) == (2, True)
    assert not list(tmp_path.iterdir())
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("create table mine (a)")
    before = (tmp_path / "mlflow.db").read_bytes()
    code, line = refusal(capsys)
    assert (code, "expected a database of MLflow" in line) == (2, True)
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.slow
def test_studies_are_shown_on_loopback_until_the_command_ends(tmp_path):
    optuna.create_study(storage=f"sqlite:///{tmp_path}/studies.db", study_name="kernel-1")
    with ui(tmp_path, "--studies") as (process, port, printed):
        assert f"http://127.0.0.1:{port}/dashboard" in printed
        until(lambda: listening(port), "the dashboard listens")
        assert listening(port) == {"0100007F"}
        with urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
            (study,) = json.load(answer)["study_summaries"]
        assert study["study_name"] == "kernel-1"
        elsewhere = Request(f"http://127.0.0.1:{port}/api/studies", headers={"Host": "elsewhere"})
        with pytest.raises(HTTPError, match="403"):
            urlopen(elsewhere)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().endswith("lvh: interrupted by SIGINT\n")


@pytest.mark.slow
def test_it_listens_on_loopback_alone_and_leaves_no_process_behind(tmp_path):
    MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").create_experiment("lvh")
    other = f"sqlite:///{tmp_path}/other.db"
    with ui(tmp_path, MLFLOW_BACKEND_STORE_URI=other) as (process, port, printed):
        route = "#/experiments/1/runs?viewStateShareKey=lvh&workflowType=machine_learning"
        assert re.search(r"http://\S+", printed)[0] == f"http://127.0.0.1:{port}/{route}"
        until(lambda: listening(port), "the server listens")
        assert listening(port) == {"0100007F"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        until(lambda: not listening(port), "the server has ended")
    assert not (tmp_path / "other.db").exists()
