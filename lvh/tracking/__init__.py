"""From results to MLflow, beside the training: it never waits for the store."""

import gc
import importlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, cast
from uuid import uuid4

from pydantic import Field

from lvh.cohort import Cohort
from lvh.crossval import CVResult, FoldResult
from lvh.errors import InputError, TrackingFault, masked
from lvh.files import write_fault
from lvh.imports import collect_seldom
from lvh.processes import follow
from lvh.sqlite import opened, tables
from lvh.study import Plain

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

    from lvh.tracking.mlflow_run import MlflowRun

Level = Literal["sweep", "configuration", "fold", "data"]
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]

_SQLITE = "sqlite:///"
_RECORDER_ENDED = "tracking: the process that records ended; what came out is in the run's folder"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_T = TypeVar("_T")
_keys = count()
_PATIENCE = 3.0  # s; a fault that took longer has waited for the store
_REST = 10
"""How many times as long as it let wait a store is left alone: so waiting never adds up."""

_runs: "dict[int, MlflowRun]" = {}  # in the process that records
_torn: set[int] = set()  # runs of which something could not be recorded; likewise
_resting: dict[str, tuple[float, str]] = {}  # stores, until when they rest, and why; likewise


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where results are tracked.

    Attributes:
        name: `mlflow` or `off`.
        uri: MLflow tracking URI; None for `mlflow.db` in the working directory.
        experiment: Name of the MLflow experiment.
        parent: Run that this one belongs to; a sweep sets it for its configurations.
    """

    name: Literal["mlflow", "off"]
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
    parent: str | None


@dataclass(frozen=True, slots=True)
class RunKey:
    """What a run is known by, so that the same command takes it up again.

    Attributes:
        text: Equal for equal runs below one parent.
        anew: Make a new run even if there is one.
    """

    text: str
    anew: bool = False


@dataclass(frozen=True, slots=True)
class RunToOpen:
    """A run to be created in a store, or taken up again.

    Attributes:
        uri: Of the store.
        database: File of an embedded store, None for any other.
        settings: Name the experiment and the run's parent.
        level: Which level of the tree the run stands on.
        name: Shown in the UI.
        params: Of the run.
        tags: Of the run, beside `level`.
        key: Of the run.
    """

    uri: str
    database: Path | None
    settings: TrackingSettings
    level: Level
    name: str
    params: Mapping[str, Plain]
    tags: Mapping[str, str]
    key: RunKey


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run as others may refer to it.

    Attributes:
        run_id: Its identity in the store.
        page: Place of its experiment's saved view in the UI, below the server's address.
        resumed: Whether an earlier process had opened it.
    """

    run_id: str
    page: str
    resumed: bool = False


class Tracked:
    """Records a run, one thing after another, in a process of its own.

    Importing MLflow takes seconds of processor time, which a thread would take from the
    training, and a server may be slow; neither is worth waiting for. A store that cannot be
    opened is told by `check`, so that nobody trains for hours in vain, and when the run ends, as
    any other fault is: what has been trained by then is kept and shown.
    """

    def __init__(self, opening: "RunToOpen | None") -> None:
        """Begin to open the run; None records nothing."""
        self._pending: list[Future[None]] = []
        self._opened: Future[OpenedRun] | None = None
        self._key = next(_keys)
        self._leaving: Status = "FINISHED"
        if opening is not None:
            self._opened = _submit(_open, self._key, opening)

    @property
    def opened(self) -> OpenedRun | None:
        """The run, once it is open; None where nothing is recorded."""
        return None if self._opened is None else _told(self._opened)

    @property
    def ready(self) -> bool:
        """Whether `opened` answers at once."""
        return self._opened is not None and self._opened.done()

    def log_data(self, cohort: Cohort, n_used: int) -> None:
        """Record which data the run is made from."""
        self._later("log_data", cohort.name, cohort.fingerprint, cohort.note, n_used)

    def log_fold(self, fold: FoldResult) -> None:
        """Record one fold's scores and history as a run of its own."""
        self._later("log_fold", fold)

    def log_result(self, result: CVResult) -> None:
        """Record means, deviations, intervals and baselines."""
        self._later("log_result", result)

    def log_folder(self, folder: Path) -> None:
        """Record every file of a folder as an artifact."""
        self._later("log_folder", folder)

    def set_tag(self, name: str, value: str) -> None:
        """Mark the run."""
        self._later("set_tag", name, value)

    def leave(self, status: Literal["RUNNING", "SCHEDULED"]) -> None:
        """Let the run go on after the body has ended well: beside it, or later."""
        self._leaving = status

    @property
    def leaves_running(self) -> bool:
        """Whether the run goes on beside this process."""
        return self._leaving == "RUNNING"

    def close_below(self) -> None:
        """End the open runs below this one as KILLED."""
        self._later("close_below")

    def close(self, run_id: str, error: str = "") -> None:
        """End another run, whose process was ended with no time to say so.

        Args:
            run_id: Of the run.
            error: Why it has FAILED; without one it is KILLED.
        """
        self._later("close", run_id, error)

    def check(self) -> None:
        """Tell as soon as it is known that the run could not be opened; costs nothing.

        Raises:
            TrackingFault: It could not.
        """
        if self._opened is not None and self._opened.done():
            _told(self._opened)

    def end(self, status: Status | None = None, error: str = "") -> None:
        """End the run, by default as `leave` said, and wait until all is recorded.

        Raises:
            TrackingFault: Something could not be recorded.
        """
        self._later("end", status or self._leaving, error)
        if self._opened is not None:
            _told(self._opened)
        for done in self._pending:
            _told(done)

    @property
    def _has_failed(self) -> bool:
        """Whether it is known that the run could not be opened."""
        opened = self._opened
        return opened is not None and opened.done() and opened.exception() is not None

    def _later(self, action: str, *arguments: object) -> None:
        if self._opened is None or self._has_failed:
            return
        self._pending.append(_submit(_act, self._key, action, *arguments))


@contextmanager
def tracked_run(
    settings: TrackingSettings,
    level: Level,
    name: str,
    params: Mapping[str, Plain],
    tags: Mapping[str, str],
    key: RunKey | None = None,
) -> Iterator[Tracked]:
    """Track what the body does as one run, and end that run however the body ends.

    FINISHED; FAILED, with the reason as a tag, after an error; KILLED after an interruption.
    A run that is known by its key is taken up again; what it has recorded stays, once.

    Raises:
        TrackingFault: The tracking store cannot be reached or written.
    """
    opening = None
    if settings.name == "mlflow":
        database = embedded(settings)
        if database is not None:
            check_embedded(database)
        known_by = key or RunKey(uuid4().hex)
        shown = {key: masked(one) if isinstance(one, str) else one for key, one in params.items()}
        opening = RunToOpen(
            resolved_uri(settings), database, settings, level, name, shown, tags, known_by
        )
    tracked = Tracked(opening)
    try:
        yield tracked
    except Exception as error:
        with suppress(TrackingFault):  # the first fault is the one to tell
            tracked.end("FAILED", masked(f"{type(error).__name__}: {error}"))
        raise
    except BaseException:
        with suppress(TrackingFault):
            tracked.end("RUNNING" if tracked.leaves_running else "KILLED")
        raise
    tracked.end()


def warm_up(settings: TrackingSettings) -> None:
    """Wait until the recorder has imported MLflow, so that opening a run takes no time."""
    if settings.name == "mlflow":
        _told(_submit(_import))


def ask_again() -> None:
    """Let a store that did not answer be asked once more: it may be back."""
    _submit(_end_rests)


def resolved_uri(settings: TrackingSettings) -> str:
    """Return the tracking URI, absolute: `mlflow.db` in the working directory by default."""
    uri = settings.uri or f"{_SQLITE}mlflow.db"
    if not uri.startswith(_SQLITE):
        return uri
    return f"{_SQLITE}{Path.cwd() / uri.removeprefix(_SQLITE)}"


def embedded(settings: TrackingSettings) -> Path | None:
    """Return the file of an embedded store; None for any other."""
    uri = resolved_uri(settings)
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


@lru_cache(maxsize=1)
def _recorder() -> "ProcessPoolExecutor":
    """Return the process that records; all runs of this process share it.

    joblib's kind starts a fresh process (a fork of TensorFlow's threads may hang), and does so
    inside the workers of a parallel sweep too.
    """
    from multiprocessing import resource_tracker

    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.backend import resource_tracker as of_loky

    for tracker in (resource_tracker, of_loky):  # they unblock signals when they start
        tracker.ensure_running()
    recorder = ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),))
    # the child inherits the mask: a signal to the whole group is for the parent to record
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        recorder.submit(_settle)  # starts the process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return recorder


def _told(future: "Future[_T]") -> _T:
    """Return what the recorder has done; if it died, that is a fault of the environment."""
    try:
        return future.result()
    except BrokenExecutor:
        _recorder.cache_clear()
        raise TrackingFault(_RECORDER_ENDED) from None


def _submit(action: Callable[..., _T], *arguments: object) -> "Future[_T]":
    """Hand something to the recorder; to a new one if it has died since."""
    try:
        return cast("Future[_T]", _recorder().submit(action, *arguments))
    except BrokenExecutor:
        _recorder.cache_clear()
        return cast("Future[_T]", _recorder().submit(action, *arguments))


def _begin(parent: int) -> None:
    collect_seldom()
    follow(parent)


def _settle() -> None:
    """Import MLflow once and for all.

    After every call, but once a second at most, joblib's executor looks for garbage, which takes
    .2 s among MLflow's objects, or else measures the memory against that after the first call,
    and ends a process that has grown much.
    """
    with suppress(ImportError):  # told where a run is opened
        importlib.import_module("lvh.tracking.mlflow_run")
    gc.freeze()


def _import() -> None:
    with _faults_told(""):
        pass


def _end_rests() -> None:
    _resting.clear()


def _open(key: int, opening: "RunToOpen") -> OpenedRun:
    with _faults_told(opening.uri):
        from lvh.tracking.mlflow_run import MlflowRun

        run = _runs[key] = MlflowRun(opening)
        return run.opened


def _act(key: int, action: str, *arguments: object) -> None:
    if key not in _runs:  # this process is a new one, or could not open the run
        raise TrackingFault(_RECORDER_ENDED)
    if action == "end" and key in _torn and arguments[0] == "FINISHED":
        arguments = ("FAILED", "not all of it could be recorded")  # so that it is taken up again
    run = _runs.pop(key) if action == "end" else _runs[key]
    try:
        with _faults_told(run.uri):
            getattr(run, action)(*arguments)
    except TrackingFault:
        _torn.add(key)
        raise


@contextmanager
def _faults_told(uri: str) -> Iterator[None]:
    """Turn what goes wrong in a store into one fault of the environment.

    A server that hangs lets each call wait for a minute. So once it has, it is not asked again
    for a while: what is to be recorded meanwhile has failed at once, and is recorded by whoever
    takes the run up again.
    """
    from lvh.tracking import mlflow_run

    asked = time.monotonic()
    until, told = _resting.get(uri, (0.0, ""))
    if asked < until:
        raise TrackingFault(told)
    try:
        yield
    except mlflow_run.FAULTS as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        told = (
            f"tracking: cannot use the store of tracking.uri, {masked(uri) or 'MLflow'}: "
            f"{masked(reason[0]).rstrip('.')}. "
            "tracking=off runs without one"
        )
        now = time.monotonic()
        if now - asked > _PATIENCE:
            _resting[uri] = now + _REST * (now - asked), told
        raise TrackingFault(told) from None


def check_path(database: Path) -> None:
    """Refuse a path that would mean something else in an address.

    Raises:
        InputError: It has such signs.
    """
    if re.search(r"[?#]|%[0-9A-Fa-f]{2}|:memory:", str(database)):
        raise InputError(
            "tracking.uri: expected a file whose path has no ?, # or % and two digits, which mean "
            f"something in an address. Received: {database}"
        )


def check_embedded(database: Path) -> None:
    """Tell before training, not after it, that an embedded store cannot be used."""
    check_path(database)
    fault = write_fault(database.parent)
    if fault:
        raise TrackingFault(
            "tracking.uri: expected a folder that can be written. "
            f"Received: {database.parent} ({fault}). tracking=off runs without a store"
        )
    if not database.is_file():
        return
    try:
        with opened(database, to_read=False) as connection:
            found = tables(connection)
    except sqlite3.Error as error:
        raise TrackingFault(
            f"tracking.uri: cannot use {database}: {error}. tracking=off runs without a store"
        ) from None
    if found and "experiments" not in found:  # MLflow would make its tables among them
        raise InputError(
            f"tracking.uri: expected a database of MLflow. Received: {database}, which has other "
            "tables"
        )
