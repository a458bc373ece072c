"""Runs side by side, from their folders, as a study of which they are the trials."""

from collections.abc import Sequence
from pathlib import Path

from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult
from lvh.reports.result_views import fold_scores, predictions_of
from lvh.search.results import Objective, StudyResult, Trial
from lvh.tracking.finished_run import read_folder
from lvh.tracking.run_record import RunRecord


def study_of_runs(folders: Sequence[Path]) -> tuple[StudyResult, dict[int, Path]]:
    """Return the runs of folders as a study, and the folder of each trial by its number."""
    results, records = zip(*map(read_folder, folders), strict=True)
    labels = {record.data.label.casefold(): record.data.label for record in records}
    if len(labels) > 1:
        listed = ", ".join(labels.values())
        raise InputError(f"RUN: expected runs of one label. Received: {listed}")
    keys = dict.fromkeys(key for record in records for key in record.params)
    # null says no more than a setting that a model does not have
    differing = [key for key in keys if len({one.params.get(key) for one in records}) > 1]
    trials = tuple(
        _trial(number, result, record, differing)
        for number, (result, record) in enumerate(zip(results, records, strict=True))
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
        predictions={number: predictions_of(result) for number, result in enumerate(results)},
        label_name=records[0].data.label,
    )
    return study, dict(enumerate(folders))


def _trial(number: int, result: CVResult, record: RunRecord, names: Sequence[str]) -> Trial:
    is_complete = record.status == "complete"
    return Trial(
        number=number,
        params={name: record.params[name] for name in names if name in record.params},
        state="complete" if is_complete else "leaking",
        values=(record.mean["ap"],) if is_complete else (),
        folds=fold_scores(result, record.data.fingerprint),
        baselines=record.baselines if is_complete else {},
        error=record.tags.get("leakage", record.error),
        run_key=record.key,
    )
