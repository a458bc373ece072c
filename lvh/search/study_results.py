"""From a study in a database, or from folders of runs, to what it came to."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.results import OutOfFold
from lvh.search.attempts import MAX_RETRIES, OUTCOME, is_given_up
from lvh.search.results import FoldScore, Objective, Outcome, State, StudyResult, Trial
from lvh.search.storage import Storage
from lvh.search.study import Study
from lvh.tracking.fold_store import FoldStore
from lvh.tracking.run_record import RunRecord, load_run
from lvh.validation.metrics import NAMES


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


def study_of_runs(folders: Sequence[Path]) -> tuple[StudyResult, dict[int, Path]]:
    """Return runs side by side, or one, as a study of which they are the trials.

    Args:
        folders: Of runs, as `python -m lvh.run` writes them.

    Returns:
        The study, and the folder of each trial by its number.

    Raises:
        InputError: A folder is of no finished run.
    """
    records = [load_run(folder / "run.json") for folder in folders]
    for folder in folders:
        if not (folder / "predictions.csv").is_file():
            raise InputError(f"{folder}: expected a finished run, with predictions.csv")
    keys = dict.fromkeys(key for one in records for key in one.params)
    absent = object()
    differing = [key for key in keys if len({one.params.get(key, absent) for one in records}) > 1]
    trials = tuple(
        _trial_of_run(number, folder, record, differing)
        for number, (folder, record) in enumerate(zip(folders, records, strict=True))
    )
    names = dict.fromkeys(f"{one.name} on {one.data.name}" for one in records)
    study = StudyResult(
        name=", ".join(dict.fromkeys(one.name for one in records)),
        title=next(iter(names)) if len(names) == 1 else f"{len(records)} runs side by side",
        note="; ".join(dict.fromkeys(filter(None, (one.data.note for one in records)))),
        objectives=(Objective("ap"),),
        dimensions=tuple(differing),
        n_folds=max(len(trial.folds) for trial in trials),
        trials=trials,
        predictions={number: _predictions(folder) for number, folder in enumerate(folders)},
    )
    return study, dict(enumerate(folders))


def _trial_of_run(number: int, folder: Path, record: RunRecord, names: Sequence[str]) -> Trial:
    folds, splits = pd.read_csv(folder / "folds.csv"), pd.read_csv(folder / "splits.csv", dtype=str)
    scores = []
    for row in folds.to_dict("records"):
        own = splits[(splits.repeat == str(row["repeat"])) & (splits.fold == str(row["fold"]))]
        test = own.record[own.part == "test"]
        scores.append(
            FoldScore(
                repeat=row["repeat"] - 1,
                fold=row["fold"] - 1,
                metrics={name: row[name] for name in NAMES},
                seconds=row["seconds"],
                n_train=int((own.part == "train").sum()),
                n_test=len(test),
                test=fingerprint(record.data.fingerprint, test.tolist()),
            )
        )
    is_complete = record.status == "complete"
    return Trial(
        number=number,
        params={name: record.params[name] for name in names if name in record.params},
        state="complete" if is_complete else "leaking",
        values=(record.mean["ap"],) if is_complete else (),
        folds=tuple(scores),
        baselines=record.baselines if is_complete else {},
        error=record.tags.get("leakage", record.error),
        run_key=record.key,
    )


def _predictions(folder: Path) -> OutOfFold:
    rows = pd.read_csv(folder / "predictions.csv", dtype={"record": str, "subject": str})
    thresholds = pd.read_csv(folder / "folds.csv")[["repeat", "fold", "threshold"]]
    rows = rows.merge(thresholds, on=["repeat", "fold"], validate="many_to_one")
    epochs = pd.read_csv(folder / "history.csv").groupby(["repeat", "fold"])
    return OutOfFold(
        record=rows.record.to_numpy(str),
        repeat=rows.repeat.to_numpy() - 1,
        subject=rows.subject.to_numpy(str),
        y_true=rows.y_true.to_numpy(),
        y_score=rows.y_score.to_numpy(),
        threshold=rows.threshold.to_numpy(),
        losses=tuple((tuple(own.loss), tuple(own.validation_loss.dropna())) for _, own in epochs),
    )
