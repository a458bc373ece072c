"""A kept model says what the model that was trained says, of records like those it has seen."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import head, with_waves
from kept_models import describe, is_network, kept, settings, taught

from lvh.errors import InputError
from lvh.features import FORMS, fill_missing
from lvh.inference import Calibration, keep, load
from lvh.inference.model_card import card
from lvh.inference.model_description import Estimate, Evidence, parsed
from lvh.inference.model_size import _SIZES, n_parameters
from lvh.models import MODELS, Estimator

PAIRS = [
    *((model, "voltage") for model in MODELS if MODELS[model].inputs == "tabular"),
    ("cnn", "raw"),
    ("resnet", "beat"),
    ("two_branch", "fusion"),
]


@pytest.mark.parametrize(("model", "form"), PAIRS, ids=[model for model, _ in PAIRS])
def test_it_scores_as_what_was_trained(model, form, cohort, tmp_path):
    of = settings(model, form, *(["stride=125"] if model == "cnn" else []))
    features, scores = kept(tmp_path / "m", of, cohort)
    scored = load(tmp_path / "m").scored(cohort)
    # the same arrays through the same functions: to the bit
    np.testing.assert_array_equal(scored.by_member, scores)
    np.testing.assert_array_equal(scored.y_score, scores.mean(axis=1))
    np.testing.assert_array_equal(scored.y_pred, scores.mean(axis=1) > 0.5)
    assert (scored.records, scored.dropped) == (features.records, features.dropped)
    ends = {path.suffix for path in (tmp_path / "m").iterdir()} - {".json"}
    of_classifiers = set() if model == "criteria" else {".skops"}
    assert ends == ({".npz", ".keras"} if is_network(model) else of_classifiers)


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


def test_keras_alone_reads_a_network_and_it_says_the_same(cohort, tmp_path):
    """In safe mode, which runs no code of a file."""
    expected = {}
    for model, form in PAIRS:
        if is_network(model):
            of = settings(model, form, *(["stride=125"] if model == "cnn" else []))
            features, scores = kept(tmp_path / model, of, cohort)
            (X,) = fill_missing(features.fill, features.X)
            np.save(tmp_path / model / "inputs.npy", X)
            expected[model] = scores[:, 1]
    assert set(expected) == {"dnn", "cnn", "resnet", "two_branch"}
    folders = [str(tmp_path / model) for model in expected]
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, *folders], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for model, scores in expected.items():
        found = np.load(tmp_path / model / "elsewhere.npy")[:, 0]
        # float32 layers whose sums have another order
        np.testing.assert_allclose(found, scores, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "form", "overrides"),
    [
        ("dnn", "ntp", ["model.units=[7,5,3]"]),
        ("cnn", "raw", ["stride=125", "model.filters=[4,6,5]", "features.leads=[i,v1,v5]"]),
        ("resnet", "beat", ["model.filters=[4,4,6]", "model.blocks=3", "model.kernel=5"]),
        ("two_branch", "fusion", ["model.filters=[4,6]", "model.units=9"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_its_size_is_known_before_it_is_made(model, form, overrides, cohort):
    of = settings(model, form, *overrides)
    shape = FORMS[form].extract(cohort, of.features).input_shape
    made = MODELS[model].build(of.model, shape)
    assert n_parameters(of.model, shape) == made.count_params()


def test_the_size_of_every_network_is_known():
    known = {of.settings for of in MODELS.values() if not isinstance(of, Estimator)}
    assert set(_SIZES) == known


def test_records_are_scored_each_on_its_own(cohort, tmp_path):
    kept(tmp_path / "m", settings("dnn", "ntp"), cohort)
    model = load(tmp_path / "m")
    alone, among = model.scored(head(cohort, 1)), model.scored(cohort)
    # rows of one product of matrices, whose last digit may depend on how many there are
    np.testing.assert_allclose(alone.y_score[0], among.y_score[0], rtol=1e-6)


def test_a_missing_wave_gets_what_the_training_records_had(cohort, tmp_path):
    of = settings("logistic", "ntp")
    features, _ = kept(tmp_path / "m", of, cohort)
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
    expected = model.scores(np.where(absent, means, X))
    # one record alone, or among others: a product of matrices may round otherwise
    np.testing.assert_allclose(model.scored(without).by_member[:1], expected, rtol=1e-12)


def test_the_threshold_is_the_model_s_own(cohort, tmp_path):
    of = settings("logistic", "voltage")
    features, scores, parts = taught(of, cohort)
    above = float(np.sort(scores.mean(axis=1))[10])
    keep(tmp_path / "m", describe(of, cohort, features, threshold=above), parts)
    scored = load(tmp_path / "m").scored(cohort)
    assert scored.y_pred.sum() == len(scored.y_pred) - 11  # none at the threshold itself


def test_a_calibrated_share_and_its_interval_are_those_of_the_lines(cohort, tmp_path):
    of = settings("logistic", "voltage")
    features, scores, parts = taught(of, cohort)
    random = np.random.default_rng(0)
    resamples = tuple(zip(random.normal(0, 0.3, 400), random.normal(0.8, 0.1, 400), strict=True))
    calibration = Calibration((0.1, 0.8), resamples, 40, 1)
    keep(tmp_path / "m", describe(of, cohort, features, calibration=calibration), parts)
    scored = load(tmp_path / "m").scored(cohort)
    for at, p in enumerate(np.clip(scores.mean(axis=1), 1e-7, 1 - 1e-7)):
        x = np.log(p / (1 - p))
        shares = sorted(1 / (1 + np.exp(-(a + b * x))) for a, b in resamples)
        assert scored.calibrated[at] == pytest.approx(1 / (1 + np.exp(-(0.1 + 0.8 * x))), rel=1e-9)
        assert shares[8] <= scored.calibrated_low[at] <= shares[11]
        assert shares[388] <= scored.calibrated_high[at] <= shares[391]


def test_certain_scores_have_an_interval_around_their_share():
    """A criterion says 0 or 1; resamples that all lie on one side do not push the share out."""
    calibration = Calibration((0.0, 0.1), ((0.5, 0.1), (0.6, 0.1)), 40, 1)
    share, low, high = calibration.of(np.array([0.0, 1.0]))
    assert np.isfinite([*share, *low, *high]).all()
    assert ((low <= share) & (share <= high)).all()
    assert (high > share).all()


def test_a_description_comes_back_as_it_was(cohort):
    of = settings("dnn", "ntp")
    features = FORMS["ntp"].extract(cohort, of.features)
    worth = Evidence("kfold", 7, 1, {"model": {"ap": Estimate(0.1 + 0.2, None, 0.5, 0.4, 1 / 3)}})
    whole = describe(of, cohort, features, evidence=worth, files={"member-1.npz": "ab"})
    assert parsed(whole.dumped()) == replace(
        whole,
        features=json.loads(whole.dumped())["features"],
        model=json.loads(whole.dumped())["model"],
    )
    assert parsed(whole.dumped()).feature_settings == of.features
    assert parsed(whole.dumped()).model_settings == of.model


def test_the_card_says_what_must_be_known(cohort):
    of = settings("dnn", "ntp")
    features = FORMS["ntp"].extract(cohort, of.features)
    worth = Evidence("kfold", 7, 1, {"model": {"ap": Estimate(0.8, 0.1, 0.7, 0.6, 0.9)}})
    told = card(describe(of, cohort, features, evidence=worth, n_candidates=12, chosen_by="ap"))
    for words in (
        "Not a medical device",
        "synthetic cohort: generated signals, no patients",
        "generated with the signals",
        f"{len(features.y)} records, {features.y.sum()} with LVH",
        "0.800 (0.600 to 0.900)",
        "best of 12 by ap, which flatters that score",
        "fiducials of each lead, age and sex",
        "0.5: fixed",
        "2 epochs each (as in the folds)",
        "log odds x 0.9 + 0.1, by 40 out-of-fold predictions",
        "It does not cover another hospital",
        "trained on fewer records and single ones, with one seed",
        "learned from annotated ones; found, by neurokit2, where a record has none",
    ):
        assert words in told


def test_a_folder_without_a_description_is_none(tmp_path):
    with pytest.raises(InputError, match=r"expected the folder of a model .* Received: none"):
        load(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Received: a file"):
        load(tmp_path / "file")
