"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault, masked
from lvh.tracking.address import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.run_record import RunRecord, SweepRecord

if TYPE_CHECKING:
    from lvh.tracking.mlflow_store import MlflowStore

_SILENCE = 60.0  # s without an answer, after which the worker is given up
_FAULTY = 5.0  # s spent on faults, after the last training, after which the store is given up
_log = logging.getLogger(__name__)


class Tracker:
    """Writes records to the store of some settings; does nothing for `tracking=off`.

    No method but the constructor raises, and only `close` waits.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        """Check what can be checked without MLflow, and start the worker.

        Raises:
            InputError: The settings name no store of MLflow.
            TrackingFault: An embedded store cannot be read or written.
        """
        self._waiting: Counter[str] = Counter()
        self._faults: dict[str, str] = {}
        self._answer = threading.Condition()
        self._worker: subprocess.Popen[str] | None = None
        self.page = ""
        """Place of the experiment in MLflow's UI, once something is recorded."""
        if settings.name == "off":
            return
        if (database := embedded(settings)) is not None:
            check_embedded(database)
        self._worker = subprocess.Popen(
            [sys.executable, "-c", "from lvh.tracking.tracker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process
        )
        # not in the command line, which other users can read, for an address has a password
        self._send(asdict(settings))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        """Return the tracker."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Close it; raise what was not recorded, unless something worse has happened.

        Raises:
            TrackingFault: Not everything is recorded.
        """
        faults = self.close()
        if faults and kind is None:
            raise TrackingFault("; ".join(faults))
        for fault in faults:
            _log.warning("%s", fault)

    def track(self, record: RunRecord | SweepRecord) -> None:
        """Have a saved record tracked; of a sweep, also its configurations."""
        if self._worker is not None:
            name = str(record.path.absolute())
            with self._answer:
                self._waiting[name] += 1  # a sweep is sent again with what it came to
                self._faults.pop(name, None)
            self._send(name)

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded.

        A store that is down or hangs costs a few seconds at most.
        """
        if self._worker is not None:
            assert self._worker.stdin is not None
            with suppress(OSError):
                self._worker.stdin.close()
            self._wait()
            self._worker.kill()  # what has been answered is whole
            self._worker.wait()
            self._listener.join()
            assert self._worker.stdout is not None
            self._worker.stdout.close()
            self._worker = None
        n = len(self._waiting)
        if not n:
            return []
        reason = next(iter(self._faults.values()), "the process that records does not answer")
        return [
            f"tracking: {n} {'record is' if n == 1 else 'records are'} not in the store: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _send(self, message: object) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        with suppress(OSError):  # it was killed: `close` says what is not recorded
            self._worker.stdin.write(json.dumps(message) + "\n")
            self._worker.stdin.flush()

    def _listen(self) -> None:
        assert self._worker is not None
        assert self._worker.stdout is not None
        for line in self._worker.stdout:
            path, fault, page = json.loads(line)
            with self._answer:
                if not fault:
                    self._waiting -= Counter([path])
                    self._faults.pop(path, None)
                    self.page = page
                elif not self._faults and self._worker.stdin and not self._worker.stdin.closed:
                    _log.warning("tracking: %s. The training goes on", masked(fault))
                if fault:
                    self._faults[path] = masked(fault)
                self._answer.notify()
        with self._answer:
            self._answer.notify()

    def _wait(self) -> None:
        """Wait for the worker's answers."""
        faulty = 0.0
        with self._answer:
            while self._waiting and self._listener.is_alive() and faulty < _FAULTY:
                asked, n_before = time.monotonic(), self._waiting.total()
                if not self._answer.wait(_SILENCE):
                    return
                if self._waiting.total() == n_before:
                    faulty += time.monotonic() - asked


def serve() -> None:
    """Be the worker: open the store, then write the records whose paths come on standard input.

    It ends when its input does, at the latest with the process that has started it. Whatever is
    begun then is written to its end, so that no record is left in halves.
    """
    settings = TrackingSettings(**json.loads(sys.stdin.readline()))
    paths: queue.Queue[str | None] = queue.Queue()

    def read() -> None:  # at once, so that no pipe is ever full
        for line in sys.stdin:
            paths.put(json.loads(line))
        paths.put(None)

    threading.Thread(target=read, daemon=True).start()
    writer = RecordWriter(settings)

    def answer(path: str) -> bool:
        fault = writer.write(path)
        print(json.dumps((path, fault, writer.page)), flush=True)
        return bool(fault)

    with suppress(BrokenPipeError):  # nobody listens any more
        failed = [path for path in chain([""], iter(paths.get, None)) if answer(path) and path]
        for path in failed:  # the store may be back
            answer(path)


class RecordWriter:
    """Writes records to a store in this process; it opens the store at need."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Take the settings; nothing is opened."""
        self._settings = settings
        self._store: MlflowStore | None = None

    @property
    def page(self) -> str:
        """Place of the experiment in MLflow's UI; empty until the store is open."""
        return "" if self._store is None else self._store.page

    def write(self, path: str) -> str:
        """Write a record, unless all of it is there; return what went wrong, or nothing.

        Args:
            path: File of the record; empty to open the store only.
        """
        try:
            if self._store is None:
                from lvh.tracking.mlflow_store import MlflowStore

                self._store = MlflowStore(self._settings)
            if path:
                self._store.sync(Path(path))
        except LvhError as error:
            return str(error).removeprefix("tracking: ")
        except Exception as error:  # whatever MLflow and the drivers of its stores raise
            reason = str(error).strip().splitlines() or [type(error).__name__]
            where = masked(resolved_uri(self._settings))
            return f"cannot use the store of tracking.uri, {where}: {masked(reason[0])}"
        return ""
