"""`raw`: chosen leads, in the chosen order, scaled each on its own."""

from dataclasses import replace

import numpy as np
import pytest

from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.features.raw import RawSettings, extract

REPORT = RawSettings("raw", ("avl", "v1", "v5", "v6"), "minmax")
MILLIVOLTS = replace(REPORT, scaling="none")


@pytest.mark.parametrize("scaling", ["minmax", "none"])
def test_leads_come_in_the_order_asked_for(cohort, scaling):
    whole = extract(cohort, RawSettings("raw", LEADS, scaling)).X
    for leads in (("v6", "i"), ("V6", "I"), LEADS[::-1]):
        features = extract(cohort, RawSettings("raw", leads, scaling))
        at = [LEADS.index(lead.lower()) for lead in leads]
        assert np.array_equal(features.X, whole[:, :, at])
        assert features.names == tuple(lead.lower() for lead in leads)


def test_leads_are_scaled_alone_or_keep_millivolts(cohort):
    X = extract(cohort, REPORT).X
    assert (X.min(axis=1) == 0).all()
    assert (X.max(axis=1) == 1).all()
    signal = cohort.signals[:, :, [4, 6, 10, 11]].astype(np.float64)
    low, high = signal.min(axis=1, keepdims=True), signal.max(axis=1, keepdims=True)
    # float32 rounds the difference and the quotient, 6e-8 each of values up to 1.
    np.testing.assert_allclose(X, (signal - low) / (high - low), rtol=0, atol=2e-7)
    X = extract(cohort, MILLIVOLTS).X
    signal = cohort.signals[:, :, [4, 6, 10, 11]]
    # The median of 5000 values is the mean of two; float32 rounds it at voltages of some mV.
    assert np.abs(np.median(X, axis=1)).max() < 1e-6
    np.testing.assert_allclose(np.diff(X, axis=1), np.diff(signal, axis=1), rtol=0, atol=2e-6)
    assert X.dtype == np.float32
    signals = cohort.signals.copy()
    signals[[4, 11], :, LEADS.index("v5")] = 0.5
    flat = replace(cohort, signals=signals)
    with pytest.raises(InputError, match="a flat lead in record 5, 12") as refusal:
        extract(flat, REPORT)
    assert "features.scaling" in str(refusal.value)
    assert (extract(flat, MILLIVOLTS).X[4, :, 2] == 0).all()
    assert extract(flat, replace(REPORT, leads=("i", "v6"))).X.shape == (40, 5000, 2)


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        (("i", "v7"), r"expected some of i, ii, .*Received: i, v7"),
        (("v1", "i", "V1"), r"expected some of .*, each once.*Received: v1, i, v1"),
    ],
)
def test_leads_that_are_not_there_or_twice_are_refused(cohort, leads, said):
    with pytest.raises(InputError, match=f"features.leads: {said}") as refusal:
        extract(cohort, replace(REPORT, leads=leads))
    assert refusal.value.exit_code == 2
