"""One record of a user in WFDB's formats: what the wfdb package reads, or a refusal."""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from final_models import write_record
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from record_files import wfdb as oracle

from lvh.data.cohort import LEADS
from lvh.data.readers import ReadOptions, record
from lvh.errors import InputError


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
    rates = more.get("rates", 1)
    with warnings.catch_warnings(action="ignore"):
        written = oracle.Record(
            record_name="r",
            n_sig=12,
            fs=500 / rates,
            sig_len=len(signal) // rates,
            file_name=files,
            fmt=formats,
            byte_offset=[more.get("offset")] * 12,
            adc_gain=[more.get("gain", 1000.0)] * 12,
            baseline=[0] * 12,
            units=["mV"] * 12,
            adc_res=[0] * 12,
            adc_zero=[0] * 12,
            block_size=[0] * 12,
            sig_name=[lead.upper() for lead in reversed(LEADS)],
            d_signal=signal,
            e_d_signal=[column.copy() for column in signal.T],
            samps_per_frame=[rates] * 12,
        )
        written.init_value = signal[0].tolist()
        written.checksum = [int(total) % 2**16 for total in signal.sum(axis=0)]
        written.wrheader(write_dir=str(folder))
        written.wr_dats(expanded=True, write_dir=str(folder))
    return folder / "r"


BITS = {"80": 8, "212": 12, "16": 16, "24": 24, "32": 32, "508": 8, "516": 16, "524": 24}


def drawn(seed: int, n_samples: int, bits: list[int]) -> np.ndarray:
    """Draw ADC values whose limb leads, the last six in reverse, obey their laws."""
    rng = np.random.default_rng(seed)
    limits = [2 ** (one - 1) - 1 for one in bits]
    signal = np.array([rng.integers(-limit, limit, n_samples) for limit in limits]).T
    i, ii = rng.integers(-15, 15, (2, n_samples)) * 2
    limb = [ii - i // 2, i - ii // 2, -(i + ii) // 2, ii - i, ii, i]
    return np.column_stack([signal[:, :6], *limb])


@given(
    storage=st.lists(st.sampled_from(sorted(BITS)), min_size=2, max_size=2),
    first=st.integers(4, 8),
    n_samples=st.integers(8, 61),
    gain=st.sampled_from([50.0, 1e3, 1e5, 1.25e-2]),
    seed=st.integers(0, 99),
)
@examples(max_examples=25, suppress_health_check=list(HealthCheck))
def test_any_format_is_read_as_the_wfdb_package_does(
    tmp_path, storage, first, n_samples, gain, seed
):
    files = ["r0.dat"] * first + ["r1.dat"] * (12 - first)
    formats = [storage[0]] * first + [storage[1]] * (12 - first)
    signal = drawn(seed, n_samples, [BITS[name] for name in formats])
    path = write(tmp_path, signal, formats, files, gain=gain)
    with warnings.catch_warnings(action="error"):
        one = record.read(path)
        part = record.read(path, options=ReadOptions(start=0.004, seconds=0.01))
    with warnings.catch_warnings(action="ignore"):
        expected = oracle.rdrecord(str(path))
    assert one.fs == expected.fs
    np.testing.assert_array_equal(one.signals[0], expected.p_signal[:, ::-1].astype(np.float32))
    np.testing.assert_array_equal(part.signals, one.signals[:, 2:7])


def test_several_samples_a_frame_and_the_layout_of_physionet_challenges(tmp_path):
    signal = drawn(0, 60, [16] * 12)
    framed = record.read(write(tmp_path, signal, ["16"] * 12, ["r.dat"] * 12, rates=4))
    assert framed.fs == 500
    np.testing.assert_allclose(framed.signals[0], signal[:, ::-1] / 1000, rtol=1e-6)
    path = write(tmp_path, signal, ["16"] * 12, ["r.mat"] * 12, offset=24)
    np.testing.assert_array_equal(record.read(path).signals, framed.signals)


@given(
    lengths=st.lists(st.integers(8, 30), min_size=1, max_size=4),
    start=st.integers(0, 4),
    n_samples=st.integers(4, 40),
)
@examples(max_examples=25, suppress_health_check=list(HealthCheck))
def test_segments_are_joined_as_the_wfdb_package_does(tmp_path, lengths, start, n_samples):
    lines, header = [], tmp_path / "m.hea"
    for number, length in enumerate(lengths):
        lines.append(f"s{number} {length}\n")
        write(tmp_path, drawn(number, length, [16] * 12), ["16"] * 12, [f"s{number}.dat"] * 12)
        text = (tmp_path / "r.hea").read_text()
        (tmp_path / f"s{number}.hea").write_text(text.replace("r 12", f"s{number} 12"))
    header.write_text("".join([f"m/{len(lengths)} 12 500 {sum(lengths)}\n", *lines]))
    with warnings.catch_warnings(action="ignore"):
        expected = oracle.rdrecord(str(tmp_path / "m")).p_signal[:, ::-1].astype(np.float32)
    np.testing.assert_array_equal(record.read(header).signals[0], expected)
    options = ReadOptions(start=start / 500, seconds=n_samples / 500)
    part = record.read(header, options=options).signals[0]
    np.testing.assert_array_equal(part, expected[start : start + n_samples])
    for more, said in (("~ 7", "--start, --seconds .*segment ~"), ("m 7", "segment m")):
        text = f"m/{len(lengths) + 1} 12 500 {sum(lengths) + 7}\n"
        header.write_text("".join([text, *lines, more]))
        with pytest.raises(InputError, match=said):
            record.read(header)


@given(skew=st.integers(1, 9), n_samples=st.integers(20, 40))
@examples(max_examples=9, suppress_health_check=list(HealthCheck))
def test_a_late_signal_is_aligned(tmp_path, skew, n_samples):
    signal = drawn(skew, n_samples, [16] * 12)
    late = signal.copy()
    late[:, 11] = np.concatenate([signal[:skew, 11] * 0, signal[:-skew, 11]])
    path = write(tmp_path, late, ["16"] * 12, ["r.dat"] * 12)
    change_header(path, r"(?m)x1( .* I)$", rf"x1:{skew}\1")
    expected = signal[: n_samples - skew, ::-1] / 1000
    np.testing.assert_allclose(record.read(path).signals[0], expected, rtol=1e-6)


def test_rates_and_parts_of_long_records(cohort, tmp_path):
    path = write_record(tmp_path, cohort)
    expected = record.read(path).signals[:, 500:1500]
    header = path.with_suffix(".hea")
    header.write_text(re.sub(r"500 5000\n", "500 86400000\n", header.read_text()))
    os.truncate(path.with_suffix(".dat"), 86_400_000 * 24)  # two days; sparse, it needs no disk
    with pytest.raises(InputError, match="--start and --seconds choose a part"):
        record.read(path)
    part = record.read(path, options=ReadOptions(start=1.0, seconds=2.0))
    np.testing.assert_array_equal(part.signals, expected)
    path = write_record(tmp_path, cohort)
    header.write_text(header.read_text().replace("500 5000", ""))  # what a header may leave out
    part = record.read(path, options=ReadOptions(fs=500.0, start=1.0, seconds=2.0))
    np.testing.assert_array_equal(part.signals, expected)
    path = write_record(tmp_path, cohort)
    with pytest.raises(InputError, match=r"lead i: .* Received: no samples in this part"):
        record.read(path, options=ReadOptions(start=10.0, seconds=1.0))
    one, other = record.read(path), record.read(path, fs=250.0)
    assert (other.fs, other.signals.shape) == (250, (1, 2500, 12))
    assert np.corrcoef(other.signals[0, :, 1], one.signals[0, ::2, 1])[0, 1] > 0.98
    with pytest.raises(InputError, match="whose ratio to"):
        record.read(path, fs=499.9987)


@pytest.mark.parametrize("storage", ["212", "16", "516"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "expected"),
        (lambda path: path.unlink(), "expected a file"),
        (lambda path: linked_to_outside(path), "expected a file in the same folder"),
        (lambda path: change_header(path, r"1000\.0", "0"), "a gain above 0"),
        (lambda path: change_header(path, r"/mV", "/mmHg"), "the unit mV, uV or V"),
        (lambda path: change_header(path, "r 12 500 ", "r 12 0 "), "sampling frequency"),
        (lambda path: change_header(path, "r 12 500 .*\n", "r 12\n"), "--fs says it|WFDB record"),
        (lambda path: change_header(path, r" \d+ 0 V6", " 1 0 V6"), "lead 'V6': expected checksum"),
        (lambda path: change_header(path, r"r 12", "r/2 12"), "a line for each signal"),
    ],
)
def test_what_the_wfdb_package_takes_silently_is_refused(cohort, tmp_path, storage, fault, message):
    digital = np.rint(cohort.signals[0, :300, ::-1] * 1000).astype(np.int64)
    path = write(tmp_path, digital, [storage] * 12, ["r.dat"] * 6 + ["s.dat"] * 6)
    record.read(path)
    fault(tmp_path / "r.dat")
    with pytest.raises(InputError, match=message):
        record.read(path)


def linked_to_outside(path: Path) -> None:
    outside = path.parent.parent / f"{path.parent.name}-outside"
    path.rename(outside)
    path.symlink_to(outside)


def change_header(path: Path, pattern: str, new: str) -> None:
    header = path.with_suffix(".hea")
    text, n = re.subn(pattern, new, header.read_text())
    assert n
    header.write_text(text)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_micro_sign_and_an_exponent_are_read_as_they_are_meant(cohort, tmp_path, encoding):
    path = write_record(tmp_path, cohort)
    expected = record.read(path).signals
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("1000.0(0)/mV", "1e0(0)/\xb5V"), encoding)
    np.testing.assert_allclose(record.read(path).signals, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("comments", "age", "male"),
    [
        (("Age: 60", "Sex: F"), 60, False),
        (("<age>: 65 <sex>: F <diagnoses> Acute MI",), 65, False),
        (("Age: 60", "Sex: M/F"), None, False),
        (("Maternal age: 30", "Dosage: 50", "Sex: M"), None, True),
        (("Father died, age: 50; sex: M", "Sex: F"), None, False),
        (("<diagnoses>:", "LUDB", "gain 1000"), None, False),
    ],
)
def test_age_and_sex_are_read_from_comments_both_or_none(comments, age, male, cohort, tmp_path):
    path = write_record(tmp_path, cohort, comments=comments, gain=200.0)
    one = record.read(path)
    np.testing.assert_allclose(one.signals, cohort.signals[:1], atol=0.51 / 200)  # whatever it says
    assert (one.age[0] == age) if age is not None else np.isnan(one.age[0])
    assert one.male[0] == male
    typed = record.read(path, age=33.0, male=True)
    assert (typed.age[0], typed.male[0]) == (33, True)
