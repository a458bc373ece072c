"""The tracker: a process of its own writes records to MLflow while this one trains.

Importing MLflow takes seconds of processor time and a server may be slow; no training waits for
either. What cannot be written stays on the disk as a record, and is written later.
"""

import importlib
import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from lvh.errors import LvhError, TrackingFault, masked
from lvh.tracking.address import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.run_record import RunRecord, SweepRecord

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
        self._waiting: dict[str, None] = {}
        self._faults: dict[str, str] = {}
        self._warned = False
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

    def track(self, record: RunRecord) -> None:
        """Have a configuration recorded; its record has been saved."""
        self._submit(record.path)

    def track_sweep(self, record: SweepRecord) -> None:
        """Have a sweep recorded, and each of its configurations that is not recorded yet."""
        self._submit(record.path)

    def close(self) -> list[str]:
        """Wait until everything is recorded or the store fails; return what was not recorded.

        A store that is down or hangs costs a few seconds at most.
        """
        while self._worker is not None:
            self._finish(self._worker)
            self._worker = None
            lost = [path for path in self._waiting if path not in self._faults]
            if lost and self._starts < _STARTS:
                self._start()
                for path in lost:
                    self._send(path)
        n = len(self._waiting)
        if not n:
            return []
        reason = next(iter(self._faults.values()), "the process that records has ended")
        return [
            f"tracking: {n} {'record is' if n == 1 else 'records are'} not in the store: "
            f"{reason.rstrip('.')}. The results are on the disk: the same command, or "
            f"python -m lvh.track, records them without training"
        ]

    def _submit(self, path: Path) -> None:
        if self._worker is None:
            return
        name = str(path.absolute())
        self._waiting[name] = None
        self._faults.pop(name, None)
        self._send(name)
        self._take_answers()

    def _send(self, path: str) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        with suppress(OSError):  # a lost worker is replaced by `close`
            self._worker.stdin.write(json.dumps(path) + "\n")
            self._worker.stdin.flush()

    def _start(self) -> None:
        """Start the worker in a session of its own: Ctrl-C is for this process."""
        self._starts += 1
        self._answers: queue.Queue[tuple[str, str, str] | None] = queue.Queue()
        self._worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._send_settings(self._worker)
        threading.Thread(target=self._listen, args=(self._worker,), daemon=True).start()

    def _send_settings(self, worker: subprocess.Popen[str]) -> None:
        # on standard input: other users of the machine can read a command line with a password
        assert worker.stdin is not None
        with suppress(OSError):
            worker.stdin.write(json.dumps(asdict(self._settings)) + "\n")
            worker.stdin.flush()

    def _listen(self, worker: subprocess.Popen[str]) -> None:
        answers = self._answers
        assert worker.stdout is not None
        with suppress(ValueError):  # its end is cut off with it
            for line in worker.stdout:
                path, fault, page = json.loads(line)
                answers.put((path, fault, page))
                if fault and not self._warned:
                    self._warned = True
                    _log.warning("%s. The training goes on; it is recorded later", masked(fault))
        answers.put(None)

    def _take_answers(self) -> None:
        with suppress(queue.Empty):
            while (answer := self._answers.get_nowait()) is not None:
                self._take(answer)

    def _take(self, answer: tuple[str, str, str]) -> None:
        path, fault, page = answer
        if fault:
            self._faults[path] = masked(fault)
        else:
            self._waiting.pop(path, None)
            self._faults.pop(path, None)
            self.page = page

    def _finish(self, worker: subprocess.Popen[str]) -> None:
        """Let the worker write what is waiting, as long as the store takes it."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        self._take_answers()
        with suppress(OSError):
            worker.stdin.close()
        faulty, asked = 0.0, time.monotonic()
        while faulty < _FAULTY:
            try:
                answer = self._answers.get(timeout=_SILENCE)
            except queue.Empty:
                break
            if answer is None:
                break
            self._take(answer)
            now = time.monotonic()
            faulty, asked = faulty + (now - asked if answer[1] else 0.0), now
        worker.kill()
        worker.wait()
        worker.stdout.close()


def serve() -> None:
    """Be the worker: take paths of records as lines of JSON, answer each with what went wrong."""
    settings = TrackingSettings(**json.loads(sys.stdin.readline()))
    failed = []
    with suppress(ImportError):  # raised again where a record is written
        importlib.import_module("lvh.tracking.mlflow_store")  # while the first folds are trained
    with suppress(BrokenPipeError):  # the process that asked is gone: the record is whole
        for path, fault, page in sync(settings, (Path(json.loads(line)) for line in sys.stdin)):
            print(json.dumps((str(path), fault, page)), flush=True)
            if fault:
                failed.append(path)
        for path, fault, page in sync(settings, failed):  # the store may be back
            print(json.dumps((str(path), fault, page)), flush=True)


def sync(
    settings: TrackingSettings, paths: "Iterator[Path] | Sequence[Path]"
) -> Iterator[tuple[Path, str, str]]:
    """Write records to a store; yield each with its fault, or empty, and the page in the UI.

    A record that is in the store already stays there once.

    Args:
        settings: Of the store.
        paths: Files of records.
    """
    store = None
    for path in paths:
        try:
            from lvh.tracking.mlflow_store import MlflowStore

            store = store or MlflowStore(settings)
            store.sync(path)
            yield path, "", store.page
        except LvhError as error:
            yield path, str(error).removeprefix("tracking: "), ""
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            where = masked(resolved_uri(settings))
            yield path, f"cannot use the store of tracking.uri, {where}: {masked(reason[0])}", ""
