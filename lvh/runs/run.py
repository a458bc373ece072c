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
from lvh.errors import EnvironmentFault, InputError, as_lvh_error
from lvh.evaluation.cross_validation import (
    Callback,
    FoldCheckpoints,
    StopCrossValidation,
    cross_validate,
)
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.evaluation.permutation import WAY, load_null, null_scores, p_values, save_null
from lvh.files import write_text
from lvh.reports import run_report
from lvh.reports.run_report import ProgressReporter, Verbosity
from lvh.reports.terminal import say
from lvh.runs.cache_key import changed_options, deciding, fold_keys, run_key_of
from lvh.runs.experiment_data import ExperimentData, baselines_of, folds_of, new_trainer, threads
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
    makes_figures: Callable[[RunRecord], bool] | None = None,
) -> RunRecord:
    """Cross-validate a configuration, write its files and its record, and have it tracked.

    `callbacks` follow the folds, in their `order`, and may stop the run after some (`check_after`).
    `rungs` are numbers of epochs: all folds have those of one before any has those of the next.
    `makes_figures` decides by the record whether there are figures; without it there are.
    """
    settings, splits = composed.settings, order or data.splits
    store, stages, shown = FoldStore(Path(settings.store)), list[_Stage](), list[ProgressReporter]()
    store.check()
    for epochs in rungs or (settings.train.epochs,):
        own = settings
        if epochs != settings.train.epochs:
            own = replace(settings, train=replace(settings.train, epochs=epochs))
        stages.append(_Stage(own, data, store))
    for stage, following in pairwise(stages):
        stage.checkpoints = replace(stage.checkpoints, ends=stage.keys)
        following.checkpoints = replace(following.checkpoints, starts=stage.keys)
    run = _Run(settings, data, folder, sweep, stages)
    show = partial(ProgressReporter, verbosity=verbosity, title=title + run.record.name)
    for stage in stages:
        shown.append(show(stage.settings, data.cohort, data.features, stage.trainer))
    is_alone = sweep is None and settings.resume  # else no other process trains its folds
    with _locked(settings, run.record.key) if is_alone else nullcontext():
        run.start(composed.yaml, splits)
        with run.recorded(tracker):
            for stage, progress in zip(stages, shown, strict=True):
                with progress:
                    result = stage.train(splits, [progress, *callbacks], check_after)
                    if stage is stages[-1] and settings.cv.permutations:
                        result = stage.test(result, progress.on_shuffle)
            run.write(result, makes_figures)
    shown[-1].show(run.result, folder, run.record.error)
    if run.result is not None and settings.external is not None:
        from lvh.reports.external_validation import write_external  # needs pandas

        trainer, features = stages[-1].trainer, data.features
        lines = write_external(
            run.result, trainer, data.cohort, features, settings=settings, folder=folder
        )
        say(*(lines if verbosity == "full" else ()))
    return run.record


class _Stage(Callback):
    """All folds of a run with a number of epochs, each with a key of its own."""

    def __init__(self, settings: RunSettings, data: ExperimentData, store: FoldStore) -> None:
        self.settings, self._data, self._store = settings, data, store
        self._decisions = deciding(settings)
        self.keys = fold_keys(self._decisions, data.cohort.fingerprint, data.splits)
        self.trainer = cache(partial(new_trainer, settings, data.features, data.cohort.fs))
        self.folds: list[FoldResult] = []
        self.n_known = 0
        self.checkpoints = FoldCheckpoints(Path(settings.store), {}, {})

    def train(
        self, splits: Sequence[Split], callbacks: Sequence[Callback], check_after: int | None
    ) -> CVResult:
        """Train the folds that are not stored."""
        data, cv, checkpoints = self._data, self.settings.cv, self.checkpoints
        known = self._known(splits) if self.settings.resume else {}
        self.n_known = len(known)
        if self.settings.is_network and len(known) < len(splits):
            _import_ahead()
        try:
            result = cross_validate(
                data.features,
                splits,
                self.trainer,
                seed=self.settings.seed,
                known=known,
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

    def _known(self, splits: Sequence[Split]) -> dict[tuple[int, int], FoldResult]:
        known = {}
        for split in splits:
            if (fold := self._store.load(self.keys[split.number], split)) is not None:
                known[split.number] = fold
        if self.settings.cv.weights == "carried":  # all folds of a repeat are known, or none
            lost = {split.repeat for split in splits if split.number not in known}
            known = {number: fold for number, fold in known.items() if number[0] not in lost}
        return known

    def test(self, result: CVResult, follow: Callable[[int, int], None]) -> CVResult:
        """Compare a result with those of shuffled labels."""
        settings, cv, features = self.settings, self.settings.cv, self._data.features
        key = run_key_of([*self.keys.values(), WAY], permutations=0)  # of any number of shuffles
        path = Path(settings.store) / "permutations" / f"{key}.json"
        null = load_null(path)[: cv.permutations] if settings.resume else []
        while len(null) < cv.permutations:
            follow(len(null), cv.permutations)
            scores = null_scores(
                features,
                partial(folds_of, features, cv),
                self.trainer(),
                seed=settings.seed,
                number=len(null),
                cv=cv,
            )
            null.append(scores)
            save_null(path, null)
        follow(len(null), cv.permutations)
        return replace(result, null=tuple(null), p_values=p_values(result.scores.mean, null))

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store a fold."""
        if not known:
            key = self.keys[fold.split.number]
            self._store.save(key, self._data.features, fold, self._decisions)
        self.folds.append(fold)


class _Run:
    """What a run leaves behind: the files of its folder, and its record."""

    def __init__(
        self,
        settings: RunSettings,
        data: ExperimentData,
        folder: Path,
        sweep: SweepLink | None,
        stages: Sequence[_Stage],
    ) -> None:
        self._settings, self._data, self._folder, self._stages = settings, data, folder, stages
        self._in_sweep = sweep is not None
        self.result: CVResult | None = None
        cohort, features, cv = data.cohort, data.features, settings.cv
        params, label, n = settings.params(), cohort.label_name, len(features.records)
        if features.kind == "signal" and "features.leads" in params:  # those used, not defaults
            params["features.leads"] = " ".join(features.names)
        leakage = {"leakage": cv.leakage} if cv.leakage else {}
        record = RunRecord(
            key=run_key_of(stages[-1].keys.values(), settings.cv.permutations),
            name=settings.name,
            params=params,
            data=DataRecord(cohort.name, cohort.fingerprint, cohort.note, n, label),
            status="failed",
            tags={"note": cohort.note, "label": label, "protocol": cv.protocol, **leakage},
            folder=str(folder),
            attempt=sweep.study if sweep is not None and sweep.separate else "",
            root=settings.store,
        )
        if record.path.exists() and not settings.resume:
            record = replace(record, attempt=uuid4().hex[:8])
        if (before := _stored(record)) is not None:
            sweep = sweep or before.sweep
        if sweep is not None:
            params = {**sweep.point, **params}
            record = replace(record, sweep=sweep, name=sweep.name or record.name, params=params)
        self.record, self._before = record, before

    def start(self, config: str, splits: Sequence[Split]) -> None:
        """Write the files that need no training."""
        settings, data = self._settings, self._data
        for option in changed_options(settings.plugins, settings.store):
            say(f"{option}: its code changed since the stored folds: they are trained again")
        versions = run_dir.versions(settings.backend, threads(settings))
        run_dir.forget_another(self._folder, self.record.key)
        run_dir.write_before(self._folder, config, versions, data.features, splits)
        write_text(self._folder / "data.json", summarize_cohort(data.cohort).to_json())
        tags = {**self.record.tags, "git_commit": versions["git_commit"]}
        self.record = replace(self.record, tags=tags)

    def write(self, result: CVResult, makes_figures: Callable[[RunRecord], bool] | None) -> None:
        """Write the files of a finished run, and add its scores to the record."""
        run_dir.write_after(self._folder, self._data.features, result)
        scores = result.scores
        self.record = record = replace(
            self.record,
            mean=asdict(scores.mean),
            std=asdict(scores.std),
            pooled={name: astuple(interval) for name, interval in scores.pooled.items()},
            baselines={name: one.as_baseline() for name, one in result.baselines.items()},
            p_values=dict(result.p_values),
        )
        if makes_figures is None or makes_figures(record):
            title = f"{record.name} on {record.data.name}"
            run_report.draw_all(result, self._data.features, title=title, folder=self._folder)
        self.result = result

    @contextmanager
    def recorded(self, tracker: Tracker) -> Iterator[None]:
        """Write the record at any end of a run.

        An error goes on from here, except a stop by a callback, and in a sweep a failed run.
        """
        status: RunStatus = "leaking" if "leakage" in self.record.tags else "complete"
        reason = ""
        try:
            yield
        except StopCrossValidation as stop:
            status, reason = "stopped", str(stop)
        except Exception as error:
            status, reason = "failed", str(as_lvh_error(error))
            if not self._in_sweep or isinstance(error, EnvironmentFault):
                raise
        except BaseException as signal:
            status, reason = "killed", str(signal) or "interrupted"
            raise
        finally:
            self._end(status, reason)
            tracker.track(self.record)

    def _end(self, status: RunStatus, error: str) -> None:
        """Save the record, but not in place of one that has the scores of all folds."""
        last, tags = self._stages[-1], self.record.tags
        spent = {fold.split.number: fold.seconds for one in self._stages for fold in one.folds}
        if self._before is not None and last.n_known == len(last.folds) > 0:
            tags = {**tags, **self._before.tags}  # the version of the code that trained it
        self.record = replace(
            self.record,
            tags=tags,
            status=status,
            error=error,
            fold_keys=tuple(last.keys[fold.split.number] for fold in last.folds),
            seconds=sum(spent.values()),
            setup_seconds=sum(fold.setup_seconds for fold in last.folds),
        )
        now = _stored(self.record)  # another process may have written it meanwhile
        if status not in ("complete", "leaking") and now is not None and now.mean:
            own, other = self.record.sweep, now.sweep
            if status == "killed" or own is None or (other and other.study == own.study):
                return
            self.record = replace(self.record, attempt=own.study)  # a sweep that stopped it
        save(self.record)


def _stored(record: RunRecord) -> RunRecord | None:
    """Return the record in the fold store that has the path of another; None if it is damaged."""
    with suppress(InputError):
        return load_run(record.path)
    return None


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
def _import_ahead() -> None:
    """Import what every result needs in a thread beside the training, once in a process."""
    # no daemon: an import cannot be cut at the exit
    threading.Thread(target=lambda: [importlib.import_module(name) for name in _SLOW]).start()
