"""A kept model becomes a version in MLflow's registry, with the evidence for it beside it."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.tracking import TrackingSettings, embedded
from lvh.tracking.environment import tell_mlflow

tell_mlflow()
import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Run
from mlflow.exceptions import MlflowException

from lvh.tracking.mlflow_store import as_input, data_set
from lvh.tracking.run_lookup import LOADER, faults_told, store_of
from lvh.tracking.view import view_tags

_CARD = "README.md"
_MOST_DESCRIBED = 5000  # letters that every store of MLflow takes
_ABOUT = (
    "Tells left ventricular hypertrophy from a 12-lead ECG, for research. "
    "**Not a medical device.** The description of a version is its model card."
)
_NAME = re.compile(r"(?=.{1,200}$)[A-Za-z0-9]([\w. -]*[A-Za-z0-9])?", re.ASCII)
_ALIAS = re.compile(r"(?!latest$)(?!v[0-9]+$)[\w-]{1,200}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Offer:
    """A kept model with what a registry shows of it.

    Attributes:
        folder: From `lvh.inference.keep`, with its card.
        run_name: Of the run that has it.
        card: Markdown.
        inputs: Of a request, each with its NumPy type and the shape of one record's, -1 where
            any size will do.
        fs: Of the records, Hz.
        versions: Of the packages that trained it.
        example: Of a request.
        origin: `chosen_run`, `study` and `fingerprint`, empty where it has none.
        run_key: Of the chosen run, by which it is found where `chosen_run` is empty.
        params: What else it was made with.
        metrics: What its folds came to.
        data: Name, fingerprint, note and number of records that it has learned from.
    """

    folder: Path
    run_name: str
    card: str
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    fs: float
    versions: Mapping[str, str]
    example: Mapping[str, npt.NDArray[Any]]
    origin: Mapping[str, str]
    run_key: str
    params: Mapping[str, Plain]
    metrics: Mapping[str, float]
    data: tuple[str, str, str, int]


class Registered(NamedTuple):
    """A version in the registry."""

    name: str
    version: str
    alias: str
    uri: str


def check_names(name: str, alias: str) -> None:
    """Refuse what MLflow would refuse only when a model has been made.

    Raises:
        InputError: Says which of the two, and what it may be.
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


def register(offer: Offer, settings: TrackingSettings, name: str, alias: str) -> Registered:
    """Log a kept model as MLflow's, with what is known of it, and give the alias to its version.

    Args:
        offer: The model.
        settings: Of the store.
        name: Of the registered model.
        alias: That the new version gets, and the one before it loses.

    Raises:
        TrackingFault: The store cannot be reached or written.
    """
    with faults_told(settings, name):
        store, database = store_of(settings, to_read=False), embedded(settings)
        mlflow.set_tracking_uri(store)
        mlflow.set_registry_uri(store)
        if mlflow.get_experiment_by_name(settings.experiment) is None:
            location = None if database is None else (database.parent / "mlartifacts").as_uri()
            mlflow.create_experiment(settings.experiment, location, view_tags({}))
        experiment = mlflow.set_experiment(settings.experiment).experiment_id
        client = MlflowClient(tracking_uri=store, registry_uri=store)
        origin = dict(offer.origin)
        if not origin["chosen_run"]:
            origin["chosen_run"] = _run_of(client, experiment, offer.run_key)
        chosen = _tracked(client, origin["chosen_run"])
        told = _cut(offer.card if chosen is None else _linked(offer.card, chosen))
        note = {"mlflow.note.content": told, "mlflow.source.name": "lvh.select"}
        with _ended(offer.run_name, {"level": "model", **origin, **note}) as run_id:
            told_of = {**origin, **offer.params}.items()
            params = {key: str(value)[:6000] for key, value in told_of}
            mlflow.log_params(params)
            data = data_set(*offer.data)
            client.log_inputs(run_id, datasets=[as_input(data, "learned from")])
            mlflow.log_artifact(str(offer.folder / _CARD))
            logged = _logged(offer, params, origin, name)
            metrics = {key: one for key, one in offer.metrics.items() if np.isfinite(one)}
            mlflow.log_metrics(metrics, model_id=logged.model_id, dataset=data)
            if chosen is not None:  # so that its page names the model
                output = LoggedModelOutput(logged.model_id, step=0)
                client.log_outputs(chosen.info.run_id, [output])
        version = str(logged.registered_model_version)
        client.update_model_version(name, version, description=told)
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description=_ABOUT)
        client.set_registered_model_alias(name, alias, version)
    return Registered(name, version, alias, f"models:/{name}@{alias}")


def _logged(offer: Offer, params: Mapping[str, str], tags: Mapping[str, str], name: str) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    specs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(kind), (-1, *shape), each)
        for each, (kind, shape) in offer.inputs.items()
    ]
    signature = ModelSignature(
        inputs=Schema(specs), params=ParamSchema([ParamSpec("fs", DataType.double, offer.fs)])
    )
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return mlflow.pyfunc.log_model(
            name="model",
            loader_module=LOADER,
            data_path=str(offer.folder),
            signature=signature,
            input_example=dict(offer.example),
            pip_requirements=_requirements(offer.versions),
            registered_model_name=name,
            params=dict(params),
            tags=dict(tags),
        )


@contextmanager
def _ended(name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Give the identity of a new run; an interruption leaves it KILLED, which to MLflow FAILED."""
    with mlflow.start_run(run_name=name, tags=dict(tags)) as run:
        run_id = str(run.info.run_id)
        try:
            yield run_id
        except Exception:
            raise
        except BaseException:
            mlflow.end_run("KILLED")
            raise


def _run_of(client: MlflowClient, experiment: str, key: str) -> str:
    """Return the latest finished configuration of a key; an empty text if none is tracked."""
    wanted = f"tags.key = '{key}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], wanted, max_results=1)
    return str(found[0].info.run_id) if found else ""


def _tracked(client: MlflowClient, run_id: str) -> Run | None:
    """Return the chosen run; None where this store does not have it."""
    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _linked(card: str, chosen: Run) -> str:
    """Put a link to the chosen run, as the UI has it, below the title of a card."""
    title, _, rest = card.partition("\n")
    place = f"#/experiments/{chosen.info.experiment_id}/runs/{chosen.info.run_id}"
    told = "The run that it was chosen from, with its folds and pictures"
    return f"{title}\n\n[{told}]({place})\n{rest}"


def _cut(card: str) -> str:
    """Return as much of a card as a description may have, by whole lines."""
    if len(card) <= _MOST_DESCRIBED:
        return card
    whole = f"\n\nCut here; the artifact {_CARD} has the rest."
    return card[: _MOST_DESCRIBED - len(whole)].rpartition("\n")[0] + whole


def _requirements(versions: Mapping[str, str]) -> list[str]:
    """Return what serving needs beside this package, which no index has under its name."""
    own = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "mlflow", "neurokit2")
    return [f"{name}=={versions[name]}" for name in own if name in versions]
