"""Learned on one data set, scored on another: nobody is in both, and nothing leaks back."""

from dataclasses import replace

import numpy as np
import pytest

from lvh.config.composition import settings_of as settings
from lvh.data import synthetic
from lvh.data.array_checks import EXTERNAL
from lvh.data.joining import join
from lvh.evaluation.cv_result import baseline_summaries
from lvh.evaluation.fold_training import train_folds
from lvh.runs.run import load_data, new_trainer

TWO = ("cv=external", "data=synthetic", "data.records=60", "external=synthetic")
OTHER = ("external.records=50", "external.seed=7")


@pytest.fixture(scope="module")
def other():
    return synthetic.load(synthetic.SyntheticSettings("synthetic", 30, 1.0, 0.02, 5))


def test_records_are_put_behind_each_other_each_with_its_own(cohort, other):
    both = join(cohort, other)
    n = len(cohort.records)
    assert both.records == (*cohort.records, *(f"{EXTERNAL}{name}" for name in other.records))
    assert not set(both.subjects[:n]) & set(both.subjects[n:])  # the names were the same
    for at, (source, record) in {3: (cohort, 3), n: (other, 0), n + 29: (other, 29)}.items():
        np.testing.assert_array_equal(both.signals[at], source.signals[record])
        assert (both.age[at], both.male[at]) == (source.age[record], source.male[record])
        assert both.label[at] == source.label[record]
        for lead in range(12):
            symbols, samples = both.delineation.lead(at, lead)
            assert symbols == source.delineation.lead(record, lead)[0]
            np.testing.assert_array_equal(samples, source.delineation.lead(record, lead)[1])
    assert f"prevalence {cohort.prevalence:.3f}" in both.note
    assert f"prevalence {other.prevalence:.3f}" in both.note
    assert both.fingerprint not in (cohort.fingerprint, other.fingerprint)
    assert join(other, cohort).fingerprint != both.fingerprint


def test_nothing_of_the_scored_records_reaches_what_scores_them():
    """Wild values and turned labels of some external records change their scores alone."""
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
    clean = baseline_summaries(features, (split,))
    turned = baseline_summaries(replace(features, y=y), (split,))
    assert clean["age + sex"].pooled["ap"] != turned["age + sex"].pooled["ap"]
    assert clean["no skill"].mean.brier != turned["no skill"].mean.brier
