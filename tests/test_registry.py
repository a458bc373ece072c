"""What a registry shows of a kept model: a real store, looked at by MLflow's own client."""

from collections import UserDict
from dataclasses import replace
from pathlib import Path

import pytest
from kept_models import describe, keep, settings, taught
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils import validation

from lvh.errors import InputError
from lvh.files import write_text
from lvh.inference import load
from lvh.inference.model_card import card
from lvh.inference.model_description import Estimate, Evidence
from lvh.inference.registration import offer
from lvh.tracking import TrackingSettings
from lvh.tracking.registry import _cut, check_names, register
from lvh.tracking.run_lookup import fetched

SCORES = {
    "model": {"ap": Estimate(0.8, 0.1, 0.79, 0.6, 0.9), "recall": Estimate(None, *[None] * 4)},
    "age + sex": {"ap": Estimate(0.7, 0.1, 0.69, 0.5, 0.8)},
}


@pytest.fixture(scope="module", autouse=True)
def _own_store():
    """MLflow keeps the address of a store in a variable, where the next test would find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        patch.delenv("MLFLOW_TRACKING_URI")
        yield
        import mlflow

        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> TrackingSettings:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    return TrackingSettings("mlflow", f"sqlite:///{path}", "lvh")


@pytest.fixture(scope="module")
def client(store) -> MlflowClient:
    found = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    if found.get_experiment_by_name("lvh") is None:
        folder = Path(store.uri.removeprefix("sqlite:///")).parent / "mlartifacts"
        found.create_experiment("lvh", artifact_location=folder.as_uri())
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory, cohort):
    """A model on signals, kept with evidence and card."""
    folder = tmp_path_factory.mktemp("kept") / "m"
    of = settings("cnn", "raw", "stride=125", "model.filters=[8,8]")
    features, _, parts = taught(of, cohort, 1)
    described = describe(
        *(of, cohort, features, 1),
        evidence=Evidence("kfold", 7, 1, SCORES),
        chosen_run="a" * 32,
        study="kernel-1",
        n_candidates=3,
        chosen_by="ap",
    )
    described = keep(folder, described, parts)
    write_text(folder / "README.md", card(described))
    return folder, described


def test_a_version_says_whence_it_comes_and_what_its_folds_came_to(model, store, client, cohort):
    folder, described = model
    found = register(offer(folder, described), store, "lvh", "champion")
    version = client.get_model_version_by_alias("lvh", "champion")
    assert (found.version, version.version) == ("1", 1)
    origin = {"chosen_run": "a" * 32, "study": "kernel-1", "fingerprint": cohort.fingerprint}
    assert version.tags == origin
    assert version.description == card(described)

    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.items() >= (origin | {"level": "model"}).items()
    assert run.data.params.items() >= (origin | {"model": "cnn", "n_candidates": "3"}).items()
    assert run.data.metrics == {
        **{"ap": 0.8, "std_ap": 0.1, "pooled_ap": 0.79, "pooled_ap_low": 0.6},
        **{"pooled_ap_high": 0.9, "baseline_age_sex_ap": 0.7},
        **{"calibration_intercept": 0.1, "calibration_slope": 0.9},
    }
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == (cohort.name, cohort.fingerprint[:8])
    path = client.download_artifacts(version.run_id, "README.md")
    assert Path(path).read_text("utf-8") == card(described)

    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert {one.key: one.value for one in logged.metrics} == run.data.metrics
    assert {one.dataset_digest for one in logged.metrics} == {cohort.fingerprint[:8]}
    assert logged.params["chosen_run"] == "a" * 32


def test_it_has_an_example_of_a_request_that_it_answers(model, store, tmp_path):
    folder, described = model
    register(offer(folder, described), store, "lvh", "champion")
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    whole = download_artifacts("models:/lvh@champion", dst_path=str(tmp_path))
    example = Model.load(whole).load_input_example(whole)
    with fetched("models:/lvh@champion", store) as kept:
        assert {path.name for path in kept.iterdir()} == {path.name for path in folder.iterdir()}
    from lvh.cli.serve import Served

    (answer,) = Served(load(folder)).answer(example)
    assert 0 <= answer["probability"] <= 1


def test_the_run_of_a_folder_is_found_by_its_key(model, store, client):
    folder, described = model
    experiment = client.get_experiment_by_name("lvh")
    run = client.create_run(experiment.experiment_id, tags={"key": "ab1"})
    client.set_terminated(run.info.run_id)
    by_folder = replace(described, chosen_run="", run_key="ab1")
    version = register(offer(folder, by_folder), store, "other", "champion").version
    registered = client.get_model_version("other", version)
    assert registered.tags["chosen_run"] == run.info.run_id
    # either leads to the other in the UI
    place = f"#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
    title, link, _ = registered.description.split("\n\n", 2)
    assert (title, link.rpartition("]")[2]) == (f"# {described.name}", f"({place})")
    (output,) = client.get_run(run.info.run_id).outputs.model_outputs
    assert f"models:/{output.model_id}" == registered.source
    untracked = replace(described, chosen_run="", run_key="ab2")
    version = register(offer(folder, untracked), store, "other", "champion").version
    assert client.get_model_version("other", version).tags["chosen_run"] == ""
    assert client.get_model_version_by_alias("other", "champion").version == int(version)


def test_who_interrupts_leaves_no_open_run_and_no_version(model, store, client):
    class Interrupts(UserDict):
        def keys(self):
            raise KeyboardInterrupt

    before = client.search_model_versions("name = 'lvh'")
    with pytest.raises(KeyboardInterrupt):
        register(replace(offer(*model), params=Interrupts()), store, "lvh", "champion")
    experiment = client.get_experiment_by_name("lvh")
    last, *_ = client.search_runs([experiment.experiment_id])
    assert last.info.status == "KILLED"
    assert len(client.search_model_versions("name = 'lvh'")) == len(before)


def refused_by_mlflow(name: str, alias: str) -> bool:
    try:
        validation._validate_model_name(name)
        validation._validate_model_alias_name(alias)
        validation._validate_model_alias_name_reserved(alias)
    except MlflowException:
        return True
    return False


@pytest.mark.parametrize("name", ["lvh", "LVH 2", "a.b-c_d", "x" * 200, "1"])
@pytest.mark.parametrize("alias", ["champion", "latest1", "v", "v1b", "a-b_c", "1"])
def test_what_is_taken_mlflow_takes(name, alias):
    check_names(name, alias)
    assert not refused_by_mlflow(name, alias)


@pytest.mark.parametrize(
    ("name", "alias", "field"),
    [
        *((name, "a", "--name") for name in ("", " ", "a/b", "a:b", "..", "a\nb", "x" * 201, "é")),
        *(("a", alias, "--alias") for alias in ("", "latest", "LATEST", "v1", "V02", "a b", "a.b")),
    ],
)
def test_what_mlflow_would_refuse_at_the_end_is_refused_at_once(name, alias, field):
    with pytest.raises(InputError, match=f"^{field}: expected") as told:
        check_names(name, alias)
    assert str(told.value).isprintable()


def test_a_long_card_is_cut_by_whole_lines():
    lines = "\n".join(f"line {at}" for at in range(2000))
    cut = _cut(lines)
    assert 4900 < len(cut) <= 5000
    assert cut.endswith("the artifact README.md has the rest.")
    assert lines.startswith(cut[: cut.index("\n\nCut")] + "\n")
    assert _cut("short") == "short"
