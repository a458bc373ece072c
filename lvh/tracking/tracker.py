"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import json
import logging
import queue
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lvh.errors import LvhError, TrackingFault, masked
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

    def __init__(self, settings: TrackingSettings) -> None:
        """Check what can be checked without MLflow, and start the worker."""
        self._sent: dict[str, str] = {}
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

    def track(self, record: RunRecord | SweepRecord) -> None:
        """Have a saved record tracked; of a sweep, also its configurations."""
        if self._worker is not None:
            path = str(record.path.absolute())
            self._sent[path] = "the process that records does not answer"
            self._send(path)

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded.

        A store that is down or hangs costs a few seconds at most.
        """
        faults, worker = self._sent, self._worker
        if worker is None:
            return []
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
            return []
        n, reason = len(faults), next(iter(faults.values()))
        return [
            f"tracking: {n} {'result was' if n == 1 else 'results were'} not written to MLflow: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _send(self, message: object) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        with suppress(OSError):  # it was killed: `close` says what is not recorded
            self._worker.stdin.write(json.dumps(message).encode() + b"\n")


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
