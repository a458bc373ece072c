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
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from lvh.errors import LvhError, TrackingFault, masked
from lvh.tracking.address import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.run_record import RunRecord, SweepRecord

if TYPE_CHECKING:
    from lvh.tracking.mlflow_store import MlflowStore

_WORKER = "from lvh.tracking.tracker import serve; serve()"
_SILENCE = 60.0  # s without an answer, after which the worker is given up
_FAULTY = 5.0  # s spent on faults, after the last training, after which the store is given up
_STARTS = 2  # of the worker; one that was killed is replaced once
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
        self._settings = settings
        self._waiting: Counter[str] = Counter()
        self._faults: dict[str, str] = {}
        self._warned = self._closing = False
        self._starts = 0
        self._worker: subprocess.Popen[str] | None = None
        self.page = ""
        """Place of the experiment in MLflow's UI, once something is recorded."""
        if settings.name == "mlflow":
            database = embedded(settings)
            if database is not None:
                check_embedded(database)
            self._start()

    def __enter__(self) -> Self:
        """Return the tracker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            self._submit(record.path)

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded.

        A store that is down or hangs costs a few seconds at most.
        """
        self._closing = True
        while self._worker is not None:
            has_ended = self._finish(self._worker)
            self._worker = None
            lost = [path for path in self._waiting if path not in self._faults]
            if has_ended and lost and self._starts < _STARTS:
                self._start()
                for path in lost:
                    self._waiting[path] = 1
                    self._send(path)
        n = len(self._waiting)
        if not n:
            return []
        reason = next(iter(self._faults.values()), "the process that records does not answer")
        return [
            f"tracking: {n} {'record is' if n == 1 else 'records are'} not in the store: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _submit(self, path: Path) -> None:
        name = str(path.absolute())
        self._waiting[name] += 1  # a sweep is sent again with what it came to
        self._faults.pop(name, None)
        self._send(name)
        self._take_answers()

    def _send(self, message: object) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        with suppress(OSError):  # a lost worker is replaced by `close`
            self._worker.stdin.write(json.dumps(message) + "\n")
            self._worker.stdin.flush()

    def _start(self) -> None:
        """Start the worker in a session of its own: Ctrl-C is for this process."""
        self._starts += 1
        self._answers: queue.Queue[_Answer | None] = queue.Queue()
        self._worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        # not in the command line, which other users can read, for an address has a password
        self._send(asdict(self._settings))
        threading.Thread(target=self._listen, args=(self._worker,), daemon=True).start()

    def _listen(self, worker: subprocess.Popen[str]) -> None:
        answers = self._answers
        assert worker.stdout is not None
        with suppress(ValueError):  # the pipe is closed
            for line in worker.stdout:
                answer = _Answer(*json.loads(line))
                answers.put(answer)
                if answer.fault and not self._warned and not self._closing:
                    self._warned = True
                    _log.warning("tracking: %s. The training goes on", masked(answer.fault))
        answers.put(None)

    def _take_answers(self) -> None:
        with suppress(queue.Empty):
            while (answer := self._answers.get_nowait()) is not None:
                self._take(answer)
            self._answers.put(None)  # the worker has ended: `_finish` has to know

    def _take(self, answer: "_Answer") -> None:
        if answer.fault:
            self._faults[answer.path] = masked(answer.fault)
        else:
            self._waiting -= Counter([answer.path])
            self._faults.pop(answer.path, None)
            self.page = answer.page

    def _finish(self, worker: subprocess.Popen[str]) -> bool:
        """Let the worker write what is waiting; return whether it has ended by itself."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        self._take_answers()
        with suppress(OSError):
            worker.stdin.close()
        faulty, asked, has_ended = 0.0, time.monotonic(), False
        while self._waiting and faulty < _FAULTY:
            try:
                answer = self._answers.get(timeout=_SILENCE)
            except queue.Empty:
                break
            if answer is None:
                has_ended = True
                break
            self._take(answer)
            now = time.monotonic()
            faulty, asked = faulty + (now - asked if answer.fault else 0.0), now
        worker.kill()  # what has been answered is whole
        worker.wait()
        worker.stdout.close()
        return has_ended


class _Answer(NamedTuple):
    """What became of a record: `fault` is empty if it is in the store."""

    path: str
    fault: str
    page: str


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
    writer, failed = RecordWriter(settings), []
    with suppress(BrokenPipeError):  # nobody listens any more
        for path in chain([""], iter(paths.get, None)):
            fault = writer.write(path)
            print(json.dumps(_Answer(path, fault, writer.page)), flush=True)
            if path and fault:
                failed.append(path)
        for path in failed:  # the store may be back
            print(json.dumps(_Answer(path, writer.write(path), writer.page)), flush=True)


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
