"""Changes of signals: what they do to waves that are measured, and what is said of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from final_models import settings

from lvh.data.cohort import LEADS, records_at
from lvh.errors import InputError
from lvh.explanations.robustness import changed, changes_of, responses, summarize_responses
from lvh.features import FORMS
from lvh.features.voltage import measure


@pytest.fixture(scope="module")
def few(cohort):
    return records_at(cohort, np.arange(4))


def test_measured_waves_follow_a_change(few):
    before = measure(few)
    louder = measure(changed(few, ("amplitude", 2.0)))
    big = before.r > 0.2  # a small wave may only then be one
    np.testing.assert_allclose(louder.r[big], 2 * before.r[big], rtol=1e-4)
    swapped = measure(changed(few, ("arms", "")))
    for lead, source in [("ii", "iii"), ("iii", "ii"), ("avr", "avl"), ("avl", "avr")]:
        at, of = LEADS.index(lead), LEADS.index(source)
        np.testing.assert_array_equal(swapped.r[:, at], before.r[:, of])
    np.testing.assert_allclose(swapped.t[:, 0], -before.t[:, 0])
    flat, v5 = measure(changed(few, ("flat", "v5"))), LEADS.index("v5")
    assert np.isnan(flat.r[:, v5]).all()
    np.testing.assert_array_equal(np.delete(flat.r, v5, 1), np.delete(before.r, v5, 1))
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
    one_lead = replace(few, leads=("ii",), signals=few.signals[..., :1], fs=200.0, unit="other")
    assert {name for name, _ in changes_of(one_lead, "all")} == {"amplitude", "resampling", "flat"}
    assert changes_of(one_lead, "flat,flat") == (("flat", "ii"),)
    assert changes_of(few, "none") == ()
    for asked in ("noise", "arms", "nois", "", "all,flat"):
        with pytest.raises(InputError, match="--changes: expected all, none, or some of"):
            changes_of(one_lead, asked)


def test_probabilities_are_those_of_each_record_and_missing_ones_are_counted(few):
    def predict(cohort):  # R in v5; a record without v5 is left out, one without v6 is refused
        features = FORMS["voltage"].extract(cohort, settings("logistic", "voltage").features)
        v5, v6 = (features.X[:, features.names.index(f"{lead}_R")] for lead in ("v5", "v6"))
        if np.isnan(v6).any():
            raise InputError("no v6")
        p = pd.Series(v5.astype(np.float64), index=features.records)
        return p.fillna(0)[:1] if np.isnan(v5).any() else p

    changes = [("amplitude", 2.0), ("flat", "v5"), ("flat", "v6")]
    summary = summarize_responses(responses(few, changes, predict))
    summary = summary.set_index(["change", "strength", "label"]).sort_index()
    r = measure(few).columns(measure(few).r, "v5")[:, 0]
    for label in set(few.label):
        own, row = r[few.label == label], summary.loc["amplitude", "2.0", label]
        assert row["mean"] == pytest.approx(2 * own.mean(), rel=1e-3)
        assert row["moved"] == pytest.approx(own.mean(), rel=1e-3)
        assert row["n"] == row["scored"] == len(own)
        assert np.isnan(summary.loc["flat", "v6", label]["mean"])
    flat = summary.loc["flat"].groupby("strength").sum()
    assert flat.n.tolist() == [4, 4]
    assert flat.scored.tolist() == [1, 0]
