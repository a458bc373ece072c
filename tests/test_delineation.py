"""Fiducials that are found: against known ones, and where there is nothing to find."""

import re

import numpy as np
import pytest
from conftest import head

from lvh.data import delineation, synthetic
from lvh.data.cohort import LEADS, Cohort, Delineation
from lvh.data.delineation import MAX_SAMPLES, delineate, delineate_record, with_fiducials
from lvh.errors import InputError

N_RECORDS = 3


@pytest.fixture(scope="module")
def few(cohort) -> Cohort:
    return head(cohort, N_RECORDS)


@pytest.fixture(scope="module")
def found(few) -> Delineation:
    return delineate(few.signals, few.fs)


def waves(of: Delineation, record: int, lead: int, wave: str) -> np.ndarray:
    """Return onset, peak and offset of each wave of a kind, shape (n, 3)."""
    symbols, samples = of.lead(record, lead)
    at = [one.start() for one in re.finditer(re.escape(f"({wave})"), symbols)]
    return np.array([samples[one : one + 3] for one in at], dtype=np.float64).reshape(-1, 3)


def errors(true: np.ndarray, found: np.ndarray, within: float = 75) -> np.ndarray:
    """Return found less true of the nearest found wave by its peak; NaN where none is near."""
    if not len(found):
        return np.full_like(true, np.nan)
    nearest = np.abs(found[None, :, 1] - true[:, None, 1]).argmin(axis=1)
    off = found[nearest] - true
    off[np.abs(off[:, 1]) > within] = np.nan
    return off


@pytest.mark.parametrize(
    ("wave", "least", "peak_ms", "bound_ms"), [("N", 0.99, 2, 20), ("t", 0.95, 10, 50)]
)
def test_what_is_known_is_found(wave, least, peak_ms, bound_ms, few, found):
    off = np.concatenate(
        [
            errors(waves(few.delineation, record, lead, wave), waves(found, record, lead, wave))
            for record in range(N_RECORDS)
            for lead in range(len(LEADS))
        ]
    )
    assert np.isfinite(off[:, 1]).mean() >= least
    ms = np.nanmedian(np.abs(off), axis=0) * 1000 / few.fs
    assert ms[1] <= peak_ms
    assert max(ms[0], ms[2]) <= bound_ms


def test_p_is_found_where_the_atria_beat_and_nowhere_else(cohort):
    """A fibrillating heart has none, whatever stands in front of its QRS."""
    has_p = ["p" in cohort.delineation.lead(record, 0)[0] for record in range(40)]
    beating, fibrillating = has_p.index(True), has_p.index(False)
    for record in (beating, fibrillating):
        leads = delineate_record(cohort.signals[record], cohort.fs)
        n_p = [symbols.tobytes().count(b"p") for symbols, _ in leads]
        if record == fibrillating:
            assert n_p == [0] * len(LEADS)
        else:
            true = waves(cohort.delineation, record, 1, "p")
            assert n_p[1] >= len(true) - 1


def well_formed(of: Delineation, n_samples: int) -> None:
    assert of.origin == "found"
    assert (of.symbols.dtype, of.samples.dtype) == (np.uint8, np.int32)
    for record in range((len(of.offsets) - 1) // of.n_leads):
        for lead in range(of.n_leads):
            symbols, samples = of.lead(record, lead)
            assert re.fullmatch(r"(\([Npt]\))*", symbols)
            assert "(N)(N)(N)(N)" not in symbols or "(t)" not in symbols
            assert (np.diff(samples) > 0).all()  # in order, and no wave inside another
            assert not len(samples) or (samples[0] >= 0 and samples[-1] < n_samples)


def test_waves_are_ordered_and_inside(few, found):
    well_formed(found, few.signals.shape[1])
    assert len(found.offsets) == N_RECORDS * len(LEADS) + 1


@pytest.mark.parametrize("spoil", [0.0, np.nan], ids=str)
def test_a_lead_that_says_nothing_has_no_waves(spoil, few):
    signal = few.signals[0].copy()
    signal[:, 4] = 0 if not np.isfinite(spoil) else spoil
    if not np.isfinite(spoil):
        signal[2000, 4] = spoil
    one = delineate(signal[None], few.fs)
    well_formed(one, len(signal))
    assert one.lead(0, 4)[0] == ""
    assert one.lead(0, 0)[0].count("N") >= 5


@pytest.mark.parametrize("fs", [0.0, 99.9, 1000.1, float("nan")])
def test_other_sampling_frequencies_and_long_records_are_refused(fs, few):
    with pytest.raises(InputError, match=r"found at 100 to 1000 Hz\. Received: "):
        delineate_record(few.signals[0], fs)
    with pytest.raises(InputError, match=rf"at most {MAX_SAMPLES} samples\. Received: 100001"):
        delineate_record(np.zeros((MAX_SAMPLES + 1, 12), np.float32), 500.0)


def test_noise_ends_in_well_formed_waves():
    signal = np.random.default_rng(0).normal(0, 1e3, (5000, 12)).astype(np.float32)
    well_formed(delineate(signal[None], 500.0), 5000)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lvh" / "delineations"


def not_again(*arguments):
    raise AssertionError("found again")


class TestCohort:
    def test_it_says_whose_its_fiducials_are_and_is_another_cohort(self, few, found, own_cache):
        one = with_fiducials(few)
        np.testing.assert_array_equal(one.delineation.samples, found.samples)
        assert (one.delineation.origin, few.delineation.origin) == ("found", "annotated")
        assert one.fingerprint != few.fingerprint
        assert one.note.startswith(few.note)
        assert "; fiducials found by neurokit2 " in one.note

    def test_they_are_found_once(self, few, own_cache, monkeypatch):
        one = with_fiducials(head(few, 2))
        monkeypatch.setattr(delineation, "delineate_record", not_again)
        again = with_fiducials(head(few, 2))
        assert again.fingerprint == one.fingerprint
        assert len(list(own_cache.iterdir())) == 1

    @pytest.mark.slow
    def test_several_processes_find_what_one_does(self, own_cache, monkeypatch):
        given = synthetic.SyntheticSettings("synthetic", 8, 1.0, 0.02, 0, "found")
        monkeypatch.setattr(delineation.os, "sched_getaffinity", lambda _: {0, 1})
        together = synthetic.load(given)
        alone = delineate(together.signals, together.fs)
        np.testing.assert_array_equal(together.delineation.samples, alone.samples)
        np.testing.assert_array_equal(together.delineation.offsets, alone.offsets)
        assert "fiducials found by" in together.note


@pytest.mark.ludb
@pytest.mark.slow
def test_they_agree_with_those_of_cardiologists(ludb):
    """On five records of LUDB; experiments/delineation has all."""
    near, n, close = 0, 0, []
    for record in (1, 5, 9, 13, 17):
        one = delineate(ludb.signals[record : record + 1], ludb.fs)
        for lead in range(len(LEADS)):
            off = errors(waves(ludb.delineation, record, lead, "N"), waves(one, 0, lead, "N"))
            n += len(off)
            near += np.isfinite(off[:, 1]).sum()
            close.append(off)
    assert near / n > 0.98
    ms = np.nanmedian(np.abs(np.concatenate(close)), axis=0) * 1000 / ludb.fs
    assert (ms <= [20, 6, 24]).all()
