import re

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lvh.data import synthetic
from lvh.data.cohort import LEADS
from lvh.data.synthetic import SyntheticSettings, load

WELL_FORMED = re.compile(r"(\(p\))?(\(N\)\(t\)\(p\))*(\(N\)(\(t\)(\(p\))?)?)?")
WELL_FORMED_WITHOUT_P = re.compile(r"(\(N\)\(t\))+(\(N\))?")


def settings(records=12, effect=1.0, noise=0.02, seed=0):
    return SyntheticSettings("synthetic", records, effect, noise, seed)


@pytest.fixture(scope="module")
def cohort():
    return load(settings(records=200))


def annotations(cohort):
    """Yield record, lead, symbols and samples of every lead of every record."""
    for record in range(len(cohort.records)):
        for lead in range(len(cohort.leads)):
            yield record, lead, *cohort.delineation.lead(record, lead)


def peaks(cohort, record, kind="N", lead="ii"):
    symbols, samples = cohort.delineation.lead(record, cohort.leads.index(lead))
    return samples[[symbol == kind for symbol in symbols]]


def voltages(cohort):
    """Return R and S of every lead from the QRS onset, median over beats, in mV."""
    r = np.empty((len(cohort.records), len(cohort.leads)))
    s = np.empty_like(r)
    for record, lead, symbols, samples in annotations(cohort):
        x = cohort.signals[record, :, lead]
        at = [k for k, symbol in enumerate(symbols) if symbol == "N"]
        beats = [x[samples[k - 1] : samples[k + 1] + 1] - x[samples[k - 1]] for k in at]
        r[record, lead] = np.median([beat.max() for beat in beats])
        s[record, lead] = np.median([-beat.min() for beat in beats])
    return r, s


def sokolow(cohort):
    """Return S in v1 plus the larger R of v5 and v6, in mV (Sokolow and Lyon 1949)."""
    r, s = voltages(cohort)
    v1, v5, v6 = cohort.lead_indices(("v1", "v5", "v6"))
    return s[:, v1] + np.maximum(r[:, v5], r[:, v6])


def out_of_fold(X, y):
    """Return the cross-validated score of a logistic regression for every record."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    folds = StratifiedKFold(7, shuffle=True, random_state=0)
    return cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]


def test_same_seed_gives_same_bits_and_another_seed_other_ones():
    first, again, other = load(settings()), load(settings()), load(settings(seed=1))

    assert first.fingerprint == again.fingerprint
    assert np.array_equal(first.signals, again.signals)
    assert first.fingerprint != other.fingerprint
    assert not np.array_equal(first.signals, other.signals)
    assert not np.array_equal(first.age, other.age)


def test_global_random_state_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    before = load(settings(records=2)).fingerprint
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002

    assert load(settings(records=2)).fingerprint == before
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_shorter_cohort_is_the_head_of_a_longer_one():
    short, long = load(settings(records=4)), load(settings(records=9))

    assert np.array_equal(short.signals, long.signals[:4])
    assert np.array_equal(short.label, long.label[:4])
    assert np.array_equal(short.age, long.age[:4])
    end = short.delineation.offsets[-1]
    assert np.array_equal(short.delineation.samples, long.delineation.samples[:end])


def test_smallest_cohort_has_both_labels():
    labels = [tuple(load(settings(records=2, seed=seed)).label) for seed in range(30)]

    assert set(labels) == {(0, 1), (1, 0)}


def test_subjects_look_like_those_of_ludb(cohort):
    # 3 standard errors of a share in 200 records are .11.
    assert abs(cohort.prevalence - 0.54) < 0.11
    assert abs(cohort.male.mean() - 0.57) < 0.11
    assert cohort.age.min() >= 11
    assert cohort.age.max() <= 90
    assert np.array_equal(cohort.age, np.floor(cohort.age))
    # LUDB: 39 of 200 below 30, 83 at 60 or above.
    assert abs((cohort.age < 30).mean() - 39 / 200) < 0.11
    assert abs((cohort.age >= 60).mean() - 83 / 200) < 0.11


@pytest.mark.parametrize(
    ("fibrillating", "effect"), [(0.12, 1.0), (0.0, 20.0), (1.0, 1.0), (1.0, 20.0)]
)
def test_every_lead_is_well_formed(monkeypatch, fibrillating, effect):
    # Fibrillation, with its short beats, and huge effects strain the order of the waves most.
    monkeypatch.setattr(synthetic, "_FIBRILLATING", fibrillating)
    cohort = load(settings(records=40, effect=effect))

    for record, lead, symbols, samples in annotations(cohort):
        where = f"record {record + 1}, lead {LEADS[lead]}: {symbols}"
        form = WELL_FORMED if "p" in symbols else WELL_FORMED_WITHOUT_P
        assert form.fullmatch(symbols), where
        assert "(N)(t)(p)" in symbols or ("p" not in symbols and "(N)(t)" in symbols), where
        assert samples[0] >= 0, where
        assert samples[-1] < 5000, where
        assert (np.diff(samples) >= 0).all(), where
        waves = samples.reshape(-1, 3)
        assert (np.diff(waves, axis=1) > 0).all(), where
    assert len(cohort.delineation.offsets) == 40 * 12 + 1
    assert cohort.delineation.offsets[-1] == len(cohort.delineation.symbols)


@pytest.mark.parametrize("stream", ["flipped", "ones", "redrawn"])
def test_at_effect_0_nothing_but_the_label_follows_the_label_stream(monkeypatch, stream):
    expected = load(settings(effect=0.0))
    labels = {
        "flipped": 1 - expected.label,
        "ones": np.ones_like(expected.label),
        "redrawn": np.random.default_rng(99).integers(0, 2, len(expected.label)),
    }[stream]
    monkeypatch.setattr(synthetic, "_draw_labels", lambda *_: labels)

    null, real = load(settings(effect=0.0)), load(settings(effect=1.0))

    assert np.array_equal(null.label, labels)
    assert null.signals.tobytes() == expected.signals.tobytes()
    assert null.delineation.symbols.tobytes() == expected.delineation.symbols.tobytes()
    assert null.delineation.samples.tobytes() == expected.delineation.samples.tobytes()
    assert np.array_equal(null.male, expected.male)
    assert np.array_equal(null.age, expected.age)
    # The same stream does reach the signals where there is an effect to carry.
    assert real.signals.tobytes() != expected.signals.tobytes()


@pytest.mark.parametrize(("effect", "is_null"), [(0.0, True), (0.5, False)])
def test_voltage_and_age_tell_the_label_only_where_there_is_an_effect(effect, is_null):
    aucs = []
    for seed in range(6):  # over cohorts, since one in twenty honest ones misses its interval
        cohort = load(settings(records=50, effect=effect, seed=seed))
        X = np.column_stack([sokolow(cohort), cohort.age, cohort.male])
        aucs.append(roc_auc_score(cohort.label, out_of_fold(X, cohort.label)))
    half = 2.57 * np.std(aucs, ddof=1) / np.sqrt(6)  # Student's t, 5 degrees of freedom, 95 %

    assert (abs(np.mean(aucs) - 0.5) < half) == is_null


@pytest.mark.parametrize(
    "wrong",
    [
        {"records": 1},
        {"records": 12.0},
        {"effect": -0.1},
        {"effect": float("nan")},
        {"effect": float("inf")},
        {"noise": -0.01},
        {"noise": float("inf")},
        {"seed": -1},
        {"seed": True},
        {"name": "ludb"},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    right = {"name": "synthetic", "records": 12, "effect": 1.0, "noise": 0.02, "seed": 0}
    check = TypeAdapter(SyntheticSettings).validate_python

    assert check(right) == settings()
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        check(right | wrong)
