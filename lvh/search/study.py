"""A study: which trial a process trains next, and what becomes of those that are interrupted."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna import TrialPruned
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.search.attempts import (
    OUTCOME,
    OWNER,
    Retry,
    by_point,
    counting,
    first,
    is_dead,
    is_further,
    is_given_up,
    is_void,
    place,
    this_process,
)
from lvh.search.plan import StudyPlan
from lvh.search.pruners import RECORDS, make_pruner
from lvh.search.results import Outcome, is_separate
from lvh.search.samplers import Sampler
from lvh.search.storage import PLAN, WHEN, Storage

_POLL = 1.0  # s, between two looks at what other processes train
_LISTED = 1_000_000  # points of a space that are listed to find one that no trial has
_PROPOSALS = 5
"""Proposals of points that the study has already, before one that it does not have is taken."""


class OpenTrial:
    """A trial that this process trains."""

    def __init__(self, storage: Storage, plan: StudyPlan, trial: optuna.Trial, number: int) -> None:
        """Take Optuna's trial, whose point has been chosen."""
        self.number = number
        self._storage = storage
        self._plan = plan
        self._trial = trial
        self._scores: list[float] = []

    @property
    def point(self) -> Mapping[str, Plain]:
        """Its values by the name of the override."""
        return self._trial.params

    def set_records(self, digest: str) -> None:
        """Say which records its folds score: only trials with the same ones are compared."""
        with self._storage.faults():
            self._trial.set_user_attr(RECORDS, digest)

    def report(self, score: float) -> str:
        """Take the first objective of the next fold; return why no further fold is trained.

        Args:
            score: Of the fold; NaN where it is not defined.

        Returns:
            Empty if the trial goes on.

        Raises:
            EnvironmentFault: The database fails.
        """
        self._scores.append(score)
        plan, step = self._plan, len(self._scores) - 1
        # racing and Wilcoxon's test compare fold by fold; the other rules compare running means
        by_fold = plan.race or plan.pruner == "wilcoxon"
        value = score if by_fold else float(np.mean(self._scores))
        with self._storage.faults():
            if len(plan.objectives) == 1:
                self._trial.report(value, step)
            else:  # Optuna takes no reports of several objectives; the count shows the progress
                self._trial.storage.set_trial_intermediate_value(self._trial._trial_id, step, score)
            done = len(self._scores)
            stops = plan.may_stop and plan.burn_in <= done < plan.n_folds
            if stops and self._trial.should_prune():
                rule = "racing" if plan.race else f"the {plan.pruner} pruner"
                return f"stopped by {rule} after {done} of {plan.n_folds} folds"
        return ""


Train = Callable[[OpenTrial], Outcome]
"""Trains a trial; it raises only what concerns all trials, such as a full disk."""


@dataclass
class _PutBack(BaseException):
    """The process ends, or cannot go on; its trial waits for the next attempt."""

    cause: BaseException


class _Failed(Exception):
    """A trial came to nothing; its outcome says why."""


class Study:
    """A study in a storage."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Open a study.

        Raises:
            InputError: The storage has no such study, or it is not one of ours.
            EnvironmentFault: The storage fails.
        """
        self.name = name
        self.storage = storage
        self._watched: set[int] = set()
        try:
            with storage.faults():
                self._study = optuna.load_study(study_name=name, storage=storage.optuna)
                self.plan = StudyPlan.load(self._study.user_attrs[PLAN])
        except KeyError:
            known = ", ".join(storage.studies()) or "none"
            raise InputError(
                f"study: expected one of {storage.shown}: {known}. Received: {name}"
            ) from None
        except (TypeError, ValueError):
            raise InputError(
                f"study: {name} was made by another version of lvh, which can read it"
            ) from None
        self._study.pruner = make_pruner(self.plan)
        self._sampler = Sampler(self.plan)

    @property
    def is_separate(self) -> bool:
        """Whether it was begun again next to another one; it has folds of its own."""
        return is_separate(self.name)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials as Optuna has them, by number."""
        with self.storage.faults():
            return self._study.get_trials(deepcopy=False)

    def configurations(self) -> dict[int, FrozenTrial]:
        """Return the trial that counts for each point, by the place of the point."""
        counted = [counting(attempts) for attempts in by_point(self.trials()).values()]
        has_point = [one for one in counted if one.params or not one.state.is_finished()]
        return dict(enumerate(one for one in has_point if not is_void(one)))

    def is_done(self, trial: FrozenTrial) -> bool:
        """Return whether a trial from `configurations` needs no further training."""
        return trial.state.is_finished() and (OUTCOME in trial.user_attrs or is_given_up(trial))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, here or elsewhere."""
        trials = self.trials()
        return (
            self._n_new(trials) <= 0
            and all(one.state.is_finished() for one in trials)
            and not self._owed(trials)
        )

    def optimize(self, train: Train, *, worker: int = 0, only_retries: bool = False) -> None:
        """Train trials until none is left, then wait for those of other processes.

        Args:
            train: Called with each trial that this process gets.
            worker: Number of this process among those that start together: each draws proposals
                of its own.
            only_retries: Train what was interrupted, and no new point.

        Raises:
            EnvironmentFault: The database fails, or `train` has raised it.
        """
        while True:
            self.take_back()
            trials = self.trials()
            states = {one.state for one in trials}
            if TrialState.WAITING in states or (not only_retries and self._n_new(trials) > 0):
                if len(trials) >= _PROPOSALS and all(map(is_void, trials[-_PROPOSALS:])):
                    self._enqueue_unseen(trials)
                self._study.sampler = self._sampler.at(worker, len(trials))
                self._train_next(train)
            elif not only_retries and TrialState.RUNNING in states:
                time.sleep(_POLL)  # its process may die, and then this one trains the rest
            else:
                return

    def take_back(self) -> int:
        """Put trials whose process died into the queue, and return how many there were.

        Optuna does so after the grace period; for a process of this machine it is known at once.
        """
        with self.storage.faults():
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                optuna.storages.fail_stale_trials(self._study)
            trials = self.trials()
            if any([self._fail_if_dead(one) for one in trials]):
                trials = self.trials()
            owed = self._owed(trials)
            for trial in owed:
                self._retry(trial)
        return len(owed)

    def _fail_if_dead(self, trial: FrozenTrial) -> bool:
        """End a trial whose process is known to have died; return whether it is."""
        if trial.state != TrialState.RUNNING:
            return False
        owner = trial.user_attrs.get(OWNER)
        if owner is None and trial.number not in self._watched:
            # killed in its first moment, it has no sign of life that could grow old
            self._watched.add(trial.number)
            self.storage.optuna.record_heartbeat(trial._trial_id)
        if owner is None or not is_dead(owner):
            return False
        with suppress(ValueError, UpdateFinishedTrialError):  # another process was faster
            self._study.tell(trial.number, state=TrialState.FAIL)
        return True

    def _train_next(self, train: Train) -> None:
        """Train the next trial."""
        begun: optuna.Trial | None = None

        def objective(trial: optuna.Trial) -> list[float]:
            nonlocal begun
            begun = trial
            trial.set_user_attr(OWNER, this_process())
            trials = self._study.get_trials(deepcopy=False)
            number = self._number(trial.number, trials)
            if number is None:
                raise TrialPruned("there are enough, or another process trains it")
            self.plan.space.suggest(trial)
            if self._is_repeated(trial, trials):
                raise TrialPruned("another trial has this point")
            open_trial = OpenTrial(self.storage, self.plan, trial, number)
            try:
                outcome = self._defined(train(open_trial))
            except BaseException as error:
                self._put_back(trial)
                raise _PutBack(error) from None
            trial.set_user_attr(OUTCOME, outcome.dump())
            if outcome.state == "failed":
                raise _Failed(outcome.error)
            if outcome.state != "complete":
                raise TrialPruned(outcome.error)
            return list(outcome.values)

        try:
            with self.storage.faults():
                self._study.optimize(objective, n_trials=1, catch=(_Failed,))
        except _PutBack as put_back:
            raise put_back.cause from None
        except (ValueError, AssertionError, UpdateFinishedTrialError):
            if not self._is_finished(begun):
                raise
            # taken for dead, it was given to another process: what this one has is not asked for

    def _is_finished(self, trial: optuna.Trial | None) -> bool:
        return trial is not None and self.trials()[trial.number].state.is_finished()

    def _number(self, number: int, trials: list[FrozenTrial]) -> int | None:
        """Return the place of a trial among the configurations; None if it is one too many."""
        start = first(trials[number])
        for one in trials:
            # two processes have put the same trial into the queue
            is_other = first(one) == start and one.number != number
            if is_other and (OUTCOME in one.user_attrs or one.state == TrialState.RUNNING):
                return None
        if self._is_grid:
            start = place(number, trials)
        else:
            start = sum(_is_new(one) for one in trials[:start])
        return start if start < self.plan.total else None

    def _is_repeated(self, trial: optuna.Trial, trials: list[FrozenTrial]) -> bool:
        if self._is_grid:
            return False
        before = trials[: first(trials[trial.number])]
        return any(one.params == trial.params and _is_new(one) for one in before)

    def _put_back(self, trial: optuna.Trial) -> None:
        """End a trial, and put the next attempt into the queue."""
        with suppress(Exception):  # the reason why is what is to be reported
            self._study.tell(trial, state=TrialState.FAIL)
            self._retry(self.trials()[trial.number], is_death=False)

    def _retry(self, trial: FrozenTrial, *, is_death: bool = True) -> None:
        Retry()(self._study, copy.deepcopy(trial), is_death=is_death)

    def _defined(self, outcome: Outcome) -> Outcome:
        """Return an outcome; a failure if one of its objectives is not a number."""
        undefined = [
            objective.name
            for objective, value in zip(self.plan.objectives, outcome.values, strict=False)
            if not math.isfinite(value)
        ]
        if outcome.state != "complete" or not undefined:
            return outcome
        reason = f"{' and '.join(undefined)}: not defined on these folds"
        return replace(outcome, state="failed", values=(), error=reason)

    @property
    def _is_grid(self) -> bool:
        return self.plan.sampler == "grid"

    def _n_new(self, trials: list[FrozenTrial]) -> int:
        """Return how many new points there are to be."""
        begun = sum(not is_further(one) if self._is_grid else _is_new(one) for one in trials)
        return self.plan.total - begun

    def _owed(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials that need a further attempt that nobody has put into the queue."""
        ended = [counting(attempts) for attempts in by_point(trials).values()]
        return [
            one
            for one in ended
            if one.state.is_finished()
            and OUTCOME not in one.user_attrs
            and (
                # a grid that has been extended: this trial was one too many before
                (self._is_grid and place(one.number, trials) < self.plan.total)
                if is_void(one)
                else not is_given_up(one)
            )
        ]

    def _enqueue_unseen(self, trials: list[FrozenTrial]) -> None:
        """Put a point that the study does not have into the queue, for a sampler repeats itself."""
        if self.plan.space.size > _LISTED:
            return
        seen = {frozenset(one.params.items()) for one in trials if _is_new(one)}
        points = self.plan.space.points()
        unseen = next((one for one in points if frozenset(one.items()) not in seen), None)
        if unseen is not None:
            with self.storage.faults():
                self._study.enqueue_trial(unseen)


def _is_new(trial: FrozenTrial) -> bool:
    return not is_further(trial) and not is_void(trial)


def open_study(storage: Storage, name: str, plan: StudyPlan, *, again: bool) -> Study:
    """Make a study, or take up the one that is there.

    Args:
        storage: That holds it.
        name: Its identity.
        plan: What it is asked; the number of trials and the sampler may change later.
        again: Make another one next to those of the same identity.
    """
    known = [one for one in storage.studies() if one == name or one.startswith(f"{name}.")]
    number = len(known) + 1 if again or not known else len(known)
    name = name if number == 1 else f"{name}.{number}"
    with storage.faults():
        study = optuna.create_study(
            study_name=name,
            storage=storage.optuna,
            directions=["maximize" if one.maximize else "minimize" for one in plan.objectives],
            load_if_exists=True,
        )
        study.set_user_attr(WHEN, time.time())
        study.set_user_attr(PLAN, plan.dump())
        if len(plan.objectives) > 1:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                study.set_metric_names([one.name for one in plan.objectives])
    return Study(storage, name)
