"""A saved final model predicts what the trained model predicts."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import head, with_waves
from final_models import describe, fit, is_network, save_model, settings

from lvh.errors import InputError
from lvh.features import FORMS, fill_missing
from lvh.inference import Calibration, Estimate, Evidence, load, save
from lvh.inference.model_card import card
from lvh.inference.model_description import parse
from lvh.models import MODELS

PAIRS = [
    *((model, "voltage") for model in MODELS if MODELS[model].inputs == "tabular"),
    ("cnn", "raw"),
    ("resnet", "beat"),
    ("two_branch", "fusion"),
]


@pytest.mark.parametrize(("model", "form"), PAIRS, ids=[model for model, _ in PAIRS])
def test_it_predicts_what_was_trained(model, form, cohort, tmp_path):
    of = settings(model, form, *(["stride=125"] if model == "cnn" else []))
    features, scores = save_model(tmp_path / "m", of, cohort)
    predictions = load(tmp_path / "m").predict(cohort)
    # networks: float32 layers whose sums have another order
    np.testing.assert_allclose(predictions.by_member, scores, atol=is_network(model) * 1e-5)
    np.testing.assert_array_equal(predictions.y_score, predictions.by_member.mean(axis=1))
    np.testing.assert_array_equal(predictions.y_pred, predictions.y_score > 0.5)
    assert (predictions.records, predictions.dropped) == (features.records, features.dropped)
    proba = load(tmp_path / "m").predict_proba(cohort)
    np.testing.assert_array_equal(proba[:, 1], predictions.y_score)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    suffixes = {path.suffix for path in (tmp_path / "m").glob("member-*")}
    expected = {".keras"} if is_network(model) else {".skops"}
    assert suffixes == (set() if model == "criteria" else expected)


_ELSEWHERE = """
import sys
from pathlib import Path

import keras
import numpy as np

for folder in map(Path, sys.argv[1:]):
    network = keras.saving.load_model(folder / "member-2.keras", safe_mode=True)
    np.save(folder / "elsewhere.npy", network(np.load(folder / "inputs.npy"), training=False))
assert "lvh" not in sys.modules
"""


def test_keras_alone_reads_every_network(cohort, tmp_path):
    expected = {}
    for model, form in PAIRS:
        if is_network(model):
            of = settings(model, form, *(["stride=125"] if model == "cnn" else []))
            features, scores = save_model(tmp_path / model, of, cohort)
            (X,) = fill_missing(features.fill, features.X)
            np.save(tmp_path / model / "inputs.npy", X)
            expected[model] = scores[:, 1]
    folders = [str(tmp_path / model) for model in expected]
    subprocess.run([sys.executable, "-c", _ELSEWHERE, *folders], check=True)
    for model, scores in expected.items():
        found = np.load(tmp_path / model / "elsewhere.npy")[:, 0]
        np.testing.assert_allclose(found, scores, atol=1e-5)


def test_a_prediction_does_not_depend_on_the_other_records(cohort, tmp_path):
    save_model(tmp_path / "m", settings("dnn", "ntp"), cohort)
    model = load(tmp_path / "m")
    alone, among = model.predict(head(cohort, 1)), model.predict(cohort)
    # a product of matrices may round otherwise for one row
    np.testing.assert_allclose(alone.y_score[0], among.y_score[0], rtol=1e-6)


def test_a_missing_wave_gets_the_mean_of_the_training_records(cohort, tmp_path):
    of = settings("logistic", "ntp")
    features, _ = save_model(tmp_path / "m", of, cohort)
    model = load(tmp_path / "m")
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
    described = describe(of, cohort, features, threshold=above, calibration=calibration)
    save(tmp_path / "m", described, states)
    predictions = load(tmp_path / "m").predict(cohort)
    assert predictions.y_pred.sum() == len(predictions.y_pred) - 11  # not at the threshold itself
    for at, p in enumerate(np.clip(scores.mean(axis=1), 1e-7, 1 - 1e-7)):
        x = np.log(p / (1 - p))
        shares = sorted(1 / (1 + np.exp(-(a + b * x))) for a, b in resamples)
        share = 1 / (1 + np.exp(-(0.1 + 0.8 * x)))
        assert predictions.calibrated[at] == pytest.approx(share, rel=1e-9)
        assert shares[8] <= predictions.calibrated_low[at] <= shares[11]
        assert shares[388] <= predictions.calibrated_high[at] <= shares[391]


def test_certain_scores_have_an_interval_around_their_estimate():
    calibration = Calibration((0.0, 0.1), ((0.5, 0.1), (0.6, 0.1)), 40, 1)
    estimate, low, high = calibration.predict(np.array([0.0, 1.0]))
    assert np.isfinite([*estimate, *low, *high]).all()
    assert ((low <= estimate) & (estimate <= high)).all()


def test_a_description_survives_its_file(cohort):
    of = settings("dnn", "ntp")
    features = FORMS["ntp"].extract(cohort, of.features)
    evidence = Evidence(
        "kfold", 7, 1, {"model": {"ap": Estimate(0.1 + 0.2, None, 0.5, 0.4, 1 / 3)}}
    )
    described = describe(of, cohort, features, evidence=evidence, files={"member-1.keras": "ab"})
    again = parse(described.to_json())
    assert replace(again, features={}, model={}) == replace(described, features={}, model={})
    assert (again.feature_settings, again.model_settings) == (of.features, of.model)


def test_the_card_names_what_limits_the_model(cohort):
    of = settings("dnn", "ntp")
    features = FORMS["ntp"].extract(cohort, of.features)
    evidence = Evidence("kfold", 7, 1, {"model": {"ap": Estimate(0.8, 0.1, 0.7, 0.6, 0.9)}})
    text = card(describe(of, cohort, features, evidence=evidence, n_candidates=12, chosen_by="ap"))
    for words in (
        "Not a medical device",
        cohort.note,
        f"{len(features.y)} records, {features.y.sum()} with LVH",
        "0.800 (0.600 to 0.900)",
        "best of 12 by ap, which flatters that score",
        "fiducials of each lead, age and sex",
        "0.5: fixed",
        "log odds x 0.9 + 0.1, from 40 out-of-fold predictions",
    ):
        assert words in text


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected the folder of a final model.* Received: none"):
        load(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Received: a file"):
        load(tmp_path / "file")
