"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import json
import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault
from lvh.tracking import TrackingSettings, checked_uri, store_faults
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
        self.page = ""
        """Place of the experiment in MLflow's UI, once all is recorded."""
        self._worker: subprocess.Popen[str] | None = None
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
        self._patience = _FAULTY
        self._in_turn = ThreadPoolExecutor(1)
        # not in the command line, which other users can read, for an address has a password
        self._sent = [("", self._in_turn.submit(self._write, asdict(settings)))]

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
            path = str(record.path.absolute())
            self._sent.append((path, self._in_turn.submit(self._write, path)))

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded."""
        worker = self._worker
        if worker is None:
            return []
        try:
            faulty = self._failures()
            if self._patience > 0:  # the store may be back
                self._sent = [(path, self._in_turn.submit(self._write, path)) for path in faulty]
                faulty = self._failures()
        finally:
            self._worker = None
            with suppress(OSError), worker:
                worker.kill()  # what it has reported is written in full
                self._in_turn.shutdown(cancel_futures=True)
        if not faulty:
            return []
        n, reason = len(faulty), next(iter(faulty.values()))
        return [
            f"tracking: {n} {'result was' if n == 1 else 'results were'} not written to MLflow: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _failures(self) -> dict[str, str]:
        """Wait for the answers to what was sent; return which records are not written, and why."""
        faulty, fault = {}, ""
        for path, written in self._sent:
            started = time.monotonic()
            try:
                if self._patience > 0:
                    fault = written.result(_SILENCE)
            except (OSError, ValueError):  # it was killed, or it hangs
                fault, self._patience = "the process that records does not answer", 0.0
            if fault:
                self._patience -= time.monotonic() - started
            if fault and path:
                faulty[path] = fault
        return faulty

    def _write(self, message: object) -> str:
        """Have the worker write the record of a path; return what went wrong, or nothing."""
        assert self._worker is not None
        assert self._worker.stdout is not None
        print(json.dumps(message), file=self._worker.stdin, flush=True)
        fault, self.page = json.loads(self._worker.stdout.readline())
        return str(fault)


def serve() -> None:
    """Be the worker: write the records whose paths come on standard input, and answer each.

    The input ends when the process ends that has started this one.
    """
    writer = RecordWriter(TrackingSettings(**json.loads(sys.stdin.readline())))
    with suppress(BrokenPipeError):
        for path in chain([""], map(json.loads, sys.stdin)):  # the empty path opens the store
            print(json.dumps((writer.write(path), writer.page)), flush=True)


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
