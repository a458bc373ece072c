"""A study: which trial a process trains next, and what becomes of those that are interrupted."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

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
    VOID,
    Retry,
    by_point,
    counting,
    first,
    is_dead,
    is_further,
    is_given_up,
    place,
    this_process,
)
from lvh.search.plan import StudyPlan
from lvh.search.pruners import RECORDS, make_pruner
from lvh.search.results import Outcome, is_separate
from lvh.search.samplers import make_sampler
from lvh.search.storage import PLAN, WHEN, Storage

_POLL = 1.0  # s, between two looks at what other processes train
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

    @property
    def is_separate(self) -> bool:
        """Whether it was begun again beside another one; it has folds of its own."""
        return is_separate(self.name)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials as Optuna has them, by number."""
        with self.storage.faults():
            return self._study.get_trials(deepcopy=False)

    def configurations(self) -> dict[int, FrozenTrial]:
        """Return the trial that counts for each point, by the place of the point."""
        counted = [counting(attempts) for attempts in by_point(self.trials()).values()]
        real = [one for one in counted if VOID not in one.user_attrs and _has_point(one)]
        return dict(enumerate(real))

    def is_done(self, trial: FrozenTrial) -> bool:
        """Return whether a trial from `configurations` needs no further training."""
        return trial.state.is_finished() and (
            OUTCOME in trial.user_attrs or is_given_up(trial) or VOID in trial.user_attrs
        )

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, here or elsewhere."""
        trials = self.trials()
        return (
            self._n_new(trials) <= 0
            and all(one.state.is_finished() for one in trials)
            and not any(self._is_owed(attempts) for attempts in by_point(trials).values())
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
        repeated = 0
        while True:
            self.take_back()
            trials = self.trials()
            waiting = any(one.state == TrialState.WAITING for one in trials)
            if waiting or (not only_retries and self._n_new(trials) > 0):
                self._study.sampler = make_sampler(self.plan, worker, len(trials))
                was_repeated = self._train_next(train)
                repeated = repeated + 1 if was_repeated else 0
                if repeated >= _PROPOSALS:
                    self._enqueue_unseen()
                    repeated = 0
            elif not only_retries and any(one.state == TrialState.RUNNING for one in trials):
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
            trials = self._study.get_trials(deepcopy=False)
            if any([self._fail_if_dead(one) for one in trials]):
                trials = self._study.get_trials(deepcopy=False)
            owed = [one for one in by_point(trials).values() if self._is_owed(one)]
            for attempts in owed:
                self._retry(counting(attempts))
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

    def _train_next(self, train: Train) -> bool:
        """Train the next trial; return whether its point was another trial's already."""
        repeated, begun = False, None

        def objective(trial: optuna.Trial) -> list[float]:
            nonlocal repeated, begun
            begun = trial
            trial.set_user_attr(OWNER, this_process())
            number = self._number(trial)
            if number is None:
                self._void(trial)
            self.plan.space.suggest(trial)
            if self._is_repeated(trial):
                repeated = True
                self._void(trial)
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
        return repeated

    def _is_finished(self, trial: optuna.Trial | None) -> bool:
        trials = self._study.get_trials(deepcopy=False)
        return trial is not None and trials[trial.number].state.is_finished()

    def _number(self, trial: optuna.Trial) -> int | None:
        """Return the place of a trial among the configurations; None if it is one too many."""
        trials = self._study.get_trials(deepcopy=False)
        me = trials[trial.number]
        others = [
            one
            for one in trials
            if first(one) == first(me) and one.number != me.number and VOID not in one.user_attrs
        ]
        if any(OUTCOME in one.user_attrs or one.state == TrialState.RUNNING for one in others):
            return None  # two processes have put the same trial into the queue
        if self.plan.sampler == "grid":
            number = place(me.number, trials)
        else:
            number = sum(_is_new(one) for one in trials[: first(me)])
        return number if number < self.plan.total else None

    def _is_repeated(self, trial: optuna.Trial) -> bool:
        if self.plan.sampler == "grid":
            return False
        trials = self._study.get_trials(deepcopy=False)
        me = first(trials[trial.number])
        return any(one.params == trial.params and _is_new(one) for one in trials[:me])

    def _void(self, trial: optuna.Trial) -> NoReturn:
        trial.set_user_attr(VOID, True)
        raise TrialPruned("no configuration of its own")

    def _put_back(self, trial: optuna.Trial) -> None:
        """End a trial, and put the next attempt into the queue."""
        with suppress(Exception):  # the reason why is what is to be reported
            self._study.tell(trial, state=TrialState.FAIL)
            frozen = self._study.get_trials(deepcopy=False)[trial.number]
            self._retry(frozen, is_death=False)

    def _retry(self, trial: FrozenTrial, *, is_death: bool = True) -> None:
        callback = self.storage.optuna.get_heartbeat_stale_trial_callback()
        assert isinstance(callback, Retry)
        callback(self._study, copy.deepcopy(trial), is_death=is_death)

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

    def _n_new(self, trials: list[FrozenTrial]) -> int:
        """Return how many new points there are to be."""
        grid = self.plan.sampler == "grid"
        begun = sum(not is_further(one) if grid else _is_new(one) for one in trials)
        return self.plan.total - begun

    def _is_owed(self, attempts: list[FrozenTrial]) -> bool:
        """Return whether a point needs a further attempt that nobody has put into the queue."""
        trial = counting(attempts)
        if not trial.state.is_finished() or OUTCOME in trial.user_attrs:
            return False
        if VOID in trial.user_attrs:  # one too many then; the study has been extended
            trials = self._study.get_trials(deepcopy=False)
            grid = self.plan.sampler == "grid"
            return grid and place(trial.number, trials) < self.plan.total
        return trial.state == TrialState.FAIL and not is_given_up(trial)

    def _enqueue_unseen(self) -> None:
        """Put a point that the study does not have into the queue, for a sampler repeats itself."""
        if self.plan.space.size == math.inf:
            return
        with self.storage.faults():
            seen = [one.params for one in self._study.get_trials(deepcopy=False) if _is_new(one)]
            unseen = next((one for one in self.plan.space.points() if one not in seen), None)
            if unseen is not None:
                self._study.enqueue_trial(unseen)


def _is_new(trial: FrozenTrial) -> bool:
    return not is_further(trial) and VOID not in trial.user_attrs


def _has_point(trial: FrozenTrial) -> bool:
    return bool(trial.params) or not trial.state.is_finished()


def open_study(storage: Storage, name: str, plan: StudyPlan, *, again: bool) -> Study:
    """Make a study, or take up the one that is there.

    Args:
        storage: That holds it.
        name: Its identity.
        plan: What it is asked; the number of trials and the sampler may change later.
        again: Make another one beside those of the same identity.
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
