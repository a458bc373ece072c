"""Records that are read when they are needed: the same, to the bit, as those in memory."""

from pathlib import Path

import numpy as np
import pytest

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.data import ptbxl
from lvh.data import synthetic as synthetic_source
from lvh.data.cohort import fingerprint
from lvh.data.joining import join
from lvh.data.lazy_array import LazyArray, concatenate, read
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.runs.cache_key import run_key
from lvh.runs.experiment_data import ExperimentData
from lvh.validation.splits import splits


def loaded(settings: RunSettings) -> ExperimentData:
    cohort = ptbxl.load(settings.data)
    features = FORMS[settings.features.name].extract(cohort, settings.features)
    return ExperimentData(cohort, features, splits(features.y, features.subjects, settings.cv))


@pytest.fixture
def both(ptbxl_root: Path, monkeypatch):
    """Return what loads the sample with its signals in memory, and memory-mapped."""

    def load(*overrides: str) -> tuple[RunSettings, ExperimentData, ExperimentData]:
        source = ("data=ptbxl", f"data.root={ptbxl_root}", "model=cnn")
        settings = settings_of(*source, "stride=125", *overrides)
        in_memory = loaded(settings)
        with monkeypatch.context() as patch:
            patch.setattr(ptbxl, "LOADED_BYTES", 0)
            mapped = loaded(settings)
        assert isinstance(in_memory.features.X, np.ndarray)
        assert isinstance(mapped.features.X, LazyArray)
        return settings, in_memory, mapped

    return load


@pytest.mark.ludb
@pytest.mark.parametrize("scaling", ["minmax", "none"])
def test_inputs_and_cache_keys_are_the_same_to_the_bit(both, scaling):
    settings, in_memory, mapped = both(f"features.scaling={scaling}", "features.leads=[v6,i,avl]")
    X, lazy = in_memory.features.X, mapped.features.X
    assert (lazy.shape, lazy.dtype) == (X.shape, X.dtype)
    np.testing.assert_array_equal(lazy.read(), X)
    chosen = np.array([5, 141, 0, 7])
    np.testing.assert_array_equal(lazy[chosen][1:].read(), X[chosen][1:])
    assert in_memory.features.records == mapped.features.records
    keys = [run_key(settings, one.cohort.fingerprint, one.splits) for one in (in_memory, mapped)]
    assert keys[0] == keys[1]
    other = synthetic_source.load(synthetic_source.SyntheticSettings(records=3))
    whole, joined = join(in_memory.cohort, other), join(mapped.cohort, other)
    assert joined.fingerprint == whole.fingerprint
    chosen = np.array([141, 3, 142])
    np.testing.assert_array_equal(joined.signals[chosen].read(), whole.signals[chosen])


def doubled(n: int) -> LazyArray:
    """Return numbers of shape (n, 3), each twice its position."""
    return LazyArray(
        np.arange(n), (3,), np.dtype(np.int16), lambda at: np.repeat(2 * at[:, None], 3, 1)
    ).map(lambda values, at: values.astype(np.float32))


def test_concatenated_records_are_those_of_the_array_and_never_converted():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert isinstance(concatenate(array, array), np.ndarray)
    both = concatenate(array, doubled(200))
    expected = np.concatenate([array, doubled(200).read()])
    np.testing.assert_array_equal(read(both), expected)
    np.testing.assert_array_equal(both[np.array([8, 0])].read(), expected[[8, 0]])
    assert fingerprint("x", both) == fingerprint("x", expected)
    assert fingerprint("x", both[1:]) != fingerprint("x", expected)
    message = r"fewer records .* Received: 5 records of shape \(3,\)"
    for function in (np.asarray, np.isnan, np.median):
        with pytest.raises(InputError, match=message):
            function(doubled(5))
