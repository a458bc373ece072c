"""Look up tracked runs in MLflow: their configuration, and what is added to them later."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lvh.errors import InputError, LvhError, TrackingFault
from lvh.tracking import address
from lvh.tracking.address import TrackingSettings, resolved_uri

address.set_mlflow_variables()
from mlflow import MlflowClient

logging.getLogger("mlflow").setLevel(logging.WARNING)


@contextmanager
def files_of(run_id: str, settings: TrackingSettings, name: str = "") -> Iterator[Path]:
    """Give a file of a tracked run, or all of its files in a folder."""
    with TemporaryDirectory() as folder:
        with _client(settings, f"run {run_id}") as client:
            client.download_artifacts(run_id, name, folder)
        yield Path(folder) / name


def experiment_id(settings: TrackingSettings) -> str:
    """Return the ID of the experiment; raise InputError where there is none."""
    with _client(settings, settings.experiment) as client:
        experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        raise InputError(
            f"--experiment: expected one that is there. Received: {settings.experiment}"
        )
    return str(experiment.experiment_id)


def key_of(run_id: str, settings: TrackingSettings) -> str:
    """Return the key of a run, which for a sweep is its study; empty if it is none of ours."""
    with _client(settings, f"run {run_id}") as client:
        return str(client.get_run(run_id).data.tags.get("key", ""))


def run_with_key(key: str, settings: TrackingSettings) -> str | None:
    """Return the latest run with a key; None if there is none."""
    experiments = [experiment_id(settings)]
    with _client(settings, settings.experiment) as client:
        runs = client.search_runs(experiments, f"tags.key = '{key}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def log_explanation(run_id: str, folder: Path, settings: TrackingSettings) -> None:
    """Record every file of an explanation as an artifact of the run that it explains."""
    with _client(settings, f"run {run_id}") as client:
        client.log_artifacts(run_id, str(folder), "explanation")


@contextmanager
def _client(settings: TrackingSettings, what: str) -> Iterator[MlflowClient]:
    with store_faults(settings, what):
        yield MlflowClient(tracking_uri=store_of(settings, to_read=True))


def store_of(settings: TrackingSettings, *, to_read: bool) -> str:
    """Return the address of a store; it is not made in order to read it."""
    if (database := address.embedded(settings)) is not None:
        if to_read and not database.is_file():
            raise InputError(
                "--uri: expected the database of MLflow, which lvh run makes in the folder where "
                f"you type it. Received: {database}, not there"
            )
        address.check_embedded(database)
    return resolved_uri(settings)


@contextmanager
def store_faults(settings: TrackingSettings, what: str) -> Iterator[None]:
    """Turn any error of a store into one that names the store."""
    try:
        yield
    except LvhError:
        raise
    except Exception as error:  # MLflow and the drivers of its stores raise anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        place = f"{resolved_uri(settings)}: {reason[:300]}"
        codes = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        if getattr(error, "error_code", "") in codes:
            raise InputError(f"{what}: not in {place}") from None
        raise TrackingFault(f"tracking: cannot use the store of tracking.uri, {place}") from None
