"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import json
import logging
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault
from lvh.tracking import TrackingSettings, checked_uri, store_faults
from lvh.tracking.run_record import RunRecord, SweepRecord

if TYPE_CHECKING:
    from lvh.tracking.mlflow_store import MlflowStore

_SILENCE = 60.0  # s without an answer from the worker, after which it is given up
_FAULTY = 5.0  # s of waiting for faults, after which the store is given up
_END = (-1, "")


class Tracker:
    """Writes records to the store of some settings; does nothing for `tracking=off`.

    No method but the constructor raises, and only `close` waits.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        """Check what can be checked without MLflow, and start the worker."""
        self._records: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self._n_sent, self._faults = 0, dict[int, str]()
        self._answered = self._faulty = 0.0
        self._worker: subprocess.Popen[str] | None = None
        self.page = ""
        """Place of the experiment in MLflow's UI, once all is recorded."""
        if settings.name == "off":
            return
        checked_uri(settings)
        self._worker = subprocess.Popen(
            [sys.executable, "-c", "from lvh.tracking.tracker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process
        )
        # not in the command line, which other users can read, for an address has a password
        arguments = (self._worker, json.dumps(asdict(settings)))
        self._thread = Thread(target=self._follow, args=arguments, daemon=True)
        self._thread.start()

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
            self._faults[self._n_sent] = "the process that records does not answer"
            self._records.put((self._n_sent, str(record.path.absolute())))
            self._n_sent += 1

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded."""
        worker, self._worker = self._worker, None
        if worker is None:
            return []
        self._answered, self._faulty = time.monotonic(), 0.0
        self._records.put(_END)
        while self._thread.is_alive() and self._faulty < _FAULTY:
            if time.monotonic() - self._answered > _SILENCE:
                break
            self._thread.join(0.1)
        with suppress(OSError), worker:
            worker.kill()  # what it has reported is whole
            self._thread.join()
        if not self._faults:
            return []
        n, reason = len(self._faults), next(iter(self._faults.values()))
        return [
            f"tracking: {n} {'result was' if n == 1 else 'results were'} not written to MLflow: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _follow(self, worker: subprocess.Popen[str], settings: str) -> None:
        """Have one record after the other written, and at the end again those that were not."""
        faulty: dict[int, str] = {}

        def say(line: str) -> None:
            print(line, file=worker.stdin, flush=True)

        def write(number: int, path: str) -> None:
            started = time.monotonic()
            say(json.dumps(path))
            assert worker.stdout is not None
            fault, self.page = json.loads(worker.stdout.readline())
            self._answered = time.monotonic()
            if fault:
                self._faults[number], faulty[number] = fault, path
                self._faulty += self._answered - started
            else:
                del self._faults[number]

        with suppress(OSError, ValueError):  # the worker was killed
            say(settings)
            for number, path in iter(self._records.get, _END):
                write(number, path)
            for number, path in [*faulty.items()]:  # the store may be back
                write(number, path)


def serve() -> None:
    """Be the worker: write the records whose paths come on standard input, and say how it went.

    The input ends with the process that has started it.
    """
    writer = RecordWriter(TrackingSettings(**json.loads(sys.stdin.readline())))
    writer.write("")  # opens the store before the first record comes
    with suppress(BrokenPipeError):
        for line in sys.stdin:
            print(json.dumps((writer.write(json.loads(line)), writer.page)), flush=True)


class RecordWriter:
    """Writes records to a store in this process; it opens the store when needed."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Take the settings; nothing is opened."""
        self._settings = settings
        self._store: MlflowStore | None = None

    @property
    def page(self) -> str:
        """Place of the experiment in MLflow's UI; empty until the store is open."""
        return self._store.page if self._store else ""

    def write(self, path: str) -> str:
        """Write a record, unless all of it is there; return what went wrong, or nothing."""
        from lvh.tracking.mlflow_store import MlflowStore

        try:
            with store_faults(self._settings, path):
                self._store = self._store or MlflowStore(self._settings)
                if path:
                    self._store.sync(Path(path))
        except LvhError as error:
            return str(error).removeprefix("tracking: ")
        return ""
