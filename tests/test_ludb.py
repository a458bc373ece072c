"""LUDB: what is known of the published data, and what a damaged copy of it gives."""

import numpy as np
import pytest
from record_files import load_ludb, read_dat, write_data_set

from lvh.data import ludb as ludb_source
from lvh.data.cohort import LEADS, part_of

pytestmark = pytest.mark.usefixtures("own_cache")

HEADER = "data/1.hea"
HALF_A_UNIT = 0.0005 + 1e-6
"""Rounding to whole microvolts on writing, and float32 on reading, in mV."""


@pytest.mark.ludb
class TestPublishedData:
    def test_records_labels_and_waves(self, ludb):
        assert ludb.records == tuple(str(record) for record in range(1, 201))
        same = {"20": "3", "12": "5"}
        assert ludb.subjects.tolist() == [same.get(name, name) for name in ludb.records]
        assert np.bincount(ludb.label).tolist() == [92, 108]
        assert ludb.male.sum() == 115
        assert (ludb.name, ludb.note) == ("LUDB 1.0.1", "")
        assert ludb.fingerprint == ludb_source.FINGERPRINT
        # The README of LUDB says 21966 N, 19666 t and 16797 p; wfdb.rdann reads what we do.
        counts = [int((ludb.delineation.symbols == ord(one)).sum()) for one in "Ntp()"]
        assert counts == [21965, 19661, 16797, 58321, 58423]


class TestSmallCopy:
    """Three generated records, written as LUDB is written."""

    def test_everything_written_is_read(self, data_set, cohort):
        found = load_ludb(data_set)
        assert found.records == ("1", "2", "3")
        assert (found.leads, found.fs) == (LEADS, 500)
        assert np.abs(found.signals - cohort.signals[:3]).max() <= HALF_A_UNIT
        expected = part_of(cohort, 0, 3)
        for field in ("subjects", "male", "age", "label"):
            assert getattr(found, field).tolist() == getattr(expected, field).tolist()
        for field in ("symbols", "samples", "offsets"):
            own, other = (getattr(one.delineation, field) for one in (found, expected))
            np.testing.assert_array_equal(own, other)

    def test_leads_go_by_name_and_gains_of_headers_by_none(self, data_set, tmp_path, cohort):
        before = load_ludb(data_set).fingerprint
        header = data_set / HEADER
        header.write_text(header.read_text().replace("1000(0)/mV", "1716(6)/mV"))
        assert load_ludb(data_set).fingerprint == before
        other = write_data_set(tmp_path / "other", cohort, 3, ("V6", *LEADS[:11]))
        assert not np.array_equal(read_dat(other / HEADER), read_dat(data_set / HEADER))
        assert load_ludb(other).fingerprint == load_ludb(data_set).fingerprint
