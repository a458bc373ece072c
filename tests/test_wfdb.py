"""The fast WFDB reader: equal to the wfdb package on good files, one typed error on bad ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from record_files import ANNOTATION_CODES, annotation_words, words_to_bytes
from record_files import wfdb as oracle

from lvh.data.cohort import LEADS
from lvh.data.readers import wfdb
from lvh.errors import InputError

# What wfdb 4.3.1 calls is deprecated in pandas 3.1.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
N_SAMPLES = 5000


def assert_same_annotations(root, name, lead):
    path = root / "data" / f"{name}.{lead}"
    ((symbols, samples),) = wfdb.read_annotations([path], root, N_SAMPLES)
    expected = oracle.rdann(str(root / "data" / name), lead)
    assert symbols.tobytes().decode() == "".join(expected.symbol), (name, lead)
    assert np.array_equal(samples, expected.sample), (name, lead)


def assert_same_signals(root, name):
    ((header, digital),) = wfdb.read_records([root / "data" / f"{name}.hea"], root)
    expected = oracle.rdrecord(str(root / "data" / name), physical=False)
    order = [[one.lower() for one in expected.sig_name].index(lead) for lead in LEADS]
    assert digital.dtype == np.int16
    assert np.array_equal(digital, expected.d_signal[:, order]), name
    assert (header.fs, header.n_samples) == (expected.fs, expected.sig_len)
    for ours, theirs in (("gain", "adc_gain"), ("baseline", "baseline"), ("unit", "units")):
        values = [getattr(expected, theirs)[at] for at in order]
        assert [getattr(one, ours) for one in header.signals] == values, ours
    assert list(header.comments) == [comment.strip() for comment in expected.comments]


@pytest.mark.ludb
def test_records_of_ludb_are_those_that_wfdb_reads(ludb_root):
    for record in np.random.default_rng(0).choice(np.arange(1, 201), 20, replace=False):
        assert_same_signals(ludb_root, str(record))
        for lead in LEADS[::3]:
            assert_same_annotations(ludb_root, str(record), lead)


def test_a_generated_record_in_every_spelling(data_set):
    path = data_set / "data/1.hea"
    assert_same_signals(data_set, "1")
    for lead in LEADS:
        assert_same_annotations(data_set, "1", lead)
    first, *others = path.read_text().splitlines()
    gain = others[0].split(" ")
    gain[2], gain[4] = "1.5e2/mV", "17"  # without a baseline the ADC zero is it
    others[0] = " ".join(gain)
    checksum = others[1].split(" ")
    checksum[6] = str(int(checksum[6]) % 2**16)  # without a sign
    others[1] = " ".join(checksum)
    path.write_text("# first\r\n\r\n" + "\r\n\r\n".join([first, *others]))
    assert_same_signals(data_set, "1")


WAVES = st.tuples(st.sampled_from("()Npt"), st.sampled_from([0, 3, 1022, 1023, 1024, 99_999]))


@given(waves=st.lists(WAVES, min_size=1, max_size=40))
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_delineation_is_read_as_it_was_written(tmp_path, waves):
    symbols, steps = zip(*waves, strict=True)
    path, samples = tmp_path / "1.v2", np.cumsum(steps)
    path.write_bytes(words_to_bytes(annotation_words(symbols, samples)))
    ((found, at),) = wfdb.read_annotations([path], tmp_path, 40 * 100_000)
    assert (found.tobytes().decode(), at.tolist()) == ("".join(symbols), samples.tolist())


def coded(symbol, step):
    return ANNOTATION_CODES[symbol] << 10 | step


def skip(interval):
    return [59 << 10, interval >> 16 & 0xFFFF, interval & 0xFFFF]


@pytest.mark.parametrize(
    "content",
    [
        words_to_bytes([coded("(", 1)])[:-1],  # an odd length
        words_to_bytes([28 << 10 | 5]),  # another kind
        words_to_bytes([coded("(", 1), 0, coded(")", 1)]),  # a zero before the end
        words_to_bytes([*skip(5000), coded("N", 0)]),  # past the last sample
        words_to_bytes([coded("(", 9), *skip(-5), coded("N", 0)]),  # back in time
    ],
)
def test_malformed_annotations_are_refused(data_set, content):
    path = data_set / "data/1.i"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: expected"):
        wfdb.read_annotations([path], data_set, N_SAMPLES)
