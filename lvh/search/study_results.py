"""From a study in a database to what it came to."""

from optuna.trial import FrozenTrial, TrialState

from lvh.errors import InputError
from lvh.evaluation.results import State, StudyResult, Trial
from lvh.search.records import LEAKAGE, fold_keys, folds_of
from lvh.search.storage import Storage
from lvh.search.trials import Study
from lvh.tracking.fold_store import FoldStore

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "open",
    TrialState.WAITING: "open",
}


def result_of(study: Study, root: str) -> StudyResult:
    """Return what a study came to, so far.

    Args:
        study: Finished or not.
        root: Folder of the finished folds; predictions that are elsewhere are left out.
    """
    description, store = study.description, FoldStore(study.store(root))
    trials, runs = study.trials(), study.runs()
    kept = {
        one.number: store.predictions(fold_keys(one))
        for one in trials
        if one.state == TrialState.COMPLETE
    }
    return StudyResult(
        name=study.name,
        title=description.title,
        note=description.note,
        objectives=description.objectives,
        dimensions=tuple(description.space),
        n_folds=description.n_folds,
        trials=tuple(_trial(one, runs.get(one.number, "")) for one in trials),
        predictions={number: one for number, one in kept.items() if one is not None},
    )


def load(storage: str | None, name: str | None, root: str) -> StudyResult:
    """Return a study of a database.

    Args:
        storage: Address; None for the default one.
        name: Of the study; None for the latest.
        root: Folder of the finished folds.

    Raises:
        InputError: There is no such study.
        EnvironmentFault: The database cannot be read.
    """
    opened = Storage(storage, to_read=True)
    known = opened.studies()
    if not known:
        raise InputError(f"study: there is none in {opened.shown}")
    return result_of(Study(opened, name or known[-1]), root)


def _trial(one: FrozenTrial, run_id: str) -> Trial:
    attrs = one.user_attrs
    complete = one.state == TrialState.COMPLETE
    return Trial(
        number=one.number,
        params=one.params,
        state="leaking" if LEAKAGE in attrs else _STATES[one.state],
        values=tuple(one.values) if complete else (),
        folds=tuple(folds_of(one)),
        baselines=attrs.get("baselines", {}) if complete else {},
        error=attrs.get("error", ""),
        run_id=run_id,
    )
