"""Learned on one data set, scored on another: nobody is in both, and nothing leaks back."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import command

from lvh.config.composition import settings_of
from lvh.data import synthetic
from lvh.data.cohort import EXTERNAL, join
from lvh.errors import InputError
from lvh.evaluation.cv_result import baseline_summaries
from lvh.evaluation.fold_training import train_folds
from lvh.models.classifiers import BASELINES
from lvh.runs.run import load_data, new_trainer
from lvh.validation.splits import CvSettings, external_split


def settings(*overrides: str):
    return settings_of(*overrides)


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


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fs": 100.0}, "expected 500.0 Hz"),
        ({"leads": ("ii", "i")}, "leads"),
        ({"signals": np.zeros((30, 4000, 12), np.float32)}, "expected 5000 samples"),
    ],
)
def test_sources_of_another_kind_are_refused(changed, told, cohort, other):
    with pytest.raises(InputError, match=told):
        join(cohort, replace(other, **changed))


def test_all_of_one_is_learned_from_and_all_of_the_other_scored():
    prepared = load_data(settings(*TWO, *OTHER))
    (split,) = prepared.splits
    records = np.array(prepared.features.records)
    assert not any(name.startswith(EXTERNAL) for name in records[split.train])
    assert all(name.startswith(EXTERNAL) for name in records[split.scored])
    assert len(split.train) + len(split.scored) == len(records)
    assert len(split.validation) == 0
    assert len(split.scored) == 50


def test_validation_records_are_the_learned_source_s_and_subjects_stay_whole():
    y = np.tile([0, 1], 20)
    subjects = np.array([*np.repeat(np.arange(15).astype(str), 2), *"abcdefghij"])
    cv = replace(settings(*TWO, *OTHER).cv, validation=0.2)
    split = external_split(y, subjects, 30, cv)
    assert set(split.scored) == set(range(30, 40))
    assert len(split.validation) == 6
    assert set(split.train) | set(split.validation) == set(range(30))
    assert not set(subjects[split.train]) & set(subjects[split.validation])


def test_nothing_of_the_scored_records_reaches_what_scores_them():
    """Wild values and turned labels of some external records change their scores alone."""
    of = settings(*TWO, *OTHER, "model=logistic", "features=voltage")
    prepared = load_data(of)
    features, (split,) = prepared.features, prepared.splits
    X, y = features.X.copy(), features.y.copy()
    planted, others = split.scored[::5], np.setdiff1d(split.scored, split.scored[::5])
    X[planted], y[planted] = 1e6, 1 - y[planted]
    X[others[0], 5] = np.nan  # filled by what the training records have
    spoilt = replace(features, X=X, y=y)

    def scores(data):
        (fold,) = train_folds(data, (split,), new_trainer(of, data, 500.0), seed=0)
        return dict(zip(split.scored.tolist(), fold.y_score.tolist(), strict=True))

    one, two = scores(features), scores(spoilt)
    assert all(one[at] == two[at] for at in others[1:].tolist())
    assert one[others[0]] != two[others[0]]
    clean = baseline_summaries(features, (split,), BASELINES)
    turned = baseline_summaries(replace(features, y=y), (split,), BASELINES)
    assert clean["age + sex"].pooled["ap"] != turned["age + sex"].pooled["ap"]  # scored anew
    assert clean["no skill"].mean.brier != turned["no skill"].mean.brier


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("cv=external",), "Received: cv.scheme=external, external=none"),
        (("external=synthetic",), "Received: cv.scheme=kfold, external=synthetic"),
        (
            ("cv=external", "data=synthetic", "external=synthetic"),
            "other records than those of data",
        ),
        ((*TWO, *OTHER, "cv.repeats=2"), "cv.repeats: expected 1 with cv=external"),
        ((*TWO, *OTHER, "external.nonsense=2"), "nonsense"),
        ((*TWO, "external.records=-1"), "external.records"),
        (
            (*TWO, *OTHER, "cv.weights=carried", "cv.allow_leakage=true"),
            "cv.weights: expected fresh",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(given, told):
    with pytest.raises(Exception, match=told):
        settings(*given)


def test_one_class_in_either_part_is_refused(cohort):
    cv = CvSettings("external", 7, 1, 0, 0.2, 0.0)
    y, subjects = np.array([0, 1, 0, 1, 0, 0]), np.arange(6).astype(str)
    with pytest.raises(
        InputError, match=r"external: expected both classes. Received: 2 records, 0"
    ):
        external_split(y, subjects, 4, cv)
    with pytest.raises(InputError, match=r"data: expected both classes. Received: 1 records, 0"):
        external_split(y, subjects, 1, cv)
    for n_own in (0, 6):
        with pytest.raises(InputError, match="expected usable records of both sources"):
            external_split(y, subjects, n_own, cv)


def test_trials_on_different_records_are_not_compared_fold_by_fold(tmp_path, monkeypatch):
    done = command("-m", *TWO, "external.seed=7,8", "search.race=true", cwd=tmp_path)
    assert done.code == 2
    assert "cannot be used where folds or data are swept" in done.err


@pytest.mark.slow
def test_a_sweep_over_what_is_scored_has_a_study_of_its_own(tmp_path):
    given = ("-m", *TWO, "model=logistic", "features=voltage", "tracking=off")
    studies = []
    for seeds in ("7,8", "7,9"):
        done = command(*given, f"external.seed={seeds}", cwd=tmp_path)
        assert done.code == 0, done.err
        studies.append(re.search(r"^study (\S+)", done.out, re.M)[1])
    assert studies[0] != studies[1]
    assert "1 folds trained now" in done.out  # that of seed 7 was known


def test_it_has_its_own_name_params_and_folds():
    of = settings(*TWO, *OTHER)
    assert of.name == "dnn-ntp-on-synthetic"
    params = of.params()
    assert (params["data"], params["external"], params["external.seed"]) == (
        "synthetic",
        "synthetic",
        7,
    )
    alone = settings("data=synthetic")
    assert alone.external is None
    assert "external" not in alone.params()


@pytest.mark.ludb
def test_from_ludb_to_ptb_xl(ludb_root, ptbxl_root):
    of = settings(
        *("cv=external", "data=ludb", f"data.root={ludb_root}", "external=ptbxl"),
        *(f"external.root={ptbxl_root}", "model=cnn", "stride=125"),
    )
    prepared = load_data(of)
    (split,) = prepared.splits
    y = prepared.features.y
    assert (len(split.train), y[split.train].sum()) == (200, 108)
    assert (len(split.scored), y[split.scored].sum()) == (142, 33)
    subjects = prepared.features.subjects
    assert len(set(subjects[split.scored])) == 138
    assert not set(subjects[split.train]) & set(subjects[split.scored])
    assert "learned from LUDB 1.0.1 (200 records, prevalence 0.540)" in prepared.cohort.note
    assert "142 records, prevalence 0.232" in prepared.cohort.note
    with pytest.raises(InputError, match=r"has none\. external\.delineation=found finds one; or"):
        load_data(replace(of, features=settings("data=synthetic").features))
