"""LUDB: what is known of the published data, and what a damaged copy of it gives."""

import re
import shutil
from dataclasses import fields

import numpy as np
import pytest
from conftest import (
    edit,
    load_ludb,
    read_dat,
    write_data_set,
    write_signals,
)

from lvh.data import ludb as ludb_source
from lvh.data.cohort import LEADS, Delineation
from lvh.errors import InputError

HEADER = "data/1.hea"
HALF_A_UNIT = 0.0005 + 1e-6
"""Rounding to whole microvolts on writing, and float32 on reading, in mV."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Start each test without a cached cohort."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache" / "lvh" / "cohorts"


def contents(cohort):
    """Every field of a cohort as bytes and plain values."""
    found = {}
    for owner in (cohort, cohort.delineation):
        for field in fields(owner):
            value = getattr(owner, field.name)
            if isinstance(value, np.ndarray):
                found[field.name] = (value.dtype.str, value.shape, value.tobytes())
            elif not isinstance(value, Delineation):
                found[field.name] = value
    return found


@pytest.mark.ludb
class TestPublishedData:
    def test_records_and_labels(self, ludb):
        assert ludb.records == tuple(str(record) for record in range(1, 201))
        assert ludb.subjects.tolist() == list(ludb.records)
        assert np.bincount(ludb.label).tolist() == [92, 108]
        assert ludb.male.sum() == 115
        assert ludb.prevalence == 0.54

    def test_waves(self, ludb):
        counts = {
            symbol: int((ludb.delineation.symbols == ord(symbol)).sum()) for symbol in "Ntp()"
        }

        # The README of LUDB says 21966 N, 19666 t and 16797 p. The files, read by wfdb.rdann
        # too, hold one N and five t fewer.
        assert counts == {"N": 21965, "t": 19661, "p": 16797, "(": 58321, ")": 58423}
        assert ludb.delineation.offsets[-1] == sum(counts.values())

    def test_signals_are_millivolts_of_one_calibration(self, ludb):
        assert ludb.signals.shape == (200, 5000, 12)
        assert ludb.signals.dtype == np.float32
        assert ludb.fs == 500
        lead = {name: ludb.signals[:, :, LEADS.index(name)] for name in LEADS}
        units = {
            name: np.rint(lead[name] * 1000).astype(int)
            for name in ("i", "ii", "iii", "avr", "avl")
        }

        assert not (units["i"] + units["iii"] - units["ii"]).any()
        # Goldberger's leads were rounded to whole units, of 0.001 mV.
        assert np.abs(units["avr"] + (units["i"] + units["ii"]) / 2).max() <= 1
        assert np.abs(units["avl"] - (units["i"] - units["iii"]) / 2).max() <= 1
        # 2488 units exactly; float32 keeps seven digits.
        assert np.median(np.ptp(lead["v4"], axis=1)) == pytest.approx(2.488, abs=1e-6)

    def test_it_is_known_by_name(self, ludb):
        assert ludb.name == "LUDB 1.0.1"
        assert ludb.note == ""
        assert ludb.fingerprint == ludb_source.FINGERPRINT

    def test_a_changed_copy_is_named_by_its_folder_and_noted(self, ludb, ludb_root, tmp_path):
        copy = tmp_path / "copy"
        shutil.copytree(ludb_root, copy, copy_function=shutil.copyfile)
        (copy / "data").chmod(0o755)
        header = copy / "data/200.hea"
        header.write_text(re.sub(r"(<age>: *)\d+", r"\g<1>17", header.read_text()))

        changed = load_ludb(copy)

        assert changed.name == f"LUDB in {copy}"
        assert "differs from LUDB 1.0.1" in changed.note
        assert changed.fingerprint != ludb.fingerprint
        assert changed.age.tolist() == [*ludb.age[:199].tolist(), 17]
        assert np.array_equal(changed.signals, ludb.signals)


class TestSmallCopy:
    """Three generated records, written as LUDB is written."""

    def test_everything_written_is_read(self, data_set, cohort):
        found = load_ludb(data_set)

        assert found.records == ("1", "2", "3")
        assert found.subjects.tolist() == ["1", "2", "3"]
        assert found.leads == LEADS
        assert found.fs == 500
        assert np.abs(found.signals - cohort.signals[:3]).max() <= HALF_A_UNIT
        assert found.male.tolist() == cohort.male[:3].tolist()
        assert found.age.tolist() == cohort.age[:3].tolist()
        assert found.label.tolist() == cohort.label[:3].tolist()
        assert set(found.label) == {0, 1}
        for record in range(3):
            for lead in range(12):
                symbols, samples = found.delineation.lead(record, lead)
                expected_symbols, expected_samples = cohort.delineation.lead(record, lead)
                assert symbols == expected_symbols
                assert samples.tolist() == expected_samples.tolist()

    def test_the_header_gain_does_not_scale_the_signals(self, data_set):
        expected = load_ludb(data_set)
        header = data_set / HEADER
        header.write_text(re.sub(r"16 \d+\(-?\d+\)/mV", "16 123.5(99)/mV", header.read_text()))

        assert np.array_equal(load_ludb(data_set).signals, expected.signals)

    @pytest.mark.parametrize(
        "order",
        [LEADS[::-1], tuple(lead.upper() for lead in LEADS), ("V6", *LEADS[:11])],
        ids=["reversed", "capitals", "rotated"],
    )
    def test_leads_are_mapped_by_name(self, tmp_path, cohort, data_set, order):
        other = write_data_set(tmp_path / "other", cohort, 3, order)
        stored = read_dat(other / HEADER)
        assert (order[0].lower() == "i") == np.array_equal(stored, read_dat(data_set / HEADER))

        expected, found = contents(load_ludb(data_set)), contents(load_ludb(other))

        assert {name for name in found if found[name] != expected[name]} == {"name"}

    @pytest.mark.parametrize(
        ("line", "label"),
        [
            ("#Left ventricular hypertrophy.", 1),
            ("#  Left ventricular hypertrophy", 1),
            ("#Right ventricular hypertrophy.", 0),
            ("#Left ventricular overload.", 0),
            ("#No signs of Left ventricular hypertrophy.", 0),
            ("", 0),
        ],
    )
    def test_the_label_is_one_diagnosis_and_no_other(self, data_set, line, label):
        header = data_set / HEADER
        text, found = re.subn("#Left .* hypertrophy\\..*\n", f"{line}\n", header.read_text())
        assert found == 1
        header.write_text(text)

        assert load_ludb(data_set).label[0] == label


class TestCache:
    def test_a_changed_data_set_is_read_again(self, data_set, own_cache):
        before = load_ludb(data_set)
        age = f"{before.age[0]:.0f}"
        edit(data_set / HEADER, f"<age>: {age}", f"<age>: {int(age) + 1}")
        after = load_ludb(data_set)
        assert after.age[0] == before.age[0] + 1
        assert after.fingerprint != before.fingerprint
        assert len(list(own_cache.iterdir())) == 2

    def test_a_damaged_cache_is_read_again_and_equal(self, data_set, own_cache, caplog):
        first = contents(load_ludb(data_set))
        [stored] = own_cache.iterdir()
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 1
        stored.write_bytes(content)
        assert contents(load_ludb(data_set)) == first
        assert str(stored) in caplog.text

    def test_refused_data_are_not_cached(self, data_set, own_cache):
        (data_set / "data/3.v6").write_bytes(b"")

        with pytest.raises(InputError):
            load_ludb(data_set)

        assert not own_cache.exists()


def other_rate(root):
    edit(root / "data/2.hea", "2 12 500 5000", "2 12 250 5000")


def other_length(root):
    path = root / "data/2.hea"
    edit(path, "2 12 500 5000", "2 12 500 2500")
    write_signals(path, read_dat(path)[:2500])


RECORD_FAULTS = {
    "duplicate lead": (
        lambda root: edit(root / HEADER, " v6\n", " v5\n"),
        HEADER,
        "expected distinct leads",
    ),
    "other lead": (
        lambda root: edit(root / HEADER, " v6\n", " v7\n"),
        HEADER,
        "expected the leads i ii iii",
    ),
    "other rate": (other_rate, "data/2.hea", "expected 5000 samples at 500 Hz, as in 1"),
    "other length": (other_length, "data/2.hea", "Received: 2500 at 500 Hz"),
    "dangling link": (
        lambda root: (root / "data/9.hea").symlink_to("nowhere"),
        "data/9.hea",
        "cannot be read",
    ),
}


@pytest.mark.parametrize(("fault", "guilty", "said"), RECORD_FAULTS.values(), ids=RECORD_FAULTS)
def test_a_faulty_record_is_refused_by_name(data_set, fault, guilty, said):
    fault(data_set)

    assert_refused(data_set, guilty, said)


def assert_refused(root, guilty, said):
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        load_ludb(root)
    assert f"{root / guilty}: " in str(refusal.value)
    assert refusal.value.exit_code == 2
    assert str(refusal.value).count("\n") <= 1


def test_the_root_may_start_at_home(data_set, monkeypatch):
    monkeypatch.setenv("HOME", str(data_set.parent))

    assert load_ludb("~/set").records == ("1", "2", "3")
