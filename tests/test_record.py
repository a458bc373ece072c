"""One record of a user in WFDB's formats: what the wfdb package reads, or a refusal."""

import random
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

from lvh.data import ptbxl
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


@pytest.mark.ludb
def test_a_record_of_ptb_xl_is_what_its_source_makes_of_it(ptbxl_root):
    whole = ptbxl.load(ptbxl.PtbxlSettings(root=str(ptbxl_root)))
    path = next(ptbxl_root.rglob(f"{whole.records[3]}.hea"))
    one = record.read(path, age=61, male=False)
    # one division in float64, or in float32 as there
    np.testing.assert_allclose(one.signals[0], whole.signals[3], atol=1e-6)
    assert (one.age[0], one.male[0], len(one.delineation.samples)) == (61, False, 0)
    assert np.isnan(record.read(path).age[0])


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


def test_a_file_of_the_physionet_challenges_is_read(cohort, tmp_path):
    """A matrix of MATLAB 4: 24 bytes of header, then samples of format 16."""
    plain = record.read(write_record(tmp_path, cohort))
    data = (tmp_path / "r.dat").read_bytes()
    (tmp_path / "r.mat").write_bytes(bytes(24) + data)
    header = (tmp_path / "r.hea").read_text().replace("r.dat 16 ", "r.mat 16+24 ")
    (tmp_path / "r.hea").write_text(header)
    np.testing.assert_array_equal(record.read(tmp_path / "r.hea").signals, plain.signals)


@pytest.mark.parametrize("storage", ["212", "24", "516"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "expected"),
        (lambda path: path.write_bytes(path.read_bytes() + bytes(8)), "expected|read"),
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
    if message == "expected|read":
        if storage == "516":
            return  # bytes behind the end of a FLAC stream are not samples
        message = "expected"
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
        (("<age>: 51", "<sex>: M"), 51, True),
        (("Age: 60 years", "Sex: Female"), 60, False),
        (("Age: 60",), None, False),
        (("Sex: M",), None, True),
        (("Age: 6 months", "Sex: M"), None, True),
        (("Age: 45-50", "Sex: M"), None, True),
        (("Age: 60", "Sex: M/F"), None, False),
        (("Maternal age: 30", "Sex: M"), None, True),
        (("Killip stage: 3", "Dosage: 50", "Sex: M"), None, True),
        ((), None, False),
    ],
)
def test_age_and_sex_are_read_from_comments_both_or_none(comments, age, male, cohort, tmp_path):
    path = write_record(tmp_path, cohort, comments=comments)
    one = record.read(path)
    assert (one.age[0] == age) if age is not None else np.isnan(one.age[0])
    assert one.male[0] == male
    typed = record.read(path, age=33.0, male=True)
    assert (typed.age[0], typed.male[0]) == (33, True)


def test_a_comment_does_not_change_the_calibration(cohort, tmp_path):
    plain = record.read(write_record(tmp_path, cohort, gain=200.0))
    path = write_record(tmp_path, cohort, gain=200.0, comments=("<diagnoses>:", "Rhythm: Sinus."))
    np.testing.assert_array_equal(record.read(path).signals, plain.signals)


def test_a_flat_or_unrecorded_lead_is_refused(cohort, tmp_path):
    for value, message in ((0.5, "a flat line"), (np.nan, "invalid samples")):
        signal = cohort.signals[0].copy()
        signal[5 if np.isnan(value) else slice(None), 4] = value
        with pytest.raises(InputError, match=f"lead avl: expected a signal. Received: {message}"):
            record.read(write_record(tmp_path, cohort, signal=signal))


def test_leads_of_a_header_go_by_any_usual_name(cohort, tmp_path):
    path = write_record(tmp_path, cohort)
    plain = record.read(path)
    edit(path.with_suffix(".hea"), " AVR\n", " MDC_ECG_LEAD_AVR\n")
    edit(path.with_suffix(".hea"), " V6\n", " ECG V6\n")
    np.testing.assert_array_equal(record.read(path).signals, plain.signals)
    edit(path.with_suffix(".hea"), " ECG V6\n", " V7\n")
    with pytest.raises(InputError, match=r"r\.hea: expected the leads i .* 'i ii .* so no v6"):
        record.read(path)


@pytest.mark.parametrize("fs", ["0.4", "99999"])
def test_a_frequency_that_cannot_be_converted_is_refused_before_it_fills_the_memory(
    fs, cohort, tmp_path
):
    path = write_record(tmp_path, cohort)
    edit(path.with_suffix(".hea"), "r 12 500 5000", f"r 12 {fs} 5000")
    with pytest.raises(InputError, match=r"sampling frequency that 500 Hz is|at most 1000000"):
        record.read(path, fs=500.0)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change, cut or lengthen a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        piece = bytes(
            rng.choice(b"0123456789 -./()#\n\xff\0eEnNmM") for _ in range(rng.choice((0, 1, 3)))
        )
        changed[at : at + rng.choice((0, 1, 1, 4))] = piece
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


def test_whatever_becomes_of_a_record_it_is_refused_or_read(data_set, cohort, tmp_path):
    rng, outcomes = random.Random(0), {True: 0, False: 0}
    of_ludb = data_set / "data" / cohort.records[0]
    compressed = tmp_path / "compressed"
    compressed.mkdir()
    digital = np.rint(cohort.signals[0, :100] * 100).astype(np.int64)
    paths = {
        of_ludb: ["hea", "hea", "dat", "v1", "ii"],
        write_record(tmp_path, cohort, comments=("Age: 60", "Sex: F")): ["hea", "hea", "dat"],
        write(compressed, digital, ["516"] * 12, ["r.dat"] * 6 + ["s.dat"] * 6): ["hea", "dat"],
    }
    for path, ends in paths.items():
        for _ in range(80):
            file = Path(f"{path}.{rng.choice(ends)}")
            whole = file.read_bytes()
            file.write_bytes(mutated(whole, rng))
            try:
                found = record.read(path, fs=rng.choice((None, 100.0, 500.0)))
            except InputError as error:
                outcomes[False] += 1
                message = str(error)
            else:
                outcomes[True] += 1
                message = str(path)
                assert found.leads == LEADS
                assert found.signals.shape[::2] == (1, 12)
                assert 0 < found.fs <= 100_000
                samples = found.delineation.samples
                assert not len(samples) or 0 <= samples.min() <= samples.max() < 5000
            file.write_bytes(whole)
            assert message.startswith(str(path.parent))
            assert message.isprintable()
    assert min(outcomes.values()) > 10
