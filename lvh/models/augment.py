"""Changes of signals that leave their label as it was, for training records only.

Noise and wander are drawn for every lead: Einthoven's law (I + III = II) no longer holds.
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
        """Whether a change is in mV, so that the signals must be in mV."""
        return any((self.noise, self.wander, self.amplitude))


def augmented(
    X: Batch, settings: AugmentSettings, fs: float, generator: np.random.Generator
) -> Batch:
    """Return changed signals, in mV, shape (n_records, n_samples, n_leads); fs is in Hz."""
    n_records, n_samples, n_leads = X.shape
    most = round(settings.shift * fs)
    if most:  # the first or last sample of a record fills the gap
        steps = generator.integers(-most, most, (n_records, 1), endpoint=True)
        source = np.clip(np.arange(n_samples) - steps, 0, n_samples - 1)
        X = np.take_along_axis(X, source[:, :, None], axis=1)
    if settings.amplitude:
        low, high = 1 - settings.amplitude, 1 + settings.amplitude
        X = X * generator.uniform(low, high, (n_records, 1, 1)).astype(np.float32)
    if settings.wander:  # slow sinusoids, of other amplitudes in each lead
        shape = n_records, 1, _SINUSOIDS
        cycles = generator.uniform(0, settings.wander_frequency / fs, shape)
        phases = generator.uniform(0, 2 * np.pi, shape)
        # a sinusoid of a random phase has the variance 1/2
        size = settings.wander * np.sqrt(2 / _SINUSOIDS)
        amplitudes = generator.normal(0, size, (n_records, _SINUSOIDS, n_leads))
        waves = np.sin(2 * np.pi * cycles * np.arange(n_samples)[:, None] + phases)
        X = X + (waves @ amplitudes).astype(np.float32)
    if settings.noise:
        X = X + np.float32(settings.noise) * generator.standard_normal(X.shape, dtype=np.float32)
    return X
