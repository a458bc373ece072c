"""The strict reader: equal to the wfdb package on good files, one typed error on bad ones."""

import re
import warnings

import numpy as np
import pytest
from conftest import (
    ANNOTATION_CODES,
    annotation_words,
    edit,
    read_dat,
    words_to_bytes,
    write_data_set,
    write_signals,
)
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.data.cohort import LEADS
from lvh.data.readers import wfdb
from lvh.errors import InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # wfdb 4.3.1 under pandas 3.1
    import wfdb as oracle

N_SAMPLES = 5000
FIRST_LINE = "1 12 500 5000\n"


def read(root, name="1"):
    """Read all of one record."""
    header = wfdb.read_header(root / "data" / f"{name}.hea", root)
    waves = [
        wfdb.read_annotations(root / "data" / f"{name}.{lead}", root, header.n_samples)
        for lead in LEADS
    ]
    return header, wfdb.read_signals(header, root), waves


def first_signal_line(root):
    return (root / "data/1.hea").read_text().splitlines()[1]


def set_field(root, position, value):
    """Change one field of the first signal line."""
    line = first_signal_line(root)
    fields = line.split(" ")
    fields[position] = value
    edit(root / "data/1.hea", line, " ".join(fields))


def assert_same_annotations(root, name, lead):
    symbols, samples = wfdb.read_annotations(root / "data" / f"{name}.{lead}", root, N_SAMPLES)
    expected = oracle.rdann(str(root / "data" / name), lead)
    assert symbols.tobytes().decode() == "".join(expected.symbol), (name, lead)
    assert np.array_equal(samples, expected.sample), (name, lead)


def assert_same_signals(root, name):
    header = wfdb.read_header(root / "data" / f"{name}.hea", root)
    expected = oracle.rdrecord(str(root / "data" / name), physical=False)
    assert np.array_equal(wfdb.read_signals(header, root), expected.d_signal), name
    assert header.fs == expected.fs
    assert header.n_samples == expected.sig_len
    assert list(header.leads) == [lead.lower() for lead in expected.sig_name]
    assert list(header.gains) == expected.adc_gain
    assert list(header.baselines) == expected.baseline
    assert list(header.checksums) == expected.checksum
    assert {header.data_file} == set(expected.file_name)
    assert [comment.strip() for comment in header.comments] == [
        comment.strip() for comment in expected.comments
    ]


# What wfdb 4.3.1 calls is deprecated in pandas 3.1.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
class TestAgainstTheWfdbPackage:
    @pytest.mark.ludb
    def test_signals_and_headers_of_ludb(self, ludb_root):
        for record in range(1, 201):
            assert_same_signals(ludb_root, str(record))

    @pytest.mark.ludb
    def test_annotations_of_some_of_ludb(self, ludb_root):
        chosen = np.random.default_rng(0).choice(np.arange(1, 201), 20, replace=False)
        for record in sorted(chosen):
            for lead in LEADS:
                assert_same_annotations(ludb_root, str(record), lead)

    @pytest.mark.ludb
    @pytest.mark.slow
    def test_annotations_of_ludb(self, ludb_root):
        for record in range(1, 201):
            for lead in LEADS:
                assert_same_annotations(ludb_root, str(record), lead)

    def test_a_generated_record(self, data_set):
        assert_same_signals(data_set, "1")
        for lead in LEADS:
            assert_same_annotations(data_set, "1", lead)

    def test_long_pauses_and_notes_written_by_wrann(self, tmp_path):
        symbols = ["(", "N", ")", "(", "t", ")", "(", "p", ")", "(", "N", ")"]
        # Steps of 1023 and 1024 are the last without and the first with a SKIP.
        steps = [0, 3, 96, 1023, 1024, 1, 854, 66999, 1, 0, 129999, 9]
        samples = np.cumsum(steps)
        oracle.wrann(
            "a",
            "ii",
            samples,
            symbols,
            subtype=np.array([0, 1, 2, 0, 0, 0, -1, 0, 0, 0, 3, 0]),
            chan=np.array([0, 0, 1, 1, 1, 2, 2, 0, 0, 3, 3, 0]),
            num=np.array([0, 0, 0, 5, 5, 0, 127, 0, 0, 1, 1, 1]),
            aux_note=["", "x", "", "ab", "", "odd", "", "", "", "(AFIB", "", "end"],
            write_dir=str(tmp_path),
        )
        path = tmp_path / "a.ii"

        words = np.frombuffer(path.read_bytes(), "<u2") >> 10
        assert {59, 60, 61, 62, 63} <= set(words.tolist())  # SKIP NUM SUB CHN AUX
        found_symbols, found_samples = wfdb.read_annotations(path, tmp_path, 200011)
        assert found_symbols.tobytes().decode() == "".join(symbols)
        assert found_samples.tolist() == samples.tolist()
        assert found_samples.tolist() == oracle.rdann(str(tmp_path / "a"), "ii").sample.tolist()


class TestReading:
    def test_dtypes_and_shapes(self, data_set):
        header, signals, waves = read(data_set)

        assert header.leads == LEADS
        assert signals.shape == (N_SAMPLES, 12)
        assert signals.dtype == np.int16
        assert all(symbols.dtype == np.uint8 for symbols, _ in waves)
        assert all(samples.dtype == np.int32 for _, samples in waves)

    def test_unsigned_checksums_are_as_good(self, data_set):
        signed = wfdb.read_header(data_set / "data/1.hea", data_set).checksums
        assert min(signed) < 0
        path = data_set / "data/1.hea"
        lines = path.read_text().splitlines()
        for lead, checksum in enumerate(signed):
            fields = lines[1 + lead].split(" ")
            fields[6] = str(checksum % 2**16)
            lines[1 + lead] = " ".join(fields)
        path.write_text("\n".join(lines))

        header, signals, _ = read(data_set)

        assert min(header.checksums) >= 0
        assert np.array_equal(signals, read_dat(path))

    def test_extremes_of_the_format_survive(self, data_set):
        path = data_set / "data/1.hea"
        digital = np.full((N_SAMPLES, 12), 32767, dtype="<i2")
        digital[::2] = -32768
        digital[:, 3] = -32768
        write_signals(path, digital)

        assert np.array_equal(read(data_set)[1], digital)

    def test_comments_and_blank_lines_may_stand_anywhere(self, data_set):
        path = data_set / "data/1.hea"
        expected = wfdb.read_header(path, data_set)
        path.write_text("# first\r\n\r\n" + path.read_text().replace("\n", "\r\n\r\n"))

        found = wfdb.read_header(path, data_set)

        assert found.comments == (" first", *expected.comments)
        assert found.gains == expected.gains
        assert found.leads == expected.leads

    def test_missing_baseline_is_the_adc_zero(self, data_set):
        set_field(data_set, 2, "200/mV")
        set_field(data_set, 4, "17")

        header = wfdb.read_header(data_set / "data/1.hea", data_set)

        assert (header.gains[0], header.baselines[0]) == (200.0, 17)

    def test_a_lead_without_annotations_is_empty(self, data_set):
        path = data_set / "data/1.i"
        path.write_bytes(words_to_bytes([]))

        symbols, samples = wfdb.read_annotations(path, data_set, N_SAMPLES)

        assert symbols.shape == samples.shape == (0,)

    def test_links_inside_and_a_linked_root_are_fine(self, data_set, tmp_path):
        expected = read(data_set)[1]
        (data_set / "data/1.dat").rename(data_set / "elsewhere.dat")
        (data_set / "data/1.dat").symlink_to("../elsewhere.dat")
        (tmp_path / "link").symlink_to(data_set)

        assert np.array_equal(read(data_set)[1], expected)
        assert np.array_equal(read(tmp_path / "link")[1], expected)


def coded(symbol, step):
    return ANNOTATION_CODES[symbol] << 10 | step


def skip(interval):
    return [59 << 10, interval >> 16 & 0xFFFF, interval & 0xFFFF]


AUX = 63 << 10
ANNOTATION_FAULTS = {
    "odd length": (words_to_bytes([coded("(", 1)])[:-1], "cut short or of another format"),
    "no final zero": (words_to_bytes([coded("(", 1)])[:-2], "cut short or of another format"),
    "one byte": (b"\0", "cut short or of another format"),
    "another kind": (words_to_bytes([28 << 10 | 5]), "Received: code 28"),
    "an unused code": (words_to_bytes([58 << 10]), "Received: code 58"),
    "a zero before the end": (words_to_bytes([coded("(", 1), 0, coded(")", 1)]), "code 0"),
    "past the last sample": (words_to_bytes([*skip(5000), coded("N", 0)]), "Received: 5000 to"),
    "far past the last sample": (words_to_bytes([*skip(2**31 - 1), coded("N", 9)]), "0 to 4999"),
    "skips that add up beyond 32 bits": (
        words_to_bytes([*skip(2**31 - 1) * 3, coded("N", 9)]),
        "0 to 4999",
    ),
    "before the first sample": (words_to_bytes([*skip(-1), coded("N", 0)]), "Received: -1 to"),
    "back in time": (
        words_to_bytes([coded("(", 9), *skip(-5), coded("N", 0)]),
        "expected rising samples",
    ),
    "skip without its interval": (words_to_bytes([coded("(", 1), 59 << 10, 0]), "32-bit skip"),
    "text longer than the file": (words_to_bytes([coded("(", 1), AUX | 5, 0, 0]), "5 bytes"),
}


@pytest.mark.parametrize(("content", "said"), ANNOTATION_FAULTS.values(), ids=ANNOTATION_FAULTS)
def test_malformed_annotations_are_refused(data_set, content, said):
    path = data_set / "data/1.i"
    path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        wfdb.read_annotations(path, data_set, N_SAMPLES)

    assert str(path) in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_the_last_sample_may_be_annotated(data_set):
    path = data_set / "data/1.i"
    path.write_bytes(words_to_bytes(annotation_words("(N)", np.array([0, 0, N_SAMPLES - 1]))))

    assert wfdb.read_annotations(path, data_set, N_SAMPLES)[1].tolist() == [0, 0, 4999]


@pytest.fixture(scope="module")
def mutable_set(tmp_path_factory, cohort):
    return write_data_set(tmp_path_factory.mktemp("mutable") / "set", cohort, 1)


@given(
    waves=st.lists(
        st.tuples(st.sampled_from("()Npt"), st.integers(0, 3000)), min_size=1, max_size=40
    )
)
@examples(max_examples=100)
def test_any_delineation_is_read_as_it_was_written(mutable_set, waves):
    symbols = "".join(symbol for symbol, _ in waves)
    samples = np.cumsum([step for _, step in waves])
    path = mutable_set / "data/1.v2"
    path.write_bytes(words_to_bytes(annotation_words(symbols, samples)))

    found_symbols, found_samples = wfdb.read_annotations(path, mutable_set, 40 * 3000 + 1)

    assert found_symbols.tobytes().decode() == symbols
    assert found_samples.tolist() == samples.tolist()
