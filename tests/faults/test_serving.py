"""A model behind HTTP: row 45 of the table of faults, on a real server and real sockets."""

import http.client
import json
import math
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from kept_models import kept, settings
from servers import free_port, until

from lvh.cli.serve import MAX_BODY_BYTES
from lvh.data.readers.record import unlabelled_cohort
from lvh.inference import load


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
            link.request(method, path, body)
            answer = link.getresponse()
            return answer.status, answer.read().decode()

    def post(self, body: object) -> tuple[int, dict]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, told = self.ask("POST", "/invocations", data)
        return status, json.loads(told)


@pytest.fixture(scope="module")
def model(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("served") / "m"
    kept(folder, settings("cnn", "raw", "stride=125"), cohort)
    return folder


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    server = Served(model, tmp_path_factory.mktemp("log") / "log")
    yield server
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 143


@pytest.fixture
def signal_of_one(cohort) -> list:
    return cohort.signals[:1].astype(float).tolist()


def test_45_it_answers_what_the_model_says(served, model, cohort):
    signals = cohort.signals[:3]
    status, told = served.post({"inputs": {"signal": signals.astype(float).tolist()}})
    assert status == 200
    expected = load(model).scored(
        unlabelled_cohort("x", signals, cohort.fs, [60.0] * 3, [True] * 3)
    )
    for one, y_score, members, y_pred in zip(
        told["predictions"], expected.y_score, expected.by_member, expected.y_pred, strict=True
    ):
        # JSON gives floats back to the bit; threads of another process may round otherwise
        assert one["probability"] == pytest.approx(y_score, abs=1e-6)
        assert one["member_low"] == pytest.approx(members.min(), abs=1e-6)
        assert one["member_high"] == pytest.approx(members.max(), abs=1e-6)
        assert one["positive"] == y_pred
        assert 0 <= one["calibrated_low"] <= one["calibrated"] <= one["calibrated_high"] <= 1


def test_45_a_huge_body_is_413(served):
    status, told = served.post(b" " * (MAX_BODY_BYTES + 1))
    assert (status, told) == (413, {"error": f"expected at most {MAX_BODY_BYTES} bytes"})


def test_45_a_body_without_an_end_is_cut_off(served):
    """Chunks of no declared length: it stops reading, whoever sends goes on in vain."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as link:
        head = "POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        link.sendall(head.encode())
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        sent = 0
        try:
            while sent < 4096:
                link.sendall(chunk)
                sent += 1
        except OSError:
            pass
        assert 16 < sent < 1024
    assert served.answers()


def planted(signal: list, value: object) -> list:
    again = json.loads(json.dumps(signal))
    again[0][7][3] = value
    return again


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda s: {"inputs": {"signal": planted(s, math.nan)}}, "expected finite numbers"),
        (lambda s: {"inputs": {"signal": planted(s, math.inf)}}, "expected finite numbers"),
        (lambda s: {"inputs": {"signal": planted(s, 10**400)}}, "inputs.signal: expected"),
        (lambda s: {"inputs": {"signal": planted(s, "1")}}, "inputs.signal: expected numbers"),
        (lambda s: {"inputs": {"signal": planted(s, None)}}, "inputs.signal: expected numbers"),
        (lambda s: {"inputs": {"signal": planted(s, [1])}}, "inputs.signal: expected numbers"),
        (lambda s: {"inputs": {"signal": "/etc/passwd"}}, "inputs.signal: expected numbers"),
        (lambda s: {"inputs": {"signal": {"path": "/etc/passwd"}}}, "inputs.signal: expected"),
        (lambda s: {"inputs": {"signal": [[["/etc/passwd"] * 12]]}}, "inputs.signal: expected"),
        (lambda s: {"inputs": {"signal": s, "path": "/etc/passwd"}}, "Received: 'path, signal'"),
        (lambda s: {"inputs": {"signal": s[0]}}, "inputs.signal: expected numbers in 3 axes"),
        (lambda s: {"inputs": {"signal": []}}, "inputs.signal: expected"),
        (lambda s: {"inputs": {"signal": [[]]}}, "inputs.signal: expected"),
        (lambda s: {"inputs": {"signal": [s[0][:4000]]}}, "expected inputs of shape 5000 x 4"),
        (lambda s: {"inputs": {"signal": [[row[:11] for row in s[0]]]}}, "expected shape"),
        (lambda s: {"inputs": {"signal": s}, "params": {"fs": 100}}, "expected 500 Hz"),
        (lambda s: {"inputs": {"signal": s}, "params": {"fs": "500"}}, "params.fs: expected"),
        (lambda s: {"inputs": {"signal": s}, "params": {"fs": True}}, "params.fs: expected"),
        (lambda s: {"inputs": {"signal": s}, "params": {"fs": -1}}, "params.fs: expected"),
        (lambda s: {"inputs": {"signal": s}, "params": {"model": "/x"}}, "params: expected"),
        (lambda s: {"inputs": {"signal": s}, "model": "/x"}, "body: expected inputs and params"),
        (
            lambda s: {"inputs": {"signal": [[[1000 * v for v in row] for row in s[0]]]}},
            "Is this another unit?",
        ),
        (lambda s: {"inputs": {}}, "inputs: expected signal. Received: "),
        (lambda s: {"inputs": {"signal": planted(s, 3e38)}}, "Is this another unit?"),
        (lambda s: {"inputs": {"signal": planted(s, 1e300)}}, "expected finite samples"),
        (lambda s: {"inputs": {"signal": [[[*row[:5], *[0] * 7] for row in s[0]]]}}, "0 in avf"),
        (
            lambda s: {"inputs": {"signal": [[[1000 * row[0], *row[1:]] for row in s[0]]]}},
            "Is this another unit?",
        ),
        (lambda s: {"inputs": 3}, "body: expected"),
        (lambda s: [1], "body: expected"),
        (lambda s: b"", "body: expected JSON"),
        (lambda s: b"\xff\xfe", "body: expected JSON"),
        (lambda s: b"[" * 100_000, "body: expected JSON"),
        (lambda s: b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.", "body: expected JSON"),
    ],
)
def test_45_what_is_no_request_is_422_with_a_reason(make, told, served, signal_of_one):
    status, answer = served.post(make(signal_of_one))
    assert status == 422
    assert told in answer["error"]
    assert "Traceback" not in answer["error"]
    assert answer["error"].isprintable()


def test_45_other_paths_and_methods_are_nothing(served):
    for method, path in (
        *(("GET", "/invocations"), ("GET", "/../../etc/passwd"), ("GET", "/docs")),
        *(("POST", "/ping"), ("DELETE", "/invocations")),
    ):
        assert served.ask(method, path)[0] in (404, 405)


def test_45_it_listens_on_this_machine_alone(served):
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    listening = [row.split()[1] for row in rows if row.split()[3] == "0A"]
    own = [one for one in listening if int(one.rpartition(":")[2], 16) == served.port]
    assert own == [f"0100007F:{served.port:04X}"]


def test_45_many_at_once_get_each_its_own_answer(served, cohort):
    from concurrent.futures import ThreadPoolExecutor

    bodies = [
        {"inputs": {"signal": cohort.signals[at : at + 1].astype(float).tolist()}}
        for at in range(6)
    ]
    one_by_one = [served.post(body) for body in bodies]
    assert {status for status, _ in one_by_one} == {200}
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(served.post, bodies)) == one_by_one


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("voltage") / "m"
    kept(folder, settings("logistic", "voltage"), cohort)
    return folder


@pytest.fixture(scope="module")
def answering(folder, tmp_path_factory):
    server = Served(folder, tmp_path_factory.mktemp("log") / "log")
    yield server
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)


class TestFiducialsAgeAndSex:
    """A model on `voltage`, whose fiducials are found in what a request holds."""

    def test_it_says_what_predict_says(self, folder, answering, cohort, tmp_path, capsys):
        import numpy as np
        from kept_models import write_record

        from lvh.cli.predict import main
        from lvh.data.readers.record import read

        paths = [
            write_record(tmp_path, cohort, at, name=f"r{at}", comments=(f"Age: {age}", f"Sex: {s}"))
            for at, age, s in ((0, 61, "F"), (3, 45, "M"))
        ]
        assert main([*map(str, paths), "--model", str(folder), "--json"]) == 0
        expected = json.loads(capsys.readouterr().out)
        signals = np.concatenate([read(path).signals for path in paths]).astype(float)
        inputs = {"signal": signals.tolist(), "age": [61, 45.0], "sex": ["female", "male"]}
        status, told = answering.post({"inputs": inputs})
        assert status == 200, told
        for one, other in zip(told["predictions"], expected, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)
            assert one["fiducials"] == other["fiducials"] == "found"
            assert one["positive"] == other["positive"]

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"age": None}, "inputs: expected signal, age, sex. Received: 'sex, signal'"),
            ({"sex": None}, "inputs: expected signal, age, sex. Received: 'age, signal'"),
            ({"age": [61, 62]}, "inputs.age: expected 1 numbers of 0 to 130 years"),
            ({"age": []}, "inputs.age: expected"),
            ({"age": 61}, "inputs.age: expected"),
            ({"age": [-1]}, "inputs.age: expected"),
            ({"age": [131]}, "inputs.age: expected"),
            ({"age": [math.nan]}, "inputs.age: expected"),
            ({"age": ["61"]}, "inputs.age: expected"),
            ({"age": [True]}, "inputs.age: expected"),
            ({"age": [10**400]}, "inputs.age: expected"),
            ({"age": [[61]]}, "inputs.age: expected"),
            ({"sex": ["f"]}, "inputs.sex: expected 1 times female or male"),
            ({"sex": [1]}, "inputs.sex: expected"),
            ({"sex": "female"}, "inputs.sex: expected"),
            ({"sex": [["female"]]}, "inputs.sex: expected"),
            ({"sex": ["female", "male"]}, "inputs.sex: expected"),
            ({"path": "/etc/passwd"}, "Received: 'age, path, sex, signal'"),
            (
                {"signal": [[[0.5 * (at % 50)] * 12 for at in range(100_001)]]},
                "expected at most 100000 samples in all records",
            ),
            (
                {"signal": [[[math.sin(at / 2000)] * 12 for at in range(5000)]]},
                "signals in which no heartbeats were found",
            ),
        ],
    )
    def test_what_is_missing_or_absurd_is_422(self, changed, told, answering, signal_of_one):
        inputs = {"signal": signal_of_one, "age": [61], "sex": ["female"]} | changed
        given = {name: value for name, value in inputs.items() if value is not None}
        status, answer = answering.post({"inputs": given})
        assert status == 422
        assert told in answer["error"]


def test_45_a_port_that_is_none_is_told(tmp_path, cohort, capsys):
    from lvh.cli.serve import main

    kept(tmp_path / "m", settings("logistic", "voltage"), cohort)
    assert main(["--model", str(tmp_path / "m"), "--port", "99999"]) == 2
    assert "--port: expected 1 to 65535. Received: 99999" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    ["absent", "models:/none@champion", "http://x/y", "models:/a$b", "models:/", "runs:/zz"],
)
def test_45_a_model_that_is_not_there_is_told_in_a_line(given, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lvh.serve", "--model", given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"lvh: .+\n", done.stderr)
