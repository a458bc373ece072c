"""The final model in MLflow: a `pyfunc` that answers requests, and versions in the model registry.

docs/predictions.md shows a request and its answer.
"""

import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lvh.config.plugins import load as load_plugins
from lvh.data.array_checks import limb_fault
from lvh.data.cohort import MAX_AGE, Cohort
from lvh.data.delineation import MAX_SAMPLES
from lvh.data.readers.record import unlabelled_cohort
from lvh.errors import InputError
from lvh.inference.final_model import CARD, DESCRIPTION, FinalModel, load
from lvh.inference.model_description import Description
from lvh.tracking import TrackingSettings, checked_uri, set_mlflow_variables, store_faults
from lvh.tracking.fold_store import is_separate
from lvh.tracking.run_record import SHOWN, baseline_prefix

set_mlflow_variables()
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from lvh.tracking.mlflow_store import MlflowStore

PLUGINS = "LVH_SERVED_PLUGINS"
"""Variable by which `lvh serve --plugin` names plugins to the process that it starts."""

_NAME = "lvh"  # in the registry
_MAX_DESCRIPTION = 5000  # letters that every store of MLflow takes; an artifact has the rest
_RUNTIME = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "mlflow", "neurokit2")


class PyfuncModel:
    """A final model that answers requests, one after another."""

    def __init__(self, model: FinalModel) -> None:
        """Take the model."""
        self._model = model
        self._lock = threading.Lock()  # the members share one network

    def predict(
        self, model_input: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return for each record the columns of `Predictions.table`; a server answers them."""
        try:
            cohort = request_cohort(self._model.description, model_input, params or {})
            with self._lock:
                predictions = self._model.predict(cohort)
            for name, reason in predictions.dropped:
                raise InputError(f"record {name}: {reason}")
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        rows: list[dict[str, Any]] = predictions.table.to_dict("records")
        return rows


def _load_pyfunc(path: str) -> PyfuncModel:
    load_plugins(filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)))
    return PyfuncModel(load(Path(path)))


def request_cohort(
    description: Description, inputs: Mapping[str, Any], params: Mapping[str, Any]
) -> Cohort:
    """Return the records of a request whose fields have the types and axes of `signature`."""
    own, n_records = description.leads, len(inputs["signal"])
    leads = tuple(str(lead).lower() for lead in params.get("leads", own))
    signal = np.asarray(inputs["signal"], np.float32)
    _expect("params.fs", "the sampling frequency of the signal, Hz", params.get("fs") is not None)
    _expect("params.leads", f"{' '.join(own)} in any order", sorted(leads) == sorted(own))
    _expect("inputs.signal", "samples", signal.size > 0)
    if description.form.needs_delineation:
        fits = n_records * signal.shape[1] <= MAX_SAMPLES
        _expect("inputs.signal", f"at most {MAX_SAMPLES} samples in all records", fits)
    signal = signal[:, :, [leads.index(lead) for lead in own]]
    for record in signal[np.isfinite(signal).all(axis=(1, 2))]:
        if fault := limb_fault(record, own):
            raise InputError(fault)
    ages, males = [math.nan] * n_records, [False] * n_records
    if description.needs_age_and_sex:
        ages, sexes = (np.asarray(inputs[name]).tolist() for name in ("age", "sex"))
        fits = len(ages) == n_records and all(0 <= age <= MAX_AGE for age in ages)
        _expect("inputs.age", f"{n_records} numbers of 0 to {MAX_AGE:g} years", fits)
        fits = len(sexes) == n_records and {*sexes} <= {"female", "male"}
        _expect("inputs.sex", f"{n_records} times female or male", fits)
        males = [sex == "male" for sex in sexes]
    cohort = unlabelled_cohort(
        "request", signal, fs=float(params["fs"]), age=ages, male=males, leads=own
    )
    return replace(cohort, unit=description.unit)


def _expect(field: str, expected: str, fits: bool) -> None:
    if not fits:
        raise InputError(f"{field}: expected {expected}")


def signature(description: Description) -> ModelSignature:
    """Return names, types and shapes of a request's fields, -1 where any size will do."""
    inputs = [TensorSpec(np.dtype("float64"), (-1, -1, len(description.leads)), "signal")]
    if description.needs_age_and_sex:
        inputs.append(TensorSpec(np.dtype("float64"), (-1,), "age"))
        inputs.append(TensorSpec(np.dtype("str"), (-1,), "sex"))
    fs = ParamSpec("fs", DataType.double, None)  # a default would be a guess
    leads = ParamSpec("leads", DataType.string, list(description.leads), (-1,))
    return ModelSignature(inputs=Schema(inputs), params=ParamSchema([fs, leads]))  # type: ignore[arg-type]


def write_mlmodel(folder: Path, description: Description) -> None:
    """Write the file by which MLflow loads the folder of a final model, by this module alone."""
    model = Model(signature=signature(description))
    model.add_flavor("python_function", loader_module=__name__, python_version=python_version())
    model.save(folder / "MLmodel")


def register(folder: Path, description: Description, settings: TrackingSettings) -> str:
    """Log a final model with its evidence, and return its new version, the champion."""
    with store_faults(settings, _NAME):
        uri = checked_uri(settings)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client, experiment = MlflowClient(), MlflowStore(settings).experiment_id
        key, study = description.run_key, description.study
        key = f"{key}-{study}" if is_separate(study) else key
        wanted = f"tags.key = '{key}' and attributes.status = 'FINISHED'"
        run = next(iter(client.search_runs([experiment], wanted, max_results=1)), None)
        text = (folder / CARD).read_text()
        if run is not None:
            page = f"#/experiments/{experiment}/runs/{run.info.run_id}"
            link = f"\n\n[The cross-validated run, with its folds and figures]({page})\n"
            text = text.replace("\n", link, 1)
        text = text[:_MAX_DESCRIPTION]
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
            logged = _log(folder, description, origin)
        if run is not None:  # its page then shows the model
            client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        version = str(logged.registered_model_version)
        client.update_model_version(_NAME, version, description=text)
        client.set_registered_model_alias(_NAME, "champion", version)
    return version


@contextmanager
def fetch(uri: str, settings: TrackingSettings) -> Iterator[Path]:
    """Download a final model and yield its folder; nothing in it is run."""
    with TemporaryDirectory() as folder:
        with store_faults(settings, uri):
            store = checked_uri(settings, to_read=True)
            mlflow.set_registry_uri(store)
            model = Path(
                mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=store)
            )
        path = next(model.rglob(DESCRIPTION), None)
        if path is None:
            raise InputError(f"{uri}: expected a final model of lvh. Received: another model")
        yield path.parent


def _log(folder: Path, description: Description, origin: dict[str, str]) -> Any:
    """Log data, settings, model and scores to the active run; return the logged model."""
    versions = description.versions
    fields = ("label", "n_records", "n_positive", "threshold", "n_candidates", "chosen_by", "seeds")
    params = {
        **origin,
        "model": description.settings.model.name,
        "features": description.settings.features.name,
        **{field: str(getattr(description, field)) for field in fields},
    }
    mlflow.log_params(params)
    mlflow.log_artifact(str(folder / CARD))
    silent = redirect_stderr(StringIO())  # the command says itself what MLflow prints
    with warnings.catch_warnings(action="ignore", category=UserWarning), silent:
        logged: Any = mlflow.pyfunc.log_model(
            name="model",
            loader_module=__name__,
            data_path=str(folder),
            signature=signature(description),
            pip_requirements=[f"{one}=={versions[one]}" for one in _RUNTIME if one in versions],
            registered_model_name=_NAME,
            params=params,
            tags=origin,
        )
    digest = description.fingerprint[:8]  # the UI has room for eight digits
    data = Dataset(description.data, digest, source_type="lvh", source=description.data)
    intercept, slope = description.calibration.line
    metrics = {"calibration_intercept": intercept, "calibration_slope": slope}
    for row, scores in description.scores.items():
        prefix = "" if row == "model" else baseline_prefix(row)
        metrics |= {f"{prefix}{k}": one for k, one in scores.items() if f"{prefix}{k}" in SHOWN}
    mlflow.log_metrics(metrics, model_id=logged.model_id, dataset=data)
    return logged
