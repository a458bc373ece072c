"""A study: which trial a process trains next, and what happens to interrupted trials.

A trial whose process is killed or stopped goes back into Optuna's queue, under its number. One that
Optuna has pruned without an outcome of ours is void.
"""

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter

from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.search.racing import RECORDS, make_pruner
from lvh.search.results import OUTCOME_FORMAT, Outcome, StudyResult, Trial
from lvh.search.space import StudyPlan
from lvh.search.storage import GRACE, OWNER, PLAN, WHEN, Storage, is_dead, process_name
from lvh.tracking.fold_store import FoldStore, store_of
from lvh.validation.metrics import NAMES

OUTCOME = "outcome"
"""Attribute of a trial that has ended; see `lvh.search.results.Outcome`."""
MAX_RETRIES = 3
"""Further attempts at a trial whose process dies before it has done one more fold."""

_DEATHS = "deaths"  # attribute: deaths without progress, and how many folds were done then
_POLL = 1.0  # s, between two looks at what other processes train
_LISTED = 1_000_000  # points of a space that are listed to find one that no trial has
_PLAN_FORMAT = TypeAdapter(StudyPlan)


def is_void(trial: FrozenTrial) -> bool:
    """Return whether a trial is no configuration: one too many, or another trial's point."""
    return trial.state == TrialState.PRUNED and OUTCOME not in trial.user_attrs


class OpenTrial:
    """A trial that this process trains."""

    def __init__(self, study: "Study", trial: optuna.Trial, number: int, reported: int) -> None:
        """Take Optuna's trial, its place in the study, and how many scores it has already."""
        self.number, self._reported = number, reported
        self._study, self._trial = study, trial
        self.point: Mapping[str, Plain] = trial.params  # by the name of the override
        self._scores: dict[int, list[float]] = {}

    def set_records(self, digest: str) -> None:
        """Say which records its folds score: only trials with the same ones are compared."""
        self._trial.set_user_attr(RECORDS, digest)

    def report(self, score: float, stage: int = 0, *, is_last: bool = True) -> str:
        """Take the first objective of a stage's next fold; return why no further one is trained."""
        scores = self._scores.setdefault(stage, [])
        scores.append(score)
        search, n_folds = self._study.plan.search, self._study.plan.n_folds
        done, step = len(scores), stage * n_folds + len(scores) - 1
        if step + 1 < self._reported:
            return ""
        # a budget and Wilcoxon's test compare fold by fold; the other rules compare running means
        by_mean = search.pruner in ("median", "percentile")
        value = float(np.mean(scores)) if by_mean else score
        rule = f"the {search.pruner} pruner" if search.pruner != "none" else "racing"
        may_stop = search.stops_at_folds and search.burn_in <= done < n_folds
        if search.halves and done == n_folds and not is_last:
            rule, may_stop = "halving", True
        # not by Optuna's `report`, which takes none where there are several objectives
        study, storage, trial_id = self._trial.study, self._trial.storage, self._trial._trial_id
        try:
            storage.set_trial_intermediate_value(trial_id, step, value)
        except UpdateFinishedTrialError:
            return "another process has ended this trial"
        if may_stop and study.pruner.prune(study, storage.get_trial(trial_id)):
            return f"stopped by {rule} after {done} of {n_folds} folds"
        return ""


Train = Callable[[OpenTrial], Outcome]
"""Trains a trial; it raises only what concerns all trials, such as a full disk."""


class Study:
    """A study in a storage."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Open a study."""
        self.name, self.storage = name, storage
        try:
            self._study = optuna.load_study(study_name=name, storage=storage)
            self.plan = _PLAN_FORMAT.validate_json(self._study.user_attrs[PLAN])
        except KeyError:
            names = f"{storage.shown}: {', '.join(storage.studies()) or 'none'}"
            raise InputError(f"study: expected one of {names}. Received: {name}") from None
        except ValueError:
            raise InputError(f"study: {name} needs the version of lvh that made it") from None
        self._study.pruner = make_pruner(self.plan)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials as Optuna has them, by number."""
        return self._study.get_trials(deepcopy=False)

    def configurations(self) -> dict[int, FrozenTrial]:
        """Return the trials that are not void, by their place."""
        return dict(enumerate(trial for trial in self.trials() if not is_void(trial)))

    def attribute(self, name: str) -> Any:
        """Return what `set_attribute` stored by a name; None where there is nothing."""
        return self._study.user_attrs.get(name)

    def set_attribute(self, name: str, value: object) -> None:
        """Store a value for all processes of the study."""
        self._study.set_user_attr(name, value)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, here or elsewhere."""
        trials = self.configurations().values()
        return len(trials) >= self.plan.total and all(one.state.is_finished() for one in trials)

    def optimize(self, train: Train, *, worker: int = 0, only_retries: bool = False) -> None:
        """Train trials until none is left anywhere; `only_retries` trains no new point."""
        while True:
            trials = self.trials()
            if self.take_back(trials):
                continue
            states = {trial.state for trial in trials}
            is_full = only_retries or _count(trials) >= self.plan.total
            if TrialState.WAITING in states or not is_full:
                self._study.sampler = self._sampler(worker, len(trials))
                self._train_next(train)
            elif not only_retries and TrialState.RUNNING in states:
                time.sleep(_POLL)  # its process may die, and then this one trains the rest
            else:
                return

    def _sampler(self, *draw: int) -> BaseSampler:
        """Return the sampler, with a seed for one trial, so that a resumed study agrees."""
        search, before = self.plan.search, self._study.sampler
        seed = int(np.random.SeedSequence([search.seed, *draw]).generate_state(1)[0])
        if search.sampler != "tpe":
            return RandomSampler(seed=seed)
        group = bool(self.plan.space.conditions)
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            sampler = TPESampler(seed=seed, multivariate=True, group=group, constant_liar=True)
        if isinstance(before, TPESampler):  # else it would look for the space in all trials
            sampler._search_space = before._search_space
        return sampler

    def take_back(self, trials: list[FrozenTrial] | None = None) -> int:
        """Put trials whose process died back into the queue, and return how many there were."""
        running = [one for one in trials or self.trials() if one.state == TrialState.RUNNING]
        stale = self.storage.stale(self._study._study_id) if running else []
        dead = [trial for trial in running if trial._trial_id in stale or _is_dead(trial)]
        return sum(self._retry(trial) for trial in dead)

    def _retry(self, trial: FrozenTrial) -> bool:
        """Let another process train a trial, unless too many processes died without a new fold."""
        done = len(trial.intermediate_values)
        deaths, before = trial.user_attrs.get(_DEATHS, (0, 0))
        deaths = 1 if done > before else deaths + 1
        with suppress(ValueError, UpdateFinishedTrialError):  # another process was faster
            if deaths <= MAX_RETRIES:
                self.storage.set_trial_user_attr(trial._trial_id, _DEATHS, (deaths, done))
                return self.storage.put_back(trial)
            self._study.tell(trial.number, state=TrialState.FAIL)
        return True

    def _train_next(self, train: Train) -> None:
        trial = None
        try:
            with self.storage.in_turn():  # else two processes could take the same point or place
                with warnings.catch_warnings(action="ignore"):
                    trial = self._study.ask()  # which warns that it has no heartbeat of its own
                opened = self._opened(trial)
                if opened is None:
                    self._study.tell(trial, state=TrialState.PRUNED)
                    return
            with self.storage.alive(trial._trial_id):
                outcome = self._outcome(trial, train(opened))
        except UpdateFinishedTrialError:
            return  # taken for dead, it was given to another process, which has ended it
        except BaseException:
            if trial is not None:
                with suppress(Exception):  # the first error is the one to report
                    self.storage.put_back(trial)
            raise
        states = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}
        state = states.get(outcome.state, TrialState.PRUNED)
        with suppress(ValueError, UpdateFinishedTrialError):
            self._study.tell(trial, outcome.values or None, state)

    def _opened(self, trial: optuna.Trial) -> OpenTrial | None:
        """Choose the point of a trial; return None if it is void."""
        trial.set_user_attr(OWNER, process_name(os.getpid()))
        trials = self._study.get_trials(deepcopy=False)
        number = _count(trials[: trial.number])
        if number >= self.plan.total:
            return None
        if self.plan.search.sampler == "grid":
            # Optuna's samplers of grids could give two processes the same point
            with warnings.catch_warnings(action="ignore"):
                point = self.plan.space.at(number)
                self._study.sampler = PartialFixedSampler(point, RandomSampler())
        self.plan.space.suggest(trial)
        params, before = trial.params, trials[trial.number]  # each look makes a copy
        others = [one for one in trials if one.number != trial.number and not is_void(one)]
        if params != before.params and any(one.params == params for one in others):
            self._enqueue_unseen(trials)
            return None
        return OpenTrial(self, trial, number, len(before.intermediate_values))

    def _outcome(self, trial: optuna.Trial, outcome: Outcome) -> Outcome:
        """Store the outcome of a trial; one with an objective that is not defined has failed."""
        values = dict(zip(self.plan.search.objectives, outcome.values, strict=False))
        undefined = [name for name, value in values.items() if not math.isfinite(value)]
        if undefined:
            error = f"{' and '.join(undefined)}: not defined on these folds"
            outcome = replace(outcome, state="failed", values=(), error=error)
        trial.set_user_attr(OUTCOME, asdict(outcome))
        return outcome

    def _enqueue_unseen(self, trials: list[FrozenTrial]) -> None:
        """Put a point that the study does not have into the queue, for a sampler repeats itself."""
        if self.plan.space.size > _LISTED:
            return
        seen = {frozenset(one.params.items()) for one in trials if not is_void(one)}
        unseen = [one for one in self.plan.space.points() if frozenset(one.items()) not in seen]
        if unseen:
            generator = np.random.default_rng([self.plan.search.seed, len(trials)])
            self._study.enqueue_trial(unseen[generator.integers(len(unseen))])


def _is_dead(trial: FrozenTrial) -> bool:
    owner = trial.user_attrs.get(OWNER)
    if owner is None and trial.datetime_start:  # it has sent no heartbeat that could grow old
        return (datetime.now() - trial.datetime_start).total_seconds() > GRACE
    return is_dead(owner or "")


def _count(trials: list[FrozenTrial]) -> int:
    return sum(not is_void(trial) for trial in trials)


def attempts(storage: Storage, name: str) -> list[str]:
    """Return the names of a study and of those by `resume=false`, in their order."""
    names = storage.studies()
    numbered = (name, *(f"{name}.{number}" for number in range(1, len(names) + 1)))
    return [one for one in numbered if one in names]


def open_study(storage: Storage, name: str, plan: StudyPlan, *, again: bool) -> Study:
    """Make a study, or take up the one that is there."""
    before = attempts(storage, name)
    if again:  # also the first time: a run or another study may have stored its folds
        name = f"{name}.{len(before) + 1}"
    elif before:
        name = before[-1]
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=["maximize" if one.maximize else "minimize" for one in plan.objectives],
        load_if_exists=True,
    )
    with warnings.catch_warnings(action="ignore"):  # Optuna calls it experimental
        study.set_metric_names([one.name for one in plan.objectives])
    study.set_user_attr(WHEN, time.time())
    study.set_user_attr(PLAN, _PLAN_FORMAT.dump_json(plan).decode())
    return Study(storage, name)


def result_of(study: Study, store_root: str | Path) -> StudyResult:
    """Return the result of a study so far, without predictions that are not in the store."""
    plan, store = study.plan, FoldStore(Path(store_root))
    trials = [_trial(number, one, store) for number, one in study.configurations().items()]
    complete = [trial for trial in trials if trial.state == "complete"]
    predictions = {trial.number: store.predictions(trial.fold_keys) for trial in complete}
    return StudyResult(
        name=study.name,
        title=plan.title,
        note=plan.note,
        objectives=plan.objectives,
        dimensions=plan.space.names,
        n_folds=plan.n_folds,
        label_name=plan.label_name,
        trials=tuple(trials),
        predictions={number: rows for number, rows in predictions.items() if rows is not None},
    )


def _trial(number: int, trial: FrozenTrial, store: FoldStore) -> Trial:
    """Return a trial, with the scores that are newer than it, of its stored predictions."""
    outcome = Outcome("open")
    if trial.state.is_finished() and OUTCOME in trial.user_attrs:
        outcome = OUTCOME_FORMAT.validate_python(trial.user_attrs[OUTCOME])
    elif trial.state == TrialState.FAIL:
        deaths = f"its process died {MAX_RETRIES + 1} times: killed, or out of memory?"
        outcome = Outcome("failed", error=deaths)
    if not all({*NAMES} <= {*fold.metrics} for fold in outcome.folds):
        stored = [fold for key in outcome.fold_keys if (fold := store.read(key)) is not None]
        newer = {(fold.repeat, fold.fold): asdict(fold.metrics) for fold in stored}
        folds = [
            replace(one, metrics=newer.get((one.repeat, one.fold), {}) | {**one.metrics})
            for one in outcome.folds
        ]
        outcome = replace(outcome, folds=tuple(folds))
    values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
    return Trial(**values, number=number, params=trial.params)


def load(storage: str | None, name: str | None, store_root: str | Path) -> StudyResult:
    """Return a study of a database, by default the latest one of the default database."""
    opened = Storage(storage, to_read=True)
    names = opened.studies()
    if not names:
        raise InputError(f"study: there is none in {opened.shown}")
    study = Study(opened, name or names[-1])
    return result_of(study, store_of(study.name, str(store_root)))
