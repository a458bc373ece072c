"""One configuration from its settings to its record: the line that a record walks, once."""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, astuple, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from lvh.config.composition import Composed
from lvh.config.run_settings import RunSettings
from lvh.data import SOURCES
from lvh.data.cohort import EXTERNAL, Cohort, join
from lvh.errors import EnvironmentFault, InputError, as_told
from lvh.evaluation.cross_validation import Callback, StopCrossValidation, cross_validate
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary, baseline_summaries
from lvh.evaluation.permutation import NullStore, null_scores, p_values
from lvh.features import FORMS, FeatureSet
from lvh.models import MODELS, Estimator
from lvh.models.backends import check_installed
from lvh.models.classifiers import BASELINES
from lvh.models.trainers import make_trainer
from lvh.models.trainers import threads as threads_of_model
from lvh.models.training import Trainer
from lvh.reports import cv_figures
from lvh.reports.progress import ProgressReporter, Verbosity
from lvh.runs.cache_key import deciding, fold_keys, run_key_of
from lvh.tracking import run_dir
from lvh.tracking.fold_store import FoldStore
from lvh.tracking.run_record import DataRecord, RunRecord, RunStatus, SweepLink, load_run, save
from lvh.tracking.tracker import Tracker
from lvh.validation.splits import Split, Threshold, external_split, splits
from lvh.validation.thresholds import held_out

_SLOW = (
    "sklearn.linear_model",
    "sklearn.metrics",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
"""Modules that take seconds to import, and that every result needs."""
_LOADED = 4  # combinations of data, features and splits that stay in memory
Keys = Mapping[tuple[int, int], str]
"""Keys of folds, by repeat and fold."""


@dataclass(frozen=True, slots=True, eq=False)
class ExperimentData:
    """Everything that is known before a training; configurations that agree in it share it."""

    cohort: Cohort
    features: FeatureSet
    splits: tuple[Split, ...]


def load_data(settings: RunSettings) -> ExperimentData:
    """Load records, make features and split, with every check that needs no training.

    Raises:
        EnvironmentFault: The backend is not installed, or the data cannot be had.
        InputError: The data, or what the settings ask of it, does not fit.
    """
    check_installed(settings.backend)
    data = _experiment_data(settings.data, settings.external, settings.features, settings.cv)
    model = MODELS[settings.model.name]
    if not isinstance(model, Estimator):
        model.check(settings.model, data.features.input_shape)
    return data


def new_trainer(settings: RunSettings, features: FeatureSet, fs: float) -> Trainer:
    """Return what trains and scores as the settings say.

    Args:
        settings: Of the run.
        features: What it learns from.
        fs: Sampling frequency of the records, Hz.
    """
    return make_trainer(
        settings.model,
        settings.train,
        backend=settings.backend,
        input_shape=features.input_shape,
        names=features.names,
        fs=fs,
    )


def threads(settings: RunSettings) -> int:
    """Return how many threads the trainings of this process have."""
    return threads_of_model(settings.model.name, settings.train, settings.backend)


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
) -> RunRecord:
    """Cross-validate a configuration, write its files and its record, and have it tracked.

    Args:
        composed: Settings and configuration.
        data: From `load_data` with these settings.
        folder: Of the run's files.
        tracker: Records it.
        callbacks: Follow the folds, after each has been stored.
        order: Of the folds; None for their own.
        check_after: See `lvh.evaluation.cross_validation.cross_validate`.
        verbosity: How much of it a person sees.
        title: What its lines on the screen begin with.
        sweep: Its place in a sweep; None for a run of its own, of which only one may be trained
            at a time.

    Returns:
        The record, with status `stopped` if a callback stopped it.

    Raises:
        EnvironmentFault: Nothing can be written.
        LvhError: A training failed; the record of the failure has been written.
    """
    settings, folds = composed.settings, data.splits if order is None else order
    keys = fold_keys(settings, data.cohort.fingerprint, data.splits)
    writer = _FoldWriter(settings, keys, data.features)
    record, previous = _begin_record(settings, data, folder, keys=keys, sweep=sweep)
    with _locked(settings, record.key) if sweep is None else nullcontext():
        known = writer.known(folds) if settings.resume else {}
        record = _write_before(record, composed, data, folds)
        if previous is not None and len(known) == len(folds):
            record = replace(record, tags=previous.tags)  # of the code that trained them
        trainer = lru_cache(1)(partial(new_trainer, settings, data.features, data.cohort.fs))
        progress = ProgressReporter(
            settings, data.cohort, data.features, trainer, verbosity=verbosity, title=title
        )
        try:
            with progress:
                result = cross_validate(
                    data.features,
                    folds,
                    trainer,
                    seed=settings.seed,
                    known=known,
                    callbacks=[writer, progress, *callbacks],
                    protocol=settings.cv.protocol,
                    threshold=settings.cv.threshold,
                    check_after=check_after,
                    baselines=partial(baselines_of, data, settings.cv.threshold),
                )
                result = _test(result, settings, data, keys, trainer, progress)
        except StopCrossValidation as stop:
            progress.stopped(stop.reason)
            return _end_record(record, writer, tracker, status="stopped", error=stop.reason)
        except Exception as error:
            _end_record(record, writer, tracker, status="failed", error=str(as_told(error)))
            raise
        run_dir.write_after(folder, data.features, result)
        cv_figures.draw_all(result, data.features.y, f"{record.name} on {record.data.name}", folder)
        status: RunStatus = "leaking" if settings.cv.protocol.leaks else "complete"
        record = _end_record(_scored(record, result), writer, tracker, status=status)
    progress.show(result, folder)
    return record


class _FoldWriter(Callback):
    """Writes each fold into the fold store, and knows which are there."""

    def __init__(self, settings: RunSettings, keys: Keys, features: FeatureSet) -> None:
        """Check that folds can be stored.

        Raises:
            InputError: The settings name no folder.
            EnvironmentFault: It cannot be written.
        """
        self._store, self._keys, self._features = FoldStore(Path(settings.store)), keys, features
        self._protocol, self._settings = settings.cv.protocol, deciding(settings)
        self._store.check()
        self.fold_keys: list[str] = []
        """Of the folds that are done, in the order in which they were run."""
        self.seconds = self.setup_seconds = 0.0

    def known(self, splits: Sequence[Split]) -> dict[tuple[int, int], FoldResult]:
        """Return the folds that an earlier process has stored."""
        loaded = (self._store.load(self._keys[split.number], split) for split in splits)
        known = {fold.split.number: fold for fold in loaded if fold is not None}
        if self._protocol.weights == "fresh":
            return known
        # weights are not stored: a repeat of which a fold is missing begins at its first fold
        incomplete = {split.repeat for split in splits if split.number not in known}
        return {number: fold for number, fold in known.items() if number[0] not in incomplete}

    def on_epoch(self, split: Split, epoch: int) -> None:
        """Use the time in which the processor waits for no Python."""
        _import_ahead()

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store a fold."""
        key = self._keys[fold.split.number]
        if not known:
            self._store.save(key, self._features, fold, self._settings)
        self.fold_keys.append(key)
        self.seconds += fold.seconds
        self.setup_seconds += fold.setup_seconds


def _begin_record(
    settings: RunSettings,
    data: ExperimentData,
    folder: Path,
    *,
    keys: Keys,
    sweep: SweepLink | None,
) -> tuple[RunRecord, RunRecord | None]:
    """Return what is known of a run before its training, and the record of an earlier one."""
    cohort, protocol = data.cohort, settings.cv.protocol
    tags = {"note": cohort.note, "protocol": protocol.name}
    if protocol.leaks:
        tags["leakage"] = protocol.leakage
    record = RunRecord(
        key=run_key_of(keys.values(), settings.cv.permutations),
        name=settings.name,
        params=settings.params(),
        data=DataRecord(cohort.name, cohort.fingerprint, cohort.note, len(data.features.records)),
        status="failed",
        tags=tags,
        folder=str(folder),
        sweep=sweep,
        attempt=sweep.study if sweep is not None and sweep.separate else "",
        root=settings.store,
    )
    if not record.path.exists():
        return record, None
    if not settings.resume:
        return replace(record, attempt=uuid4().hex[:8]), None
    with suppress(InputError):  # a damaged record is replaced
        previous = load_run(record.path)
        return replace(record, sweep=sweep or previous.sweep), previous
    return record, None


def _write_before(
    record: RunRecord, composed: Composed, data: ExperimentData, folds: Sequence[Split]
) -> RunRecord:
    """Write what is known before the training, and add the version of the code to the record."""
    settings = composed.settings
    versions = run_dir.versions(settings.backend, threads(settings))
    run_dir.write_before(Path(record.folder), composed.yaml, versions, data.features, folds)
    return replace(record, tags={**record.tags, "git_commit": versions["git_commit"]})


def _scored(record: RunRecord, result: CVResult) -> RunRecord:
    """Add the scores of all folds to a record."""
    summary = result.summary
    return replace(
        record,
        mean=asdict(summary.mean),
        std=asdict(summary.std),
        pooled={name: astuple(interval) for name, interval in summary.pooled.items()},
        baselines={name: asdict(one.mean) for name, one in result.baselines.items()},
        p_values=dict(result.p_values),
    )


def _end_record(
    record: RunRecord, writer: _FoldWriter, tracker: Tracker, *, status: RunStatus, error: str = ""
) -> RunRecord:
    """Write the record of a run that has ended, and have it tracked."""
    ended = replace(
        record,
        status=status,
        error=error,
        fold_keys=tuple(writer.fold_keys),
        seconds=writer.seconds,
        setup_seconds=writer.setup_seconds,
    )
    save(ended)
    tracker.track(ended)
    return ended


def _test(
    result: CVResult,
    settings: RunSettings,
    data: ExperimentData,
    keys: Keys,
    trainer: Callable[[], Trainer],
    progress: ProgressReporter,
) -> CVResult:
    """Compare a result with those of shuffled labels, where the settings ask for it."""
    wanted = settings.cv.permutations
    if not wanted:
        return result
    key = run_key_of(keys.values(), permutations=0)  # more shuffles extend fewer
    store = NullStore(Path(settings.store) / "permutations" / f"{key}.json")
    null = store.load()[:wanted] if settings.resume else []
    splits = [fold.split for fold in result.folds]
    while len(null) < wanted:
        progress.on_shuffle(len(null), wanted)
        scores = null_scores(
            data.features,
            splits,
            trainer(),
            seed=settings.seed,
            number=len(null),
            protocol=settings.cv.protocol,
            threshold=settings.cv.threshold,
        )
        null.append(scores)
        store.save(null)
    progress.on_shuffle(wanted, wanted)
    return replace(result, null=tuple(null), p_values=p_values(result.summary.mean, null))


@contextmanager
def _locked(settings: RunSettings, key: str) -> Iterator[None]:
    """Let one process train a run; the system frees the lock when the process ends."""
    if not settings.resume:
        yield
        return
    path = Path(settings.store) / "running" / f"{key}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            "resume: another process trains this very run now. Wait until it ends, or use "
            "resume=false to train it a second time"
        ) from None
    except OSError as error:
        raise EnvironmentFault(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        path.unlink()
        lock.release()


@lru_cache(maxsize=2)
def _cohort(settings: Any) -> Cohort:
    """Load a cohort; the configurations of a sweep share it."""
    cohort: Cohort = SOURCES[settings.name].load(settings)
    return cohort


@lru_cache(maxsize=_LOADED)
def _experiment_data(data: Any, external: Any, features: Any, cv: Any) -> ExperimentData:
    """Extract features and draw folds."""
    form = FORMS[features.name]
    cohorts = {"data": _cohort(data)}
    if external is not None:
        cohorts["external"] = _cohort(external)
    for group, cohort in cohorts.items():
        if form.needs_delineation and not len(cohort.delineation.samples):
            others = [name for name, other in FORMS.items() if not other.needs_delineation]
            raise InputError(
                f"features={features.name}: expected records with a delineation. Received: "
                f"{cohort.name}, which has none. {group}.delineation=found finds one; or choose "
                f"features={' or '.join(others)}"
            )
    whole = cohorts["data"] if external is None else join(*cohorts.values())
    extracted = form.extract(whole, features)
    y, subjects = extracted.y, extracted.subjects
    if external is None:
        folds = splits(y, subjects, cv)
    else:
        n_own = sum(not record.startswith(EXTERNAL) for record in extracted.records)
        folds = (external_split(y, subjects, n_own, cv),)
    if cv.threshold != "fixed":
        for split in folds:
            held_out(split, y, subjects)  # raises here what it would after the first trainings
    return ExperimentData(whole, extracted, folds)


@lru_cache(maxsize=_LOADED)
def baselines_of(data: ExperimentData, threshold: Threshold) -> dict[str, Summary]:
    """Score what knows age and sex alone on the same folds; configurations share it."""
    return baseline_summaries(data.features, data.splits, BASELINES, threshold)


@lru_cache(maxsize=1)
def _import_ahead() -> None:
    """Begin, once in a process, to import what every result needs beside the training."""

    def load() -> None:
        with suppress(ImportError):  # raised again where it is used
            for name in _SLOW:
                importlib.import_module(name)

    threading.Thread(target=load).start()  # no daemon: an import cannot be cut at the exit
