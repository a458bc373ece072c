"""The final model as MLflow's `pyfunc`: what a request holds, and the answer to it.

A request to `mlflow models serve` is
`{"inputs": {"signal": [[[mV, ...leads], ...samples], ...records]}, "params": {"fs": 500}}`; a
model that needs them also takes `"age": [years, ...]` and `"sex": ["female", ...]`. Fiducials are
detected in the signals. The leads are those of the training records, often i ii iii avr avl avf v1
to v6; `"leads"` among the params names another order. The answer is
`{"predictions": [{"probability": ..., ...}, ...]}`.
"""

import math
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.config.plugins import load as load_plugins
from lvh.data.array_checks import limb_fault
from lvh.data.cohort import MAX_AGE, Cohort
from lvh.data.delineation import MAX_SAMPLES
from lvh.data.readers.record import unlabelled_cohort
from lvh.errors import InputError
from lvh.inference.final_model import FinalModel, load
from lvh.inference.model_description import Description
from lvh.tracking.address import set_mlflow_variables

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

set_mlflow_variables()

PLUGINS = "LVH_SERVED_PLUGINS"
"""Variable by which `lvh serve --plugin` names plugins to the process that it starts."""
LOADER = __name__
"""Module by which MLflow loads a final model; it calls `_load_pyfunc`."""


class PyfuncModel:
    """A final model that answers requests, one after another."""

    def __init__(self, model: FinalModel) -> None:
        """Take the model."""
        self._model = model
        self._lock = threading.Lock()  # the members share one network

    def predict(
        self, model_input: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return for each record the columns of `Predictions.table`.

        Raises:
            MlflowException: The request is not valid; a server answers 400 with the message.
        """
        from mlflow.exceptions import MlflowException

        try:
            cohort = request_cohort(self._model.description, model_input, params or {})
            with self._lock:
                predictions = self._model.predict(cohort)
            if predictions.dropped:
                reasons = (f"record {name}: {why}" for name, why in predictions.dropped)
                raise InputError("; ".join(reasons))
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
    """Return the records of a request whose fields have the types and axes of `signature`.

    Raises:
        InputError: A value is out of range, or the fields have different numbers of records.
    """
    if params.get("fs") is None:
        raise InputError(
            f"params.fs: expected the sampling frequency of the signal, Hz; {description.fs:g} in "
            "training. Received: none"
        )
    own = description.leads
    leads = tuple(str(lead).lower() for lead in params.get("leads", own))
    if sorted(leads) != sorted(own):
        raise InputError(f"params.leads: expected {' '.join(own)} in any order")
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
        signal = np.asarray(inputs["signal"], np.float32)
    n_records, n_samples, _ = signal.shape
    if not signal.size:
        raise InputError(f"inputs.signal: expected samples. Received: shape {signal.shape}")
    if description.form.needs_delineation and n_records * n_samples > MAX_SAMPLES:
        raise InputError(
            f"inputs.signal: expected at most {MAX_SAMPLES} samples in all records, in which "
            f"fiducials are detected. Received: {n_records} x {n_samples}"
        )
    signal = signal[:, :, [leads.index(lead) for lead in own]]
    for record in signal[np.isfinite(signal).all(axis=(1, 2))]:
        if fault := limb_fault(record, own):
            raise InputError(fault)
    ages, males = [math.nan] * n_records, [False] * n_records
    if description.needs_age_and_sex:
        ages, sexes = (np.asarray(inputs[name]).tolist() for name in ("age", "sex"))
        if len(ages) != n_records or not all(0 <= age <= MAX_AGE for age in ages):
            raise InputError(
                f"inputs.age: expected {n_records} numbers of 0 to {MAX_AGE:g} years, one a record"
            )
        if len(sexes) != n_records or not {*sexes} <= {"female", "male"}:
            raise InputError(f"inputs.sex: expected {n_records} times female or male, one a record")
        males = [sex == "male" for sex in sexes]
    cohort = unlabelled_cohort(
        "request", signal, fs=float(params["fs"]), age=ages, male=males, leads=own
    )
    return replace(cohort, unit=description.unit)


def signature(description: Description) -> "ModelSignature":
    """Return names, types and shapes of a request's fields, -1 where any size will do."""
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    inputs = [TensorSpec(np.dtype("float64"), (-1, -1, len(description.leads)), "signal")]
    if description.needs_age_and_sex:
        inputs.append(TensorSpec(np.dtype("float64"), (-1,), "age"))
        inputs.append(TensorSpec(np.dtype("str"), (-1,), "sex"))
    fs = ParamSpec("fs", DataType.double, None)  # a default would be a guess
    leads = ParamSpec("leads", DataType.string, list(description.leads), (-1,))
    return ModelSignature(inputs=Schema(inputs), params=ParamSchema([fs, leads]))  # type: ignore[arg-type]


def write_mlmodel(folder: Path, description: Description) -> None:
    """Write the file by which MLflow loads the folder of a final model, by this module alone."""
    from mlflow.models import Model

    model = Model(signature=signature(description))
    model.add_flavor("python_function", loader_module=LOADER, python_version=python_version())
    model.save(folder / "MLmodel")
