"""Changes of signals: what they do to waves that are measured, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
from final_models import settings

from lvh.data.cohort import LEADS, records_at
from lvh.errors import InputError
from lvh.explanations.robustness import changed, changes_of, responses, summarize_responses
from lvh.features import FORMS, FeatureSet
from lvh.features.voltage import measure


@pytest.fixture(scope="module")
def few(cohort):
    return records_at(cohort, np.arange(4))


def extract(cohort) -> FeatureSet:
    return FORMS["voltage"].extract(cohort, settings("logistic", "voltage").features)


def test_measured_waves_follow_a_change(few):
    before = measure(few)
    louder = measure(changed(few, ("amplitude", 2.0)))
    # a small wave may only then be one
    big = before.r > 0.2
    np.testing.assert_allclose(louder.r[big], 2 * before.r[big], rtol=1e-4)
    np.testing.assert_allclose(louder.qrs, before.qrs)
    swapped = measure(changed(few, ("arms", "")))
    pairs = [("ii", "iii"), ("iii", "ii"), ("avr", "avl"), ("avl", "avr"), ("v1", "v1")]
    for lead, source in pairs:
        at, of = LEADS.index(lead), LEADS.index(source)
        np.testing.assert_array_equal(swapped.r[:, at], before.r[:, of])
        np.testing.assert_array_equal(swapped.t[:, at], before.t[:, of])
    np.testing.assert_allclose(swapped.t[:, 0], -before.t[:, 0])
    flat = measure(changed(few, ("flat", "v5")))
    at = LEADS.index("v5")
    assert np.isnan(flat.r[:, at]).all()
    np.testing.assert_array_equal(np.delete(flat.r, at, 1), np.delete(before.r, at, 1))
    again = measure(changed(few, ("resampling", 250.0)))
    assert np.nanmedian(np.abs(again.r - before.r)) < 0.02
    for name in ("arms", "v1_v2"):
        twice = changed(changed(few, (name, "")), (name, ""))
        np.testing.assert_array_equal(twice.signals, few.signals)
        np.testing.assert_array_equal(twice.delineation.samples, few.delineation.samples)


def test_only_possible_changes_are_made_in_the_size_that_is_said(few):
    noise = changed(few, ("noise", 0.05)).signals - few.signals
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    wander = changed(few, ("wander", 0.5)).signals - few.signals
    assert np.abs(wander).max() == pytest.approx(0.5, rel=0.01)
    spectrum = np.abs(np.fft.rfft(wander, axis=1)).sum(axis=(0, 2))
    assert np.fft.rfftfreq(wander.shape[1], 1 / few.fs)[spectrum.argmax()] == pytest.approx(0.3)
    one_lead = replace(few, leads=("ii",), signals=few.signals[..., :1], fs=200.0, unit="other")
    assert {name for name, _ in changes_of(one_lead, "all")} == {"amplitude", "resampling", "flat"}
    assert changes_of(one_lead, "flat,flat") == (("flat", "ii"),)
    assert changes_of(few, "none") == ()
    for asked in ("noise", "arms", "nois", "", "all,flat"):
        with pytest.raises(InputError, match="--changes: expected all, none, or some of"):
            changes_of(one_lead, asked)


def test_probabilities_are_those_of_each_record_and_missing_ones_are_counted(few):
    def score(features):  # of R in v5, which a flat lead has not
        return np.array(features.X[:, features.names.index("v5_R")], np.float64)

    def strict(cohort):  # a record without v5 is left out, one without v6 is refused
        features = extract(cohort)
        v5, v6 = (features.X[:, features.names.index(f"{lead}_R")] for lead in ("v5", "v6"))
        if np.isnan(v6).any():
            raise InputError("no v6")
        if not np.isnan(v5).any():
            return features
        first, *others = features.records
        dropped, X = tuple((name, "no v5") for name in others), np.zeros_like(features.X[:1])
        return replace(features, X=X, y=features.y[:1], records=(first,), dropped=dropped)

    changes = [("amplitude", 2.0), ("flat", "v5"), ("flat", "v6")]
    table = responses(few, changes, strict, score)
    summary = summarize_responses(table).set_index(["change", "strength", "label"]).sort_index()
    r = measure(few).columns(measure(few).r, "v5")[:, 0]
    for label in set(few.label):
        own = r[few.label == label]
        row = summary.loc["amplitude", "2.0", label]
        assert row["mean"] == pytest.approx(2 * own.mean(), rel=1e-3)
        assert row["moved"] == pytest.approx(own.mean(), rel=1e-3)
        assert row["n"] == row["scored"] == len(own)
        lost = summary.loc["flat", "v6", label]
        assert (lost["scored"], lost["reason"]) == (0, "no v6")
        assert np.isnan(lost["mean"])
    v5 = summary.loc["flat", "v5"]
    assert (v5["scored"].sum(), v5["n"].sum(), set(v5["reason"])) == (1, 4, {"no v5"})
