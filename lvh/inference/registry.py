"""MLflow's model registry: final models become versions of a registered model, and are fetched."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lvh.errors import InputError
from lvh.inference.final_model import CARD, DESCRIPTION
from lvh.inference.mlflow_model import LOADER, signature
from lvh.inference.model_description import Description
from lvh.tracking import TrackingSettings, embedded
from lvh.tracking.address import artifact_folder, set_mlflow_variables
from lvh.tracking.run_record import SHOWN, baseline_prefix

set_mlflow_variables()
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, LoggedModelOutput, Run

from lvh.tracking.run_lookup import store_faults, store_of

_MAX_DESCRIPTION = 5000  # letters that every store of MLflow takes
_ABOUT = (
    "Models of the ECG, for research. "
    "**Not a medical device.** The description of a version is its model card."
)
_RUNTIME = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "mlflow", "neurokit2")


def register(
    folder: Path, description: Description, settings: TrackingSettings, *, name: str, alias: str
) -> str:
    """Log a final model with its evidence, and return its new version, which gets the alias.

    Raises:
        TrackingFault: The store cannot be reached or written.
    """
    with store_faults(settings, name):
        _use(settings, to_read=False)
        client, experiment = MlflowClient(), _experiment_id(settings)
        run = _refitted_run(client, experiment, description)
        text = _description((folder / CARD).read_text(), run)
        origin = {
            "chosen_run": run.info.run_id if run else "",
            "study": description.study,
            "fingerprint": description.fingerprint,
            "label": description.label,
        }
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=f"model {description.name}",
            tags={"level": "model", "mlflow.source.name": "lvh export", **origin},
            description=text,
        ):
            logged = _log(folder, description, origin, name)
        if run is not None:  # its page then shows the model
            client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        version = str(logged.registered_model_version)
        client.update_model_version(name, version, description=text)
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description=_ABOUT)
        client.set_registered_model_alias(name, alias, version)
    return version


@contextmanager
def fetch(uri: str, settings: TrackingSettings) -> Iterator[Path]:
    """Download a final model and yield its folder; nothing in it is run.

    Raises:
        InputError: There is no such model, or it is no final model of lvh.
        TrackingFault: The store cannot be reached.
    """
    with TemporaryDirectory() as folder:
        with store_faults(settings, uri):
            _use(settings, to_read=True)
            model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        path = next(model.rglob(DESCRIPTION), None)
        if path is None:
            raise InputError(f"{uri}: expected a final model of lvh. Received: another model")
        yield path.parent


def _use(settings: TrackingSettings, *, to_read: bool) -> None:
    store = store_of(settings, to_read=to_read)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)


def _experiment_id(settings: TrackingSettings) -> str:
    """Return the experiment, which is made where it does not exist yet."""
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    database = embedded(settings)
    location = None if database is None else artifact_folder(database).as_uri()
    return str(mlflow.create_experiment(settings.experiment, location))


def _log(folder: Path, description: Description, origin: dict[str, str], name: str) -> Any:
    """Log data, settings, model and scores to the active run; return the logged model."""
    settings, versions = description.settings, description.versions
    fields = ("label", "n_records", "n_positive", "threshold", "n_candidates", "chosen_by")
    params = {
        **origin,
        "model": settings.model.name,
        "features": settings.features.name,
        "seeds": ",".join(map(str, description.seeds)),
        **{field: str(getattr(description, field)) for field in fields},
    }
    mlflow.log_params(params)
    mlflow.log_artifact(str(folder / CARD))
    silent = redirect_stderr(StringIO())  # the command says itself what MLflow prints
    with warnings.catch_warnings(action="ignore", category=UserWarning), silent:
        logged: Any = mlflow.pyfunc.log_model(
            name="model",
            loader_module=LOADER,
            data_path=str(folder),
            signature=signature(description),
            pip_requirements=[f"{one}=={versions[one]}" for one in _RUNTIME if one in versions],
            registered_model_name=name,
            params=params,
            tags=origin,
        )
    digest = description.fingerprint[:8]  # the UI has room for eight digits
    data = Dataset(description.data, digest, source_type="lvh", source=description.data)
    mlflow.log_metrics(_metrics(description), model_id=logged.model_id, dataset=data)
    return logged


def _refitted_run(client: MlflowClient, experiment: str, description: Description) -> Run | None:
    """Return the tracked run that was refitted; None where this experiment does not have it."""
    wanted = f"tags.key = '{description.run_key}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment], wanted, max_results=1)
    return runs[0] if runs else None


def _description(text: str, run: Run | None) -> str:
    """Return a card with a link to the refitted run, cut to the length that MLflow takes."""
    if run is not None:
        title, _, rest = text.partition("\n")
        page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        text = f"{title}\n\n[The cross-validated run, with its folds and figures]({page})\n{rest}"
    if len(text) <= _MAX_DESCRIPTION:
        return text
    end = f"\n\nCut here; the artifact {CARD} has the rest."
    return text[: _MAX_DESCRIPTION - len(end)].rpartition("\n")[0] + end


def _metrics(description: Description) -> dict[str, float]:
    """Return the cross-validated scores, by the names that a configuration's run uses."""
    intercept, slope = description.calibration.line
    metrics = {"calibration_intercept": intercept, "calibration_slope": slope}
    for row, scores in description.scores.items():
        prefix = "" if row == "model" else baseline_prefix(row)
        metrics |= {f"{prefix}{k}": one for k, one in scores.items() if f"{prefix}{k}" in SHOWN}
    return metrics
