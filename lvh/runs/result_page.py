"""The page of a sweep, or of some runs: what it needs beside the study itself."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from lvh.data.cohort import Cohort
from lvh.errors import InputError, LvhError, masked
from lvh.reports.result_views import fold_scores, predictions_of
from lvh.reports.study_report import TrackedAt, write
from lvh.runs.experiment_data import load_cohort
from lvh.runs.hints import typed
from lvh.runs.lookup import settings_of
from lvh.search.results import Objective, StudyResult, Trial
from lvh.tracking import TrackingSettings, resolved_uri
from lvh.tracking.run_dir import read_folder
from lvh.tracking.run_record import load_run


def write_page(study: StudyResult, folder: Path, runs: Mapping[int, Path]) -> Path:
    """Write the report of a study, with links to MLflow and the worst records of the best run."""
    best = runs.get(study.complete[0].number) if study.complete else None
    if best is None:
        return write(study, folder, runs)
    cohort: Cohort | str
    tracked_at = None
    try:
        settings = settings_of(str(best), TrackingSettings())
        tracked_at = in_mlflow(settings.tracking)
        cohort = load_cohort(settings)
        if cohort.fingerprint != load_run(best / "run.json").data.fingerprint:
            raise InputError("the records have changed since this run")
    except LvhError as error:
        cohort = str(error)
    explain = typed("explain", str(best.absolute()))
    return write(study, folder, runs, tracked_at=tracked_at, cohort=cohort, explain=explain)


def in_mlflow(tracking: TrackingSettings) -> TrackedAt | None:
    """Return what gives a run's address in MLflow, or the command that shows it; None for `off`."""
    if tracking.name == "off":
        return None
    uri = masked(resolved_uri(tracking))
    if uri.startswith("http"):
        from lvh.tracking.mlflow_store import experiment_id

        with suppress(LvhError):
            start = f"{uri.rstrip('/')}/#/experiments/{experiment_id(tracking)}/runs?searchFilter="
            return lambda key, folder: start + quote(f"tags.key = '{key}'")
    own = {"uri": uri, "experiment": tracking.experiment}
    return lambda key, folder: typed("ui", str(folder.absolute()), **own)


def study_of_runs(folders: Sequence[Path]) -> tuple[StudyResult, dict[int, Path]]:
    """Return the runs of folders as a study, and the folder of each trial by its number."""
    results, records = zip(*map(read_folder, folders), strict=True)
    labels = {record.data.label.casefold(): record.data.label for record in records}
    if len(labels) > 1:
        listed = ", ".join(labels.values())
        raise InputError(f"RUN: expected runs of one label. Received: {listed}")
    keys = dict.fromkeys(key for record in records for key in record.params)
    # null counts as a setting that the model does not have
    differing = [key for key in keys if len({one.params.get(key) for one in records}) > 1]
    trials = tuple(
        Trial(
            number=number,
            params={name: record.params[name] for name in differing if name in record.params},
            state="failed" if record.status == "killed" else record.status,
            values=(record.mean["ap"],) if record.status == "complete" else (),
            folds=fold_scores(result, record.data.fingerprint),
            baselines=record.baselines if record.status == "complete" else {},
            error=record.tags.get("leakage", record.error),
            run_key=record.path.stem,
        )
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
