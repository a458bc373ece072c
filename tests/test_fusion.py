"""`fusion`: its halves are those of `voltage` and `beat`, to the bit, of the same records."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import with_waves

from lvh.data.cohort import LEADS, Cohort
from lvh.errors import InputError
from lvh.evaluation.fold_training import train_folds
from lvh.features import FeatureSet, beat, voltage
from lvh.features.beat import BeatSettings
from lvh.features.fusion import FusionSettings, extract
from lvh.features.voltage import VoltageSettings
from lvh.models.training import History
from lvh.validation.splits import CvSettings, splits

DEFAULT = FusionSettings("fusion", "mean", LEADS, 0.25, 0.45, "median", "none", "drop")
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
    "changes",
    [
        {},
        {"leads": ("V6", "i"), "before": 0.1, "after": 0.2},
        {"average": "mean", "scaling": "minmax", "missing": "zero"},
    ],
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


def test_every_input_has_its_name(cohort):
    settings = replace(DEFAULT, leads=("v6", "i"))
    measured, beats = halves(cohort, settings)
    features = extract(cohort, settings)

    assert len(set(features.names)) == len(features.names) == features.X.shape[1]
    assert features.names[:N_MEASURED] == measured.names
    assert features.names[N_MEASURED : N_MEASURED + 3] == ("v6_0", "i_0", "v6_1")
    at = features.names.index("i_125")  # of its QRS peak
    np.testing.assert_array_equal(features.X[:, at], beats.X[:, 125, 1])


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"malformed": "fail"}, r"features\.malformed=fail: .* 4: no complete beat in v1"),
        ({"leads": ("v7",)}, r"features\.leads: expected some of i, ii"),
        ({"leads": ("i", "I")}, r"features\.leads: expected distinct"),
        ({"before": 9.0, "after": 9.0}, r"features\.before and features\.after: expected a window"),
    ],
)
def test_what_does_not_fit_is_told_as_by_beat(cohort, changes, said):
    broken = with_waves(cohort, {(3, 6): ("", [])})

    with pytest.raises(InputError, match=f"^{said}"):
        extract(broken, replace(DEFAULT, **changes))


class Recorder:
    """A learner that keeps what it is given."""

    n_parameters, setup_seconds = 0, 0.0

    def __init__(self):
        self.learned, self.scored = [], []

    def max_parallel(self, sizes):
        return 1

    def fit(self, jobs, on_epoch):
        self.learned += [job.X for job in jobs]
        return [History((0.5,), (0.5,), (), (), 1)]

    def predict(self, parts):
        self.scored += parts
        return [np.linspace(0, 1, len(part)) for part in parts]


def given(features: FeatureSet) -> Recorder:
    found = splits(features.y, features.subjects, CvSettings("kfold", 4, 1, 123, 0.2, 0.0))
    learner = Recorder()
    list(train_folds(features, found, learner, seed=0))
    return learner


@pytest.mark.parametrize("missing", ["mean", "zero"])
def test_what_is_missing_is_filled_as_in_voltage_and_beats_are_left_alone(cohort, missing):
    settings = replace(DEFAULT, missing=missing)
    patchy = without_t(cohort, *range(0, 40, 3))
    measured, beats = (given(half) for half in halves(patchy, settings))
    both = given(extract(patchy, settings))

    for part in ("learned", "scored"):
        parts = (getattr(one, part) for one in (both, measured, beats))
        for found, of_voltage, of_beat in zip(*parts, strict=True):
            np.testing.assert_array_equal(found[:, :N_MEASURED], of_voltage)
            np.testing.assert_array_equal(found[:, N_MEASURED:], of_beat.reshape(len(found), -1))


def test_scored_records_have_no_part_in_the_filling(cohort):
    """Two cohorts that differ in the records of one fold teach it the same."""
    patchy = without_t(cohort, *range(0, 40, 3))
    features = extract(patchy, DEFAULT)
    folds = splits(features.y, features.subjects, CvSettings("kfold", 4, 1, 123, 0.2, 0.0))
    X = features.X.copy()
    X[folds[1].scored] = 50.0
    before, poisoned = given(features), given(replace(features, X=X))

    np.testing.assert_array_equal(before.learned[1], poisoned.learned[1])
    assert not np.isnan(before.scored[1]).any()
    assert np.isnan(features.X[folds[1].scored]).any()
    assert (before.learned[0] != poisoned.learned[0]).any()  # the poison was there


@pytest.mark.ludb
def test_ludb_has_199_records_of_both(ludb):
    features = extract(ludb, DEFAULT)
    measured, beats = halves(ludb, DEFAULT)

    assert features.X.shape == (199, N_MEASURED + 350 * 12)
    assert features.input_shape == (N_MEASURED, 350, 12)
    assert features.dropped == (("104", "no complete beat in ii iii avr avf"),)
    np.testing.assert_array_equal(features.X[:, :N_MEASURED], np.delete(measured.X, 103, axis=0))
    np.testing.assert_array_equal(features.X[:, N_MEASURED:].reshape(beats.X.shape), beats.X)
