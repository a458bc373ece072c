import numpy as np

from lvh.data import synthetic
from lvh.data.synthetic import SyntheticSettings, load


def settings(records=12, effect=1.0, noise=0.02, seed=0):
    return SyntheticSettings("synthetic", records, effect, noise, seed)


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
