"""Trials of Optuna that try the same point once more, because a process was killed or stopped.

Optuna's retry makes a new trial that names the first one. Together they are one configuration.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

OUTCOME = "outcome"
"""Attribute of a trial that has come to its end; see `lvh.search.results.Outcome`."""
OWNER = "owner"
"""Attribute that says which process trains a trial."""
FOLDS = "folds"
"""Attribute of a further attempt: how many folds those before it had done."""

MAX_RETRIES = 3
"""Further attempts at a trial whose process dies before it has done one more fold."""

_FIRST = "failed_trial"  # as optuna.storages.RetryHeartbeatStaleTrialCallback has it
_HISTORY = "retry_history"


def first(trial: FrozenTrial) -> int:
    """Return the number of the first attempt at a trial's point."""
    return int(trial.system_attrs.get(_FIRST, trial.number))


def is_further(trial: FrozenTrial) -> bool:
    """Return whether a trial is a further attempt."""
    return _FIRST in trial.system_attrs


def is_void(trial: FrozenTrial) -> bool:
    """Return whether a trial is no configuration: one too many, or another trial's point."""
    return trial.state == TrialState.PRUNED and OUTCOME not in trial.user_attrs


def place(number: int, trials: Sequence[FrozenTrial]) -> int:
    """Return which configuration of its study a trial is, from 0.

    Args:
        number: Of the trial.
        trials: Of the study, by number.
    """
    start = first(trials[number])
    return start - sum(is_further(one) for one in trials[:start])


def by_point(trials: Iterable[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """Return the attempts at each point, by the number of the first one."""
    attempts: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        attempts.setdefault(first(trial), []).append(trial)
    return attempts


def counting(attempts: Sequence[FrozenTrial]) -> FrozenTrial:
    """Return the attempt that says what became of a point."""
    for trial in attempts:
        if OUTCOME in trial.user_attrs:
            return trial
    unfinished = [one for one in attempts if not one.state.is_finished()]
    real = [one for one in attempts if not is_void(one)]
    return (unfinished or real or list(attempts))[-1]


def is_given_up(trial: FrozenTrial) -> bool:
    """Return whether an attempt whose process died is the last one."""
    deaths = len(trial.system_attrs.get(_HISTORY, ())) + 1
    return deaths > MAX_RETRIES and _progress(trial) <= 0


class Retry:
    """Optuna's retry of a trial whose process was killed.

    A user who kills a sweep again and again does not want its trials to fail: an attempt that has
    done more folds than those before it starts the count of deaths from zero.
    """

    def __init__(self) -> None:
        """Make Optuna's callback."""
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            self._retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)

    def __call__(self, study: optuna.Study, trial: FrozenTrial, *, is_death: bool = True) -> None:
        """Put the next attempt into the study's queue.

        Args:
            study: Of the trial.
            trial: That has ended without an outcome.
            is_death: Whether its process died, rather than put it back.
        """
        progress = _progress(trial)
        trial.user_attrs.pop(OWNER, None)
        trial.user_attrs[FOLDS] = trial.user_attrs.get(FOLDS, 0) + max(progress, 0)
        if progress > 0 or not is_death:
            trial.system_attrs[_HISTORY] = []
        self._retry(study, trial)


def _progress(trial: FrozenTrial) -> int:
    """Return how many more folds an attempt has done than those before it."""
    return len(trial.intermediate_values) - int(trial.user_attrs.get(FOLDS, 0))


def this_process() -> str:
    """Return what names this process on this machine, and no other one later; or nothing."""
    return _started(os.getpid()) or ""


def is_dead(owner: str) -> bool:
    """Return whether a process is known to have ended: one of this machine that is not there."""
    system, _, process = owner.rpartition(" ")
    if not system or system != _system():
        return False
    return _started(int(process.partition("-")[0])) != owner


def _started(process: int) -> str | None:
    """Return the name of a process that lives: numbers are used again, but not its start."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else f"{_system()} {process}-{after_name[19]}"


@lru_cache(maxsize=1)
def _system() -> str:
    """Return what names the running system and, in a container, its processes; or nothing."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{booted} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
