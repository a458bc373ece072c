"""Records that are alike: a second recording of a subject is the closest of all."""

from dataclasses import replace

import numpy as np

from lvh.data.delineation import with_fiducials
from lvh.data.synthetic import SyntheticSettings, load
from lvh.features.beat import SUSPICIOUS, closest_pairs


def test_a_noisy_scaled_copy_under_another_name_is_the_closest_pair():
    cohort = load(SyntheticSettings(records=10))
    signals = np.array(cohort.signals)
    noise = np.random.default_rng(0).normal(0, 0.01, signals[0].shape)
    signals[7] = (1.03 * np.roll(signals[2], 40, axis=0) + noise).astype(np.float32)
    first, second, *_ = closest_pairs(with_fiducials(replace(cohort, signals=signals)))
    assert {first.record, first.other} == {cohort.records[2], cohort.records[7]}
    assert not first.same_subject
    assert first.distance < SUSPICIOUS < second.distance
