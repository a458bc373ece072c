"""From results to MLflow; the only module that imports mlflow.

A sweep is a run, its configurations are runs below it, their folds below those. Each
configuration carries all its parameters and mean scores itself, since the UI's filters and
plots see a run alone.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lvh.cohort import Cohort
from lvh.crossval import CVResult, FoldResult
from lvh.errors import EnvironmentFault
from lvh.metrics import NAMES

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where results are tracked.

    Attributes:
        name: `mlflow` or `off`.
        uri: MLflow tracking URI; None for `mlflow.db` in the working directory.
        experiment: Name of the MLflow experiment.
        parent: Run that this one belongs to; a sweep sets it for its configurations.
    """

    name: Literal["mlflow", "off"]
    uri: str | None
    experiment: str
    parent: str | None


class Tracked:
    """A run that may be tracked; does nothing where tracking is off."""

    run_id: str | None = None

    def log_data(self, cohort: Cohort, n_used: int) -> None:
        """Record which data the run is made from."""

    def log_fold(self, fold: FoldResult) -> None:
        """Record one fold's scores and history as a run of its own."""

    def log_result(self, result: CVResult) -> None:
        """Record means, deviations, intervals and baselines."""

    def log_folder(self, folder: Path) -> None:
        """Record every file of a folder as an artifact."""

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""


class _MlflowRun(Tracked):
    def __init__(self, client: "MlflowClient", experiment_id: str, run_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self.run_id: str = run_id

    def log_data(self, cohort: Cohort, n_used: int) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=cohort.name,
            digest=cohort.fingerprint[:32],  # MLflow keeps 36 characters
            source_type="lvh",
            source=cohort.name,
            profile=(
                f'{{"records": {len(cohort.records)}, "used": {n_used}, '
                f'"prevalence": {cohort.prevalence:.6f}}}'
            ),
        )
        tags = [InputTag("mlflow.data.context", "cross-validation")]
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])

    def log_fold(self, fold: FoldResult) -> None:
        place = {"repeat": fold.split.repeat + 1, "fold": fold.split.fold + 1}
        run = self._client.create_run(
            self._experiment_id,
            run_name=f"repeat {place['repeat']} fold {place['fold']}",
            tags=_tags("fold", self.run_id),
        )
        scores = {**asdict(fold.metrics), "seconds": fold.seconds}
        history = fold.history
        curves = {
            "train_loss": history.loss,
            "train_accuracy": history.accuracy,
            "validation_loss": history.validation_loss,
            "validation_accuracy": history.validation_accuracy,
        }
        metrics = _metrics({**scores, "kept_epoch": history.kept_epoch})
        for name, values in curves.items():
            for epoch, value in enumerate(values, start=1):
                metrics += _metrics({name: value}, step=epoch)
        _log_batch(self._client, run.info.run_id, metrics, place)
        self._client.set_terminated(run.info.run_id)

    def log_result(self, result: CVResult) -> None:
        values: dict[str, float] = {}
        for name in NAMES:
            interval = result.summary.pooled[name]
            values[name] = getattr(result.summary.mean, name)
            values[f"{name}_std"] = getattr(result.summary.std, name)
            values[f"{name}_pooled"] = interval.estimate
            values[f"{name}_low"] = interval.low
            values[f"{name}_high"] = interval.high
            for baseline, summary in result.baselines.items():
                prefix = baseline.replace(" + ", "_").replace(" ", "_")
                values[f"{prefix}_{name}"] = getattr(summary.mean, name)
        values["seconds"] = sum(fold.seconds for fold in result.folds)
        values["folds_done"] = len(result.folds)
        _log_batch(self._client, self.run_id, _metrics(values), {})

    def log_folder(self, folder: Path) -> None:
        self._client.log_artifacts(self.run_id, str(folder))

    def set_tag(self, key: str, value: str) -> None:
        self._client.set_tag(self.run_id, key, value[:5000])


@contextmanager
def tracked_run(
    settings: TrackingSettings,
    level: Literal["configuration", "sweep"],
    name: str,
    params: Mapping[str, Plain],
    tags: Mapping[str, str],
) -> Iterator[Tracked]:
    """Track what the body does as one run, and end that run however the body ends.

    FINISHED; FAILED, with the reason as a tag, after an error; KILLED after an interruption.

    Raises:
        EnvironmentFault: The tracking store cannot be reached or written.
    """
    if settings.name == "off":
        yield Tracked()
        return
    client, experiment_id = _connect(settings)
    run = client.create_run(
        experiment_id,
        run_name=name,
        tags={**_tags(level, settings.parent), "mlflow.source.name": "lvh.run", **tags},
    )
    _log_batch(client, run.info.run_id, [], params)
    tracked = _MlflowRun(client, experiment_id, run.info.run_id)
    try:
        yield tracked
    except Exception as error:
        tracked.set_tag("error", f"{type(error).__name__}: {error}")
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    except BaseException:
        client.set_terminated(run.info.run_id, "KILLED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def resolved_uri(settings: TrackingSettings) -> str:
    """Return the tracking URI, absolute: `mlflow.db` in the working directory by default."""
    return settings.uri or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def _connect(settings: TrackingSettings) -> tuple["MlflowClient", str]:
    """Open the store, made under a lock, and find or make the experiment."""
    # a pickled model runs code when it is loaded, and asking home is nobody's wish
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import logging

    logging.getLogger("alembic").setLevel(logging.WARNING)
    import mlflow
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow.store").setLevel(logging.WARNING)
    uri = resolved_uri(settings)
    try:
        if not uri.startswith("sqlite:///"):
            client = mlflow.MlflowClient(tracking_uri=uri)
            return client, _experiment(client, settings.experiment, None)
        database = Path(uri.removeprefix("sqlite:///"))
        artifacts = database.parent / "mlartifacts"
        # several processes that make one schema at once break it
        with FileLock(f"{database}.lock"):
            client = mlflow.MlflowClient(tracking_uri=uri)
            return client, _experiment(client, settings.experiment, artifacts.as_uri())
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentFault(
            f"tracking.uri: cannot open {uri}: {reason}. tracking=off runs without it"
        ) from error


def _experiment(client: "MlflowClient", name: str, artifact_location: str | None) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    return str(client.create_experiment(name, artifact_location=artifact_location))


def _tags(level: str, parent: str | None) -> dict[str, str]:
    tags = {"level": level}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    return tags


def _metrics(values: Mapping[str, float], step: int = 0) -> list["Metric"]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(name, float(value), now, step)
        for name, value in values.items()
        if np.isfinite(value)  # some stores refuse NaN; an absent score says the same
    ]


def _log_batch(
    client: "MlflowClient", run_id: str, metrics: list["Metric"], params: Mapping[str, Plain]
) -> None:
    from mlflow.entities import Param

    entries = [Param(key, _text(value)) for key, value in params.items()]
    for at in range(0, len(entries), 100):  # the limits of one call
        client.log_batch(run_id, params=entries[at : at + 100])
    for at in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[at : at + 1000])


def _text(value: Plain) -> str:
    return "null" if value is None else str(value)[:6000]
