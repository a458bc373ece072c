"""What models look at: known answers, scikit-learn's answers, and importance that was planted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import done_here
from final_models import describe, save_model, settings
from hypothesis import given
from hypothesis import strategies as st
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression

from lvh.cli.explain import main
from lvh.data import synthetic
from lvh.data.cohort import LEADS, Delineation, part_of
from lvh.explanations import losses, summarize
from lvh.explanations.importance import (
    Context,
    fold_importance,
    groups_of,
    record_importance,
    replaced,
)
from lvh.explanations.occlusion import beats_of, occluded, windows
from lvh.features import FORMS
from lvh.features.columns import ColumnsSettings
from lvh.features.voltage import VoltageSettings, measure
from lvh.features.waveforms import BeatSettings
from lvh.inference import FinalModel, load
from lvh.inference.training_records import training_records
from lvh.validation.calibration import logit, sigmoid
from lvh.validation.splits import Split

RANDOM = np.random.default_rng(0)
SIGNALS = RANDOM.normal(size=(3, 50, 2)).astype(np.float32)
BEAT = BeatSettings(leads=("i", "v1", "v5", "v6"))


def test_occlusion_of_a_linear_model_is_the_weights_times_what_is_taken():
    weights = RANDOM.normal(size=(50, 2)) / 20

    def score(signals):
        return sigmoid(np.einsum("rsl,sl->r", signals.astype(np.float64), weights))

    cover = windows(50, 8, 4)
    importance = occluded(score, SIGNALS, cover)
    for record, signal in enumerate(SIGNALS.astype(np.float64)):
        for window, (start, stop) in enumerate(zip(cover.starts, cover.stops, strict=True)):
            known = np.r_[0:start, stop:50]
            for lead in range(2):
                line = np.interp(np.arange(50), known, signal[known, lead])
                expected = (weights[:, lead] * (signal[:, lead] - line)).sum()
                assert importance[record, window, lead] == pytest.approx(expected, abs=1e-5)


def test_a_permutation_costs_what_scikit_learn_says():
    X = RANDOM.normal(size=(200, 4)).astype(np.float32)
    y = (X @ [2, 1, 0, 0] + RANDOM.normal(size=200) > 0).astype(int)
    model = LogisticRegression().fit(X, y)
    names = ("a", "b", "c", "d")
    orders = [RANDOM.permutation(200) for _ in range(30)]
    options = {"scoring": "average_precision", "n_repeats": 30, "random_state": 0}
    expected = permutation_importance(model, X, y, **options).importances_mean
    y_score, changed = model.predict_proba(X)[:, 1], {}
    for at, name in enumerate(names):
        rows = np.concatenate([replaced(names, X, [at], X[order], None) for order in orders])
        changed["input", name] = model.predict_proba(rows)[:, 1].reshape(30, 200)
    lost = losses(y, y_score, np.arange(200).astype(str), changed).set_index("name")["ap_drop"]
    # two draws of 30 permutations
    np.testing.assert_allclose(lost[[*names]], expected, atol=0.017)


@pytest.mark.parametrize("step", [1, -1])
def test_criteria_follow_what_is_permuted_in_any_order_of_the_leads(cohort, step):
    at = np.arange(12)[::step]
    rows = np.add.outer(12 * np.arange(len(cohort.records)), at).ravel()
    waves = Delineation.from_leads([cohort.delineation.row(row) for row in rows])
    signals = cohort.signals[:, :, at]
    cohort = replace(cohort, leads=LEADS[::step], signals=signals, delineation=waves)
    features = FORMS["voltage"].extract(cohort, VoltageSettings())
    names, rows, measured = features.names, np.nan_to_num(features.X), measure(cohort)
    order = RANDOM.permutation(len(rows))
    v1 = groups_of(names)["lead_inputs", "v1"]
    changed = replaced(names, rows, v1, rows[order], measured)
    at = {name: column for column, name in enumerate(names)}
    s_v1 = measured.columns(measured.s, "v1")[:, 0][order]
    sokolow_lyon = s_v1 + measured.columns(measured.r, "v5", "v6").max(axis=1)
    np.testing.assert_allclose(changed[:, at["sokolow_lyon"]], sokolow_lyon, rtol=1e-5)
    for name in ("cornell", "v5_R", "male", "age"):
        assert (changed[:, at[name]] == rows[:, at[name]]).all()


def out_of_fold(cohort, settings):
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

        folds.append(fold_importance(score, features.X[test], test, context, seed=(0, fold)))
        splits.append(Split(0, fold, train, train[:0], test))
    return summarize(context, splits, folds)


def lost(explanation, kind):
    table = explanation.importance
    return table[table["kind"] == kind].set_index("name")


NULL = synthetic.SyntheticSettings("synthetic", 120, effect=0.0, noise=0.02, seed=0)


def planted():
    """A null cohort to which LVH adds a bump at the peak of T in v5, and nothing else."""
    null = synthetic.load(NULL)
    signals = null.signals.copy()
    lead = LEADS.index("v5")
    for record in np.flatnonzero(null.label):
        symbols, samples = null.delineation.lead(record, lead)
        for at, symbol in zip(samples, symbols, strict=True):
            if symbol == "t" and 30 <= at < 5000 - 31:
                signals[record, at - 30 : at + 31, lead] += 0.6 * np.hanning(61)
    return replace(null, signals=signals)


def test_importance_lies_where_the_effect_was_put():
    explanation = out_of_fold(planted(), BEAT)
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


def test_a_run_on_measured_inputs_is_explained_unless_it_was_stopped(trained, capsys, monkeypatch):
    run = trained("model=logistic", "features=voltage").folder
    assert main([str(run), "--changes", "amplitude,arms"]) == 0
    shown = capsys.readouterr()
    assert "Trained again, 3 of 3 folds gave exactly the stored scores." in shown.out
    assert "all voltages times 0.5, 1, 1.5, 2, 3" in " ".join(shown.out.split())
    assert not shown.err
    tables = {one.stem: pd.read_csv(one) for one in (run / "explanation").glob("*.csv")}
    assert {*tables} == {"importance", "scores", "robustness"}
    pictures = {one.stem for one in (run / "explanation").glob("*.png")}
    assert pictures == {"importance", "robustness"}
    predicted = pd.read_csv(run / "predictions.csv").groupby("y_true").y_score.mean()
    unchanged = tables["robustness"].query("change == 'nothing'").set_index("label")["mean"]
    np.testing.assert_allclose(unchanged[predicted.index], predicted, rtol=1e-5)
    rows = tables["importance"].set_index(["kind", "name"])
    for row in (("input", "v5_R"), ("group", "criteria"), ("criterion_inputs", "cornell")):
        assert row in rows.index
    assert (rows.ap_drop.between(rows.ap_drop_low, rows.ap_drop_high)).all()
    bounds, scores = ["pooled", "low", "high"], tables["scores"].set_index("of")
    stored = pd.read_csv(run / "scores.csv").query("metric == 'ap'").set_index("of")
    np.testing.assert_allclose(scores[bounds], stored.loc[scores.index, bounds], rtol=1e-5)
    monkeypatch.setattr("lvh.cli.explain.load_run", lambda _: SimpleNamespace(status="stopped"))
    assert main([str(run)]) == 2
    assert "stopped early" in capsys.readouterr().err


LIKE_AN_ECG = st.sampled_from(["v1_S", "ii_T", "i_P", "cornell", "qrs_duration", "male"])
HEADINGS = st.lists(LIKE_AN_ECG | st.text("ab_1", min_size=1), min_size=1, max_size=9, unique=True)


@given(HEADINGS, st.data())
def test_a_column_is_explained_alone_whatever_it_is_called(cohort, names, data):
    table = pd.DataFrame(RANDOM.normal(size=(len(cohort.records), len(names))), columns=names)
    of, records = ColumnsSettings(columns=tuple(names)), replace(cohort, columns=table)
    features = FORMS["columns"].extract(records, of)
    context, read = Context(records, features, of), data.draw(st.sampled_from(names))
    at = names.index(read)
    found = fold_importance(lambda X: X[:, at], features.X, np.arange(len(table)), context)
    assert {*found.changed} == {("input", name) for name in names}
    for (_, name), scores in found.changed.items():  # by its own values, and by nothing else
        assert (scores == found.y_score).all() == (name != read)


def test_a_run_on_a_table_without_signals_is_explained(tmp_path):
    table = pd.DataFrame(RANDOM.normal(size=(40, 2)), columns=["rate", "ii_T"])
    table.assign(af=np.tile([0, 1], 20)).to_csv(tmp_path / "t.csv", index_label="record")
    typed = f"data=table data.path={tmp_path}/t.csv data.label=af features=columns model=logistic"
    run = str(tmp_path / "run")
    typed += f" cv.folds=2 tracking=off hydra.run.dir={run}"
    assert done_here(*typed.split(), cwd=tmp_path).code == 0
    assert main([run, "--changes", "amplitude"]) == 2
    assert main([run]) == 0


def test_of_a_model_on_recordings_it_stands_in_the_leads_that_it_reads(cohort):
    of = settings("cnn", "raw", "features.leads=[v5,v1]", "features.scaling=none")
    one, few = part_of(cohort, 0, 1), part_of(cohort, 0, 3)

    def scores(X):  # two members that read the fifth second of v5
        z = X[:, 2000:2500, 0].astype(np.float64).sum(axis=1) / 20
        return sigmoid(np.column_stack([z, z]))

    training = training_records(few, FORMS["raw"].extract(few, of.features))
    features = FORMS["raw"].extract(one, of.features)
    model = FinalModel(describe(of, cohort, features), training, scores)
    found = record_importance(model, one)
    v1, v5 = LEADS.index("v1"), LEADS.index("v5")
    assert np.isnan(np.delete(found, [v1, v5], axis=1)).all()
    assert (found[:, v1] == 0).all()
    assert (np.delete(found[:, v5], np.s_[1950:2550]) == 0).all()
    assert np.abs(found[2000:2500, v5]).max() > 0.1


def test_of_a_model_on_measured_inputs_it_stands_on_the_waves(cohort, tmp_path):
    of = settings("logistic", "voltage")
    features, y_score = save_model(tmp_path / "m", of, cohort, 1)
    model = load(tmp_path / "m")
    one = part_of(cohort, 0, 1)
    found = record_importance(model, one)
    lead = LEADS.index("avr")  # of no criterion but by its deepest S
    means = model.training.means
    row, at = features.X[:1].copy(), features.names.index("avr_T")
    row[:, at] = means[at]
    change = logit(y_score[0, 0]) - logit(model.member_scores(row)[0, 0])
    for _, waves in beats_of(one, 0, "avr"):
        for name, samples in waves.items():
            values = found[samples, lead]
            if name == "T":
                assert values == pytest.approx(change, abs=1e-5)
            else:
                assert np.isfinite(values).all() == (name == "QRS")
