"""What models look at: known answers, scikit-learn's answers, and importance that was planted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import csv_rows
from final_models import describe, save_model, settings
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression

from lvh.cli.explain import main
from lvh.data import synthetic
from lvh.data.cohort import LEADS, part_of
from lvh.explanations.importance import (
    Context,
    ExplainedRecords,
    Options,
    fold_importance,
    record_importance,
)
from lvh.explanations.input_groups import InputTable, groups_of
from lvh.explanations.occlusion import beats_of, occluded, windows
from lvh.explanations.run_explanation import losses, summarize
from lvh.features import FORMS
from lvh.features.beat import BeatSettings
from lvh.features.voltage import VoltageSettings, measure
from lvh.inference import FinalModel, load
from lvh.inference.training_records import training_records
from lvh.validation.splits import Split

RANDOM = np.random.default_rng(0)
SIGNALS = RANDOM.normal(size=(3, 50, 2)).astype(np.float32)
BEAT = BeatSettings(leads=("i", "v1", "v5", "v6"))
OPTIONS = Options(window=0.08, stride=0.08, repeats=2)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_occlusion_of_a_linear_model_is_the_weights_times_what_is_taken(monkeypatch):
    weights = RANDOM.normal(size=(50, 2)) / 20

    def score(signals):
        return sigmoid(np.einsum("rsl,sl->r", signals.astype(np.float64), weights))

    cover = windows(50, 8, 4)
    importance = occluded(score, SIGNALS, cover)
    for record, signal in enumerate(SIGNALS.astype(np.float64)):
        for window, (start, stop) in enumerate(zip(*cover, strict=True)):
            known = np.r_[0:start, stop:50]
            for lead in range(2):
                line = np.interp(np.arange(50), known, signal[known, lead])
                expected = (weights[:, lead] * (signal[:, lead] - line)).sum()
                assert importance[record, window, lead] == pytest.approx(expected, abs=1e-5)
    monkeypatch.setattr("lvh.explanations.occlusion._BATCH_BYTES", 1)
    np.testing.assert_allclose(occluded(score, SIGNALS, cover), importance, atol=1e-12)


def test_a_permutation_costs_what_scikit_learn_says():
    X = RANDOM.normal(size=(200, 4)).astype(np.float32)
    y = (X @ [2, 1, 0, 0] + RANDOM.normal(size=200) > 0).astype(int)
    model = LogisticRegression().fit(X, y)
    table = InputTable(("a", "b", "c", "d"), X, None)
    orders = [RANDOM.permutation(200) for _ in range(30)]
    expected = permutation_importance(
        model, X, y, scoring="average_precision", n_repeats=30, random_state=0
    ).importances_mean
    y_score = model.predict_proba(X)[:, 1]
    changed = {}
    for group in groups_of(table.names)[:4]:
        rows = np.concatenate([table.replaced(group, table.rows[order]) for order in orders])
        changed[group.kind, group.name] = model.predict_proba(rows)[:, 1].reshape(30, 200)
    lost = losses(y, y_score, np.arange(200).astype(str), changed).set_index("name")["ap_drop"]
    # two draws of 30 permutations
    np.testing.assert_allclose(lost[list(table.names)], expected, atol=0.017)


def test_criteria_follow_what_is_permuted(cohort):
    features = FORMS["voltage"].extract(cohort, VoltageSettings())
    voltages = InputTable(features.names, np.nan_to_num(features.X), measure(cohort))
    order = RANDOM.permutation(len(voltages.rows))
    groups = {(group.kind, group.name): group for group in groups_of(voltages.names)}
    changed = voltages.replaced(groups["lead_inputs", "v1"], voltages.rows[order])
    measured = measure(cohort)
    at = {name: column for column, name in enumerate(voltages.names)}
    s_v1 = measured.columns(measured.s, "v1")[:, 0][order]
    sokolow_lyon = s_v1 + measured.columns(measured.r, "v5", "v6").max(axis=1)
    np.testing.assert_allclose(changed[:, at["sokolow_lyon"]], sokolow_lyon, rtol=1e-5)
    np.testing.assert_allclose(changed[:, at["v1_S"]], s_v1, rtol=1e-5)
    for name in ("cornell", "v5_R", "male", "age"):
        assert (changed[:, at[name]] == voltages.rows[:, at[name]]).all()


def out_of_fold(cohort, settings):
    """Explain logistic regressions on flattened inputs, two folds."""
    features = FORMS[settings.name].extract(cohort, settings)
    context = Context(cohort, features, settings)
    n = len(features.y)
    splits, folds = [], []
    for fold in range(2):
        test = np.arange(fold, n, 2)
        train = np.setdiff1d(np.arange(n), test)
        flat = features.X.reshape(n, -1).astype(np.float64)
        model = LogisticRegression(C=0.1, max_iter=2000).fit(flat[train], features.y[train])

        def score(X, model=model):
            return model.predict_proba(X.reshape(len(X), -1).astype(np.float64))[:, 1]

        records = ExplainedRecords(score, features.X[test], positions=test, context=context)
        folds.append(fold_importance(records, context, OPTIONS, seed=(0, fold)))
        splits.append(Split(0, fold, train, train[:0], test))
    return summarize(context, splits, folds)


def lost(explanation, kind):
    table = explanation.importance
    return table[table["kind"] == kind].set_index("name")


def generated(records, effect):
    return synthetic.load(
        synthetic.SyntheticSettings("synthetic", records, effect=effect, noise=0.02, seed=0)
    )


@pytest.fixture(scope="module")
def null():
    return generated(120, 0.0)


@pytest.fixture(scope="module")
def planted(null):
    """A null cohort to which LVH adds a bump at the peak of T in v5, and nothing else."""
    signals = null.signals.copy()
    lead = LEADS.index("v5")
    for record in np.flatnonzero(null.label):
        symbols, samples = null.delineation.lead(record, lead)
        for at, symbol in zip(samples, symbols, strict=True):
            if symbol == "t" and 30 <= at < 5000 - 31:
                signals[record, at - 30 : at + 31, lead] += 0.6 * np.hanning(61)
    return replace(null, signals=signals)


class TestKnownAnswers:
    def test_importance_lies_where_the_effect_was_put(self, planted):
        explanation = out_of_fold(planted, BEAT)
        assert explanation.ap.estimate > 0.9
        leads, waves = lost(explanation, "lead"), lost(explanation, "wave")
        assert leads.index[0] == "v5"
        assert leads["ap_drop_low"].iloc[0] > 0.1
        assert (leads["ap_drop"].iloc[1:].abs() < 0.05).all()
        assert waves.index[0] == "T"
        assert waves["ap_drop_low"].iloc[0] > 0.1
        criteria = lost(explanation, "criterion")["ap_drop"]
        assert criteria["strain"] > 0.1 > 0.05 > criteria.drop("strain").max()
        saliency = explanation.saliency
        largest = saliency.loc[saliency["importance"].idxmax()]
        assert (largest["label"], largest["lead"]) == (1, "v5")
        assert 0.1 < largest["seconds"] < 0.45

    def test_labels_without_information_have_no_importance(self, null):
        explanation = out_of_fold(null, BEAT)
        assert (explanation.importance["ap_drop_low"] < 0.03).all()  # on 120 records, by chance


def test_a_run_on_measured_inputs_is_explained_unless_it_was_stopped(trained, capsys, monkeypatch):
    run = trained("model=logistic", "features=voltage").folder
    assert main([str(run), "--repeats", "2", "--changes", "amplitude,arms"]) == 0
    shown = capsys.readouterr()
    assert "Trained again, 3 of 3 folds gave exactly the stored scores." in shown.out
    assert not shown.err
    folder = run / "explanation"
    assert {one.name for one in folder.iterdir()} == {
        *("README.md", "importance.csv", "scores.csv", "importance.png"),
        *("robustness.csv", "robustness.png"),
    }
    predictions = {label: [] for label in "01"}
    for row in csv_rows(run / "predictions.csv"):
        predictions[row["y_true"]].append(float(row["y_score"]))
    unchanged = [row for row in csv_rows(folder / "robustness.csv") if row["change"] == "nothing"]
    for row in unchanged:
        expected = np.mean(predictions[row["label"]])
        assert float(row["mean"]) == pytest.approx(expected, rel=1e-5)
    rows = {(row["kind"], row["name"]): row for row in csv_rows(folder / "importance.csv")}
    assert {("input", "v5_R"), ("group", "criteria"), ("criterion_inputs", "cornell")} <= set(rows)
    for row in rows.values():
        assert float(row["ap_drop_low"]) <= float(row["ap_drop"]) <= float(row["ap_drop_high"])
    kept = {row["of"]: row for row in csv_rows(run / "scores.csv") if row["metric"] == "ap"}
    for row in csv_rows(folder / "scores.csv"):
        for bound in ("pooled", "low", "high"):
            assert float(row[bound]) == pytest.approx(float(kept[row["of"]][bound]), rel=1e-5)
    monkeypatch.setattr("lvh.cli.explain.load_run", lambda _: SimpleNamespace(status="stopped"))
    assert main([str(run)]) == 2
    assert "stopped early" in capsys.readouterr().err


class TestRecord:
    def test_of_a_model_on_recordings_it_stands_in_the_leads_that_it_reads(self, cohort):
        of = settings("cnn", "raw", "features.leads=[v5,v1]", "features.scaling=none")
        one = part_of(cohort, 0, 1)
        features = FORMS["raw"].extract(one, of.features)

        def scores(X):  # two members that read the fifth second of v5, of which one says less
            z = X[:, 2000:2500, 0].astype(np.float64).sum(axis=1) / 20
            return 1 / (1 + np.exp(-np.column_stack([z, z])))

        training = training_records(
            part_of(cohort, 0, 3), FORMS["raw"].extract(part_of(cohort, 0, 3), of.features)
        )
        model = FinalModel(describe(of, cohort, features), training, scores)
        found = record_importance(model, one)
        assert found.shape == (5000, 12)
        read = [LEADS.index(lead) for lead in ("v1", "v5")]
        assert np.isnan(np.delete(found, read, axis=1)).all()
        assert (found[:, read[0]] == 0).all()
        assert (found[:1950, read[1]] == 0).all()
        assert (found[2550:, read[1]] == 0).all()
        assert np.abs(found[2000:2500, read[1]]).max() > 0.1

    def test_of_a_model_on_measured_inputs_it_stands_on_the_waves(self, cohort, tmp_path):
        of = settings("logistic", "voltage")
        features, y_score = save_model(tmp_path / "m", of, cohort, 1)
        model = load(tmp_path / "m")
        one = part_of(cohort, 0, 1)
        found = record_importance(model, one)
        lead = LEADS.index("avr")  # of no criterion but by its deepest S
        means = model.training.means
        odds = np.log(y_score[0, 0] / (1 - y_score[0, 0]))
        row = features.X[:1].copy()
        row[:, features.names.index("avr_T")] = means[features.names.index("avr_T")]
        p = model.member_scores(row)[0, 0]
        for _, waves in beats_of(one, 0, "avr"):
            for name, start, stop in waves:
                values = found[start:stop, lead]
                if name == "T":
                    assert values == pytest.approx(odds - np.log(p / (1 - p)), abs=1e-5)
                elif name in ("P", "PR", "ST"):
                    assert np.isnan(values).all()
                else:
                    assert np.isfinite(values).all()
