"""A run that is tracked beside its training, which never waits for the store."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import uuid4

from lvh.data.cohort import Cohort
from lvh.errors import TrackingFault, masked
from lvh.evaluation.cross_validation import CVResult, FoldResult
from lvh.evaluation.results import Plain
from lvh.tracking.address import check_embedded, embedded, resolved_uri
from lvh.tracking.recorder import act, awaited, open_run, submit
from lvh.tracking.tracking_settings import (
    Level,
    OpenedRun,
    RunKey,
    RunToOpen,
    Status,
    TrackingSettings,
)

_keys = count()


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
            self._opened = submit(open_run, self._key, opening)

    @property
    def opened(self) -> OpenedRun | None:
        """The run, once it is open; None where nothing is recorded."""
        return None if self._opened is None else awaited(self._opened)

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
            awaited(self._opened)

    def end(self, status: Status | None = None, error: str = "") -> None:
        """End the run, by default as `leave` said, and wait until all is recorded.

        Raises:
            TrackingFault: Something could not be recorded.
        """
        self._later("end", status or self._leaving, error)
        if self._opened is not None:
            awaited(self._opened)
        for done in self._pending:
            awaited(done)

    @property
    def _has_failed(self) -> bool:
        """Whether it is known that the run could not be opened."""
        opened = self._opened
        return opened is not None and opened.done() and opened.exception() is not None

    def _later(self, action: str, *arguments: object) -> None:
        if self._opened is None or self._has_failed:
            return
        self._pending.append(submit(act, self._key, action, *arguments))


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
