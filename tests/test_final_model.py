"""A saved final model predicts what the trained model predicts."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import head, with_waves
from final_models import describe, fit, is_network, save_model, settings

from lvh.errors import InputError
from lvh.features import FORMS, fill_missing
from lvh.inference import Calibration, load, save
from lvh.inference.model_card import card
from lvh.inference.model_description import parse
from lvh.models import MODELS

FORM_OF = {model: "voltage" for model in MODELS if MODELS[model].inputs == "tabular"} | {
    "cnn": "raw",
    "resnet": "beat",
    "two_branch": "fusion",
}
_KERAS_ALONE = """
import sys
from pathlib import Path

import keras
import numpy as np

folder = Path(sys.argv[1])
network = keras.saving.load_model(folder / "member-2.keras", safe_mode=True)
np.save(folder / "elsewhere.npy", network(np.load(folder / "inputs.npy"), training=False))
assert "lvh" not in sys.modules
"""


@pytest.mark.parametrize("model", FORM_OF)
def test_a_saved_model_predicts_what_its_members_predicted(model, cohort, tmp_path):
    of = settings(model, FORM_OF[model], *(["stride=125"] if model == "cnn" else []))
    features, scores = save_model(tmp_path, of, cohort)
    predictions = load(tmp_path).predict(cohort)
    # networks: float32 layers whose sums have another order
    np.testing.assert_allclose(predictions.by_member, scores, atol=is_network(model) * 1e-5)
    np.testing.assert_array_equal(predictions.y_score, predictions.by_member.mean(axis=1))
    np.testing.assert_array_equal(predictions.y_pred, predictions.y_score > 0.5)
    assert (predictions.records, predictions.dropped) == (features.records, features.dropped)
    proba = load(tmp_path).predict_proba(cohort)
    np.testing.assert_array_equal(proba[:, 1], predictions.y_score)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    suffixes = {path.suffix for path in tmp_path.glob("member-*")}
    assert suffixes == {"criteria": set()}.get(
        model, {".keras"} if is_network(model) else {".skops"}
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dnn", "two_branch"])
def test_keras_alone_reads_a_network(model, cohort, tmp_path):
    features, scores = save_model(tmp_path, settings(model, FORM_OF[model]), cohort)
    np.save(tmp_path / "inputs.npy", fill_missing(features.fill, features.X)[0])
    subprocess.run([sys.executable, "-c", _KERAS_ALONE, str(tmp_path)], check=True)
    elsewhere = np.load(tmp_path / "elsewhere.npy")[:, 0]
    np.testing.assert_allclose(elsewhere, scores[:, 1], atol=1e-5)


def test_a_network_trained_in_bfloat16_predicts_in_float32_and_its_card_says_so(cohort, tmp_path):
    of = settings("dnn", "ntp", "train.precision=bfloat16")
    _, scores = save_model(tmp_path, of, cohort)
    model = load(tmp_path)
    by_member = model.predict(cohort).by_member
    assert model.description.settings.train.precision == "bfloat16"
    assert 0 < np.abs(by_member - scores).max() < 0.05  # 8 bits of precision
    text = (tmp_path / "README.md").read_text()
    assert "| precision | trained in bfloat16; predictions use float32" in text


def test_a_prediction_does_not_depend_on_the_other_records(cohort, tmp_path):
    save_model(tmp_path, settings("dnn", "ntp"), cohort)
    model = load(tmp_path)
    alone, among = model.predict(head(cohort, 1)), model.predict(cohort)
    # a product of matrices may round otherwise for one row
    np.testing.assert_allclose(alone.y_score[0], among.y_score[0], rtol=1e-6)


def test_a_missing_wave_gets_the_mean_of_the_training_records(cohort, tmp_path):
    of = settings("logistic", "ntp")
    features, _ = save_model(tmp_path, of, cohort)
    model = load(tmp_path)
    waves = {}
    for lead in range(12):
        symbols, samples = cohort.delineation.lead(0, lead)
        keeps = [at for at, symbol in enumerate(symbols) if at % 9 < 6 and symbol]
        assert "(N)(t)(p)" in symbols
        waves[0, lead] = ("".join(symbols[at] for at in keeps), samples[keeps])
    without = with_waves(cohort, waves)
    X = FORMS["ntp"].extract(without, of.features).X[:1]
    absent = np.isnan(X[0])
    assert absent.sum() == 36
    means = np.nanmean(features.X.astype(np.float64), axis=0).astype(np.float32)
    expected = model.member_scores(np.where(absent, means, X))
    np.testing.assert_allclose(model.predict(without).by_member[:1], expected, rtol=1e-12)


def test_threshold_and_calibration_are_the_model_s_own(cohort, tmp_path):
    of = settings("logistic", "voltage")
    features, scores, states = fit(of, cohort)
    above = float(np.sort(scores.mean(axis=1))[10])
    random = np.random.default_rng(0)
    resamples = tuple(zip(random.normal(0, 0.3, 400), random.normal(0.8, 0.1, 400), strict=True))
    calibration = Calibration((0.1, 0.8), resamples, 40, 1)
    save(tmp_path, describe(of, cohort, features, threshold=above, calibration=calibration), states)
    predictions = load(tmp_path).predict(cohort)
    assert predictions.y_pred.sum() == len(predictions.y_pred) - 11  # not at the threshold itself
    for at, p in enumerate(np.clip(scores.mean(axis=1), 1e-7, 1 - 1e-7)):
        x = np.log(p / (1 - p))
        shares = sorted(1 / (1 + np.exp(-(a + b * x))) for a, b in resamples)
        assert predictions.calibrated[at] == pytest.approx(1 / (1 + np.exp(-(0.1 + 0.8 * x))))
        assert shares[8] <= predictions.calibrated_low[at] <= shares[11]
        assert shares[388] <= predictions.calibrated_high[at] <= shares[391]


def test_certain_scores_have_an_interval_around_their_estimate():
    calibration = Calibration((0.0, 0.1), ((0.5, 0.1), (0.6, 0.1)), 40, 1)
    estimate, low, high = calibration.predict(np.array([0.0, 1.0]))
    assert np.isfinite([*estimate, *low, *high]).all()
    assert ((low <= estimate) & (estimate <= high)).all()


@pytest.mark.parametrize("model", FORM_OF)
def test_a_description_survives_its_file(model, cohort):
    of = settings(model, FORM_OF[model])
    features = FORMS[FORM_OF[model]].extract(cohort, of.features)
    described = describe(of, cohort, features, scores={"model": {"ap": 0.1 + 0.2}})
    assert parse(described.to_json()) == described


def test_the_card_names_what_limits_the_model(cohort):
    of = settings("dnn", "ntp")
    features = FORMS["ntp"].extract(cohort, of.features)
    scores = {"model": {"ap": 0.8, "pooled_ap_low": 0.6, "pooled_ap_high": 0.9}, "age + sex": {}}
    described = describe(
        of, cohort, features, scores=scores, n_candidates=12, chosen_by="ap", name="<b>|"
    )
    text = card(described)
    for words in (
        "# &lt;b&gt;",
        "Not a medical device",
        f"{len(features.y)} records, {features.y.sum()} with LVH",
        "| model | 0.800 (0.600 to 0.900) |\n| age + sex | not defined |",
        "best of 12 by ap, which flatters that score",
        "fiducials of each lead, age and sex",
        "0.5: fixed",
        "log odds x 0.9 + 0.1, from 40 out-of-fold predictions",
    ):
        assert words in text
    rows = text.partition("|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert all(row.startswith("| ") and row.endswith(" |") for row in rows)
    assert "precision | trained" not in text


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected the folder of a final model.* Received: none"):
        load(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Received: a file"):
        load(tmp_path / "file")
