"""A study and its trials: who trains what next, what is known, what is finished."""

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from lvh.errors import EnvironmentFault, InputError
from lvh.evaluation.results import FoldScore, Plain, Verdict
from lvh.search.description import Description
from lvh.search.records import LEAKAGE, fold_keys, folds_of, store_of
from lvh.search.samplers import NewPoints
from lvh.search.space import size
from lvh.search.stopping import is_beaten, pruner
from lvh.search.storage import DESCRIPTION, WHEN, Storage

_UNTRACKED = "untracked"
_RUN = "run_id"
_DEATHS = 3
"""Times that a trial may take its process with it before it counts as failed.

Whoever trains beside it dies with it and is blamed too, so for the last of these times it is alone.
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process may train, and nobody else until it is released.

    Attributes:
        number: Of the trial.
        params: Its point.
        until: Folds that may be done when it is to make room for others.
        is_finished: Whether only its tracking is left to do.
        release: To be called once it has been left, however it was.
    """

    number: int
    params: Mapping[str, Plain]
    until: int
    is_finished: bool
    release: Callable[[], None]


class Study:
    """A study in a storage."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Open a study.

        Raises:
            InputError: The storage has no such study, or it is not one of ours.
            EnvironmentFault: The storage fails.
        """
        self.name = name
        self._storage = storage
        with storage.exclusive():
            try:
                self._study = optuna.load_study(study_name=name, storage=storage.optuna)
                self.description = Description.load(self._study.user_attrs[DESCRIPTION])
            except KeyError:
                known = ", ".join(storage.studies()) or "none"
                raise InputError(
                    f"study: expected one of {storage.shown}: {known}. Received: {name}"
                ) from None
            except (TypeError, ValueError):
                raise InputError(
                    f"study: {name} was made by another version of lvh, which can read it"
                ) from None
        self._id = self._study._study_id
        self._study.pruner = pruner(self.description)

    def claim(self, owner: str, skip: frozenset[int] = frozenset()) -> Claim | None:
        """Choose a trial to train and hold it.

        Interrupted trials come first, then new points; trials that race take turns.

        Args:
            owner: Command that the process belongs to.
            skip: Trials that this process leaves to others.

        Returns:
            None if there is nothing to train now.
        """
        with self._storage.exclusive():
            if suspects := self._suspects():
                busy = {number for number in self._owned(owner) if not self._free(number)}
                if busy & suspects:
                    return None
                skip |= suspects if busy else set()
            for number in self._waiting(skip):
                claim = self._held(number, owner)
                if claim is not None:
                    return claim
            if self._n_left() > 0:
                claim = self._held(self._asked(), owner)
                if claim is not None:
                    return claim
            for number in self._in_turn(skip):
                claim = self._held(number, owner)
                if claim is not None:
                    return claim
            return None

    def store(self, root: str) -> Path:
        """Return the folder of its folds."""
        return store_of(self.name, root)

    @property
    def n_trials(self) -> int:
        """How many trials there are to be in the end."""
        return int(min(self.description.n_trials, size(self.description.space)))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, here or elsewhere."""
        with self._storage.exclusive():
            open_ = [one for one in self._trials() if one.state == TrialState.RUNNING]
            return not open_ and self._n_left() <= 0

    def at_work(self, owner: str | None = None) -> list[int]:
        """Return the numbers of the open trials that a living process holds.

        Args:
            owner: Count only those of one command.
        """
        with self._storage.exclusive():
            return [
                one.number
                for one in self._open()
                if owner in (None, one.user_attrs.get("owner")) and not self._free(one.number)
            ]

    def untracked(self) -> list[int]:
        """Return the numbers of the trials that are finished but not tracked."""
        with self._storage.exclusive():
            return self._untracked()

    def runs(self) -> dict[int, str]:
        """Return the identities of the tracked runs, by the numbers of their trials."""
        with self._storage.exclusive():
            late = self._study.user_attrs
            return {one.number: run for one in self._trials() if (run := _run(one, late))}

    def free_open(self) -> list[int]:
        """Return the numbers of the open trials that no living process holds."""
        with self._storage.exclusive():
            return [one.number for one in self._open() if self._free(one.number)]

    def fold_keys(self, number: int) -> list[str]:
        """Return the keys of a trial's folds in the store."""
        with self._storage.exclusive():
            return fold_keys(self._frozen(number))

    def set_run(self, number: int, run_id: str) -> None:
        """Keep the identity of a trial's tracked run; of a finished one, unless it is known.

        Nobody waits for the store, so a trial may be finished before its run is open. Optuna
        changes nothing of it then, and the study keeps it.
        """
        self._set(number, _RUN, run_id)
        with self._storage.exclusive():
            if not _run(self._frozen(number), self._study.user_attrs):
                self._study.set_user_attr(f"{_RUN} {number}", run_id)

    def record_fold(self, number: int, at: int, score: FoldScore, key: str) -> None:
        """Keep one fold's scores, once.

        Args:
            number: Of the trial.
            at: Which of its folds, in the order of running, from 0.
            score: Of the fold.
            key: Of the fold in the store.
        """
        self._set(number, f"fold {at}", {**asdict(score), "key": key})
        objective = self.description.objectives[0].name
        if objective not in score.metrics:
            return
        with self._storage.exclusive():
            trial = self._frozen(number)
            if trial.state != TrialState.RUNNING:
                return
            values = [fold.metrics[objective] for fold in folds_of(trial)]
            # Wilcoxon's test compares fold by fold; the other rules compare running means
            raw = self.description.pruner == "wilcoxon"
            value = values[-1] if raw else float(np.mean(values))
            self._storage.optuna.set_trial_intermediate_value(trial._trial_id, at, value)

    def verdict(self, number: int, n_done: int, until: int) -> Verdict:
        """Say whether a trial runs another fold.

        Args:
            number: Of the trial.
            n_done: Folds it has done.
            until: Folds after which it makes room for others.
        """
        description = self.description
        with self._storage.exclusive():
            trial = self._frozen(number)
            if trial.state in (TrialState.PRUNED, TrialState.FAIL):
                return "stop"
            if not description.stops or n_done < description.burn_in:
                return "go on"
            if description.race:
                if description.in_rounds and n_done >= until:
                    return "pause"  # judged when its turn comes, beside all that have burnt in
                lost = is_beaten(number, self._trials(), description)
                return "stop" if lost else "go on"
            return "stop" if self._study.pruner.prune(self._study, trial) else "go on"

    def ahead(self, n_done: int) -> int:
        """Return how many folds a trial may run before it is judged, after some are done."""
        description = self.description
        return max(description.burn_in - n_done, 1) if description.stops else sys.maxsize

    def complete(
        self, number: int, values: Sequence[float], baselines: Mapping[str, Mapping[str, float]]
    ) -> None:
        """Finish a trial; it counts as untracked until `set_tracked`."""
        undefined = [
            objective.name
            for objective, value in zip(self.description.objectives, values, strict=True)
            if not np.isfinite(value)
        ]
        if undefined:
            self.fail(number, f"{' and '.join(undefined)}: not defined on these folds")
            return
        self._set(number, "baselines", baselines)
        self._finish(number, TrialState.COMPLETE, values)

    def set_apart(self, number: int, leakage: str) -> None:
        """Finish a trial that came to something under a protocol that leaks.

        To Optuna it is pruned: never the best, and no sampler prefers it to an honest one.
        """
        self._set(number, LEAKAGE, leakage)
        self._set(number, "error", f"not honest: {leakage}")
        self._finish(number, TrialState.PRUNED)

    def stop(self, number: int) -> str:
        """Finish a trial before its last fold, and return why."""
        by = "racing" if self.description.race else f"the {self.description.pruner} pruner"
        with self._storage.exclusive():
            n_done = len(folds_of(self._frozen(number)))
        reason = f"stopped by {by} after {n_done} of {self.description.n_folds} folds"
        self._set(number, "error", reason)
        self._finish(number, TrialState.PRUNED)
        return reason

    def fail(self, number: int, error: str) -> None:
        """Finish a trial that came to nothing."""
        self._set(number, "error", error)
        self._finish(number, TrialState.FAIL, tracked=True)

    def refuse(self, number: int, error: str) -> None:
        """Finish a trial whose settings do not fit together.

        A point that a person listed has failed; one that a sampler proposed was a bad one.
        """
        self._set(number, "error", error)
        listed = self.description.sampler == "grid"
        state = TrialState.FAIL if listed else TrialState.PRUNED
        self._finish(number, state, tracked=True)

    def set_tracked(self, number: int) -> None:
        """Take note that all of a finished trial is in the tracking store."""
        with self._storage.exclusive():
            left = [one for one in self._untracked() if one != number]
            self._study.set_user_attr(_UNTRACKED, left)

    def count_deaths(self, owner: str) -> dict[int, str]:
        """Blame the open trials of processes that died; fail those blamed too often.

        Args:
            owner: Command whose processes died.

        Returns:
            Why trials failed by it, by number.
        """
        with self._storage.exclusive():
            died = [number for number in self._owned(owner) if self._free(number)]
        failed = {}
        for number in died:
            self._set(number, "owner", None)  # a death counts once, and not while it waits
            deaths = _deaths(self._frozen(number)) + 1
            self._set(number, "deaths", deaths)
            if deaths >= _DEATHS:
                failed[number] = f"its process died {deaths} times: killed, or out of memory?"
                self.fail(number, failed[number])
        return failed

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that have a point, as Optuna has them."""
        with self._storage.exclusive():
            return self._trials()

    def _trials(self) -> list[FrozenTrial]:
        space = self.description.space.keys()
        return [one for one in self._study.get_trials() if one.params.keys() == space]

    def _open(self) -> list[FrozenTrial]:
        return [one for one in self._trials() if one.state == TrialState.RUNNING]

    def _owned(self, owner: str) -> list[int]:
        """Return the open trials that a process of one command holds, or held when it died."""
        return [one.number for one in self._open() if one.user_attrs.get("owner") == owner]

    def _suspects(self) -> set[int]:
        """Return the open trials that have one chance left."""
        return {one.number for one in self._open() if _deaths(one) == _DEATHS - 1}

    def _untracked(self) -> list[int]:
        return cast(list[int], self._study.user_attrs.get(_UNTRACKED, []))

    def _n_left(self) -> int:
        """Return how many new points there are to be."""
        return self.n_trials - len(self._trials())

    def _waiting(self, skip: frozenset[int]) -> list[int]:
        """Return what comes before a new point: what is left of trials that do not take turns."""
        least = self.description.burn_in if self.description.in_rounds else np.inf
        interrupted = [one.number for one in self._open() if len(folds_of(one)) < least]
        return [number for number in [*interrupted, *self._untracked()] if number not in skip]

    def _in_turn(self, skip: frozenset[int]) -> list[int]:
        """Return the trials of a race, fewest folds first."""
        waiting = sorted(self._open(), key=lambda one: len(folds_of(one)))
        return [one.number for one in waiting if one.number not in skip]

    def _asked(self) -> int:
        """Make a trial with a new point."""
        for one in self._study.get_trials(states=(TrialState.RUNNING,)):
            if one.params.keys() != self.description.space.keys():  # who asked for it died
                self._study.tell(one.number, state=TrialState.FAIL)
        space, n_trials = self.description.space, len(self._trials())
        seed = np.random.SeedSequence([self.description.seed, n_trials]).generate_state(1)[0]
        self._study.sampler = NewPoints(self.description.sampler, space, int(seed))
        distributions = {name: one.distribution() for name, one in space.items()}
        return self._study.ask(fixed_distributions=distributions).number

    def _held(self, number: int, owner: str) -> Claim | None:
        free = self._storage.hold(self.name, number)
        if free is None:
            return None

        def release() -> None:
            with suppress(EnvironmentFault):  # who could tell it has been told
                self._set(number, "owner", None)  # so not to be blamed for what dies later
            free()

        trial = self._frozen(number)
        n_done = len(folds_of(trial))
        if trial.state == TrialState.RUNNING:
            self._storage.optuna.set_trial_user_attr(trial._trial_id, "owner", owner)
        until = max(self.description.burn_in, n_done + 1)
        return Claim(number, trial.params, until, trial.state.is_finished(), release)

    def _free(self, number: int) -> bool:
        release = self._storage.hold(self.name, number)
        if release is None:
            return False
        release()
        return True

    def _frozen(self, number: int) -> FrozenTrial:
        trial_id = self._storage.optuna.get_trial_id_from_study_id_trial_number(self._id, number)
        return self._storage.optuna.get_trial(trial_id)

    def _set(self, number: int, name: str, value: Any) -> None:
        """Keep something with a trial, unless it is finished."""
        with self._storage.exclusive():
            trial = self._frozen(number)
            if trial.state == TrialState.RUNNING and trial.user_attrs.get(name) != value:
                self._storage.optuna.set_trial_user_attr(trial._trial_id, name, value)

    def _finish(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None = None,
        *,
        tracked: bool = False,
    ) -> None:
        """Tell the study; a trial that another process has finished meanwhile stays so."""
        with self._storage.exclusive():
            if self._frozen(number).state.is_finished():
                return
            if not tracked:
                self._study.set_user_attr(_UNTRACKED, sorted({*self._untracked(), number}))
            told = None if values is None else [float(value) for value in values]
            self._study.tell(number, told, state=state)


def _run(trial: FrozenTrial, late: Mapping[str, str]) -> str:
    """Return the identity of a trial's tracked run; empty where none is known."""
    return str(trial.user_attrs.get(_RUN) or late.get(f"{_RUN} {trial.number}", ""))


def _deaths(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get("deaths", 0))


def create(storage: Storage, name: str, description: Description, *, anew: bool) -> Study:
    """Make a study, or take up the one that is there.

    Args:
        storage: That holds it.
        name: Its identity.
        description: What it is asked; `n_trials` and the sampler may change later.
        anew: Make another one beside those of the same identity.
    """
    with storage.exclusive():
        known = [one for one in storage.studies() if one == name or one.startswith(f"{name}.")]
        number = len(known) + 1 if anew or not known else len(known)
        name = name if number == 1 else f"{name}.{number}"
        study = optuna.create_study(
            study_name=name,
            storage=storage.optuna,
            directions=[
                "maximize" if one.maximize else "minimize" for one in description.objectives
            ],
            load_if_exists=True,
        )
        study.set_user_attr(WHEN, time.time())
        study.set_user_attr(DESCRIPTION, description.dump())
        if len(description.objectives) > 1:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                study.set_metric_names([one.name for one in description.objectives])
    return Study(storage, name)
