"""A saved final model predicts what the trained model predicts, and knows its training records."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves
from final_models import is_network, save_model, settings

from lvh.data.cohort import part_of
from lvh.features import FORMS, fill_missing
from lvh.inference import Calibration, load
from lvh.inference.model_description import parse
from lvh.inference.training_records import training_records
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
    loaded = load(tmp_path)
    predictions = loaded.predict(cohort)
    # networks: float32 layers whose sums have another order
    np.testing.assert_allclose(predictions.by_member, scores, atol=is_network(model) * 1e-5)
    np.testing.assert_array_equal(predictions.y_score, predictions.by_member.mean(axis=1))
    np.testing.assert_array_equal(predictions.y_pred, predictions.y_score > 0.5)
    assert tuple(predictions.table.index) == features.records
    assert predictions.dropped == features.dropped
    assert predictions.table["fitted_on"].all()
    assert not predictions.table["outside"].any()
    np.testing.assert_allclose(predictions.table["distance"], 0, atol=1e-6)
    assert parse(loaded.description.to_json()) == loaded.description
    suffixes = {path.suffix for path in tmp_path.glob("member-*")}
    assert suffixes == {"criteria": set()}.get(
        model, {".keras"} if is_network(model) else {".skops"}
    )


@pytest.mark.slow
def test_keras_alone_reads_a_network(cohort, tmp_path):
    features, scores = save_model(tmp_path, settings("two_branch", "fusion"), cohort)
    np.save(tmp_path / "inputs.npy", fill_missing(features.fill, features.X)[0])
    subprocess.run([sys.executable, "-c", _KERAS_ALONE, str(tmp_path)], check=True)
    elsewhere = np.load(tmp_path / "elsewhere.npy")[:, 0]
    np.testing.assert_allclose(elsewhere, scores[:, 1], atol=1e-5)


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
    random = np.random.default_rng(0)
    resamples = tuple(zip(random.normal(0, 0.3, 400), random.normal(0.8, 0.1, 400), strict=True))
    calibration = Calibration((0.1, 0.8), resamples, 40, 1)
    of = settings("logistic", "voltage")
    own = {"threshold": 0.6, "calibration": calibration, "note": ""}
    _, scores = save_model(tmp_path, of, cohort, **own)
    assert "| as the data set states them; those of LUDB" in (tmp_path / "README.md").read_text()
    table = load(tmp_path).predict(cohort).table
    np.testing.assert_array_equal(table["positive"], scores.mean(axis=1) > 0.6)
    for at, p in enumerate(np.clip(scores.mean(axis=1), 1e-7, 1 - 1e-7)):
        x = np.log(p / (1 - p))
        shares = sorted(1 / (1 + np.exp(-(a + b * x))) for a, b in resamples)
        assert table["calibrated"].iloc[at] == pytest.approx(1 / (1 + np.exp(-(0.1 + 0.8 * x))))
        assert shares[8] <= table["calibrated_low"].iloc[at] <= shares[11]
        assert shares[388] <= table["calibrated_high"].iloc[at] <= shares[391]
    certain = Calibration((0.0, 0.1), ((0.5, 0.1), (0.6, 0.1)), 40, 1)
    estimate, low, high = certain.predict(np.array([0.0, 1.0]))
    assert ((low <= estimate) & (estimate <= high)).all()


def test_records_unlike_the_training_records_are_flagged(cohort, tmp_path):
    save_model(tmp_path, settings("svm", "voltage"), part_of(cohort, 0, 30), 1)
    loaded = load(tmp_path)
    table = loaded.predict(cohort).table
    assert table["fitted_on"].tolist() == [True] * 30 + [False] * 10
    tripled = replace(cohort, signals=cohort.signals * np.float32(3))
    strange = loaded.predict(tripled).table
    assert not strange["fitted_on"].any()
    assert (strange["distance"] > 1).mean() > 0.9 > 0.5 > (table["distance"][30:] > 1).mean()
    highest = loaded.training.values[:, loaded.training.names.tolist().index("v5_R")].max()
    values = loaded.inputs(tripled)[2][:, loaded.description.names.index("v5_R")]
    is_named = strange["outside"].str.contains("v5_R ", regex=False)
    assert is_named[values > highest].all()
    assert not is_named[(values > 0.5 * highest) & (values < highest)].any()
    written = np.rint(cohort.signals * 1000) / 1000 + 1e-5  # in microvolts, by another reader
    again = loaded.predict(replace(cohort, signals=written.astype(np.float32))).table
    assert again["fitted_on"].tolist() == table["fitted_on"].tolist()


@pytest.mark.parametrize("size", [1e-6, 1e7])
def test_training_records_are_told_apart_in_any_unit(cohort, size):
    scaled = replace(cohort, signals=cohort.signals * np.float32(size), unit="other")
    features = FORMS["raw"].extract(scaled, settings("cnn", "raw").features)
    hashes = training_records(scaled, features).hashes
    assert len(np.unique(hashes)) == hashes.size


def test_what_is_no_ecg_is_flagged_though_it_is_scaled(cohort, tmp_path):
    save_model(tmp_path, settings("cnn", "raw", "stride=125"), part_of(cohort, 0, 30), 1)
    random, size = np.random.default_rng(0), cohort.signals.shape
    mains = np.sin(2 * np.pi * 50 * np.arange(size[1]) / cohort.fs)[None, :, None]
    for signals in (random.normal(0, 0.3, size), cohort.signals + mains):
        table = load(tmp_path).predict(replace(cohort, signals=signals.astype(np.float32))).table
        assert (table["distance"] > 1).all()
