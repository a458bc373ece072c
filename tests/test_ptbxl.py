"""PTB-XL: its sample against what is known of it, and what a damaged copy of its layout gives."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from record_files import read_dat, write_signals, write_wfdb
from record_files import wfdb as oracle

from lvh.data import join, lazy_array, synthetic
from lvh.data.cohort import LEADS
from lvh.data.lazy_array import LazyArray
from lvh.data.ptbxl import PtbxlSettings, load
from lvh.errors import EnvironmentFault, InputError
from lvh.features.waveforms import RawSettings, extract_raw

pytestmark = pytest.mark.usefixtures("own_cache")

COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "filename_lr", "filename_hr")
TABLE = "ptbxl_database.csv"


def header_of(root: Path, number: int, fs: int = 500) -> Path:
    suffix = "hr" if fs == 500 else "lr"
    return root / f"records{fs}" / "00000" / f"{number:05}_{suffix}.hea"


def write_record(root: Path, number: int, fs: int, gain: float = 1000.0, baseline: int = 0) -> None:
    """Write noise that begins with the number of the record; upper-case leads in disorder."""
    header = header_of(root, number, fs)
    header.parent.mkdir(parents=True, exist_ok=True)
    digital = np.random.default_rng(number).integers(-500, 500, (10 * fs, 12)) * 2
    digital[0] = number * 2
    i, ii = digital[:, 11].copy(), digital[:, 10].copy()
    digital[:, 6:10] = np.stack([ii - i // 2, i - ii // 2, -(i + ii) // 2, ii - i], axis=1)
    write_wfdb(header, digital / gain, fs, leads=LEADS[::-1], gain=gain, baseline=baseline)


def write_table(root: Path, rows: list[dict]) -> None:
    with (root / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def row(number: int, **other) -> dict:
    return {
        "ecg_id": number,
        "patient_id": f"{number // 2 + 100}.0",  # two records a patient
        "age": "61.0",
        "sex": str(number % 2),
        "scp_codes": "{'LVH': 100.0, 'SR': 0.0}" if number % 3 == 0 else "{'NORM': 80.0}",
        "filename_lr": f"records100/00000/{number:05}_lr",
        "filename_hr": f"records500/00000/{number:05}_hr",
        **other,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    for number in range(1, 7):
        write_record(root, number, 500)
    write_table(root, [row(number) for number in range(1, 7)])
    return root


@pytest.fixture
def root(tmp_path, whole) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "ptbxl"))


def loaded(root: Path, fs: int = 500, flawed: str = "drop"):
    return load(PtbxlSettings("ptbxl", str(root), fs, flawed))


@pytest.mark.ludb
def test_records_labels_and_signals_of_the_sample(ptbxl_root):
    cohort = loaded(ptbxl_root)
    assert cohort.signals.shape == (142, 5000, 12)
    assert np.bincount(cohort.label).tolist() == [109, 33]
    assert len(set(cohort.subjects)) == 138
    assert (cohort.note, len(cohort.delineation.samples)) == ("", 0)
    for at in range(0, 142, 20):
        path = ptbxl_root / "records500" / "00000" / cohort.records[at]
        record = oracle.rdrecord(str(path))
        assert tuple(lead.lower() for lead in record.sig_name) == cohort.leads
        # half a unit in the last of the digits that float32 has for 6 mV
        np.testing.assert_allclose(cohort.signals[at], record.p_signal, rtol=0, atol=3e-7)


def test_a_record_is_what_table_and_header_say(root):
    cohort = loaded(root)
    assert cohort.records == tuple(f"{number:05}_hr" for number in range(1, 7))
    assert cohort.subjects.tolist() == ["100", "101", "101", "102", "102", "103"]
    assert cohort.label.tolist() == [0, 0, 1, 0, 0, 1]
    assert cohort.male.tolist() == [False, True, False, True, False, True]
    assert cohort.fs == 500.0
    assert cohort.leads == LEADS
    assert cohort.signals[:, 0, 0].tolist() == pytest.approx([n / 500 for n in range(1, 7)])
    write_record(root, 1, 500, gain=200.0, baseline=40)
    cohort = loaded(root)
    record = oracle.rdrecord(str(header_of(root, 1).with_suffix("")))
    assert record.sig_name[0] == "V6"  # as written, in disorder
    np.testing.assert_allclose(cohort.signals[0], record.p_signal[:, ::-1], rtol=1e-6)


def test_flawed_records_are_left_out_and_counted_or_fail(root, caplog):
    digital = read_dat(header_of(root, 2)).copy()
    digital[:, 0] = 7
    write_signals(header_of(root, 2), digital)
    digital = read_dat(header_of(root, 3)).copy()
    write_signals(header_of(root, 3), digital[:, [*range(8), 9, 8, 10, 11]])  # avl and avr
    write_table(root, [*(row(n) for n in range(1, 5)), row(5, sex=""), row(6, age="")])
    cohort = loaded(root)
    assert cohort.records == ("00001_hr", "00004_hr")
    assert cohort.note == "4 of 6 records left out as flawed"
    assert cohort.note in caplog.text
    with pytest.raises(InputError, match=r"=fail: .* 4 of 6 flawed, .*00002.*a flat line"):
        loaded(root, flawed="fail")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("age", "old", "record 1: age"),
        ("patient_id", "", "record 1: patient_id"),
        ("scp_codes", "__import__('os').system('true')", "record 1: scp_codes"),
        ("filename_hr", "../../etc/passwd", "record 1: filename_hr"),
        ("filename_hr", row(2)["filename_hr"], "expected distinct records"),
        ("filename_hr", "records500/00000/09999_hr", "09999_hr.hea: expected a file"),
    ],
)
def test_a_table_with_a_bad_value_is_refused(root, column, value, message):
    write_table(root, [row(1, **{column: value}), *(row(number) for number in range(2, 7))])
    with pytest.raises(InputError, match=message):
        loaded(root)
    (root / TABLE).write_text((root / TABLE).read_text().replace(",", ";"))
    with pytest.raises(InputError, match="expected comma-separated values, and the columns ecg_id"):
        loaded(root)


def test_a_change_is_seen_and_a_folder_that_cannot_be_fetched_is_named(root):
    with pytest.raises(EnvironmentFault, match=r"cannot fetch [\s\S]*LVH_PTBXL_ROOT"):
        load(PtbxlSettings(url="http://127.0.0.1:1/ptb-xl.zip"))
    first = loaded(root)
    assert loaded(root).fingerprint == first.fingerprint
    write_record(root, 1, 500, gain=999.0)
    assert loaded(root).fingerprint != first.fingerprint


def test_records_that_stay_on_the_disk_are_the_same(root, monkeypatch):
    write_record(root, 4, 500, gain=200.0, baseline=40)
    write_table(root, [*(row(n) for n in range(1, 6)), row(6, age="")])
    whole = loaded(root)
    assert len(whole.records) == 5
    monkeypatch.setattr(lazy_array, "LOADED_BYTES", 0)
    for cohort in (loaded(root), loaded(root)):  # made, and opened
        assert cohort.records == whole.records
        np.testing.assert_array_equal(cohort.signals.read(), whole.signals)
        np.testing.assert_array_equal(cohort.signals[2], whole.signals[2])
        assert (cohort.note, cohort.fingerprint) == (whole.note, whole.fingerprint)
    for scaling in ("minmax", "none"):
        settings = RawSettings(leads=("v6", "i", "avl"), scaling=scaling)
        X, lazy = (extract_raw(one, settings).X for one in (whole, cohort))
        assert isinstance(lazy, LazyArray)
        assert (lazy.shape, lazy.dtype) == (X.shape, X.dtype)
        np.testing.assert_array_equal(lazy[np.array([4, 1, 0, 3])][1:].read(), X[[1, 0, 3]])
    other = synthetic.load(synthetic.SyntheticSettings(records=3))
    both, joined = join(whole, other), join(cohort, other)
    assert joined.fingerprint == both.fingerprint
    chosen = np.array([4, 3, 5])
    np.testing.assert_array_equal(joined.signals[chosen].read(), both.signals[chosen])


CELLS = st.sampled_from(["", "1", "x", '"', ";", ",", "\n", "{'LVH': 1.0}"])


@given(cells=st.lists(CELLS, max_size=30))
@examples(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_malformed_table_is_refused_in_one_line(root, cells):
    (root / TABLE).write_text(",".join(COLUMNS) + "\n" + "".join(cells))
    with pytest.raises(InputError) as refused:
        loaded(root)
    assert str(refused.value).startswith(str(root / TABLE))
    assert str(refused.value).isprintable()
