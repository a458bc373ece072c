"""One process of a sweep: it takes a trial, trains it, takes the next."""

import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.trial import TrialState

from lvh.config.command_line import CommandLine
from lvh.config.composition import Composed, compose
from lvh.config.groups import param_name
from lvh.config.plugins import ensure
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, LvhError, as_lvh_error
from lvh.evaluation.cross_validation import Callback, StopCrossValidation
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet
from lvh.reports.run_report import Verbosity
from lvh.reports.terminal import say
from lvh.runs.experiment_data import load_data
from lvh.runs.forecast import begin, left_text
from lvh.runs.run import run_configuration
from lvh.runs.sweep_points import check_label
from lvh.search.results import FoldScore, Outcome
from lvh.search.storage import Storage
from lvh.search.study import OpenTrial, Study
from lvh.tracking import TrackingSettings
from lvh.tracking.fold_store import is_separate
from lvh.tracking.run_names import run_name
from lvh.tracking.run_record import RunRecord, SweepLink
from lvh.tracking.tracker import Tracker
from lvh.validation.splits import Split


@dataclass(slots=True)
class WorkerResult:
    """How many folds one process of a sweep has trained, and the error that ended it."""

    trained: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worker:
    """The task function that a launcher starts, in this process or in another one."""

    storage: str
    study: str
    command: CommandLine
    folder: Path
    store: Path
    tracking: TrackingSettings
    verbosity: Verbosity
    threads: int | None  # None for those of the settings
    main_process: int  # its children end with it
    at_once: int  # processes that train
    only_retries: bool = False  # train what was interrupted, and no new point
    tracker: Tracker | None = None  # of the command, for a worker in its process

    def __call__(self, config: DictConfig) -> WorkerResult:
        """Train trials of the study until none is left; Hydra's own configuration is not used."""
        if os.getppid() == self.main_process:
            threading.Thread(target=_end_with, args=[self.main_process], daemon=True).start()
        result, tracker = WorkerResult(), self.tracker or Tracker(self.tracking)
        try:
            ensure(self.command.plugins)
            study, number = Study(Storage(self.storage), self.study), int(HydraConfig.get().job.num)
            if number == 0 and not self.only_retries:
                texts = study.plan.space.texts
                expected = begin(study, self.at_once, lambda at: self._composed(texts(at)).settings)
                say(*filter(None, [expected]))
            train = partial(self._train, study=study, tracker=tracker, result=result)
            study.optimize(train, worker=number, only_retries=self.only_retries)
        except Exception as error:  # Hydra would print it, with every override
            result.faults = (str(as_lvh_error(error)),)
        finally:
            if self.tracker is None:
                tracker.close()  # what it could not record the command records
        return result

    def _train(
        self, trial: OpenTrial, *, study: Study, tracker: Tracker, result: WorkerResult
    ) -> Outcome:
        """Train one trial; its failure is its own, unless every other trial would meet it too."""
        plan = study.plan
        try:
            composed = self._composed(plan.space.texts(trial.point))
            settings = composed.settings
            data = load_data(settings)
            check_label(data.cohort.label_name, plan.label_name)
        except LvhError as error:
            return ended_by(error, is_bad=plan.search.sampler != "grid")
        rungs = plan.search.rungs(settings.train.epochs)
        left = left_text(study, self.at_once, settings.train.epochs)
        follower = Follower(trial, data.features, plan.objectives[0].name, result, rungs)
        record = run_configuration(
            composed,
            data,
            self.folder / str(trial.number),
            tracker=tracker,
            callbacks=[follower],
            order=[data.splits[at] for at in plan.fold_order(len(data.splits))],
            check_after=plan.search.burn_in if plan.search.stops_at_folds else None,
            rungs=rungs,
            verbosity=self.verbosity,
            title=f"trial {trial.number} of {plan.total}{left}: ",
            sweep=_place(study, trial, settings),
            makes_figures=partial(_is_best, study),
        )
        is_complete, leakage = record.status == "complete", record.tags.get("leakage")
        return Outcome(
            state="stopped" if record.status == "killed" else record.status,
            values=_values(record, study) if is_complete else (),
            folds=tuple(follower.scores),
            fold_keys=record.fold_keys,
            baselines=record.baselines if is_complete else {},
            run_key=record.path.stem,
            error=f"not honest: {leakage}" if record.status == "leaking" else record.error,
        )

    def _composed(self, point: dict[str, str]) -> Composed:
        composed = compose(self.command.at(point))
        settings = composed.settings
        train = replace(settings.train, threads=self.threads or settings.train.threads)
        # a study that resume=false began has folds of its own; within it they are always resumed
        changed = replace(settings, train=train, resume=True, store=str(self.store))
        return replace(composed, settings=changed)


def ended_by(error: Exception, *, is_bad: bool, **known: Any) -> Outcome:
    """Return the outcome of a trial that an error ended, unless every other would meet it too.

    A point that a user listed has failed; one that a sampler proposed may be a bad one.
    """
    if isinstance(error, EnvironmentFault):
        raise error
    if isinstance(error, StopCrossValidation):
        return Outcome("stopped", error=str(error), **known)
    return Outcome("stopped" if is_bad else "failed", error=str(as_lvh_error(error)), **known)


class Follower(Callback):
    """Reports each fold to the study, and stops the trial if the study says so."""

    def __init__(
        self,
        trial: OpenTrial,
        features: FeatureSet,
        objective: str,
        result: WorkerResult,
        rungs: Sequence[int] = (0,),
    ) -> None:
        """Take the trial, all records, and the score that is reported."""
        self._trial, self._objective, self._result = trial, objective, result
        self._rungs, self._stage = rungs, -1
        # of another source, or seed of one, the same names are other patients
        known = features.subjects, features.y, features.age_and_sex
        self._records = fingerprint(features.records, *known)
        self.scores: list[FoldScore] = []
        trial.set_records(self._records)

    def on_start(self, splits: Sequence[Split], known: int) -> None:
        """Begin a stage: its scores stand in place of those of fewer epochs."""
        self._stage += 1
        self.scores.clear()

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Report a fold."""
        self._result.trained += not known
        score = FoldScore(
            repeat=fold.split.repeat,
            fold=fold.split.fold,
            metrics=asdict(fold.metrics),
            seconds=fold.seconds,
            n_train=len(fold.split.train),
            n_test=len(fold.split.test),
            test=fingerprint(fold.split.test, self._records),
        )
        self.scores.append(score)
        is_last = self._stage == len(self._rungs) - 1
        value = score.metrics.get(self._objective, math.nan)
        if reason := self._trial.report(value, self._stage, is_last=is_last):
            of_epochs = "" if is_last else f", at {self._rungs[self._stage]} epochs"
            raise StopCrossValidation(reason + of_epochs)


def _place(study: Study, trial: OpenTrial, settings: RunSettings) -> SweepLink:
    """Return the place of a trial in its sweep, with a name that no other trial has."""
    space, point = study.plan.space, trial.point
    point = {name: point[name] for name in space.names if name in point}
    shown = {"model": settings.model.name, "features": settings.features.name}
    values = {name: value for name, value in point.items() if shown.get(name) != value}
    is_rounded = space.size == math.inf
    name = run_name(settings.base_name, values, among=space.names, digits=4 if is_rounded else None)
    return SweepLink(
        study=study.name,
        trial=trial.number,
        separate=is_separate(study.name),
        name=f"{name} #{trial.number}" if is_rounded else name,
        point={param_name(name.lstrip("+")): value for name, value in point.items()},
        objectives=study.plan.search.objectives,
    )


def _values(record: RunRecord, study: Study) -> tuple[float, ...]:
    scores = record.scores
    return tuple(scores.get(name, math.nan) for name in study.plan.search.objectives)


def _is_best(study: Study, record: RunRecord) -> bool:
    """Return whether no finished trial is better; figures of all would take long."""
    sign = 1 if study.plan.objectives[0].maximize else -1
    complete = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    best = max((sign * trial.values[0] for trial in complete), default=-math.inf)
    return not best > sign * _values(record, study)[0]


def _end_with(parent: int) -> None:
    """End this process when the one that has started it ends, for any reason."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
