"""The process that records, so that no training waits for a store."""

import gc
import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from lvh.data.processes import follow
from lvh.errors import TrackingFault, masked
from lvh.tracking.tracking_settings import OpenedRun, RunToOpen, TrackingSettings

if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

    from lvh.tracking.mlflow_run import MlflowRun

_ENDED = "tracking: the process that records ended; what came out is in the run's folder"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_T = TypeVar("_T")
_PATIENCE = 3.0  # s; a fault that took longer has waited for the store
_REST = 10
"""How many times as long as it let wait a store is left alone: so waiting never adds up."""

_runs: "dict[int, MlflowRun]" = {}  # in the process that records
_torn: set[int] = set()  # runs of which something could not be recorded; likewise
_resting: dict[str, tuple[float, str]] = {}  # stores, until when they rest, and why; likewise


def warm_up(settings: TrackingSettings) -> None:
    """Wait until the recorder has imported MLflow, so that opening a run takes no time."""
    if settings.name == "mlflow":
        awaited(submit(_import))


def ask_again() -> None:
    """Let a store that did not answer be asked once more: it may be back."""
    submit(_end_rests)


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


def awaited(future: "Future[_T]") -> _T:
    """Return what the recorder has done; if it died, that is a fault of the environment."""
    try:
        return future.result()
    except BrokenExecutor:
        _recorder.cache_clear()
        raise TrackingFault(_ENDED) from None


def submit(action: Callable[..., _T], *arguments: object) -> "Future[_T]":
    """Hand something to the recorder; to a new one if it has died since."""
    try:
        return cast("Future[_T]", _recorder().submit(action, *arguments))
    except BrokenExecutor:
        _recorder.cache_clear()
        return cast("Future[_T]", _recorder().submit(action, *arguments))


def _begin(parent: int) -> None:
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


def open_run(key: int, opening: RunToOpen) -> OpenedRun:
    """Open a run; by the process that records.

    Args:
        key: By which `act` finds it.
        opening: The run.
    """
    with _faults_told(opening.uri):
        from lvh.tracking.mlflow_run import MlflowRun

        run = _runs[key] = MlflowRun(opening)
        return run.opened


def act(key: int, action: str, *arguments: object) -> None:
    """Do something with a run that is open; by the process that records."""
    if key not in _runs:  # this process is a new one, or could not open the run
        raise TrackingFault(_ENDED)
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
