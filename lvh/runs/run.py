"""One configuration, from its settings to its record."""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, astuple, replace
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from lvh.config.composition import Composed
from lvh.config.run_settings import RunSettings
from lvh.data.cohort_summary import summarize_cohort
from lvh.errors import InputError, as_lvh_error
from lvh.evaluation.cross_validation import Callback, StopCrossValidation, cross_validate
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.evaluation.permutation import WAY, NullStore, null_scores, p_values
from lvh.files import write_text
from lvh.models.training import Trainer
from lvh.reports import cv_figures
from lvh.reports.progress import ProgressReporter, Verbosity, say
from lvh.runs.cache_key import deciding, fold_keys, run_key_of
from lvh.runs.experiment_data import (
    ExperimentData,
    baselines_of,
    folds_of,
    new_trainer,
    threads,
)
from lvh.runs.plugin_history import changed_options
from lvh.tracking import run_dir
from lvh.tracking.checkpoints import FoldCheckpoints
from lvh.tracking.fold_store import FoldStore
from lvh.tracking.run_record import DataRecord, RunRecord, RunStatus, SweepLink, load_run, save
from lvh.tracking.tracker import Tracker
from lvh.validation.splits import Split

_SLOW = ("sklearn.linear_model", "sklearn.metrics", "matplotlib.backends.backend_agg")


def run_configuration(
    composed: Composed,
    data: ExperimentData,
    folder: Path,
    *,
    tracker: Tracker,
    callbacks: Sequence[Callback] = (),
    order: Sequence[Split] | None = None,
    check_after: int | None = None,
    verbosity: Verbosity = "full",
    title: str = "",
    sweep: SweepLink | None = None,
    rungs: Sequence[int] = (),
    draws: Callable[[RunRecord], bool] = lambda record: True,
) -> RunRecord:
    """Cross-validate a configuration, write its files and its record, and have it tracked.

    `callbacks` follow the folds, in their `order`, after each has been stored, and may stop the run
    after some (`check_after`). A run that is no part of a sweep is trained by one process at once.
    `rungs` are numbers of epochs, the last one that of the settings: all folds have the epochs of
    one before any has those of the next. `draws` decides, by its scores, whether it gets figures.
    """
    settings, features = composed.settings, data.features
    folds = data.splits if order is None else order
    trainer = lru_cache(1)(partial(new_trainer, settings, features, data.cohort.fs))
    run = _Run(composed, data, folder, sweep)
    title += run.record.name
    show = partial(ProgressReporter, verbosity=verbosity, title=title)
    progress = show(settings, data.cohort, features, trainer)
    with _locked(settings, run.record.key) if sweep is None else nullcontext():
        known = run.start(folds)
        with run.recorded(tracker):
            checkpoints = FoldCheckpoints(Path(settings.store), {}, {})
            for epochs in rungs[:-1]:
                stage = _Stage(run, epochs, checkpoints)
                with show(stage.settings, data.cohort, features, stage.trainer) as shown:
                    stage.train(folds, [shown, *callbacks], check_after)
                checkpoints = stage.next
            with progress:
                result = cross_validate(
                    features,
                    folds,
                    trainer,
                    seed=settings.seed,
                    known=known,
                    callbacks=[run, progress, *callbacks],
                    protocol=settings.cv.protocol,
                    threshold=settings.cv.threshold,
                    check_after=check_after,
                    baselines=partial(baselines_of, data, settings.cv.threshold),
                    checkpoints=checkpoints if rungs[:-1] else None,
                )
                checkpoints.discard()
                result = run.test(result, trainer, progress.on_shuffle)
            run.write(result, draws)
    progress.show(run.result, folder, run.record.error)
    if run.result is not None and settings.external is not None:
        from lvh.reports.external_validation import write_external  # needs pandas

        lines = write_external(
            run.result, trainer, data.cohort, features, settings=settings, folder=folder
        )
        say(*(lines if verbosity == "full" else ()))
    return run.record


class _Run(Callback):
    """The lasting part of a run: its folds, the files of its folder, and its record."""

    def __init__(
        self, composed: Composed, data: ExperimentData, folder: Path, sweep: SweepLink | None
    ) -> None:
        settings = composed.settings
        self.store = FoldStore(Path(settings.store))
        self.store.check()
        self._composed, self.data, self._folder = composed, data, folder
        self.settings = settings
        self._decisions = deciding(settings)
        self._keys = fold_keys(self._decisions, data.cohort.fingerprint, data.splits)
        self._folds: list[FoldResult] = []
        self.spent: dict[tuple[int, int], float] = {}
        """Seconds of each fold so far."""
        self._previous: RunRecord | None = None
        self.result: CVResult | None = None
        self.record = self._begin(settings, sweep)

    def _begin(self, settings: RunSettings, sweep: SweepLink | None) -> RunRecord:
        cohort, protocol = self.data.cohort, settings.cv.protocol
        leakage = {"leakage": protocol.leakage} if protocol.leaks else {}
        n, label = len(self.data.features.records), cohort.label_name
        record = RunRecord(
            key=run_key_of(self._keys.values(), settings.cv.permutations),
            name=settings.name,
            params=settings.params(),
            data=DataRecord(cohort.name, cohort.fingerprint, cohort.note, n, label),
            status="failed",
            tags={"note": cohort.note, "label": label, "protocol": protocol.name, **leakage},
            folder=str(self._folder),
            attempt=sweep.study if sweep is not None and sweep.separate else "",
            root=settings.store,
        )
        if record.path.exists() and not settings.resume:
            return _placed(replace(record, attempt=uuid4().hex[:8]), sweep)
        with suppress(InputError):  # a damaged record is replaced
            self._previous = load_run(record.path)
            sweep = sweep or self._previous.sweep
        return _placed(record, sweep)

    def start(self, splits: Sequence[Split]) -> dict[tuple[int, int], FoldResult]:
        """Write the files that need no training; return the folds that are stored already."""
        settings, features = self.settings, self.data.features
        for option in changed_options(settings):
            say(f"{option}: its code changed since the stored folds: they are trained again")
        known = self.known(splits, self._keys)
        versions = run_dir.versions(settings.backend, threads(settings))
        run_dir.write_before(self._folder, self._composed.yaml, versions, features, splits)
        write_text(self._folder / "data.json", summarize_cohort(self.data.cohort).to_json())
        tags = {**self.record.tags, "git_commit": versions["git_commit"]}
        if self._previous is not None and len(known) == len(splits):
            tags |= self._previous.tags  # the version of the code that trained it
        self.record = replace(self.record, tags=tags)
        return known

    def known(
        self, splits: Sequence[Split], keys: Mapping[tuple[int, int], str]
    ) -> dict[tuple[int, int], FoldResult]:
        """Return the folds that are stored already, by repeat and fold."""
        if not self.settings.resume:
            return {}
        loaded = [self.store.load(keys[split.number], split) for split in splits]
        known = {fold.split.number: fold for fold in loaded if fold is not None}
        # weights are not stored: a repeat of which a fold is missing begins at its first fold
        lost = {split.repeat for split in splits if split.number not in known}
        if self.settings.cv.weights == "fresh":
            lost = set()
        return {number: fold for number, fold in known.items() if number[0] not in lost}

    def on_start(self, splits: Sequence[Split], known: int) -> None:
        """Import what the result needs before a quick fit, whose seconds are measured."""
        if known < len(splits) and not self.settings.is_network:
            _import_ahead(waits=True)

    def on_epoch(self, split: Split, epoch: int) -> None:
        """Import it while a network is trained, but not while it is traced."""
        _import_ahead(waits=False)

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store a fold."""
        if not known:
            key = self._keys[fold.split.number]
            self.store.save(key, self.data.features, fold, self._decisions)
            changed_options(self.settings, stored=True)
        self._folds.append(fold)
        self.spent[fold.split.number] = fold.seconds

    def write(self, result: CVResult, draws: Callable[[RunRecord], bool]) -> None:
        """Write the files of a finished run, and add its scores to the record."""
        features, record, summary = self.data.features, self.record, result.scores
        self.result = result
        run_dir.write_after(self._folder, features, result)
        self.record = replace(
            record,
            mean=asdict(summary.mean),
            std=asdict(summary.std),
            pooled={name: astuple(interval) for name, interval in summary.pooled.items()},
            baselines={name: one.as_baseline() for name, one in result.baselines.items()},
            p_values=dict(result.p_values),
        )
        if draws(self.record):
            title = f"{record.name} on {record.data.name}"
            cv_figures.draw_all(result, features, title=title, folder=self._folder)

    def test(
        self, result: CVResult, trainer: Callable[[], Trainer], follow: Callable[[int, int], None]
    ) -> CVResult:
        """Compare a result with those of shuffled labels, where the settings ask for it."""
        settings, wanted = self.settings, self.settings.cv.permutations
        if not wanted:
            return result
        key = run_key_of([*self._keys.values(), WAY], permutations=0)  # more extend fewer
        store = NullStore(Path(settings.store) / "permutations" / f"{key}.json")
        null = store.load()[:wanted] if settings.resume else []
        while len(null) < wanted:
            follow(len(null), wanted)
            scores = null_scores(
                self.data.features,
                partial(folds_of, self.data.features, settings.cv),
                trainer(),
                seed=settings.seed,
                number=len(null),
                protocol=settings.cv.protocol,
                threshold=settings.cv.threshold,
            )
            null.append(scores)
            store.save(null)
        follow(wanted, wanted)
        return replace(result, null=tuple(null), p_values=p_values(result.scores.mean, null))

    @contextmanager
    def recorded(self, tracker: Tracker) -> Iterator[None]:
        """Write the record at any end of a run; a callback that stopped it raises no error here."""
        try:
            yield
        except StopCrossValidation as stop:
            self._end(tracker, "stopped", stop.reason)
        except Exception as error:
            self._end(tracker, "failed", str(as_lvh_error(error)))
            raise
        except BaseException as signal:
            self._end(tracker, "killed", str(signal) or "interrupted")
            raise
        else:
            self._end(tracker, "leaking" if "leakage" in self.record.tags else "complete")

    def _end(self, tracker: Tracker, status: RunStatus, error: str = "") -> None:
        if status == "killed" and self._previous is not None and self._previous.mean:
            return  # it was complete before
        self.record = replace(
            self.record,
            status=status,
            error=error,
            fold_keys=tuple(self._keys[fold.split.number] for fold in self._folds),
            seconds=sum(self.spent.values()),
            setup_seconds=sum(fold.setup_seconds for fold in self._folds),
        )
        save(self.record)
        tracker.track(self.record)


class _Stage(Callback):
    """All folds of a run with fewer epochs: a result of its own, which the next stage continues."""

    def __init__(self, run: _Run, epochs: int, checkpoints: FoldCheckpoints) -> None:
        settings, data = run.settings, run.data
        self.settings = replace(settings, train=replace(settings.train, epochs=epochs))
        self.trainer = lru_cache(1)(
            partial(new_trainer, self.settings, data.features, data.cohort.fs)
        )
        self._run, self._decisions = run, deciding(self.settings)
        self._keys = fold_keys(self._decisions, data.cohort.fingerprint, data.splits)
        self._checkpoints = replace(checkpoints, ends=self._keys)
        self.next = replace(checkpoints, starts=self._keys, ends={})

    def train(
        self, folds: Sequence[Split], callbacks: Sequence[Callback], check_after: int | None
    ) -> None:
        """Train the folds that are not stored, and keep where each of them stands."""
        data, cv = self._run.data, self.settings.cv
        try:
            cross_validate(
                data.features,
                folds,
                self.trainer,
                seed=self.settings.seed,
                known=self._run.known(folds, self._keys),
                callbacks=[self, *callbacks],
                threshold=cv.threshold,
                check_after=check_after,
                baselines=partial(baselines_of, data, cv.threshold),
                checkpoints=self._checkpoints,
            )
        except StopCrossValidation:
            self.next.discard()
            self._checkpoints.discard()
            raise
        self._checkpoints.discard()

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store a fold."""
        if not known:
            key = self._keys[fold.split.number]
            self._run.store.save(key, self._run.data.features, fold, self._decisions)
        self._run.spent[fold.split.number] = fold.seconds


def _placed(record: RunRecord, sweep: SweepLink | None) -> RunRecord:
    """Return the record of a run with its place in a sweep, and its name and parameters there."""
    if sweep is None:
        return record
    params = {**sweep.point, **record.params}
    return replace(record, sweep=sweep, name=sweep.name or record.name, params=params)


@contextmanager
def _locked(settings: RunSettings, key: str) -> Iterator[None]:
    """Let one process train a run; the system frees the lock when the process ends."""
    path = Path(settings.store) / "running" / f"{key}.lock"
    lock = FileLock(path, timeout=0)
    try:
        if settings.resume:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise InputError(
            "resume: another process trains this very run now. Wait until it ends, or use "
            "resume=false to train it a second time"
        ) from None
    try:
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)
            lock.release()


@lru_cache(maxsize=1)
def _import_ahead(*, waits: bool) -> None:
    """Import, once in a process, what every result needs."""
    # no daemon: an import cannot be cut at the exit
    thread = threading.Thread(target=lambda: [importlib.import_module(name) for name in _SLOW])
    thread.start()
    if waits:
        thread.join()
