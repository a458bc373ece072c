"""Learned on one data set, scored on another: nobody is in both, and nothing leaks back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import done_here
from sklearn.metrics import average_precision_score, roc_auc_score

from lvh.config.composition import settings_of as settings
from lvh.data import join, synthetic
from lvh.data.array_checks import EXTERNAL
from lvh.data.cohort import part_of
from lvh.errors import InputError
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.cv_result import FoldResult, summarize
from lvh.features import FeatureSet, voltage
from lvh.features.voltage import LEAN
from lvh.models.training import History
from lvh.reports.external_validation import TABLES, external_validation, refitted_scores
from lvh.runs.experiment_data import load_data, new_trainer
from lvh.validation.metrics import score
from lvh.validation.splits import Split

TWO = ("cv=external", "data=synthetic", "data.records=60", "external=synthetic")
OTHER = ("external.records=50", "external.seed=7")


def test_records_are_put_behind_each_other_each_with_its_own(cohort):
    other = synthetic.load(synthetic.SyntheticSettings("synthetic", 30, 1.0, 0.02, 5))
    both, n = join(cohort, other), len(cohort.records)
    assert both.records == (*cohort.records, *(f"{EXTERNAL}{name}" for name in other.records))
    assert not set(both.subjects[:n]) & set(both.subjects[n:])  # the names were the same
    for source, start in ((cohort, 0), (other, n)):
        own = slice(start, start + len(source.records))
        for name in ("signals", "age", "male", "label"):
            np.testing.assert_array_equal(getattr(both, name)[own], getattr(source, name))
        symbols, _ = both.delineation.lead(start, 11)
        assert symbols == source.delineation.lead(0, 11)[0]
        assert f"prevalence {source.prevalence:.3f}" in both.note
    assert both.note.count(cohort.note) == 1
    assert len({of.fingerprint for of in (both, cohort, other, join(other, cohort))}) == 4


def test_nothing_of_the_scored_records_reaches_what_scores_them():
    of = settings(*TWO, *OTHER, "model=logistic", "features=voltage")
    prepared = load_data(of)
    features, (split,) = prepared.features, prepared.splits
    X, y = features.X.copy(), features.y.copy()
    planted, others = split.test[::5], np.setdiff1d(split.test, split.test[::5])
    X[planted], y[planted] = 1e6, 1 - y[planted]
    X[others[0], 5] = np.nan  # filled by what the training records have
    spoilt = replace(features, X=X, y=y)

    def scores(data):
        (fold,) = train_folds(data, (split,), new_trainer(of, data, 500.0), seed=0)
        return dict(zip(split.test.tolist(), fold.y_score.tolist(), strict=True))

    one, two = scores(features), scores(spoilt)
    assert all(one[at] == two[at] for at in others[1:].tolist())
    assert one[others[0]] != two[others[0]]


def judged(n, shift, slope):
    """Return features and a fold of test records whose log odds are `shift` and `slope` off."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(size=n)
    y = np.concatenate([[0, 1, 1, 1], (rng.random(n) < 1 / (1 + np.exp(-log_odds)))]).astype(int)
    names = np.arange(n + 4).astype(str)
    sex = np.column_stack([rng.integers(20, 90, n + 4), rng.integers(0, 2, n + 4)]).astype(float)
    features = FeatureSet(
        "tabular", np.zeros((n + 4, 1), np.float32), y, ("x",), tuple(names), names, sex
    )
    split = Split(0, 0, np.arange(4), np.arange(0), np.arange(4, n + 4))
    y_score = 1 / (1 + np.exp(-(log_odds - shift) / slope))
    fold = FoldResult(split, y_score, score(y[4:], y_score), History((), (), (), (), 0), 0.0)
    return features, summarize(features, [fold], {})


def table_of(found, prevalence="test", scores="as predicted"):
    rows = found.external.query("prevalence == @prevalence and scores == @scores")
    return rows.set_index("measure")


def test_measures_are_those_that_scikit_learn_and_a_known_truth_give():
    features, result = judged(1000, 1.0, 0.5)
    y = result.y_true
    found = external_validation(features, result, np.full(len(y), 0.1), recalibrate=True)
    table = table_of(found)
    assert table.estimate["slope"] == pytest.approx(0.5, abs=0.1)
    assert table.estimate["intercept"] > 0.8  # the scores are too low
    assert table.estimate["roc_auc"] == pytest.approx(roc_auc_score(y, result.y_score), abs=1e-8)
    assert ((table.low <= table.estimate) & (table.estimate <= table.high)).all()
    weights = np.where(y == 1, 0.75 / y.mean(), 0.25 / (1 - y.mean()))  # the training's prevalence
    at_training = table_of(found, "training").estimate
    ap = average_precision_score(y, result.y_score, sample_weight=weights)
    assert at_training["ap"] == pytest.approx(ap, abs=1e-8)
    assert f"AUC {table.estimate['roc_auc']:.3f} [" in found.sentences[1]
    assert f"slope {table.estimate['slope']:.3f} [" in found.sentences[2]
    shifted = table_of(found, scores="recalibrated in the large").estimate
    assert shifted["intercept"] == pytest.approx(0, abs=1e-6)
    assert shifted["observed_to_expected"] == pytest.approx(1, abs=1e-6)
    assert shifted["roc_auc"] == pytest.approx(table.estimate["roc_auc"], abs=1e-8)
    rows = found.net_benefit.query("prevalence == 'test' and scores == 'as predicted'")
    benefits = rows.set_index("threshold").estimate
    for threshold in (0.05, 0.2, 0.5):
        positive, price = result.y_score > threshold, threshold / (1 - threshold)
        benefit = (np.sum(y[positive]) - price * np.sum(1 - y[positive])) / len(y)
        assert benefits[f"{threshold}"] == pytest.approx(benefit, abs=1e-8)
        of_all = y.mean() - price * (1 - y.mean())
        assert benefits[f"{threshold}, treat all"] == pytest.approx(of_all, abs=1e-8)
    groups = found.subgroups.groupby("by")
    assert (groups.records.sum() == len(y)).all()
    assert (groups.with_label.sum() == y.sum()).all()


def test_refits_resample_whole_training_subjects_and_never_a_test_record(monkeypatch):
    of = settings(*TWO, *OTHER, "model=logistic", "features=voltage")
    data = load_data(of)
    (split,), features = data.splits, data.features
    subjects = np.array([f"s{at // 2}" for at in range(len(features.y))])
    paired, seen = replace(features, subjects=subjects), []
    trainer = new_trainer(of, paired, 500.0)

    def recording(jobs, *more, fit=trainer.fit):
        seen.extend(jobs)
        return fit(jobs, *more)

    monkeypatch.setattr(trainer, "fit", recording)
    scores = refitted_scores(paired, split, trainer, seed=0, n=5)
    assert len(np.unique(scores, axis=0)) == 5
    for job in seen:
        assert set(job.subjects) <= set(subjects[split.train])
        assert all(count % 2 == 0 for count in np.unique(job.subjects, return_counts=True)[1])
    result = summarize(paired, [*train_folds(paired, (split,), trainer, seed=0)], {})
    found = external_validation(paired, result, np.full(len(split.test), 0.1), refits=scores)
    assert "resampled 5 times" in found.sentences[0]


def test_an_external_run_writes_its_tables_and_settings_without_a_source_are_refused(tmp_path):
    done = done_here(
        *TWO, *OTHER, "experiment=travelling", "data.delineation=annotated", "tracking=off",
        "cv.recalibrate=large", "cv.refits=40", "external.where=age >= 30", "hydra.run.dir=run",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "fulfil age >= 30" in done.out
    files = {name: pd.read_csv(tmp_path / f"run/{name}.csv") for name in TABLES}
    assert len(files["external"]) == 4 * 7
    assert files["subgroups"].query("group == 'below 40'").records.sum() > 0
    with pytest.raises(InputError, match="expected external=SOURCE"):
        settings("cv.recalibrate=large", "model=logistic", "features=voltage")
    with pytest.raises(InputError, match="40 or more"):
        settings(*TWO, *OTHER, "model=logistic", "features=voltage", "cv.refits=5")


def test_inputs_are_chosen_by_name(cohort):
    cohort = part_of(cohort, 0, 6)
    full = voltage.extract_morphology(cohort, voltage.MorphologySettings())
    lean = voltage.extract_morphology(cohort, voltage.MorphologySettings(inputs="lean"))
    assert lean.names == LEAN
    np.testing.assert_array_equal(lean.X, full.X[:, [full.names.index(name) for name in LEAN]])
    for form, fault in (
        ({"inputs": "lean"}, "has all of lean.* 'v6_ST'"),
        ({"columns": ("v5R",)}, "such as v5_R"),
        ({"columns": ("age", "age")}, "different inputs, .* 'age'"),
        ({"columns": ("age",), "inputs": "lean"}, "expected one"),
    ):
        with pytest.raises(InputError, match=fault):
            voltage.extract(cohort, voltage.VoltageSettings(**form))
