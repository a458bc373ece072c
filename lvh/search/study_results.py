"""From a study in a database to what it came to."""

from dataclasses import fields
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from lvh.errors import InputError
from lvh.search.results import Outcome, StudyResult, Trial
from lvh.search.storage import Storage
from lvh.search.study import MAX_RETRIES, OUTCOME, Study
from lvh.tracking.fold_store import FoldStore


def result_of(study: Study, store_root: str | Path) -> StudyResult:
    """Return what a study came to, so far.

    Args:
        study: Finished or not.
        store_root: Folder of the finished folds; predictions that are elsewhere are left out.
    """
    plan, store = study.plan, FoldStore(Path(store_root))
    trials = [_trial(*one) for one in study.configurations().items()]
    keys = {one.number: list(one.fold_keys) for one in trials if one.state == "complete"}
    found = {number: store.predictions(of_trial) for number, of_trial in keys.items()}
    return StudyResult(
        name=study.name,
        title=plan.title,
        note=plan.note,
        objectives=plan.objectives,
        dimensions=plan.space.names,
        n_folds=plan.n_folds,
        trials=tuple(trials),
        predictions={number: one for number, one in found.items() if one is not None},
    )


def load(storage: str | None, name: str | None, store_root: str | Path) -> StudyResult:
    """Return a study of a database.

    Args:
        storage: Address; None for the default one.
        name: Of the study; None for the latest.
        store_root: Folder of the finished folds.

    Raises:
        InputError: There is no such study.
        EnvironmentFault: The database cannot be read.
    """
    opened = Storage(storage, to_read=True)
    known = opened.studies()
    if not known:
        raise InputError(f"study: there is none in {opened.shown}")
    return result_of(Study(opened, name or known[-1]), store_root)


def _trial(number: int, trial: FrozenTrial) -> Trial:
    outcome = Outcome("open")
    if trial.state.is_finished() and OUTCOME in trial.user_attrs:
        outcome = Outcome.load(trial.user_attrs[OUTCOME])
    elif trial.state == TrialState.FAIL:
        deaths = f"its process died {MAX_RETRIES + 1} times: killed, or out of memory?"
        outcome = Outcome("failed", error=deaths)
    values = {one.name: getattr(outcome, one.name) for one in fields(outcome)}
    return Trial(**values, number=number, params=trial.params)
