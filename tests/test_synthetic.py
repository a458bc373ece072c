import re

import numpy as np
import pytest

from lvh.data import synthetic
from lvh.data.cohort import LEADS
from lvh.data.synthetic import SyntheticSettings, load

WELL_FORMED = re.compile(r"(\(p\))?(\(N\)\(t\)\(p\))*(\(N\)(\(t\)(\(p\))?)?)?")
WELL_FORMED_WITHOUT_P = re.compile(r"(\(N\)\(t\))+(\(N\))?")


def settings(records=12, effect=1.0, noise=0.02, seed=0):
    return SyntheticSettings("synthetic", records, effect, noise, seed)


def annotations(cohort):
    """Yield record, lead, symbols and samples of every lead of every record."""
    for record in range(len(cohort.records)):
        for lead in range(len(cohort.leads)):
            yield record, lead, *cohort.delineation.lead(record, lead)


def test_a_seed_chooses_the_cohort_and_a_shorter_one_is_its_head():
    first, again, other = load(settings()), load(settings()), load(settings(seed=1))
    assert first.fingerprint == again.fingerprint
    assert not np.array_equal(first.signals, other.signals)
    assert not np.array_equal(first.age, other.age)
    short = load(settings(records=4))
    for name in ("signals", "label", "age"):
        assert np.array_equal(getattr(short, name), getattr(first, name)[:4])
    end = short.delineation.offsets[-1]
    assert np.array_equal(short.delineation.samples, first.delineation.samples[:end])


@pytest.mark.parametrize(("fibrillating", "effect"), [(0.0, 20.0), (1.0, 1.0), (1.0, 20.0)])
def test_every_lead_is_well_formed(monkeypatch, fibrillating, effect):
    # Fibrillation, with its short beats, and huge effects strain the order of the waves most.
    monkeypatch.setattr(synthetic, "_FIBRILLATING", fibrillating)
    cohort = load(settings(records=12, effect=effect))
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
    assert len(cohort.delineation.offsets) == 12 * 12 + 1
    assert cohort.delineation.offsets[-1] == len(cohort.delineation.symbols)


def test_at_effect_0_nothing_but_the_label_follows_the_label_stream(monkeypatch):
    expected = load(settings(effect=0.0))
    labels = 1 - expected.label
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
