"""The fast WFDB reader: equal to the wfdb package on good files, one typed error on bad ones."""

import re
import warnings

import numpy as np
import pytest
from conftest import (
    ANNOTATION_CODES,
    annotation_words,
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


def assert_same_annotations(root, name, lead):
    symbols, samples = wfdb.read_annotations(root / "data" / f"{name}.{lead}", root, N_SAMPLES)
    expected = oracle.rdann(str(root / "data" / name), lead)
    assert symbols.dtype == np.uint8
    assert samples.dtype == np.int32
    assert symbols.tobytes().decode() == "".join(expected.symbol), (name, lead)
    assert np.array_equal(samples, expected.sample), (name, lead)


def assert_same_signals(root, name):
    header = wfdb.read_header(root / "data" / f"{name}.hea", root)
    expected = oracle.rdrecord(str(root / "data" / name), physical=False)
    digital = wfdb.read_signals(header, root)
    assert digital.dtype == np.int16
    assert np.array_equal(digital, expected.d_signal), name
    assert (header.fs, header.n_samples) == (expected.fs, expected.sig_len)
    assert list(header.leads) == [lead.lower() for lead in expected.sig_name]
    for ours, theirs in (
        *(("gain", "adc_gain"), ("baseline", "baseline"), ("unit", "units")),
        *(("file", "file_name"), ("format", "fmt")),
    ):
        assert [getattr(one, ours) for one in header.signals] == getattr(expected, theirs), ours
    assert [
        (one.checksum - theirs) % 2**16
        for one, theirs in zip(header.signals, expected.checksum, strict=True)
    ] == [0] * len(header.signals)
    assert list(header.comments) == [comment.strip() for comment in expected.comments]


# What wfdb 4.3.1 calls is deprecated in pandas 3.1.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
class TestAgainstTheWfdbPackage:
    @pytest.mark.ludb
    def test_ludb(self, ludb_root):
        chosen = np.random.default_rng(0).choice(np.arange(1, 201), 20, replace=False)
        for record in sorted(chosen):
            assert_same_signals(ludb_root, str(record))
            for lead in LEADS[::3]:
                assert_same_annotations(ludb_root, str(record), lead)

    def test_a_generated_record_in_every_spelling(self, data_set):
        path = data_set / "data/1.hea"
        assert_same_signals(data_set, "1")
        for lead in LEADS:
            assert_same_annotations(data_set, "1", lead)
        first, *others = path.read_text().splitlines()
        gain = others[0].split(" ")
        gain[2], gain[4] = "1.5e2/uV", "17"  # without a baseline the ADC zero is it
        others[0] = " ".join(gain)
        checksum = others[1].split(" ")
        checksum[6] = str(int(checksum[6]) % 2**16)  # without a sign
        others[1] = " ".join(checksum)
        path.write_text("# first\r\n\r\n" + "\r\n\r\n".join([first, *others]))
        assert_same_signals(data_set, "1")

    @given(data=st.data())
    @examples(max_examples=25)
    def test_drawn_signals_come_back(self, mutable_set, data):
        n_samples = data.draw(st.integers(1, 40))
        values = st.integers(-(2**15), 2**15 - 1)
        rows = st.lists(values, min_size=12 * n_samples, max_size=12 * n_samples)
        digital = np.array(data.draw(rows)).reshape(n_samples, 12)
        path = mutable_set / "data/1.hea"
        path.write_text(re.sub(r"^1 12 500 \d+", f"1 12 500 {n_samples}", path.read_text()))
        write_signals(path, digital)
        assert_same_signals(mutable_set, "1")

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
        words = np.frombuffer((tmp_path / "a.ii").read_bytes(), "<u2") >> 10
        assert {59, 60, 61, 62, 63} <= set(words.tolist())  # SKIP NUM SUB CHN AUX
        found = wfdb.read_annotations(tmp_path / "a.ii", tmp_path, 200011)
        assert found[0].tobytes().decode() == "".join(symbols)
        assert found[1].tolist() == samples.tolist()


def coded(symbol, step):
    return ANNOTATION_CODES[symbol] << 10 | step


def skip(interval):
    return [59 << 10, interval >> 16 & 0xFFFF, interval & 0xFFFF]


AUX = 63 << 10
ANNOTATION_FAULTS = {
    "odd length": (words_to_bytes([coded("(", 1)])[:-1], "cut short or of another format"),
    "another kind": (words_to_bytes([28 << 10 | 5]), "Received: code 28"),
    "a zero before the end": (words_to_bytes([coded("(", 1), 0, coded(")", 1)]), "code 0"),
    "past the last sample": (words_to_bytes([*skip(5000), coded("N", 0)]), "Received: 5000 to"),
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


@pytest.mark.parametrize(("content", "message"), ANNOTATION_FAULTS.values(), ids=ANNOTATION_FAULTS)
def test_malformed_annotations_are_refused(data_set, content, message):
    path = data_set / "data/1.i"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}.*{re.escape(message)}"):
        wfdb.read_annotations(path, data_set, N_SAMPLES)


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
    found = wfdb.read_annotations(path, mutable_set, 40 * 3000 + 1)
    assert found[0].tobytes().decode() == symbols
    assert found[1].tolist() == samples.tolist()
