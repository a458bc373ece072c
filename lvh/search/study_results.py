"""From a study in a database to what it came to."""

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from lvh.errors import InputError
from lvh.search.attempts import MAX_RETRIES, OUTCOME, is_given_up
from lvh.search.results import Outcome, State, StudyResult, Trial
from lvh.search.storage import Storage
from lvh.search.study import Study
from lvh.tracking.fold_store import FoldStore


def result_of(study: Study, store_root: str | Path) -> StudyResult:
    """Return what a study came to, so far.

    Args:
        study: Finished or not.
        store_root: Folder of the finished folds; predictions that are elsewhere are left out.
    """
    plan, store = study.plan, FoldStore(Path(store_root))
    outcomes = {number: _outcome(one) for number, one in study.configurations().items()}
    found = {
        number: store.predictions(list(outcome.fold_keys))
        for number, (_, outcome) in outcomes.items()
        if outcome.state == "complete"
    }
    return StudyResult(
        name=study.name,
        title=plan.title,
        note=plan.note,
        objectives=plan.objectives,
        dimensions=plan.space.names,
        n_folds=plan.n_folds,
        trials=tuple(_trial(number, *one) for number, one in outcomes.items()),
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


def _outcome(one: FrozenTrial) -> tuple[FrozenTrial, Outcome]:
    """Return a trial with its outcome; one that was begun has none yet."""
    if OUTCOME in one.user_attrs:
        return one, Outcome.load(one.user_attrs[OUTCOME])
    state: State = "open"
    error = ""
    if one.state == TrialState.FAIL and is_given_up(one):
        state = "failed"
        error = f"its process died {MAX_RETRIES + 1} times: killed, or out of memory?"
    return one, Outcome(state, error=error)


def _trial(number: int, one: FrozenTrial, outcome: Outcome) -> Trial:
    complete = outcome.state == "complete"
    return Trial(
        number=number,
        params=one.params,
        state=outcome.state,
        values=outcome.values if complete else (),
        folds=outcome.folds,
        baselines=outcome.baselines if complete else {},
        error=outcome.error,
        run_key=outcome.run_key,
    )
