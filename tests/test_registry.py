"""A registered final model: a real store, read by MLflow's own client."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import head
from final_models import describe, fit, own_store, settings  # noqa: F401
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils import validation

from lvh.errors import InputError
from lvh.files import write_text
from lvh.inference import load, save
from lvh.inference.mlflow_model import write_mlmodel
from lvh.inference.model_card import card
from lvh.inference.registry import check_names, fetch, register
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
def model(tmp_path_factory, cohort):
    """A model on signals, saved with evidence and card."""
    folder = tmp_path_factory.mktemp("saved") / "m"
    of = settings("cnn", "raw", "stride=125", "model.filters=[8,8]")
    features, _, states = fit(of, cohort, 1)
    described = describe(
        of,
        cohort,
        features,
        1,
        scores=SCORES,
        run_key="ab1",
        study="kernel-1",
        n_candidates=3,
        chosen_by="ap",
    )
    described = save(folder, described, states)
    write_text(folder / "README.md", card(described))
    write_mlmodel(folder, described)
    return folder, described


def test_a_version_names_its_origin_and_the_scores_of_the_folds(model, store, client, cohort):
    folder, described = model
    number = register(folder, described, store, name="lvh", alias="champion")
    version = client.get_model_version_by_alias("lvh", "champion")
    assert (number, version.version) == ("1", 1)
    origin = {"chosen_run": "", "study": "kernel-1", "fingerprint": cohort.fingerprint}
    assert version.tags == origin
    assert version.description == card(described)

    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.items() >= (origin | {"level": "model"}).items()
    assert run.data.params.items() >= (origin | {"model": "cnn", "n_candidates": "3"}).items()
    assert run.data.metrics == {
        **SCORES["model"],
        **{"baseline_age_sex_ap": 0.7, "calibration_intercept": 0.1, "calibration_slope": 0.9},
    }
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == (cohort.name, cohort.fingerprint[:8])
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert {one.key: one.value for one in logged.metrics} == run.data.metrics


@pytest.mark.filterwarnings("ignore")  # MLflow's own, when it imports what loads a model
def test_mlflow_loads_it_and_predicts_the_same(model, store, client, cohort):
    import mlflow

    folder, described = model
    register(folder, described, store, name="lvh", alias="champion")
    signals = cohort.signals[:2].astype(np.float64)
    expected = load(folder).predict_proba(head(cohort, 2))[:, 1]
    for address in ("models:/lvh@champion", str(folder)):
        loaded = mlflow.pyfunc.load_model(address)
        answers = loaded.predict({"signal": signals}, params={"fs": 500.0})
        np.testing.assert_allclose([one["probability"] for one in answers], expected, atol=1e-6)
    with pytest.raises(MlflowException, match="expected 500 Hz"):
        loaded.predict({"signal": signals}, params={"fs": 250.0})
    with fetch("models:/lvh@champion", store) as fetched:
        assert {path.name for path in fetched.iterdir()} == {path.name for path in folder.iterdir()}


def test_the_refitted_run_and_the_model_name_each_other(model, store, client):
    folder, described = model
    register(folder, described, store, name="first", alias="champion")
    experiment = client.get_experiment_by_name("lvh")
    run = client.create_run(experiment.experiment_id, tags={"key": "ab1"})
    client.set_terminated(run.info.run_id)
    version = register(folder, described, store, name="other", alias="champion")
    registered = client.get_model_version("other", version)
    assert registered.tags["chosen_run"] == run.info.run_id
    page = f"#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
    assert f"({page})" in registered.description
    (output,) = client.get_run(run.info.run_id).outputs.model_outputs
    assert f"models:/{output.model_id}" == registered.source


def test_a_long_card_is_cut_for_the_registry(model, store, client):
    folder, described = model
    long = replace(described, versions={f"package{at}": "1" for at in range(400)})
    version = register(folder, long, store, name="long", alias="champion")
    text = client.get_model_version("long", version).description
    assert len(card(long)) > 5000 >= len(text)
    assert text.endswith("the artifact README.md has the rest.")


def refused_by_mlflow(name: str, alias: str) -> bool:
    try:
        validation._validate_model_name(name)
        validation._validate_model_alias_name(alias)
        validation._validate_model_alias_name_reserved(alias)
    except MlflowException:
        return True
    return False


def test_accepted_names_are_accepted_by_mlflow():
    for name in ("lvh", "LVH 2", "a.b-c_d", "x" * 200, "1"):
        for alias in ("champion", "latest1", "v", "v1b", "a-b_c", "1"):
            check_names(name, alias)
            assert not refused_by_mlflow(name, alias)


@pytest.mark.parametrize(
    ("name", "alias", "field"),
    [
        *((name, "a", "--name") for name in ("", " ", "a/b", "a:b", "..", "a\nb", "x" * 201, "é")),
        *(("a", alias, "--alias") for alias in ("", "latest", "LATEST", "v1", "V02", "a b", "a.b")),
    ],
)
def test_names_that_mlflow_would_refuse_are_refused_before_the_training(name, alias, field):
    with pytest.raises(InputError, match=f"^{field}: expected") as refused:
        check_names(name, alias)
    assert str(refused.value).isprintable()
