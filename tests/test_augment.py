"""Augmentation: nothing where it is off, and where it is on what it says, to the records it is."""

from dataclasses import fields

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from lvh.models.augment import (
    AugmentSettings,
    augmented,
    shifted,
    with_amplitude_jitter,
    with_noise,
    with_wander,
)

FS = 500.0
ALL = AugmentSettings(noise=0.02, wander=0.1, wander_frequency=0.5, shift=0.02, amplitude=0.1)


def rng(seed=0):
    return np.random.default_rng(seed)


def batch(n=6, n_samples=350, n_leads=3):
    return rng(9).normal(size=(n, n_samples, n_leads)).astype(np.float32)


def zeros(n, n_samples, n_leads):
    return np.zeros((n, n_samples, n_leads), np.float32)


CHANGES = {
    "noise": lambda X, generator: with_noise(X, 0.02, generator),
    "wander": lambda X, generator: with_wander(X, 0.1, 0.5, FS, generator),
    "shift": lambda X, generator: shifted(X, 0.02, FS, generator),
    "amplitude": lambda X, generator: with_amplitude_jitter(X, 0.1, generator),
    "all": lambda X, generator: augmented(X, ALL, FS, generator),
}
OFF = {
    "noise": lambda X, generator: with_noise(X, 0, generator),
    "wander": lambda X, generator: with_wander(X, 0, 0.5, FS, generator),
    "shift": lambda X, generator: shifted(X, 0, FS, generator),
    "amplitude": lambda X, generator: with_amplitude_jitter(X, 0, generator),
    "all": lambda X, generator: augmented(X, AugmentSettings(), FS, generator),
}


@pytest.mark.parametrize("change", OFF.values(), ids=OFF)
def test_off_changes_and_draws_nothing(change):
    X, generator = batch(), rng()

    assert change(X, generator) is X
    assert generator.random() == rng().random()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
class TestEachChange:
    def test_a_seed_repeats_it_and_another_does_not(self, change):
        X = batch()

        assert np.array_equal(change(X, rng(1)), change(X, rng(1)))
        assert not np.array_equal(change(X, rng(1)), change(X, rng(2)))

    def test_the_next_batch_is_changed_otherwise(self, change):
        X, generator = batch(), rng()

        assert not np.array_equal(change(X, generator), change(X, generator))

    def test_types_shapes_and_inputs_stay(self, change):
        X = batch()
        before = X.copy()

        found = change(X, rng())

        assert found.dtype == np.float32
        assert found.shape == X.shape
        assert np.array_equal(X, before)

    def test_each_record_keeps_its_place_and_so_its_label(self, change):
        """Records that differ by volts: none is mixed with, or put for, another."""
        X = batch() * np.float32(0.1) + np.arange(6, dtype=np.float32)[:, None, None]

        found = change(X, rng())

        assert found.mean(axis=(1, 2)).tolist() == pytest.approx(list(range(6)), abs=0.6)

    def test_an_empty_batch_and_one_sample(self, change):
        assert change(zeros(0, 350, 3), rng()).shape == (0, 350, 3)
        assert change(zeros(2, 1, 1), rng()).shape == (2, 1, 1)


def test_all_are_off_by_default():
    assert not AugmentSettings().is_on
    assert not AugmentSettings(wander_frequency=1.0).is_on
    for name in ("noise", "wander", "shift", "amplitude"):
        settings = AugmentSettings(**{name: 0.1})
        assert settings.is_on
        assert settings.is_in_mv is (name != "shift")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field.name, -0.1) for field in fields(AugmentSettings)),
        *((field.name, float("nan")) for field in fields(AugmentSettings)),
        ("noise", float("inf")),
        ("noise", "much"),
        ("amplitude", 1.0),
    ],
)
def test_what_makes_no_sense_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(AugmentSettings).validate_python({field: value})


class TestNoise:
    def test_it_is_white_and_as_strong_as_asked(self):
        """Of 4 million draws the deviation is known to 0.04 %, a correlation to .0005."""
        found = with_noise(zeros(400, 1000, 10), 0.05, rng())

        assert found.std() == pytest.approx(0.05, rel=0.005)
        assert found.mean() == pytest.approx(0, abs=2e-4)
        for one, next_ in (
            (found[:, 1:], found[:, :-1]),
            (found[..., 1:], found[..., :-1]),
            (found[1:], found[:-1]),
        ):
            assert np.corrcoef(one.ravel(), next_.ravel())[0, 1] == pytest.approx(0, abs=0.005)

    def test_it_is_added(self):
        X = batch()

        np.testing.assert_allclose(
            with_noise(X, 0.05, rng()) - X, with_noise(0 * X, 0.05, rng()), atol=1e-6
        )


class TestWander:
    @pytest.mark.parametrize("frequency", [0.0, 0.5, 20.0])
    def test_it_is_as_strong_as_asked_at_every_sample(self, frequency):
        """Over 12,000 records and leads; the three leads of a record share their sinusoids."""
        found = with_wander(zeros(4000, 200, 3), 0.2, frequency, FS, rng())

        assert found.std(axis=(0, 2)) == pytest.approx(np.full(200, 0.2), rel=0.08)
        assert found.mean(axis=(0, 2)) == pytest.approx(np.zeros(200), abs=0.012)

    def test_it_has_no_frequency_above_the_highest(self):
        """Ten seconds: a sinusoid below 2 Hz leaves little above 4, by a window's skirts."""
        found = with_wander(zeros(50, 5000, 2), 0.2, 2.0, FS, rng())

        power = np.abs(np.fft.rfft(found * np.hanning(5000)[:, None], axis=1)) ** 2
        above = np.fft.rfftfreq(5000, 1 / FS) > 4
        assert power[:, above].sum() < 1e-5 * power.sum()
        between = (np.fft.rfftfreq(5000, 1 / FS) > 1) & ~above
        assert power[:, between].sum() > 0.2 * power.sum()

    def test_frequency_0_is_a_constant_of_each_lead(self):
        found = with_wander(zeros(5, 100, 3), 0.2, 0.0, FS, rng())

        assert np.ptp(found, axis=1).max() < 1e-6
        assert len(np.unique(found[:, 0].round(6))) == 15

    def test_it_is_added(self):
        X = batch()

        np.testing.assert_allclose(
            with_wander(X, 0.2, 0.5, FS, rng()) - X,
            with_wander(0 * X, 0.2, 0.5, FS, rng()),
            atol=1e-6,
        )


class TestShift:
    def test_every_step_is_equally_likely_and_none_is_larger(self):
        """A ramp tells by how much it was moved: 0.006 s at 500 Hz are 3 samples."""
        X = np.tile(np.arange(50, dtype=np.float32)[:, None], (7000, 1, 2))

        found = shifted(X, 0.006, FS, rng())

        steps, counts = np.unique(25 - found[:, 25, 0], return_counts=True)
        assert steps.tolist() == [-3, -2, -1, 0, 1, 2, 3]
        assert counts == pytest.approx(np.full(7, 1000), abs=4 * np.sqrt(1000))
        assert np.array_equal(found[..., 0], found[..., 1])  # leads move together

    def test_ends_stand_still(self):
        X = np.arange(1, 7, dtype=np.float32)[None, :, None]

        moved = {tuple(shifted(X, 0.004, FS, rng(seed))[0, :, 0].tolist()) for seed in range(40)}

        assert moved == {
            (3, 4, 5, 6, 6, 6),
            (2, 3, 4, 5, 6, 6),
            (1, 2, 3, 4, 5, 6),
            (1, 1, 2, 3, 4, 5),
            (1, 1, 1, 2, 3, 4),
        }

    def test_less_than_half_a_sample_is_none(self):
        X = batch()

        assert shifted(X, 0.0009, FS, rng()) is X

    def test_more_than_the_record_leaves_its_ends(self):
        X = batch(n=50, n_samples=10)

        found = shifted(X, 1.0, FS, rng())

        assert np.isin(found, X).all()


class TestAmplitude:
    def test_one_factor_a_record_around_1(self):
        X = batch(n=20000, n_samples=4, n_leads=2)

        factors = with_amplitude_jitter(X, 0.3, rng()) / X

        # float32 rounds the product and our quotient
        assert np.ptp(factors, axis=(1, 2)).max() < 1e-6
        assert factors.min() == pytest.approx(0.7, abs=1e-3)
        assert factors.max() == pytest.approx(1.3, abs=1e-3)
        assert factors.mean() == pytest.approx(1, abs=0.005)
        assert factors[:, 0, 0].std() == pytest.approx(0.3 / np.sqrt(3), rel=0.02)


def test_all_together_are_each_after_the_other():
    X, generator = batch(), rng(3)
    expected = shifted(X, ALL.shift, FS, generator)
    expected = with_amplitude_jitter(expected, ALL.amplitude, generator)
    expected = with_wander(expected, ALL.wander, ALL.wander_frequency, FS, generator)
    expected = with_noise(expected, ALL.noise, generator)

    assert np.array_equal(augmented(X, ALL, FS, rng(3)), expected)
