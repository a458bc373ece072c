"""One configuration from its settings to its result: the line that a record walks, once."""

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from lvh.config.run_settings import RunSettings
from lvh.errors import EnvironmentFault, InputError
from lvh.evaluation.results import Verdict
from lvh.models import MODELS, Estimator
from lvh.models.backends import check_installed, cores, new_program, start, threads_of

if TYPE_CHECKING:
    from lvh.data.cohort import Cohort
    from lvh.evaluation.cross_validation import CVResult, FoldResult, Summary
    from lvh.features import FeatureSet
    from lvh.models.backends import Program
    from lvh.models.training import Learner
    from lvh.reports.progress import Shown
    from lvh.tracking.fold_store import FoldStore
    from lvh.validation.splits import Split, Threshold

_PROGRAMS = 16  # kept, for trials that take turns
_PREPARED = 4
_SLOW = (
    "sklearn.linear_model",
    "sklearn.metrics",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
"""Modules that take seconds to import, and that every conclusion needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """All that is known before anything is trained; configurations that agree in it share it."""

    cohort: "Cohort"
    features: "FeatureSet"
    splits: "tuple[Split, ...]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a configuration leaves what it makes.

    Attributes:
        folder: Of its files.
        config: Resolved configuration as YAML, kept with them.
        shown: How much of it a person sees.
        title: What its lines begin with, where others have lines too.
    """

    folder: Path
    config: str
    shown: "Shown"
    title: str = ""


class Observer(Protocol):
    """Who wants to know how a configuration goes, and may end it early."""

    def on_open(self, run_id: str) -> None:
        """Take the identity of the tracked run."""

    def verdict(self, done: "Sequence[FoldResult]") -> Verdict:
        """Say whether another fold is to be trained, after some are done."""

    def ahead(self, n_done: int) -> int:
        """Return how many folds may be trained before the next verdict, after some are done."""

    def on_fold(self, fold: "FoldResult", key: str, known: bool) -> None:
        """Take a fold that is done, just now or, if it is known, before."""

    def on_result(self, result: "CVResult") -> None:
        """Take the result; it is kept, but may not be tracked yet."""

    def on_stop(self) -> str:
        """Take note that no more folds are trained, and return why."""


class Unobserved:
    """Lets a configuration go its way."""

    def on_open(self, run_id: str) -> None:
        """Do nothing."""

    def verdict(self, done: "Sequence[FoldResult]") -> Verdict:
        """Go on."""
        return "go on"

    def ahead(self, n_done: int) -> int:
        """Allow all."""
        return sys.maxsize

    def on_fold(self, fold: "FoldResult", key: str, known: bool) -> None:
        """Do nothing."""

    def on_result(self, result: "CVResult") -> None:
        """Do nothing."""

    def on_stop(self) -> str:
        """Never called."""
        return ""


def prepare(settings: RunSettings) -> Prepared:
    """Do all that costs little and may be refused.

    Raises:
        EnvironmentFault: The backend is not installed.
        InputError: The data, or what the settings ask of it, does not fit.
    """
    check_installed(settings.backend)
    prepared = _prepared(settings.data, settings.external, settings.features, settings.cv)
    model = MODELS[settings.model.name]
    if not isinstance(model, Estimator):
        model.check(settings.model, prepared.features.input_shape)
    return prepared


def automatic_threads(settings: RunSettings) -> int:
    """Return how many threads a process has that nobody gave a number.

    Steps on tabular inputs are too small to share: handing the parts to threads takes longer than
    they do.
    """
    return 1 if MODELS[settings.model.name].inputs == "tabular" else cores()


def threads(settings: RunSettings) -> int:
    """Return how many threads the trainings of this process have."""
    asked, automatic = settings.train.threads, automatic_threads(settings)
    if settings.is_network:
        return threads_of(settings.backend, asked, automatic)
    return asked or automatic


def learner(settings: RunSettings, features: "FeatureSet", fs: float) -> "Learner":
    """Return what learns and scores as the settings say; the backend is started at need.

    Args:
        settings: Of the run.
        features: What it learns from.
        fs: Sampling frequency of the records, Hz.
    """
    model = MODELS[settings.model.name]
    if isinstance(model, Estimator):
        from lvh.models.estimators import EstimatorLearner

        build = partial(model.build, settings.model, features.names)
        return EstimatorLearner(build, threads(settings))
    from lvh.models.training import KerasLearner

    train, l2 = settings.train, getattr(settings.model, "l2", None)
    shared = settings.model if l2 is None else replace(settings.model, l2=0.0)
    start(settings.backend, train.threads, automatic_threads(settings))
    program = _program(
        *(model.build, shared, features.input_shape),
        *(train.batch_size, train.precision, train.side_by_side),
    )
    return KerasLearner(program, train, l2, fs)


def evaluate(
    settings: RunSettings,
    prepared: Prepared,
    place: Place,
    observer: Observer | None = None,
    order: "Sequence[Split] | None" = None,
) -> Verdict:
    """Cross-validate, track, and show what came out.

    Args:
        settings: Of the run.
        prepared: From `prepare`.
        place: Of its files.
        observer: Follows it; None for a run of its own, of which only one may go on at a time.
        order: Of the folds; None for their own.

    Returns:
        `go on` if the result is complete, else what the observer said.

    Raises:
        TrackingFault: The result is complete, or not even begun, but it could not be tracked.
        EnvironmentFault: Nothing can be written.
        LvhError: A training failed.
    """
    from lvh.runs.cache_key import run_key

    key = run_key(settings, prepared.cohort.fingerprint, prepared.splits)
    evaluation = _Evaluation(settings, prepared, place, observer or Unobserved(), key)
    splits = prepared.splits if order is None else order
    if observer is not None or not settings.resume:
        return evaluation.run(splits)
    with _held(Path(settings.store) / "running" / f"{key}.lock"):
        return evaluation.run(splits)


@dataclass
class _Evaluation:
    settings: RunSettings
    prepared: Prepared
    place: Place
    observer: Observer
    key: str
    done: "list[FoldResult]" = field(default_factory=list)

    def run(self, order: "Sequence[Split]") -> Verdict:
        from lvh.reports.progress import Watch
        from lvh.tracking import RunKey, tracked_run
        from lvh.tracking import run_dir as artifacts
        from lvh.tracking.fold_store import FoldStore

        settings, cohort, features = self.settings, self.prepared.cohort, self.prepared.features
        store = FoldStore(Path(settings.store))
        store.check()
        known = self._known(store, order) if settings.resume else {}
        versions = artifacts.versions(settings.backend, threads(settings))
        place = self.place
        artifacts.write_before(place.folder, place.config, versions, features, order)
        watch = Watch(settings, order, place.shown, place.title)
        protocol = settings.cv.protocol
        tags = {"git_commit": versions["git_commit"], "note": cohort.note}
        tags["protocol"] = protocol.name
        if protocol.leaks:
            tags["leakage"] = protocol.leakage
        run_key = RunKey(self.key, anew=not settings.resume)
        params = settings.params()
        # opened first: the recorder imports MLflow while the backend is imported here
        with tracked_run(
            settings.tracking, "configuration", settings.name, params, tags, run_key
        ) as tracked:
            tracked.log_data(cohort, len(features.records))
            n_parameters = None if known else self._learner().n_parameters
            watch.announce(cohort, features, n_parameters, len(known))
            with watch:
                verdict = self._folds(order, known, store, tracked, watch)
            if verdict == "pause":
                tracked.leave("SCHEDULED")
            elif verdict == "stop":
                reason = self.observer.on_stop()
                tracked.set_tag("incomplete", reason)
                watch.stopped(reason)
            else:
                self._conclude(tracked, watch)
            self._tell_opened(tracked)
        if tracked.opened is not None:
            watch.hint(tracked.opened)
        return verdict

    def _folds(
        self,
        order: "Sequence[Split]",
        known: "dict[str, FoldResult]",
        store: "FoldStore",
        tracked: Any,
        watch: Any,
    ) -> Verdict:
        """Train what is not known, as long as the observer says."""
        from lvh.evaluation.cross_validation import fold_results
        from lvh.runs.cache_key import deciding

        settings, features = self.settings, self.prepared.features

        def on_epoch(split: "Split", epoch: int) -> None:
            _import_ahead()
            tracked.check()
            if tracked.ready:
                self._tell_opened(tracked)
            watch.on_epoch(split, epoch)

        def recall(split: "Split") -> "FoldResult | None":
            return known.get(self._fold_key(split))

        def ahead() -> int:
            return self.observer.ahead(len(self.done))

        results = fold_results(
            *(features, order, self._learner, settings.seed, recall, on_epoch, ahead),
            protocol=settings.cv.protocol,
            threshold=settings.cv.threshold,
        )
        for split in order:
            key = self._fold_key(split)
            if key not in known:
                verdict = self.observer.verdict(self.done)
                if verdict != "go on":
                    return verdict
            result = next(results)
            if key not in known:
                store.keep(key, features, result, deciding(settings))
            self.done.append(result)
            self.observer.on_fold(result, key, key in known)
            tracked.log_fold(result)
            watch.on_fold(result, key in known)
        return "go on"

    def _conclude(self, tracked: Any, watch: Any) -> None:
        from lvh.evaluation.cross_validation import conclude
        from lvh.reports import cv_figures as figures
        from lvh.tracking import run_dir as artifacts

        features, cohort = self.prepared.features, self.prepared.cohort
        folder = self.place.folder
        result = conclude(features, self.done, baselines(self.prepared, self.settings.cv.threshold))
        result = self._tested(result, tracked, watch)
        artifacts.write_after(folder, features, result)
        figures.draw_all(result, features.y, f"{self.settings.name} on {cohort.name}", folder)
        self.observer.on_result(result)
        tracked.log_result(result)
        tracked.log_folder(folder)
        watch.conclude(result, cohort, folder)  # seen even if the store fails now

    def _tested(self, result: "CVResult", tracked: Any, watch: Any) -> "CVResult":
        """Compare the result with those of shuffled labels, where that is asked for."""
        from lvh.evaluation.permutation import NullStore, null_scores, p_values
        from lvh.runs.cache_key import run_key

        settings, wanted = self.settings, self.settings.cv.permutations
        if not wanted:
            return result
        untested = replace(settings, cv=replace(settings.cv, permutations=0))  # more add to few
        key = run_key(untested, self.prepared.cohort.fingerprint, self.prepared.splits)
        store = NullStore(Path(settings.store) / "permutations" / f"{key}.json")
        null = store.recall()[:wanted] if settings.resume else []
        splits = [fold.split for fold in result.folds]
        while len(null) < wanted:
            watch.on_shuffle(len(null), wanted)
            scores = null_scores(
                *(self.prepared.features, splits, self._learner, settings.seed, len(null)),
                protocol=settings.cv.protocol,
                on_epoch=lambda split, epoch: tracked.check(),
                threshold=settings.cv.threshold,
            )
            null.append(scores)
            store.keep(null)
        watch.on_shuffle(wanted, wanted)
        found = p_values(result.summary.mean, null)
        return replace(result, null=tuple(null), p_values=found)

    def _learner(self) -> "Learner":
        return learner(self.settings, self.prepared.features, self.prepared.cohort.fs)

    def _known(self, store: "FoldStore", order: "Sequence[Split]") -> "dict[str, FoldResult]":
        keys = {self._fold_key(split): split for split in order}
        found = ((key, store.recall(key, split)) for key, split in keys.items())
        known = {key: result for key, result in found if result is not None}
        if self.settings.cv.protocol.weights == "fresh":
            return known
        # weights are not kept: a repeat of which a fold is missing begins again at its first
        torn = {split.repeat for key, split in keys.items() if key not in known}
        return {key: one for key, one in known.items() if one.split.repeat not in torn}

    def _fold_key(self, split: "Split") -> str:
        from lvh.runs.cache_key import fold_key

        data, among = self.prepared.cohort.fingerprint, self.prepared.splits
        return fold_key(self.settings, data, split, among)

    def _tell_opened(self, tracked: Any) -> None:
        if tracked.opened is not None:
            self.observer.on_open(tracked.opened.run_id)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock file, which the system frees when this process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            "resume: this very run is going on in another process. "
            "Wait for it, or use resume=false to train it beside"
        ) from None
    except OSError as error:
        raise EnvironmentFault(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        os.unlink(path)
        lock.release()


@lru_cache(maxsize=2)
def _cohort(settings: Any) -> "Cohort":
    """Load a cohort; the configurations of a sweep share it."""
    from lvh.data import SOURCES

    cohort: Cohort = SOURCES[settings.name].load(settings)
    return cohort


@lru_cache(maxsize=_PREPARED)
def _prepared(data: Any, external: Any, features: Any, cv: Any) -> Prepared:
    """Extract features and draw folds."""
    from lvh.data.cohort import EXTERNAL, joined
    from lvh.features import FORMS
    from lvh.validation.splits import external_split, splits
    from lvh.validation.thresholds import held_out

    cohorts = [_cohort(one) for one in (data, external) if one is not None]
    form = FORMS[features.name]
    for one in cohorts:
        if form.needs_delineation and not len(one.delineation.samples):
            without = [name for name, other in FORMS.items() if not other.needs_delineation]
            group = "external" if one is not cohorts[0] else "data"
            raise InputError(
                f"features={features.name}: expected records with a delineation. Received: "
                f"{one.name}, which has none. {group}.delineation=found finds one; or choose "
                f"features={' or '.join(without)}"
            )
    cohort = cohorts[0] if external is None else joined(*cohorts)
    extracted = form.extract(cohort, features)
    y, subjects = extracted.y, extracted.subjects
    if external is None:
        found = splits(y, subjects, cv)
    else:
        n_own = sum(not record.startswith(EXTERNAL) for record in extracted.records)
        found = (external_split(y, subjects, n_own, cv),)
    if cv.threshold != "fixed":
        for split in found:
            held_out(split, y, subjects)  # raises here what it would after the first trainings
    return Prepared(cohort, extracted, found)


@lru_cache(maxsize=1)
def _import_ahead() -> None:
    """Begin, once in a process, to import beside the training, most of which needs no Python.

    Not before the first epoch: until then a backend may be imported, with some modules hidden.
    """

    def load() -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(before / 10)  # the training asks for the interpreter every epoch
        with suppress(ImportError):  # raised again where it can be told
            for name in _SLOW:
                importlib.import_module(name)
        sys.setswitchinterval(before)

    threading.Thread(target=load).start()  # no daemon: an import cannot be cut at the exit


@lru_cache(maxsize=_PREPARED)
def baselines(prepared: Prepared, threshold: "Threshold") -> "dict[str, Summary]":
    """Score what knows age and sex alone on the same folds; configurations share it."""
    from lvh.evaluation.cross_validation import baseline_summaries
    from lvh.models.baselines import BASELINES

    return baseline_summaries(prepared.features, prepared.splits, BASELINES, threshold)


@lru_cache(maxsize=_PROGRAMS)
def _program(
    build: Callable[[Any, tuple[int, ...]], Any],
    model: Any,
    input_shape: tuple[int, ...],
    batch_size: int,
    precision: str,
    side_by_side: int | None,
) -> "Program":
    """Build and compile a model; every fold, and every configuration of its shape, shares it."""
    return new_program(lambda: build(model, input_shape), batch_size, precision, side_by_side)
