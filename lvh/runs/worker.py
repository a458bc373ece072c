"""One process of a sweep: takes a trial, trains it, takes the next."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, LvhError, TrackingFault, as_told
from lvh.evaluation.results import Verdict
from lvh.reports.progress import Shown, say
from lvh.runs.evaluate import Place, Prepared, evaluate, prepare
from lvh.search.results import FoldScore
from lvh.search.space import overrides
from lvh.search.storage import Storage
from lvh.search.trials import Claim, Study
from lvh.tracking import RunKey, TrackingSettings, ask_again, tracked_run
from lvh.tracking.fold_store import FoldStore

if TYPE_CHECKING:
    from lvh.evaluation.cv_result import CVResult, FoldResult

Compose = Callable[[Sequence[str]], tuple[RunSettings, str]]
"""From a point's overrides to checked settings and the configuration as YAML."""

_POLL = 1.0  # s


@dataclass(frozen=True, slots=True)
class Work:
    """What one process of a sweep has done.

    Attributes:
        trained: Folds that it trained.
        faults: What kept it from going on, or from tracking.
    """

    trained: int
    faults: tuple[str, ...]


def work(
    storage: Storage, study: str, owner: str, compose: Compose, folder: Path, shown: Shown
) -> Work:
    """Train trials of a study until none is left to train.

    Args:
        storage: That holds the study.
        study: Its name.
        owner: Command that this process belongs to.
        compose: Makes settings of a point.
        folder: Of the sweep's files; each trial has a folder in it.
        shown: How much of each configuration a person sees.
    """
    worker = _Worker(Study(storage, study), compose, folder, shown)
    while True:
        claim = worker.study.claim(owner, frozenset(worker.left))
        if claim is not None:
            try:
                worker.train(claim)
            except EnvironmentFault as fault:  # it would meet every other trial too
                worker.faults.append(str(fault))
                break
            finally:
                claim.release()
        elif worker.study.at_work():
            time.sleep(_POLL)  # whoever is last takes over what a process leaves that dies
        elif not worker.tracks_again():
            break
    faults = [*worker.faults, *worker.untracked.values()]
    return Work(worker.trained, tuple(dict.fromkeys(faults)))


@dataclass
class _Worker:
    study: Study
    compose: Compose
    folder: Path
    shown: Shown
    trained: int = 0
    faults: list[str] = field(default_factory=list)
    left: set[int] = field(default_factory=set)
    """Trials that this process can do no more for."""
    untracked: dict[int, str] = field(default_factory=dict)
    """Those of them that are done but could not be tracked, and why."""
    has_tracked_again: bool = False

    def train(self, claim: Claim) -> None:
        """Train a trial as far as it may go; its failure is its own."""
        point = overrides(self.study.description.space, claim.params)
        settings: RunSettings | None = None
        try:
            settings, config = self.compose(point)
            prepared = prepare(settings)
        except EnvironmentFault:
            raise
        except LvhError as error:
            self.left.add(claim.number)
            self.study.refuse(claim.number, str(error))
            if settings is not None:
                record_failure(settings.tracking, self.study.name, claim, error)
            return
        # a study that was begun anew has folds of its own; within it they are always resumed
        store = self.study.store(settings.store)
        if claim.is_finished and not FoldStore(store).has(self.study.fold_keys(claim.number)):
            self.left.add(claim.number)  # only where its folds are can it be tracked
            return
        settings = replace(settings, resume=True, store=str(store))
        title = f"trial {claim.number} of {self.study.n_trials}: "
        place = Place(self.folder / str(claim.number), config, self.shown, title)
        try:
            self._evaluate(claim, settings, prepared, place)
        except EnvironmentFault:
            raise
        except Exception as error:
            self.left.add(claim.number)
            self.study.fail(claim.number, str(as_told(error)))
            say(f"FAILED {settings.name}: {as_told(error)}", style="red")

    def tracks_again(self) -> bool:
        """Give what could not be tracked a second chance, and no third: the store may be back."""
        if self.has_tracked_again or not self.untracked:
            return False
        self.has_tracked_again = True
        self.left -= self.untracked.keys()
        ask_again()
        return True

    def _evaluate(
        self, claim: Claim, settings: RunSettings, prepared: Prepared, place: Place
    ) -> None:
        """Train a trial; if it cannot be tracked, without that."""
        order = self.study.description.order(len(prepared.splits))
        splits = [prepared.splits[at] for at in order]
        records = prepared.features.records
        leakage = settings.cv.protocol.leakage
        following = _Following(self, claim, records, leakage)
        try:
            if evaluate(settings, prepared, place, following, splits) != "pause":
                self.study.set_tracked(claim.number)
                self.untracked.pop(claim.number, None)
        except TrackingFault as fault:
            self.untracked[claim.number] = str(fault)
            self.left.add(claim.number)
            if not (following.concluded or claim.is_finished):
                untracked = replace(settings, tracking=replace(settings.tracking, name="off"))
                following = _Following(self, claim, records, leakage)
                evaluate(untracked, prepared, place, following, splits)


@dataclass
class _Following:
    """Keeps in the study how a trial goes."""

    worker: _Worker
    claim: Claim
    records: tuple[str, ...]
    leakage: str
    done: int = 0
    run_id: str = ""
    concluded: bool = False

    def on_open(self, run_id: str) -> None:
        if run_id != self.run_id:
            self.run_id = run_id
            self.worker.study.set_run(self.claim.number, run_id)

    def verdict(self, done: "Sequence[FoldResult]") -> Verdict:
        return self.worker.study.verdict(self.claim.number, len(done), self.claim.until)

    def ahead(self, n_done: int) -> int:
        return self.worker.study.ahead(n_done)

    def on_fold(self, fold: "FoldResult", key: str, known: bool) -> None:
        self.worker.trained += not known
        score = FoldScore(
            repeat=fold.split.repeat,
            fold=fold.split.fold,
            metrics=asdict(fold.metrics),
            seconds=fold.seconds,
            n_train=len(fold.split.train),
            n_scored=len(fold.split.scored),
            scored=fingerprint(fold.split.scored, self.records),
        )
        self.worker.study.record_fold(self.claim.number, self.done, score, key)
        self.done += 1

    def on_result(self, result: "CVResult") -> None:
        if self.leakage:
            self.worker.study.set_apart(self.claim.number, self.leakage)
            self.concluded = True
            return
        known = asdict(result.summary.mean)
        known["seconds"] = sum(fold.seconds for fold in result.folds)
        known |= {f"std_{name}": value for name, value in asdict(result.summary.std).items()}
        known |= {f"pooled_{name}": one.estimate for name, one in result.summary.pooled.items()}
        values = [known[one.name] for one in self.worker.study.description.objectives]
        baselines = {name: asdict(one.mean) for name, one in result.baselines.items()}
        self.worker.study.complete(self.claim.number, values, baselines)
        self.concluded = True

    def on_stop(self) -> str:
        self.concluded = True
        return self.worker.study.stop(self.claim.number)


def record_failure(tracking: TrackingSettings, study: str, claim: Claim, error: LvhError) -> None:
    """Track a configuration that failed before it could start."""
    name = " ".join(f"{key}={value}" for key, value in claim.params.items())
    key = RunKey(f"{study}-{claim.number}")
    try:
        with tracked_run(tracking, "configuration", name, claim.params, {}, key):
            raise error
    except LvhError:
        return
