"""`fusion`: its halves are those of `voltage` and `beat`, to the bit, of the same records."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves

from lvh.data.cohort import Cohort
from lvh.features import FeatureSet, beat, voltage
from lvh.features.beat import BeatSettings, FusionSettings
from lvh.features.beat import extract_fusion as extract
from lvh.features.voltage import VoltageSettings

DEFAULT = FusionSettings()
N_MEASURED = 71


def halves(cohort: Cohort, settings: FusionSettings) -> tuple[FeatureSet, FeatureSet]:
    """Return what `voltage` and `beat` give under the same settings."""
    shared = ("leads", "before", "after", "average", "scaling", "malformed")
    of_beat = BeatSettings("beat", **{name: getattr(settings, name) for name in shared})
    of_voltage = VoltageSettings("voltage", settings.missing)
    return voltage.extract(cohort, of_voltage), beat.extract(cohort, of_beat)


def without_t(cohort: Cohort, *records: int) -> Cohort:
    """Take the T waves of lead i away: its T is missing, its beats are as before."""
    waves = {}
    for record in records:
        symbols, samples = cohort.delineation.lead(record, 0)
        at = [n for match in re.finditer(r"\(N\)", symbols) for n in range(*match.span())]
        waves[record, 0] = ("".join(symbols[n] for n in at), samples[at])
    return with_waves(cohort, waves)


@pytest.mark.parametrize(
    "changes", [{}, {"average": "mean", "scaling": "minmax", "missing": "zero"}]
)
def test_halves_are_those_of_voltage_and_beat(cohort, changes):
    settings = replace(DEFAULT, **changes)
    patchy = without_t(cohort, 0, 5)
    measured, beats = halves(patchy, settings)
    features = extract(patchy, settings)
    n_samples, n_leads = beats.input_shape
    assert features.kind == "mixed"
    assert features.X.dtype == np.float32
    assert features.X.flags.c_contiguous
    assert features.input_shape == (N_MEASURED, n_samples, n_leads)
    assert np.isnan(measured.X).any()
    np.testing.assert_array_equal(features.X[:, :N_MEASURED], measured.X)
    signals = features.X[:, N_MEASURED:].reshape(-1, n_samples, n_leads)
    np.testing.assert_array_equal(signals, beats.X)
    assert features.fill == settings.missing
    assert features.records == patchy.records
    assert features.y.tolist() == patchy.label.tolist()


def test_a_record_that_lacks_a_beat_is_missing_from_both_halves(cohort):
    """Record 4 has no beat in v1, which `voltage` takes; record 7 has none at all."""
    broken = with_waves(cohort, {(3, 6): ("", []), **{(6, lead): ("", []) for lead in range(12)}})
    measured, beats = halves(broken, DEFAULT)
    features = extract(broken, DEFAULT)
    assert (len(measured.records), len(beats.records)) == (39, 38)
    assert features.records == beats.records
    assert features.dropped == beats.dropped
    assert [name for name, _ in features.dropped] == ["4", "7"]
    rows = [measured.records.index(record) for record in features.records]
    np.testing.assert_array_equal(features.X[:, :N_MEASURED], measured.X[rows])
    np.testing.assert_array_equal(features.X[:, 0] == 1, features.age_and_sex[:, 1] == 1)
    assert features.y.tolist() == np.delete(cohort.label, [3, 6]).tolist()
