"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import json
import logging
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault
from lvh.tracking.address import TrackingSettings, check_embedded, embedded
from lvh.tracking.run_record import RunRecord, SweepRecord

if TYPE_CHECKING:
    from lvh.tracking.mlflow_store import MlflowStore

_SILENCE = 60.0  # s without an answer from the worker, after which it is given up
_FAULTY = 5.0  # s of waiting for faults, after which the store is given up


class Tracker:
    """Writes records to the store of some settings; does nothing for `tracking=off`.

    No method but the constructor raises, and only `close` waits.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        """Check what can be checked without MLflow, and start the worker."""
        self._n_sent, self._pending = 0, b""
        self._worker: subprocess.Popen[bytes] | None = None
        self.page = ""
        """Place of the experiment in MLflow's UI, once all is recorded."""
        if settings.name == "off":
            return
        if (database := embedded(settings)) is not None:
            check_embedded(database)
        self._worker = subprocess.Popen(
            [sys.executable, "-c", "from lvh.tracking.tracker import serve; serve()"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process
        )
        # not in the command line, which other users can read, for an address has a password
        self._send(self._worker, asdict(settings))

    def __enter__(self) -> Self:
        """Return the tracker."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Close it; raise a fault if a record is missing, unless the body has raised already."""
        faults = self.close()
        if faults and kind is None:
            raise TrackingFault("; ".join(faults))
        for fault in faults:
            logging.getLogger(__name__).warning("%s", fault)

    def track(self, record: RunRecord | SweepRecord) -> None:
        """Have a saved record tracked; of a sweep, also its configurations."""
        if self._worker is not None:
            self._n_sent += 1
            self._send(self._worker, str(record.path.absolute()))

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded."""
        worker, self._worker = self._worker, None
        if worker is None or worker.stdin is None or worker.stdout is None:
            return []
        faults = dict.fromkeys(range(self._n_sent), "the process that records does not answer")
        faulty, before = 0.0, time.monotonic()
        while faulty < _FAULTY:
            self._send(worker)
            full = [worker.stdin] if self._pending else []
            if not full:
                worker.stdin.close()
            answers, room, _ = select.select([worker.stdout], full, [], _SILENCE)
            if room:
                continue
            if not answers or not (line := worker.stdout.readline()):
                break
            number, fault = json.loads(line)
            faults.pop(number, None)
            if number < 0:
                self.page = fault
            elif fault:
                faults[number] = fault
                faulty += time.monotonic() - before
            before = time.monotonic()
        worker.kill()  # what it has reported is whole
        worker.wait()
        worker.stdout.close()
        if not faults:
            return []
        n, reason = len(faults), next(iter(faults.values()))
        return [
            f"tracking: {n} {'result was' if n == 1 else 'results were'} not written to MLflow: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _send(self, worker: subprocess.Popen[bytes], *messages: object) -> None:
        """Send lines as far as the pipe takes them; the rest goes with the next, or in `close`."""
        assert worker.stdin is not None
        self._pending += b"".join(json.dumps(one).encode() + b"\n" for one in messages)
        if worker.stdin.closed:
            return
        os.set_blocking(worker.stdin.fileno(), False)
        try:
            while self._pending and (n_written := worker.stdin.write(self._pending)):
                self._pending = self._pending[n_written:]
        except OSError:  # the worker was killed: `close` says it
            self._pending = b""


def serve() -> None:
    """Be the worker: write the records whose paths come on standard input, and say how it went.

    When the input ends, at the latest with the process that has started it, what was not written
    is tried once more.
    """
    writer = RecordWriter(TrackingSettings(**json.loads(sys.stdin.readline())))
    writer.write("")  # opens the store before the first record comes
    faulty: dict[int, str] = {}

    def write(number: int, path: str) -> None:
        if fault := writer.write(path):
            faulty[number] = path
        print(json.dumps((number, fault)), flush=True)

    with suppress(BrokenPipeError):  # the parent has ended
        for number, line in enumerate(sys.stdin):
            write(number, json.loads(line))
        for number, path in list(faulty.items()):  # the store may be back
            write(number, path)
        print(json.dumps((-1, writer.page)), flush=True)


class RecordWriter:
    """Writes records to a store in this process; it opens the store when needed."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Take the settings; nothing is opened."""
        self._settings = settings
        self._store: MlflowStore | None = None
        self.page = ""
        """Place of the experiment in MLflow's UI; empty until the store is open."""

    def write(self, path: str) -> str:
        """Write a record, unless all of it is there; return what went wrong, or nothing."""
        from lvh.tracking.mlflow_store import MlflowStore
        from lvh.tracking.run_lookup import store_faults

        try:
            with store_faults(self._settings, path):
                self._store = self._store or MlflowStore(self._settings)
                if path:
                    self._store.sync(Path(path))
                self.page = self._store.page
        except LvhError as error:
            return str(error).removeprefix("tracking: ")
        return ""
