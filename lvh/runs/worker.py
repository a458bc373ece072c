"""One process of a sweep: it takes a trial, trains it, takes the next."""

import math
import os
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lvh.config.command_line import CommandLine
from lvh.config.composition import Composed, compose
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, LvhError, as_lvh_error
from lvh.evaluation.cross_validation import Callback, StopCrossValidation
from lvh.evaluation.cv_result import FoldResult
from lvh.reports.progress import Verbosity, say
from lvh.runs.cache_key import run_key
from lvh.runs.run import ExperimentData, load_data, run_configuration
from lvh.search.results import FoldScore, Outcome, State
from lvh.search.storage import Storage
from lvh.search.study import OpenTrial, Study
from lvh.tracking.address import TrackingSettings
from lvh.tracking.run_record import RunRecord, SweepLink
from lvh.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What one process of a sweep has done.

    Attributes:
        trained: Folds that it trained.
        faults: What kept it from going on.
    """

    trained: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worker:
    """The task function that a launcher starts, in this process or in another one.

    Attributes:
        storage: Address of the database of the study.
        study: Its name.
        command: Command line of the sweep.
        folder: Of the sweep's files; each trial has a folder in it.
        store: Folder of the finished folds.
        tracking: Where the runs are tracked.
        verbosity: How much of each configuration a person sees.
        threads: Of a training, where processes share the cores; None for those of the settings.
        main_process: Process of the command; its children end with it.
        only_retries: Train what was interrupted, and no new point.
        tracker: Of the command, for a worker in its process; it cannot be sent to another one.
    """

    storage: str
    study: str
    command: CommandLine
    folder: Path
    store: Path
    tracking: TrackingSettings
    verbosity: Verbosity
    threads: int | None
    main_process: int
    only_retries: bool = False
    tracker: Tracker | None = field(default=None, compare=False)

    def __call__(self, config: DictConfig) -> WorkerResult:
        """Train trials of the study until none is left; Hydra's own configuration is not used."""
        if os.getppid() == self.main_process:
            _end_with(self.main_process)
        training = _Training(self, self.tracker or Tracker(self.tracking))
        try:
            study = Study(Storage(self.storage), self.study)
            study.optimize(
                lambda trial: training.train(trial, study),
                worker=int(HydraConfig.get().job.num),
                only_retries=self.only_retries,
            )
        except Exception as error:  # Hydra would print it, with every override
            return WorkerResult(training.trained, (str(as_lvh_error(error)),))
        finally:
            if self.tracker is None:
                training.tracker.close()  # what it could not record the command records
        return WorkerResult(training.trained)


@dataclass
class _Training:
    worker: Worker
    tracker: Tracker
    trained: int = 0

    def train(self, trial: OpenTrial, study: Study) -> Outcome:
        """Train one trial; its failure is its own.

        Raises:
            EnvironmentFault: It would meet every other trial too.
        """
        worker, plan = self.worker, study.plan
        try:
            composed = self._composed(plan.space.texts(trial.point))
            data = load_data(composed.settings)
        except EnvironmentFault:
            raise
        except LvhError as error:
            # a point that a person listed has failed; one that a sampler proposed was a bad one
            state: State = "failed" if plan.sampler == "grid" else "stopped"
            return Outcome(state, error=str(error))
        settings = composed.settings
        follower = _Follower(trial, data, plan.objectives[0].name)
        link = SweepLink(study.name, trial.number, separate=study.is_separate)
        try:
            record = run_configuration(
                composed,
                data,
                worker.folder / str(trial.number),
                tracker=self.tracker,
                callbacks=[follower],
                order=[data.splits[at] for at in plan.fold_order(len(data.splits))],
                check_after=plan.check_after,
                verbosity=worker.verbosity,
                title=f"trial {trial.number} of {plan.total}: ",
                sweep=link,
            )
        except EnvironmentFault:
            raise
        except Exception as error:
            say(f"FAILED {settings.name}: {as_lvh_error(error)}", style="red")
            key = run_key(settings, data.cohort.fingerprint, data.splits)
            key += f"-{study.name}" if study.is_separate else ""
            scores = tuple(follower.scores)
            return Outcome("failed", folds=scores, run_key=key, error=str(as_lvh_error(error)))
        finally:
            self.trained += follower.trained
        values = _scores_of(record)
        leaks = settings.cv.protocol.leakage
        return Outcome(
            state="stopped" if record.status == "killed" else record.status,
            values=tuple(values.get(one.name, math.nan) for one in plan.objectives),
            folds=tuple(follower.scores),
            fold_keys=record.fold_keys,
            baselines=record.baselines,
            run_key=record.path.stem,
            error=f"not honest: {leaks}" if record.status == "leaking" else record.error,
        )

    def _composed(self, point: dict[str, str]) -> Composed:
        worker = self.worker
        composed = compose(worker.command.at(point))
        settings = composed.settings
        train = replace(settings.train, threads=worker.threads or settings.train.threads)
        # a study that was begun again has folds of its own; within it they are always resumed
        changed = replace(settings, train=train, resume=True, store=str(worker.store))
        return replace(composed, settings=changed)


class _Follower(Callback):
    """Tells the study how a trial goes, and stops the trial if the study says so."""

    def __init__(self, trial: OpenTrial, data: ExperimentData, objective: str) -> None:
        """Take the trial, its data, and the score that ranks."""
        self._trial, self._objective = trial, objective
        self._records = data.features.records
        self.scores: list[FoldScore] = []
        self.trained = 0
        trial.set_records(fingerprint(self._records))

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Report a fold."""
        self.trained += not known
        metrics = asdict(fold.metrics)
        self.scores.append(
            FoldScore(
                repeat=fold.split.repeat,
                fold=fold.split.fold,
                metrics=metrics,
                seconds=fold.seconds,
                n_train=len(fold.split.train),
                n_test=len(fold.split.test),
                test=fingerprint(fold.split.test, self._records),
            )
        )
        if reason := self._trial.report(metrics.get(self._objective, math.nan)):
            raise StopCrossValidation(reason)


def _end_with(parent: int) -> None:
    """End this process when the one that has started it is gone, however that one ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _scores_of(record: RunRecord) -> dict[str, float]:
    """Return what a sweep may rank a configuration by."""
    scores = {**record.mean, "seconds": record.seconds}
    scores |= {f"std_{name}": value for name, value in record.std.items()}
    return scores | {f"pooled_{name}": value for name, (value, _, _) in record.pooled.items()}
