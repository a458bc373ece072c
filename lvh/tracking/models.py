"""Kept models in MLflow: logged, registered, fetched; and the configuration of a tracked run."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy.exc import SQLAlchemyError

from lvh.errors import InputError, TrackingFault
from lvh.tracking import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.environment import tell_mlflow

tell_mlflow()
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

logging.getLogger("mlflow").setLevel(logging.WARNING)

CONFIG = "config.yaml"
LOADER = "lvh.serve"
"""The module by which MLflow loads a kept model."""
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_URI = re.compile(r"models:/[\w. -]+(@[\w.-]+|/[0-9]+)|runs:/[0-9a-f]{32}/[\w./-]+")


class Registered(NamedTuple):
    """A version in the registry."""

    name: str
    version: str
    alias: str
    uri: str


def is_run_id(text: str) -> bool:
    """Return whether a text looks like the identity of a run."""
    return _RUN_ID.fullmatch(text) is not None


def is_model_uri(text: str) -> bool:
    """Return whether a text is an address in a registry, such as `models:/lvh@champion`."""
    return _MODEL_URI.fullmatch(text) is not None


@contextmanager
def config_of(run_id: str, settings: TrackingSettings) -> Iterator[Path]:
    """Give the configuration of a tracked run as a file.

    Raises:
        InputError: There is no such run, or it has none.
        TrackingFault: The store cannot be reached.
    """
    with TemporaryDirectory() as folder:
        with _faults_told(settings, f"run {run_id}"):
            client = MlflowClient(tracking_uri=_store(settings, to_read=True))
            path = Path(client.download_artifacts(run_id, CONFIG, folder))
        yield path


@contextmanager
def fetched(uri: str, settings: TrackingSettings) -> Iterator[Path]:
    """Give the folder of a kept model from a registry, or from a run; nothing of it is run.

    Raises:
        InputError: There is no such model, or it is none of ours.
        TrackingFault: The store cannot be reached.
    """
    with TemporaryDirectory() as folder:
        with _faults_told(settings, uri):
            store = _store(settings, to_read=True)
            mlflow.set_tracking_uri(store)
            mlflow.set_registry_uri(store)
            found = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
            flavor = _flavor(found)
            if flavor.get("loader_module") != LOADER:
                raise InputError(
                    f"{uri}: expected a model that lvh.select has kept. Received: another"
                )
            kept = found / str(flavor.get("data", ""))
            if not kept.resolve().is_relative_to(found.resolve()):
                raise InputError(f"{uri}: expected a model inside its folder. Received: {kept}")
        yield kept


def register(
    folder: Path,
    settings: TrackingSettings,
    name: str,
    alias: str,
    run_name: str,
    inputs: Mapping[str, tuple[str, tuple[int, ...]]],
    fs: float,
    versions: Mapping[str, str],
    example: Mapping[str, npt.NDArray[Any]],
) -> Registered:
    """Log a kept model as MLflow's, and give the alias to its version.

    Args:
        folder: From `lvh.kept.keep`.
        settings: Of the store.
        name: Of the registered model.
        alias: That the new version gets, and the one before it loses.
        run_name: Of the run that has it.
        inputs: Of a request, each with its NumPy type and the shape of one record's, -1 where
            any size will do.
        fs: Of the records, Hz.
        versions: Of the packages that trained it.
        example: Of a request.

    Raises:
        TrackingFault: The store cannot be reached or written.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    specs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(kind), (-1, *shape), each) for each, (kind, shape) in inputs.items()
    ]
    signature = ModelSignature(
        inputs=Schema(specs), params=ParamSchema([ParamSpec("fs", DataType.double, fs)])
    )
    with _faults_told(settings, name):
        store, database = _store(settings, to_read=False), embedded(settings)
        mlflow.set_tracking_uri(store)
        mlflow.set_registry_uri(store)
        if mlflow.get_experiment_by_name(settings.experiment) is None:
            location = None if database is None else (database.parent / "mlartifacts").as_uri()
            mlflow.create_experiment(settings.experiment, artifact_location=location)
        mlflow.set_experiment(settings.experiment)
        with (
            mlflow.start_run(run_name=run_name, tags={"level": "model"}),
            warnings.catch_warnings(action="ignore", category=UserWarning),
        ):
            logged = mlflow.pyfunc.log_model(
                name="model",
                loader_module=LOADER,
                data_path=str(folder),
                signature=signature,
                input_example=dict(example),
                pip_requirements=_requirements(versions),
                registered_model_name=name,
            )
        client = MlflowClient(tracking_uri=store, registry_uri=store)
        version = str(logged.registered_model_version)
        client.set_registered_model_alias(name, alias, version)
    return Registered(name, version, alias, f"models:/{name}@{alias}")


def _store(settings: TrackingSettings, *, to_read: bool) -> str:
    """Return the address of a store, which looking never makes."""
    database = embedded(settings)
    if database is not None:
        if to_read and not database.is_file():
            raise InputError(f"--uri: expected a store of MLflow. Received: {database}, not there")
        check_embedded(database)
    return resolved_uri(settings)


def _flavor(folder: Path) -> Mapping[str, object]:
    """Return what MLflow's own file says of how a model is loaded; nothing if it says nothing."""
    try:
        flavor = mlflow.models.Model.load(str(folder)).flavors["python_function"]
        return flavor if isinstance(flavor, dict) else {}
    except Exception:  # of an altered file, whatever it makes MLflow do
        return {}


def _requirements(versions: Mapping[str, str]) -> list[str]:
    """Return what serving needs beside this package, which no index has under its name."""
    own = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "mlflow")
    return [f"{name}=={versions[name]}" for name in own if name in versions]


@contextmanager
def _faults_told(settings: TrackingSettings, what: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise InputError(f"{what}: not in {resolved_uri(settings)}: {_line(error)}") from None
        raise _fault(settings, error) from None
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise _fault(settings, error) from None


def _fault(settings: TrackingSettings, error: Exception) -> TrackingFault:
    return TrackingFault(f"tracking: cannot use {resolved_uri(settings)}: {_line(error)}")


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
