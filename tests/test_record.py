"""One record of a user in WFDB's formats: what the wfdb package reads, or a refusal."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import edit
from final_models import write_record
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cohort import LEADS
from lvh.data.readers import record
from lvh.errors import InputError

with warnings.catch_warnings(action="ignore"):  # of pandas
    import wfdb as oracle


@pytest.mark.ludb
def test_a_record_of_ludb_is_what_its_source_makes_of_it(ludb, ludb_root):
    for at in (0, 7, 107):
        one = record.read(ludb_root / "data" / ludb.records[at])
        np.testing.assert_array_equal(one.signals[0], ludb.signals[at])
        assert (one.fs, one.leads, one.records) == (ludb.fs, ludb.leads, (ludb.records[at],))
        assert (one.male[0], one.age[0]) == (ludb.male[at], ludb.age[at])
        for lead in range(12):
            symbols, samples = ludb.delineation.lead(at, lead)
            assert one.delineation.lead(0, lead)[0] == symbols
            np.testing.assert_array_equal(one.delineation.lead(0, lead)[1], samples)


def write(folder: Path, signal: np.ndarray, formats: list[str], files: list[str], **more) -> Path:
    """Write a record by the wfdb package; signals of one file share its format."""
    with warnings.catch_warnings(action="ignore"):
        written = oracle.Record(
            record_name="r",
            n_sig=12,
            fs=500,
            sig_len=len(signal),
            file_name=files,
            fmt=formats,
            adc_gain=more.get("gains", [1000.0] * 12),
            baseline=[0] * 12,
            units=["mV"] * 12,
            adc_res=[0] * 12,
            adc_zero=[0] * 12,
            block_size=[0] * 12,
            sig_name=[lead.upper() for lead in reversed(LEADS)],
            d_signal=signal,
            e_d_signal=[column.copy() for column in signal.T],
            samps_per_frame=[1] * 12,
        )
        written.init_value = signal[0].tolist()
        written.checksum = [int(total) % 2**16 for total in signal.sum(axis=0)]
        written.wrheader(write_dir=str(folder))
        written.wr_dats(expanded=True, write_dir=str(folder))
    return folder / "r"


BITS = {"80": 8, "212": 12, "16": 16, "24": 24, "32": 32, "508": 8, "516": 16, "524": 24}


@given(
    storage=st.lists(st.sampled_from(sorted(BITS)), min_size=2, max_size=2),
    first=st.integers(4, 8),
    n_samples=st.integers(2, 61),
    seed=st.integers(0, 99),
)
@examples(max_examples=25, suppress_health_check=list(HealthCheck))
def test_any_format_in_two_files_is_read_as_the_wfdb_package_does(
    tmp_path, storage, first, n_samples, seed
):
    files = ["r0.dat"] * first + ["r1.dat"] * (12 - first)
    formats = [storage[0]] * first + [storage[1]] * (12 - first)
    rng = np.random.default_rng(seed)
    limits = [2 ** (BITS[name] - 1) - 1 for name in formats]
    signal = np.array([rng.integers(-limit, limit, n_samples) for limit in limits]).T
    signal[0], signal[1] = -1, 1  # never flat
    gains = rng.choice([200.0, 1e3, 1e5], 12).tolist()
    path = write(tmp_path, signal, formats, files, gains=gains)

    with warnings.catch_warnings(action="error"):
        one = record.read(path)
    with warnings.catch_warnings(action="ignore"):
        expected = oracle.rdrecord(str(path))

    assert one.fs == expected.fs
    np.testing.assert_array_equal(one.signals[0], expected.p_signal[:, ::-1].astype(np.float32))


@pytest.mark.parametrize("storage", ["212", "24", "516"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "expected"),
        (lambda path: path.write_bytes(b""), "expected"),
        (lambda path: path.unlink(), "expected a file"),
        (lambda path: change_header(path, r"1000\.0", "0"), "expected a gain above 0"),
        (lambda path: change_header(path, "r 12 500 ", "r 12 0 "), "sampling frequency"),
        (lambda path: change_header(path, r" \d+ 0 V6", " 1 0 V6"), "lead v6: expected checksum"),
        (lambda path: change_header(path, r"500 \d+\n", "500 2000000000\n"), "expected at most"),
        (lambda path: change_header(path, r"r\.dat", "../r.dat"), "same folder"),
    ],
)
def test_what_the_wfdb_package_takes_silently_is_refused(cohort, tmp_path, storage, fault, message):
    digital = np.rint(cohort.signals[0, :300] * 100).astype(np.int64)
    path = write(tmp_path, digital, [storage] * 12, ["r.dat"] * 6 + ["s.dat"] * 6)
    record.read(path)
    fault(tmp_path / "r.dat")
    with pytest.raises(InputError, match=message):
        record.read(path)


def change_header(path: Path, pattern: str, new: str) -> None:
    header = path.with_suffix(".hea")
    text, n = re.subn(pattern, new, header.read_text())
    assert n
    header.write_text(text)


@pytest.mark.parametrize(
    ("comments", "age", "male"),
    [
        (("Age: 60", "Sex: F"), 60, False),
        (("age: 81  sex: male",), 81, True),
        (("<age>: 51 years", "<sex>: M"), 51, True),
        (("Age: 60",), None, False),
        (("Sex: M",), None, True),
        (("Age: 6 months", "Sex: M"), None, True),
        (("Age: 45-50", "Sex: M"), None, True),
        (("Age: 60", "Sex: M/F"), None, False),
        (("Maternal age: 30", "Dosage: 50", "Sex: M"), None, True),
    ],
)
def test_age_and_sex_are_read_from_comments_both_or_none(comments, age, male, cohort, tmp_path):
    path = write_record(tmp_path, cohort, comments=comments)
    one = record.read(path)
    assert (one.age[0] == age) if age is not None else np.isnan(one.age[0])
    assert one.male[0] == male
    typed = record.read(path, age=33.0, male=True)
    assert (typed.age[0], typed.male[0]) == (33, True)


def test_leads_go_by_any_usual_name_and_unknown_ones_are_refused(cohort, tmp_path):
    path = write_record(tmp_path, cohort)
    plain = record.read(path)
    edit(path.with_suffix(".hea"), " AVR\n", " MDC_ECG_LEAD_AVR\n")
    np.testing.assert_array_equal(record.read(path).signals, plain.signals)
    edit(path.with_suffix(".hea"), " V6\n", " V7\n")
    with pytest.raises(InputError, match=r"r\.hea: expected the leads i .* 'i ii .* so no v6"):
        record.read(path)
    signal = cohort.signals[0].copy()
    signal[:, 4] = 0.5
    with pytest.raises(InputError, match="lead avl: expected a signal"):
        record.read(write_record(tmp_path, cohort, signal=signal))


@given(data=st.data())
@examples(max_examples=40, suppress_health_check=list(HealthCheck))
def test_any_damaged_record_is_refused_or_read(cohort, tmp_path, data):
    path = write_record(tmp_path, cohort, comments=("Age: 60", "Sex: F"))
    file = Path(f"{path}.{data.draw(st.sampled_from(['hea', 'hea', 'dat']))}")
    whole = file.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole)))
        piece = bytes(data.draw(st.lists(st.sampled_from(b"019 -./()#\n\xff\0eEnm"), max_size=3)))
        whole = whole[:at] + piece + whole[at + data.draw(st.integers(0, 4)) :]
    file.write_bytes(whole)
    try:
        one = record.read(path, fs=data.draw(st.sampled_from([None, 100.0, 500.0])))
    except InputError as error:
        message = str(error)
    else:
        message = str(path)
        assert one.leads == LEADS
        assert one.signals.shape[::2] == (1, 12)
        assert 0 < one.fs <= 100_000
    assert message.startswith(str(path.parent))
    assert message.isprintable()
