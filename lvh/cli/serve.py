"""`python -m lvh.serve`: a kept model behind HTTP, on this machine alone unless told otherwise.

A request is that of `mlflow models serve`, which serves the same model through `_load_pyfunc`:
`{"inputs": {"signal": [[[mV, ...12 leads], ...samples], ...records]}, "params": {"fs": 500}}`, and
beside `signal`, for a model that needs them, `"age": [years, ...]` and `"sex": ["female", ...]`.
Fiducials that a model needs are found in the signals.
"""

import argparse
import json
import math
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.cli.command import ended
from lvh.data.delineation import MAX_SAMPLES
from lvh.data.readers.record import MAX_AGE, unlabelled_cohort
from lvh.errors import InputError
from lvh.inference import KeptModel, load

if TYPE_CHECKING:
    from starlette.applications import Starlette

MAX_BODY_BYTES = 16 * 1024 * 1024
_AXES = 3  # records, samples, leads
_PATIENCE = 8
"""How many times the limit of a body is read, and forgotten, so that who sends it hears of it."""
_LOOPBACK = "127.0.0.1"


class Served:
    """A kept model that answers requests, one after another; also what MLflow calls its model."""

    def __init__(self, model: KeptModel) -> None:
        """Take the model."""
        self.model = model
        self._lock = threading.Lock()  # its members take turns in one network

    def answer(
        self, inputs: Mapping[str, object], params: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Score the records of a request.

        Args:
            inputs: See above.
            params: `fs` in Hz; what the model has learned from, if it is not given.

        Returns:
            One a record: `probability`, the lowest and highest of a member, `calibrated` with the
            ends of its 95 % interval, and `positive`, see `lvh.inference.Scored`; and `fiducials`,
            which are `found` or `none`.

        Raises:
            InputError: A field is missing or unknown, no number, of another shape, or not what
                the model has learned from.
        """
        of = self.model.description
        expected = ["signal", *(["age", "sex"] if of.needs_age_and_sex else [])]
        if set(inputs) != set(expected):
            received = ", ".join(sorted(map(str, inputs)))
            raise InputError(f"inputs: expected {', '.join(expected)}. Received: {received!r:.80}")
        signal = _numbers(inputs["signal"])
        n_leads = len(of.leads)
        if signal.shape[2] != n_leads or not signal.shape[0] or not signal.shape[1]:
            raise InputError(
                f"inputs.signal: expected shape (records, samples, {n_leads}). "
                f"Received: {signal.shape}"
            )
        if of.needs_delineation and signal.shape[0] * signal.shape[1] > MAX_SAMPLES:
            raise InputError(
                f"inputs.signal: expected at most {MAX_SAMPLES} samples in all records, in which "
                f"fiducials are found. Received: {signal.shape[0]} x {signal.shape[1]}"
            )
        n, fs = len(signal), self._fs(params or {})
        age, male = [math.nan] * n, [False] * n
        if of.needs_age_and_sex:
            age, male = _ages(inputs["age"], n), _males(inputs["sex"], n)
        with np.errstate(over="ignore"):  # then it is not finite, which is told
            mv = signal.astype(np.float32)
        cohort = unlabelled_cohort("request", mv, fs, age, male)
        with self._lock:
            scored = self.model.scored(cohort)
        if scored.dropped:
            raise InputError("; ".join(f"record {name}: {why}" for name, why in scored.dropped))
        columns = {
            "probability": scored.y_score,
            "member_low": scored.by_member.min(axis=1),
            "member_high": scored.by_member.max(axis=1),
            "calibrated": scored.calibrated,
            "calibrated_low": scored.calibrated_low,
            "calibrated_high": scored.calibrated_high,
            "positive": scored.y_pred,
        }
        said = {"fiducials": "found" if of.needs_delineation else "none"}
        return [{name: one[at].item() for name, one in columns.items()} | said for at in range(n)]

    def predict(self, model_input: Any, params: Mapping[str, object] | None = None) -> Any:
        """Answer MLflow, which tells a caller only its own kind of error."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            return self.answer(dict(model_input), params)
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None

    def _fs(self, params: Mapping[str, object]) -> float:
        fs = params.get("fs", self.model.description.fs)
        if isinstance(fs, bool) or not isinstance(fs, int | float) or not 0 < fs <= 100_000:
            raise InputError(f"params.fs: expected a frequency in Hz. Received: {fs!r:.80}")
        return float(fs)


def _load_pyfunc(path: str) -> Served:
    """Load a kept model for MLflow, whose way this is to load what is no pickle."""
    return Served(load(Path(path)))


def application(served: Served) -> "Starlette":
    """Make what answers: POST /invocations, and GET /ping."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def refused(status: int, reason: str) -> JSONResponse:
        # what is still being sent after 413 has no end that anyone should wait for
        headers = {"connection": "close"} if status == 413 else None
        return JSONResponse({"error": reason}, status_code=status, headers=headers)

    async def invocations(request: Request) -> Response:
        body, n_bytes = bytearray(), 0
        async for chunk in request.stream():
            n_bytes += len(chunk)
            if n_bytes <= MAX_BODY_BYTES:
                body += chunk
            elif n_bytes > _PATIENCE * MAX_BODY_BYTES:
                break
        if n_bytes > MAX_BODY_BYTES:
            return refused(413, f"expected at most {MAX_BODY_BYTES} bytes")
        try:
            answers = await run_in_threadpool(lambda: served.answer(*_parsed(bytes(body))))
        except InputError as error:
            return refused(422, str(error))
        return JSONResponse({"predictions": answers})

    async def ping(request: Request) -> Response:
        return Response("\n")

    return Starlette(
        routes=[
            Route("/invocations", invocations, methods=["POST"]),
            Route("/ping", ping, methods=["GET"]),
        ]
    )


def _parsed(body: bytes) -> tuple[dict[str, object], dict[str, object]]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError('body: expected JSON: {"inputs": {"signal": ...}}') from None
    if not isinstance(found, dict) or not isinstance(found.get("inputs"), dict):
        raise InputError('body: expected {"inputs": {"signal": ...}}. Received: something else')
    if set(found) - {"inputs", "params"}:
        raise InputError("body: expected inputs and params. Received: other fields")
    params = found.get("params") or {}
    if not isinstance(params, dict) or set(params) - {"fs"}:
        raise InputError('params: expected {"fs": ...}. Received: something else')
    return found["inputs"], params


def _numbers(value: object) -> npt.NDArray[np.float64]:
    try:
        found = np.asarray(value)  # a text stays one: nothing is opened by its name
    except ValueError:
        found = np.asarray(None)
    if found.dtype.kind not in "biuf" or found.ndim != _AXES:
        raise InputError(f"inputs.signal: expected numbers in {_AXES} axes")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError("inputs.signal: expected finite numbers. Received: some that are not")
    return found


def _ages(value: object, n: int) -> list[float]:
    listed = _listed(value)
    numbers = [one for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
    ages = [float(one) for one in numbers if 0 <= one <= MAX_AGE]
    if not len(ages) == len(listed) == n:
        raise InputError(
            f"inputs.age: expected {n} numbers of 0 to {MAX_AGE:g} years, one a record"
        )
    return ages


def _males(value: object, n: int) -> list[bool]:
    sexes = _listed(value)
    if len(sexes) != n or not all(one in ("female", "male") for one in sexes):
        raise InputError(f"inputs.sex: expected {n} times female or male, one a record")
    return [one == "male" for one in sexes]


def _listed(value: object) -> list[object]:
    """Return what stands in a list, or in MLflow's array; of anything else nothing."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return value if isinstance(value, list) else []


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _serve(given))


def _serve(given: argparse.Namespace) -> None:
    import uvicorn

    from lvh.cli.predict import located
    from lvh.reports.progress import say

    if not 0 < given.port < 2**16:
        raise InputError(f"--port: expected 1 to {2**16 - 1}. Received: {given.port}")
    with located(given.model, given.uri) as folder:
        served = _load_pyfunc(str(folder))
    say(f"{served.model.description.name} at http://{given.host}:{given.port}/invocations")
    uvicorn.run(application(served), host=given.host, port=given.port, log_level="warning")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.serve", description="Answer requests by a model that lvh.select kept."
    )
    parser.add_argument(
        "--model",
        default="models:/lvh@champion",
        help="folder, or address in MLflow (default: %(default)s)",
    )
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    parser.add_argument(
        "--host", default=_LOOPBACK, help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=5001, help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
