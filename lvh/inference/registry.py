"""MLflow's model registry: final models become versions of a registered model, and are fetched."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lvh.errors import InputError
from lvh.inference.final_model import CARD
from lvh.inference.mlflow_model import LOADER, check_mlmodel, signature
from lvh.inference.model_card import card
from lvh.inference.model_description import Description
from lvh.tracking import TrackingSettings, embedded
from lvh.tracking.address import tell_mlflow
from lvh.validation.metrics import NAMES

tell_mlflow()
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Run
from mlflow.exceptions import MlflowException

from lvh.tracking.run_lookup import faults_told, store_of

_MAX_DESCRIPTION = 5000  # letters that every store of MLflow takes
_ABOUT = (
    "Detects left ventricular hypertrophy in a 12-lead ECG, for research. "
    "**Not a medical device.** The description of a version is its model card."
)
_NAME = re.compile(r"(?=.{1,200}$)[A-Za-z0-9]([\w. -]*[A-Za-z0-9])?", re.ASCII)
_ALIAS = re.compile(r"(?!latest$)(?!v[0-9]+$)[\w-]{1,200}", re.ASCII | re.IGNORECASE)
_MODEL_URI = re.compile(r"models:/[\w. -]+(@[\w.-]+|/[0-9]+)|runs:/[0-9a-f]{32}/[\w./-]+")
_RUNTIME = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "mlflow", "neurokit2")


def check_names(name: str, alias: str) -> None:
    """Refuse names that MLflow would refuse only after the training.

    Raises:
        InputError: Names the option and what it may be.
    """
    if _NAME.fullmatch(name) is None:
        raise InputError(
            "--name: expected up to 200 letters, digits, spaces, . _ or -, with a letter or digit "
            f"at both ends. Received: {name!r:.80}"
        )
    if _ALIAS.fullmatch(alias) is None:
        raise InputError(
            "--alias: expected up to 200 letters, digits, _ or -, but neither latest nor a v and "
            f"a number, which mean versions to MLflow. Received: {alias!r:.80}"
        )


def register(
    folder: Path, description: Description, settings: TrackingSettings, *, name: str, alias: str
) -> str:
    """Log a final model with its evidence, and give the alias to its new version.

    Args:
        folder: Folder of the model, with its card.
        description: Description of the model.
        settings: Address and experiment of the store.
        name: Name of the registered model.
        alias: Alias that moves to the new version.

    Returns:
        The version.

    Raises:
        TrackingFault: The store cannot be reached or written.
    """
    with faults_told(settings, name):
        _use(settings, to_read=False)
        client, experiment = MlflowClient(), _experiment_id(settings)
        run = _refitted_run(client, experiment, description)
        text = _description(card(description), run)
        origin = {
            "chosen_run": run.info.run_id if run else description.chosen_run,
            "study": description.study,
            "fingerprint": description.fingerprint,
        }
        tags = {"level": "model", "mlflow.source.name": "lvh export", **origin}
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=f"model {description.name}",
            tags=tags,
            description=text,
        ):
            logged = _log(client, folder, description=description, origin=origin, name=name)
        if run is not None:  # its page then shows the model
            client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        version = str(logged.registered_model_version)
        client.update_model_version(name, version, description=text)
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description=_ABOUT)
        client.set_registered_model_alias(name, alias, version)
    return version


def is_model_uri(text: str) -> bool:
    """Return whether a text is an address in a registry, such as `models:/lvh@champion`."""
    return _MODEL_URI.fullmatch(text) is not None


@contextmanager
def fetch(uri: str, settings: TrackingSettings) -> Iterator[Path]:
    """Download a final model and yield its folder; nothing in it is run.

    Raises:
        InputError: There is no such model, or it is no final model of lvh.
        TrackingFault: The store cannot be reached.
    """
    with TemporaryDirectory() as folder:
        with faults_told(settings, uri):
            _use(settings, to_read=True)
            model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        try:
            inner = check_mlmodel(model)
        except InputError as error:
            raise InputError(f"{uri}: {str(error).removeprefix(f'{model}: ')}") from None
        yield inner


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
    location = None if database is None else (database.parent / "mlartifacts").as_uri()
    return str(mlflow.create_experiment(settings.experiment, location))


def _log(
    client: MlflowClient,
    folder: Path,
    *,
    description: Description,
    origin: dict[str, str],
    name: str,
) -> Any:
    """Log data, settings, model and scores to the active run; return the logged model."""
    run: Any = mlflow.active_run()
    data = Dataset(
        name=description.data,
        digest=description.fingerprint[:8],  # the UI has room for eight digits
        source_type="lvh",
        source=description.data,
    )
    source = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
    client.log_inputs(run.info.run_id, datasets=[source])
    params = {key: str(one)[:6000] for key, one in {**origin, **_params(description)}.items()}
    mlflow.log_params(params)
    mlflow.log_artifact(str(folder / CARD))
    versions = description.versions
    with warnings.catch_warnings(action="ignore", category=UserWarning):
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
    mlflow.log_metrics(_metrics(description), model_id=logged.model_id, dataset=data)
    return logged


def _refitted_run(client: MlflowClient, experiment: str, description: Description) -> Run | None:
    """Return the tracked run that was refitted; None where this store does not have it."""
    if description.chosen_run:
        try:
            return client.get_run(description.chosen_run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
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


def _params(description: Description) -> dict[str, Any]:
    settings = description.settings
    names = ("n_records", "n_positive", "threshold", "threshold_origin", "n_candidates")
    return {
        "model": settings.model.name,
        "features": settings.features.name,
        "seeds": ",".join(map(str, description.seeds)),
        "epochs": settings.train.epochs if description.is_network else None,
        **{name: getattr(description, name) for name in (*names, "chosen_by")},
    }


def _metrics(description: Description) -> dict[str, float]:
    """Return the cross-validated scores, by the names that a configuration's run uses."""
    intercept, slope = description.calibration.line
    metrics = {"calibration_intercept": intercept, "calibration_slope": slope}
    for row, scores in description.scores.items():
        if row == "model":
            metrics |= scores
            continue
        baseline = row.replace(" + ", "_").replace(" ", "_")
        metrics |= {f"baseline_{baseline}_{k}": v for k, v in scores.items() if k in NAMES}
    return metrics
