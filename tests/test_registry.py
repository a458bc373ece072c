"""A registered final model: a real store, read by MLflow's own client."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from final_models import own_store, save_model, settings  # noqa: F401
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lvh.data.cohort import part_of
from lvh.inference import load
from lvh.inference.mlflow_model import fetch, register
from lvh.tracking import TrackingSettings

SCORES = {
    "model": {
        **{"ap": 0.8, "std_ap": 0.1, "pooled_ap": 0.79},
        **{"pooled_ap_low": 0.6, "pooled_ap_high": 0.9},
    },
    "age + sex": {"ap": 0.7, "std_ap": 0.1},
}

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> TrackingSettings:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    return TrackingSettings("mlflow", f"sqlite:///{path}", "lvh")


@pytest.fixture(scope="module")
def client(store) -> MlflowClient:
    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cohort) -> Path:
    """A model on signals, saved with evidence and card."""
    folder = tmp_path_factory.mktemp("saved") / "m"
    of = settings("cnn", "raw", "stride=125", "model.filters=[8,8]")
    chosen = {"study": "kernel-1", "n_candidates": 3, "chosen_by": "ap", "run_key": "ab1"}
    save_model(folder, of, cohort, 1, scores=SCORES, **chosen)
    return folder


def registered(folder: Path, store: TrackingSettings, name: str = "lvh", **changed: object) -> str:
    description = replace(load(folder).description, **changed)
    return register(folder, description, store, name=name, alias="champion")


def test_a_version_names_its_origin_and_the_scores_of_the_folds(folder, store, client, cohort):
    number = registered(folder, store)
    version = client.get_model_version_by_alias("lvh", "champion")
    assert (number, version.version) == ("1", 1)
    origin = {"chosen_run": "", "study": "kernel-1", "fingerprint": cohort.fingerprint}
    origin["label"] = "LVH"
    assert version.tags == origin
    assert version.description == (folder / "README.md").read_text()
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.items() >= (origin | {"level": "model"}).items()
    assert run.data.params.items() >= (origin | {"model": "cnn", "n_candidates": "3"}).items()
    assert run.data.metrics == {
        **SCORES["model"],
        **{"baseline_age_sex_ap": 0.7, "calibration_intercept": 0.1, "calibration_slope": 0.9},
    }


@pytest.mark.filterwarnings("ignore")  # MLflow's own, when it imports what loads a model
def test_mlflow_loads_it_and_predicts_the_same(folder, store, cohort):
    import mlflow

    registered(folder, store)
    signals = cohort.signals[:2].astype(np.float64)
    expected = load(folder).predict(part_of(cohort, 0, 2)).y_score
    for address in ("models:/lvh@champion", str(folder)):
        loaded = mlflow.pyfunc.load_model(address)
        answers = loaded.predict({"signal": signals}, params={"fs": 500.0})
        np.testing.assert_allclose([one["probability"] for one in answers], expected, atol=1e-6)
    with pytest.raises(MlflowException, match="expected 500 Hz"):
        loaded.predict({"signal": signals}, params={"fs": 250.0})
    with fetch("models:/lvh@champion", store) as fetched:
        assert {path.name for path in fetched.iterdir()} == {path.name for path in folder.iterdir()}


def test_the_refitted_run_and_the_model_name_each_other(folder, store, client):
    registered(folder, store, "first")
    experiment = client.get_experiment_by_name("lvh")
    run = client.create_run(experiment.experiment_id, tags={"key": "ab1"})
    client.set_terminated(run.info.run_id)
    model = client.get_model_version("other", registered(folder, store, "other"))
    assert model.tags["chosen_run"] == run.info.run_id
    (output,) = client.get_run(run.info.run_id).outputs.model_outputs
    assert f"models:/{output.model_id}" == model.source
