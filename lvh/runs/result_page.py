"""The page of a sweep or of runs, with what only the folder of the best run can find."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from lvh.data.cohort import Cohort
from lvh.errors import InputError, LvhError, masked
from lvh.reports.study_report import TrackedAt, write
from lvh.runs.experiment_data import load_cohort
from lvh.runs.hints import typed
from lvh.runs.lookup import settings_of
from lvh.search.results import StudyResult
from lvh.tracking import TrackingSettings, resolved_uri
from lvh.tracking.run_record import load_run


def write_page(study: StudyResult, folder: Path, runs: Mapping[int, Path]) -> Path:
    """Write the report of a study, with links to MLflow and the records that the best gets wrong."""
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
        from lvh.tracking.run_lookup import experiment_id

        with suppress(LvhError):
            start = f"{uri.rstrip('/')}/#/experiments/{experiment_id(tracking)}/runs?searchFilter="
            return lambda key, folder: start + quote(f"tags.key = '{key}'")
    return lambda key, folder: typed(
        "ui", str(folder.absolute()), uri=uri, experiment=tracking.experiment
    )
