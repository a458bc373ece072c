"""`lvh serve`: a real server of MLflow on a real port, with good and bad requests."""

import http.client
import json
import math
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from final_models import write_record
from servers import free_port, listening, until

from lvh.cli.predict import main as predict
from lvh.data.cohort import LEADS
from lvh.data.readers.record import read


class Served:
    """`python -m lvh.serve`, until it is ended."""

    def __init__(self, model: Path, log: Path) -> None:
        self.port, self._log = free_port(), log
        command = [sys.executable, "-m", "lvh.serve", "--model", str(model)]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdout=file, stderr=file
            )
        until(self.answers, "the server answers")

    def answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return self.ask("GET", "/ping")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as link:
            link.request(method, path, body, {"Content-Type": "application/json"})
            answer = link.getresponse()
            return answer.status, answer.read().decode()

    def post(self, body: object) -> tuple[int, dict]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, text = self.ask("POST", "/invocations", data)
        return status, json.loads(text)


@pytest.fixture(scope="module")
def folder(saved) -> Path:
    return saved("logistic", "voltage")


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    server = Served(folder, tmp_path_factory.mktemp("log") / "log")
    yield server
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 143
    until(lambda: not listening(server.port), "MLflow's server ends with the command")


def test_it_answers_what_predict_prints(folder, served, cohort, tmp_path, capsys):
    paths = [
        write_record(tmp_path, cohort, at, name=f"r{at}", comments=(f"Age: {age}", f"Sex: {sex}"))
        for at, age, sex in ((0, 61, "F"), (3, 45, "M"))
    ]
    assert predict([*map(str, paths), "--model", str(folder), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    signals = [read(path).signals[0].astype(float).tolist() for path in paths]
    inputs = {"signal": signals, "age": [61, 45.0], "sex": ["female", "male"]}
    status, answer = served.post({"inputs": inputs, "params": {"fs": 500}})
    assert status == 200, answer
    assert [row["fitted_on"] for row in answer["predictions"]] == [True, True]
    leads = list(reversed(LEADS))
    turned = [[row[::-1] for row in signal] for signal in signals]
    asked = {"inputs": {**inputs, "signal": turned}, "params": {"fs": 500, "leads": leads}}
    assert served.post(asked) == (200, answer)
    alone = {name: values[:1] for name, values in inputs.items()}
    status, one = served.post({"inputs": alone, "params": {"fs": 500}})
    first = answer["predictions"][0]
    assert one["predictions"][0] == pytest.approx(first, abs=1e-6)
    for one, other in zip(answer["predictions"], expected, strict=True):
        # threads of another process may round otherwise
        assert one == pytest.approx({name: other[name] for name in one}, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "params.fs: expected the sampling frequency"),
        ({"fs": 100}, "expected 500 Hz"),
        ({"fs": 500, "leads": ["i", "ii"]}, "params.leads: expected"),
        (lambda s: {"signal": [[[math.nan] * 12, *s[0][1:]]]}, "expected finite samples"),
        (lambda s: {"signal": [[row[:11] for row in s[0]]]}, "does not match expected shape"),
        (
            lambda s: {"signal": [[[*row[:4], row[5], row[4], *row[6:]] for row in s[0]]]},
            "in this order",
        ),
        (lambda s: {"signal": [[[1000 * mv for mv in row] for row in s[0]]]}, "another unit"),
        (lambda s: {"signal": [[[0.5 * (at % 50)] * 12 for at in range(100_001)]]}, "at most"),
        (lambda s: {"age": [61, 62]}, "inputs.age: expected 1 numbers of 0 to 130 years"),
        (lambda s: {"sex": ["f"]}, "inputs.sex: expected 1 times female or male"),
    ],
)
def test_bad_values_are_refused_with_the_reason_and_nothing_is_guessed(
    change, reason, served, cohort
):
    signal = cohort.signals[:1].astype(float).tolist()
    inputs, params = {"signal": signal, "age": [61], "sex": ["female"]}, {"fs": 500}
    if isinstance(change, dict):
        params = change
    else:
        inputs |= change(signal)
    status, answer = served.post({"inputs": inputs, "params": params})
    assert status == 400
    assert reason in answer["message"]


def test_it_listens_on_this_machine_only(served):
    assert listening(served.port) == {"0100007F"}
