"""Changes of signals that leave their label as it was, for training records only.

What an electrode, the breath or a heartbeat's place in the window changes says nothing about the
ventricle. The voltage does: amplitude jitter is there to be tried, and spoils what the clinical
criteria measure. Noise and wander are drawn for every lead on its own, so that Einthoven's law
(I + III = II) no longer holds.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from lvh.validation.bounds import NotNegative, Share

Batch = npt.NDArray[np.float32]

_SINUSOIDS = 3  # of the baseline: enough that no two records wander alike


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly signals are changed; without noise, wander, shift and amplitude not at all.

    Attributes:
        noise: Standard deviation of white noise, mV.
        wander: Standard deviation of the baseline's wander, mV.
        wander_frequency: Its highest frequency, Hz; 0 makes it a constant of each lead.
        shift: Seconds by which a record is moved at most, to either side.
        amplitude: Share by which a record's voltages are enlarged or lessened at most.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    noise: NotNegative = 0.0
    wander: NotNegative = 0.0
    wander_frequency: NotNegative = 0.5
    shift: NotNegative = 0.0
    amplitude: Share = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return any((self.noise, self.wander, self.shift, self.amplitude))

    @property
    def is_in_mv(self) -> bool:
        """Whether what is changed has to be in mV for that."""
        return any((self.noise, self.wander, self.amplitude))


def augmented(
    X: Batch, settings: AugmentSettings, fs: float, generator: np.random.Generator
) -> Batch:
    """Change a batch in all ways that the settings ask for.

    What is measured, moved and enlarged, comes before what is added to it.

    Args:
        X: Signals in mV, shape (n_records, n_samples, n_leads); left as they are.
        settings: How strongly.
        fs: Sampling frequency in Hz.
        generator: Decides everything; what is off draws nothing from it.
    """
    X = shifted(X, settings.shift, fs, generator)
    X = with_amplitude_jitter(X, settings.amplitude, generator)
    X = with_wander(X, settings.wander, settings.wander_frequency, fs, generator)
    return with_noise(X, settings.noise, generator)


def with_noise(X: Batch, noise: float, generator: np.random.Generator) -> Batch:
    """Add white noise of a standard deviation in mV, to every sample and lead on its own."""
    if not noise:
        return X
    return X + np.float32(noise) * generator.standard_normal(X.shape, dtype=np.float32)


def with_wander(
    X: Batch, wander: float, frequency: float, fs: float, generator: np.random.Generator
) -> Batch:
    """Add a few slow sinusoids to each record, with amplitudes of each lead's own.

    Args:
        X: Signals in mV, shape (n_records, n_samples, n_leads).
        wander: Standard deviation of what is added to a sample, over records, in mV.
        frequency: Of the sinusoids at most, in Hz; they are drawn evenly from 0 on.
        fs: Sampling frequency in Hz.
        generator: Decides frequencies, phases and amplitudes.
    """
    if not wander:
        return X
    n_records, n_samples, n_leads = X.shape
    cycles = generator.uniform(0, frequency / fs, (n_records, 1, _SINUSOIDS))
    phases = generator.uniform(0, 2 * np.pi, (n_records, 1, _SINUSOIDS))
    # a sinusoid of a random phase has the variance 1/2
    size = wander * np.sqrt(2 / _SINUSOIDS)
    amplitudes = generator.normal(0, size, (n_records, _SINUSOIDS, n_leads))
    waves = np.sin(2 * np.pi * cycles * np.arange(n_samples)[:, None] + phases)
    return X + (waves @ amplitudes).astype(np.float32)


def shifted(X: Batch, shift: float, fs: float, generator: np.random.Generator) -> Batch:
    """Move each record in time, all its leads together, by whole samples.

    Where the record has moved away its first or last sample stands still: what came before or
    after is not known.

    Args:
        X: Signals, shape (n_records, n_samples, n_leads).
        shift: Seconds to either side at most; every number of samples is equally likely.
        fs: Sampling frequency in Hz.
        generator: Decides by how much.
    """
    most = round(shift * fs)
    if not most:
        return X
    n_records, n_samples, _ = X.shape
    steps = generator.integers(-most, most, (n_records, 1), endpoint=True)
    source = np.clip(np.arange(n_samples) - steps, 0, n_samples - 1)
    return np.take_along_axis(X, source[:, :, None], axis=1)


def with_amplitude_jitter(X: Batch, amplitude: float, generator: np.random.Generator) -> Batch:
    """Multiply each record, all its leads alike, by a factor around 1.

    Args:
        X: Signals, shape (n_records, n_samples, n_leads).
        amplitude: The factor is drawn evenly from 1 - amplitude to 1 + amplitude.
        generator: Decides it.
    """
    if not amplitude:
        return X
    factors = generator.uniform(1 - amplitude, 1 + amplitude, (len(X), 1, 1))
    return X * factors.astype(np.float32)
