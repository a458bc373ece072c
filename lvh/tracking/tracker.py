"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import io
import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault, as_lvh_error, masked
from lvh.tracking.address import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.run_record import RunRecord, SweepRecord

if TYPE_CHECKING:
    from lvh.tracking.mlflow_store import MlflowStore

_SILENCE = 60.0  # s without a line from the worker, after which it is given up
_FAULTY = 5.0  # s spent on faults, after the last training, after which the store is given up


class Tracker:
    """Writes records to the store of some settings; does nothing for `tracking=off`.

    No method but the constructor raises, and only `close` waits.
    """

    def __init__(self, settings: TrackingSettings, shared: str = "") -> None:
        """Check what can be checked without MLflow, and start the worker.

        Where `shared`, the address of another tracker, is of this machine, its worker writes.
        """
        self._sent: dict[str, str] = {}
        self._worker: subprocess.Popen[bytes] | None = None
        self._shared: io.RawIOBase | None = None
        self._thread, self._begun = ThreadPoolExecutor(1), list[Future[None]]()
        self.address = ""
        """Where other processes of this machine may send records."""
        self.page = ""
        """Place of the experiment in MLflow's UI, once all is recorded."""
        if settings.name == "off":
            return
        with suppress(OSError):
            self._shared = open(shared, "wb", buffering=0) if shared else None
        if self._shared is not None:
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
        if self._worker.stdin is not None:  # Linux opens a pipe by this name
            self.address = f"/proc/{os.getpid()}/fd/{self._worker.stdin.fileno()}"
        # not in the command line, which other users can read, for an address has a password
        self._send(asdict(settings))

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

    def track(
        self, record: RunRecord | SweepRecord, first: Callable[[], None] = lambda: None
    ) -> None:
        """Have a saved record tracked; of a sweep, also its configurations.

        What is to be done `first`, such as its figures, is done beside the next training.
        """
        self._begun.append(self._thread.submit(self._track, record, first))

    def _track(self, record: RunRecord | SweepRecord, first: Callable[[], None]) -> None:
        first()
        path = str(record.path.absolute())
        if self._worker is not None:
            self._sent[path] = "the process that records does not answer"
        self._send(path)

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded.

        A store that is down or hangs costs a few seconds at most.
        """
        self._thread.shutdown()
        errors = [future.exception() for future in self._begun]
        undone = [str(as_lvh_error(one)) for one in errors if isinstance(one, Exception)]
        faults, worker = self._sent, self._worker
        if self._shared is not None:
            self._shared.close()
        if worker is None:
            return undone
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.close()
        while select.select([worker.stdout], [], [], _SILENCE)[0]:
            line = worker.stdout.readline()
            if not line:
                break
            if line.strip():
                faults, self.page = json.loads(line)
        worker.kill()  # what it has reported is whole
        worker.wait()
        worker.stdout.close()
        self._worker = None
        if not faults:
            return undone
        n, reason = len(faults), next(iter(faults.values()))
        return [
            *undone,
            f"tracking: {n} {'record is' if n == 1 else 'records are'} not in the store: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training",
        ]

    def _send(self, message: object) -> None:
        line = json.dumps(message).encode() + b"\n"
        pipe = self._shared if self._worker is None else self._worker.stdin
        # several processes write whole lines up to this length; the sweep records the others
        if pipe is not None and (self._shared is None or len(line) <= select.PIPE_BUF):
            with suppress(OSError):  # it was killed: `close` says what is not recorded
                pipe.write(line)


def serve() -> None:
    """Be the worker: open the store, then write the records whose paths come on standard input.

    When the input ends, at the latest with the process that has started it, what was not written
    is tried once more. Meanwhile an empty line says that it works; the last line is the report.
    """
    settings = TrackingSettings(**json.loads(sys.stdin.readline()))
    paths: queue.Queue[str | None] = queue.Queue()
    no_more = threading.Event()

    def read() -> None:  # at once, so that no pipe is ever full
        for line in sys.stdin:
            paths.put(json.loads(line))
        no_more.set()
        paths.put(None)

    threading.Thread(target=read, daemon=True).start()
    writer, faults = RecordWriter(settings), dict[str, str]()
    faulty, fault = 0.0, ""

    def write(path: str) -> None:
        nonlocal faulty, fault
        began = time.monotonic()
        if faulty < _FAULTY:
            fault = writer.write(path)
        faults.pop(path, None)
        if fault and path:
            faults[path] = fault
        if no_more.is_set():
            faulty += time.monotonic() - began if fault else 0.0
            print(flush=True)

    with suppress(BrokenPipeError):  # the parent has ended
        write("")
        while (path := paths.get()) is not None:
            write(path)
        for path in list(faults):  # the store may be back
            write(path)
        print(json.dumps((faults, writer.page)), flush=True)


class RecordWriter:
    """Writes records to a store in this process; it opens the store when needed."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Take the settings; nothing is opened."""
        self._settings = settings
        self._store: MlflowStore | None = None

    @property
    def page(self) -> str:
        """Place of the experiment in MLflow's UI; empty until the store is open."""
        return "" if self._store is None else self._store.page

    def write(self, path: str) -> str:
        """Write a record, unless all of it is there; return what went wrong, or nothing."""
        try:
            if self._store is None:
                from lvh.tracking.mlflow_store import MlflowStore

                self._store = MlflowStore(self._settings)
            if path:
                self._store.sync(Path(path))
        except LvhError as error:
            return str(error).removeprefix("tracking: ")
        except Exception as error:  # MLflow and the drivers of its stores raise anything
            reason = str(error).strip().splitlines() or [type(error).__name__]
            where = masked(resolved_uri(self._settings))
            return f"cannot use the store of tracking.uri, {where}: {masked(reason[0])}"
        return ""
