"""Runs side by side, from their folders, as a study of which they are the trials."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.results import OutOfFold
from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.tracking.run_record import RunRecord, load_run
from lvh.validation.metrics import NAMES


def study_of_runs(folders: Sequence[Path]) -> tuple[StudyResult, dict[int, Path]]:
    """Return one run, or several, as a study of which they are the trials.

    Args:
        folders: Of runs, as `python -m lvh.run` writes them.

    Returns:
        The study, and the folder of each trial by its number.

    Raises:
        InputError: A folder is of no finished run, or the runs have different labels.
    """
    records = [load_run(folder / "run.json") for folder in folders]
    for folder in folders:
        if not (folder / "predictions.csv").is_file():
            raise InputError(f"{folder}: expected a finished run, with predictions.csv")
    labels = {record.data.label.casefold(): record.data.label for record in records}
    if len(labels) > 1:
        listed = ", ".join(labels.values())
        raise InputError(f"STUDY: expected runs of one label. Received: {listed}")
    keys = dict.fromkeys(key for record in records for key in record.params)
    absent = object()
    differing = [key for key in keys if len({one.params.get(key, absent) for one in records}) > 1]
    trials = tuple(
        _trial(number, folder, record, differing)
        for number, (folder, record) in enumerate(zip(folders, records, strict=True))
    )
    names = dict.fromkeys(f"{record.name} on {record.data.name}" for record in records)
    study = StudyResult(
        name=", ".join(dict.fromkeys(record.name for record in records)),
        title=next(iter(names)) if len(names) == 1 else f"{len(records)} runs side by side",
        note="; ".join(dict.fromkeys(filter(None, (record.data.note for record in records)))),
        objectives=(Objective("ap"),),
        dimensions=tuple(differing),
        n_folds=max(len(trial.folds) for trial in trials),
        trials=trials,
        predictions={number: _predictions(folder) for number, folder in enumerate(folders)},
        label_name=records[0].data.label,
    )
    return study, dict(enumerate(folders))


def _trial(number: int, folder: Path, record: RunRecord, names: Sequence[str]) -> Trial:
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
