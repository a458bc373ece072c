"""One configuration, from its settings to its record."""

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, astuple, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from lvh.config.composition import Composed
from lvh.config.run_settings import RunSettings
from lvh.data.cohort_summary import summarize_cohort
from lvh.errors import InputError, as_lvh_error
from lvh.evaluation.cross_validation import (
    Callback,
    FoldCheckpoints,
    StopCrossValidation,
    cross_validate,
)
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.evaluation.permutation import WAY, load_null, null_scores, p_values, save_null
from lvh.evaluation.results import Plain
from lvh.features import FeatureSet
from lvh.files import write_text
from lvh.reports import cv_figures
from lvh.reports.progress import ProgressReporter, Verbosity
from lvh.reports.terminal import say
from lvh.runs.cache_key import changed_options, deciding, fold_keys, run_key_of
from lvh.runs.experiment_data import (
    ExperimentData,
    baselines_of,
    folds_of,
    new_trainer,
    threads,
)
from lvh.tracking import run_dir
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
    makes_figures: Callable[[RunRecord], bool] = lambda record: True,
) -> RunRecord:
    """Cross-validate a configuration, write its files and its record, and have it tracked.

    `callbacks` follow the folds, in their `order`, and may stop the run after some (`check_after`).
    `rungs` are numbers of epochs: all folds have those of one before any has those of the next.
    `makes_figures` decides by the scores.
    """
    settings, features = composed.settings, data.features
    splits = data.splits if order is None else order
    run = _Run(composed, data, folder, sweep=sweep, rungs=rungs)
    show = partial(ProgressReporter, verbosity=verbosity, title=title + run.record.name)
    is_alone = sweep is None and settings.resume  # else its folds are its own
    shown = [show(one.settings, data.cohort, features, one.trainer) for one in run.stages]
    with _locked(settings, run.record.key) if is_alone else nullcontext():
        run.start(splits)
        with run.recorded(tracker):
            for stage, progress in zip(run.stages, shown, strict=True):
                with progress:
                    result = stage.train(splits, [progress, *callbacks], check_after)
                    if stage is run.last:
                        result = run.permutation_test(result, progress.on_shuffle)
            run.write(result, makes_figures)
    shown[-1].show(run.result, folder, run.record.error)
    if run.result is not None and settings.external is not None:
        from lvh.reports.external_validation import write_external  # needs pandas

        trainer = run.last.trainer
        lines = write_external(
            run.result, trainer, data.cohort, features, settings=settings, folder=folder
        )
        say(*(lines if verbosity == "full" else ()))
    return run.record


class _Stage(Callback):
    """All folds of a run with a number of epochs, each with a key of its own."""

    def __init__(self, settings: RunSettings, data: ExperimentData, store: FoldStore) -> None:
        self.settings, self._data, self._store = settings, data, store
        self.decisions = deciding(settings)
        self.keys = fold_keys(self.decisions, data.cohort.fingerprint, data.splits)
        self.trainer = cache(partial(new_trainer, settings, data.features, data.cohort.fs))
        self.folds: list[FoldResult] = []
        self.known: dict[tuple[int, int], FoldResult] = {}
        self.checkpoints = FoldCheckpoints(Path(settings.store), {}, {})

    def find(self, splits: Sequence[Split]) -> None:
        """Load the folds that are stored already."""
        if not self.settings.resume:
            return
        loaded = [self._store.load(self.keys[split.number], split) for split in splits]
        known = {fold.split.number: fold for fold in loaded if fold is not None}
        lost = {split.repeat for split in splits if split.number not in known}
        if self.settings.cv.weights == "fresh":
            lost = set()  # else a repeat of which a fold is missing begins at its first fold
        self.known = {number: fold for number, fold in known.items() if number[0] not in lost}

    def train(
        self, splits: Sequence[Split], callbacks: Sequence[Callback], check_after: int | None
    ) -> CVResult:
        """Train the folds that are not stored."""
        data, cv, checkpoints = self._data, self.settings.cv, self.checkpoints
        if len(self.known) < len(splits):
            _import_ahead(waits=not self.settings.is_network)
        try:
            result = cross_validate(
                data.features,
                splits,
                self.trainer,
                seed=self.settings.seed,
                known=self.known,
                callbacks=[self, *callbacks],
                cv=cv,
                check_after=check_after,
                baselines=partial(baselines_of, data, cv.threshold),
                checkpoints=checkpoints if checkpoints.starts or checkpoints.ends else None,
            )
        except StopCrossValidation:
            checkpoints.discard(checkpoints.ends)
            checkpoints.discard(checkpoints.starts)
            raise
        if checkpoints.starts:
            checkpoints.discard(checkpoints.starts)
        return result

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store a fold."""
        if not known:
            key = self.keys[fold.split.number]
            self._store.save(key, self._data.features, fold, self.decisions)
        self.folds.append(fold)


class _Run:
    """The lasting part of a run: its stages, the files of its folder, and its record."""

    def __init__(
        self,
        composed: Composed,
        data: ExperimentData,
        folder: Path,
        *,
        sweep: SweepLink | None,
        rungs: Sequence[int],
    ) -> None:
        self.settings = settings = composed.settings
        store = FoldStore(Path(settings.store))
        store.check()
        self._yaml, self._data, self._folder = composed.yaml, data, folder
        self._plugins = settings.plugins
        self.stages: list[_Stage] = []
        for epochs in rungs or (settings.train.epochs,):
            own = settings
            if epochs != settings.train.epochs:
                own = replace(settings, train=replace(settings.train, epochs=epochs))
            self.stages.append(_Stage(own, data, store))
        for stage, following in pairwise(self.stages):
            stage.checkpoints = replace(stage.checkpoints, ends=stage.keys)
            following.checkpoints = replace(following.checkpoints, starts=stage.keys)
        self.last = self.stages[-1]
        self._previous: RunRecord | None = None
        self.result: CVResult | None = None
        self.record = self._begin(sweep)

    def _begin(self, sweep: SweepLink | None) -> RunRecord:
        settings, cohort, cv = self.settings, self._data.cohort, self.settings.cv
        leakage = {"leakage": cv.leakage} if cv.leakage else {}
        n, label = len(self._data.features.records), cohort.label_name
        record = RunRecord(
            key=run_key_of(self.last.keys.values(), settings.cv.permutations),
            name=settings.name,
            params=_params(settings, self._data.features),
            data=DataRecord(cohort.name, cohort.fingerprint, cohort.note, n, label),
            status="failed",
            tags={"note": cohort.note, "label": label, "protocol": cv.protocol, **leakage},
            folder=str(self._folder),
            attempt=sweep.study if sweep is not None and sweep.separate else "",
            root=settings.store,
        )
        if record.path.exists():
            if not settings.resume:
                return _placed(replace(record, attempt=uuid4().hex[:8]), sweep)
            with suppress(InputError):  # a damaged record is replaced
                self._previous = load_run(record.path)
                sweep = sweep or self._previous.sweep
        return _placed(record, sweep)

    def start(self, splits: Sequence[Split]) -> None:
        """Find the folds that are stored already, and write the files that need no training."""
        settings = self.settings
        for option in changed_options(self._plugins, settings.store):
            say(f"{option}: its code changed since the stored folds: they are trained again")
        for stage in self.stages:
            stage.find(splits)
        versions = run_dir.versions(settings.backend, threads(settings))
        run_dir.write_before(self._folder, self._yaml, versions, self._data.features, splits)
        write_text(self._folder / "data.json", summarize_cohort(self._data.cohort).to_json())
        tags = {**self.record.tags, "git_commit": versions["git_commit"]}
        if self._previous is not None and len(self.last.known) == len(splits):
            tags |= self._previous.tags  # the version of the code that trained it
        self.record = replace(self.record, tags=tags)

    def write(self, result: CVResult, makes_figures: Callable[[RunRecord], bool]) -> None:
        """Write the files of a finished run, and add its scores to the record."""
        features, record, summary = self._data.features, self.record, result.scores
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
        if makes_figures(self.record):
            title = f"{record.name} on {record.data.name}"
            cv_figures.draw_all(result, features, title=title, folder=self._folder)

    def permutation_test(self, result: CVResult, follow: Callable[[int, int], None]) -> CVResult:
        """Compare a result with those of shuffled labels, where the settings ask for it."""
        settings, wanted = self.settings, self.settings.cv.permutations
        if not wanted:
            return result
        key = run_key_of([*self.last.keys.values(), WAY], permutations=0)  # more extend fewer
        path = Path(settings.store) / "permutations" / f"{key}.json"
        null = load_null(path)[:wanted] if settings.resume else []
        while len(null) < wanted:
            follow(len(null), wanted)
            scores = null_scores(
                self._data.features,
                partial(folds_of, self._data.features, settings.cv),
                self.last.trainer(),
                seed=settings.seed,
                number=len(null),
                cv=settings.cv,
            )
            null.append(scores)
            save_null(path, null)
        follow(wanted, wanted)
        return replace(result, null=tuple(null), p_values=p_values(result.scores.mean, null))

    @contextmanager
    def recorded(self, tracker: Tracker) -> Iterator[None]:
        """Write the record at any end of a run; a callback that stopped it raises no error here."""
        try:
            yield
        except StopCrossValidation as stop:
            self._end(tracker, "stopped", str(stop))
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
        folds = self.last.folds
        if len(self.last.known) < len(folds):
            changed_options(self._plugins, self.settings.store, stored=True)
        spent = {fold.split.number: fold.seconds for one in self.stages for fold in one.folds}
        self.record = replace(
            self.record,
            status=status,
            error=error,
            fold_keys=tuple(self.last.keys[fold.split.number] for fold in folds),
            seconds=sum(spent.values()),
            setup_seconds=sum(fold.setup_seconds for fold in folds),
        )
        save(self.record)
        tracker.track(self.record)


def _params(settings: RunSettings, features: FeatureSet) -> dict[str, Plain]:
    """Return the settings as they were used: records that lack the default leads give all."""
    params = settings.params()
    if features.kind == "signal" and "features.leads" in params:
        params["features.leads"] = " ".join(features.names)
    return params


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
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path, timeout=0).acquire()
    except Timeout:
        raise InputError(
            "resume: another process trains this very run now. Wait until it ends, or use "
            "resume=false to train it a second time"
        ) from None
    with lock:
        yield
        path.unlink(missing_ok=True)


@cache
def _import_ahead(*, waits: bool) -> None:
    """Import, once in a process, what every result needs."""
    # no daemon: an import cannot be cut at the exit
    thread = threading.Thread(target=lambda: [importlib.import_module(name) for name in _SLOW])
    thread.start()
    if waits:
        thread.join()
