"""`lvh export`: a finished run's model, fitted to all records, and the scores of its folds."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import command
from final_models import SMALL, own_store, save_model, settings  # noqa: F401
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lvh.cli import explain, export
from lvh.data.cohort import part_of
from lvh.data.readers.record import read
from lvh.errors import InputError
from lvh.features.columns import ColumnsSettings
from lvh.inference import load, save
from lvh.inference.mlflow_model import fetch, register
from lvh.inference.model_description import FACTORS
from lvh.inference.refit import cross_validated, refit
from lvh.inference.training_records import training_records
from lvh.runs.lookup import Chosen
from lvh.tracking import TrackingSettings
from lvh.validation.calibration import line
from lvh.validation.metrics import chosen_threshold

LOGISTIC = ("model=logistic", "features=voltage")
pytestmark = pytest.mark.usefixtures("own_store")


def refitted(settings, data, n_members: int, **more):
    result = cross_validated(settings, data)
    return refit(settings, data, result, n_members=n_members, chosen=Chosen("run"), **more)


def test_it_is_fitted_to_all_records(trained, tmp_path):
    settings, data, _ = trained(*LOGISTIC)
    description, states = refitted(settings, data, 2)
    features = data.features
    assert description.n_records == len(features.y) == 42
    assert description.n_positive == features.y.sum()
    assert description.seeds == (0,)  # others make no difference
    training = training_records(data.cohort, data.features)
    save(tmp_path / "m", description, states, training)
    predictions = load(tmp_path / "m").predict(data.cohort)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = features.X.astype(np.float64)
    own = make_pipeline(StandardScaler(), LogisticRegression(C=settings.model.C, max_iter=10_000))
    expected = own.fit(X, features.y).predict_proba(X)[:, 1]
    # two solvers of one convex problem
    np.testing.assert_allclose(predictions.y_score, expected, atol=1e-3)
    means = [predictions.y_score[features.y == label][:20].mean() for label in (0, 1)]
    assert description.voltage_curve[FACTORS.index(1)] == pytest.approx(means, abs=1e-3)


def test_evidence_threshold_and_calibration_come_from_out_of_fold_predictions(trained, tmp_path):
    settings, data, _ = trained(*LOGISTIC, "cv.repeats=2", "cv.threshold=specificity_90")
    result = cross_validated(settings, data)
    description, states = refitted(settings, data, 1)
    assert description.n_folds == 6
    assert set(description.scores) == {"model", *result.baselines}
    scores = description.scores["model"]
    assert scores["ap"] == result.scores.mean.ap
    assert scores["pooled_ap"] == result.scores.pooled["ap"].estimate
    assert scores["pooled_ap_low"] < scores["pooled_ap"] < scores["pooled_ap_high"]
    order = np.argsort(result.test, kind="stable")
    means = result.y_score[order].reshape(-1, 2).mean(axis=1)
    expected = chosen_threshold(data.features.y, means)
    assert description.threshold == pytest.approx(expected, abs=1e-12)
    calibration = description.calibration
    assert calibration.line == pytest.approx(tuple(line(data.features.y, means)), rel=1e-6)
    assert (calibration.n_records, calibration.repeats) == (42, 2)
    _, low, high = calibration.predict(np.array([0.5]))
    assert 0.1 < (high - low)[0] < 0.9  # of 42 records
    training = training_records(data.cohort, data.features)
    save(tmp_path / "m", description, states, training)
    assert load(tmp_path / "m").description.calibration == calibration
    text = (tmp_path / "m" / "model.json").read_text()
    assert str(tmp_path) not in text  # no folder of the person who trained it


def test_early_stopping_gives_the_median_of_the_folds_epochs(trained):
    settings, data, _ = trained("train=early_stopping", "train.epochs=12", "train.patience=2")
    result = cross_validated(settings, data)
    kept = sorted(fold.history.kept_epoch for fold in result.folds)
    counted: dict[int, int] = {}
    description, _ = refitted(settings, data, 2, on_epoch=counted.__setitem__)
    assert description.settings.train.epochs == kept[1]
    assert counted == {0: kept[1], 1: kept[1]}


def test_an_unfinished_or_leaking_run_is_refused(trained):
    settings, data, _ = trained("train.epochs=2")
    longer = replace(settings, train=replace(settings.train, epochs=3))
    with pytest.raises(InputError, match=r"expected a finished run .* with 3 folds .* Received: 0"):
        cross_validated(longer, data)
    leaking = replace(settings, cv=replace(settings.cv, weights="carried", allow_leakage=True))
    with pytest.raises(InputError, match="expected an honest protocol"):
        cross_validated(leaking, data)
    with pytest.raises(InputError, match="a run on inputs of signals"):
        cross_validated(replace(settings, features=ColumnsSettings()), data)


def test_a_run_without_a_defined_ap_is_exported_but_not_explained(trained, tmp_path, capsys):
    of = ("cv=holdout", "cv.test_size=0.05", "cv.random_state=3")  # no record has the label
    run = str(trained(*LOGISTIC, *of).folder)
    assert export.main([run, "--no-register", "--out", str(tmp_path / "m")]) == 0
    assert "no ap is defined; threshold 0.5" in capsys.readouterr().out
    assert explain.main([run]) == 2
    assert "expected both classes in the test records" in capsys.readouterr().err


@pytest.mark.slow
def test_the_best_of_a_sweep_becomes_the_champion(tmp_path, data_set):
    swept = tmp_path / "swept"
    swept.mkdir()
    done = command("-m", *SMALL[:3], *LOGISTIC, "model.C=0.001,0.1,1", cwd=swept)
    assert done.code == 0, done.err
    done = command("--seeds", "2", "--out", str(tmp_path / "m"), cwd=swept, module="lvh.export")
    assert done.code == 0, done.err
    number = int(re.search(r"^chosen: trial (\d), which has the highest ap", done.out, re.M)[1])
    described = json.loads((tmp_path / "m" / "model.json").read_text())
    assert described["settings"]["model"]["C"] == [0.001, 0.1, 1][number]
    assert "registered as lvh, version 1: models:/lvh@champion" in done.out
    assert "best of 3 by ap, which flatters" in (tmp_path / "m" / "README.md").read_text()
    path = next((data_set / "data").glob("*.hea"))
    printed = command(str(path), "--json", cwd=swept, module="lvh.predict")
    assert printed.code == 0, printed.err
    expected = load(tmp_path / "m").predict(read(path)).y_score[0]
    assert json.loads(printed.out)[0]["probability"] == pytest.approx(expected, abs=1e-12)


SCORES = {
    "model": dict(ap=0.8, std_ap=0.1, pooled_ap=0.79, pooled_ap_low=0.6, pooled_ap_high=0.9),
    "age + sex": {"ap": 0.7, "std_ap": 0.1},
}


@pytest.mark.filterwarnings("ignore")  # MLflow's own, when it imports what loads a model
def test_a_version_names_its_origin_and_predicts_the_same(tmp_path, cohort):
    import mlflow

    folder, store = tmp_path / "m", TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db")
    of = settings("cnn", "raw", "stride=125", "model.filters=[8,8]")
    chosen = {"study": "kernel-1.2", "n_candidates": 3, "chosen_by": "ap", "run_key": "ab1"}
    save_model(folder, of, cohort, 1, scores=SCORES, **chosen)
    model = load(folder)
    assert register(folder, model.description, store) == "1"
    client = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
    version = client.get_model_version_by_alias("lvh", "champion")
    origin = {"chosen_run": "", "study": "kernel-1.2", "fingerprint": cohort.fingerprint}
    assert version.tags == origin | {"label": "LVH"}
    assert version.description == (folder / "README.md").read_text()
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.items() >= (origin | {"level": "model"}).items()
    assert run.data.params.items() >= (origin | {"model": "cnn", "n_candidates": "3"}).items()
    own = {"baseline_age_sex_ap": 0.7, "calibration_intercept": 0.1, "calibration_slope": 0.9}
    assert run.data.metrics == SCORES["model"] | own
    signals = cohort.signals[:2].astype(np.float64)
    expected = model.predict(part_of(cohort, 0, 2)).y_score
    for address in ("models:/lvh@champion", str(folder)):
        loaded = mlflow.pyfunc.load_model(address)
        answers = loaded.predict({"signal": signals}, params={"fs": 500.0})
        np.testing.assert_allclose([one["probability"] for one in answers], expected, atol=1e-6)
    with pytest.raises(MlflowException, match="expected 500 Hz"):
        loaded.predict({"signal": signals}, params={"fs": 250.0})
    with fetch("models:/lvh@champion", store) as fetched:
        assert {path.name for path in fetched.iterdir()} == {path.name for path in folder.iterdir()}
    refitted = client.create_run(run.info.experiment_id, tags={"key": "ab1-kernel-1.2"}).info.run_id
    client.set_terminated(refitted)
    second = client.get_model_version("lvh", register(folder, model.description, store))
    assert second.tags["chosen_run"] == refitted
    (output,) = client.get_run(refitted).outputs.model_outputs
    assert f"models:/{output.model_id}" == second.source
