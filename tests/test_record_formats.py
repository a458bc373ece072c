"""One record in each format: the same signals, the same laws, and no damaged file taken."""

import datetime
import warnings
from pathlib import Path

import numpy as np
import pytest
from edfio import EdfAnnotation, EdfSignal, Patient, Recording
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from record_files import SUFFIXES, edf, table, write

from lvh.data.array_checks import limb_fault
from lvh.data.cohort import LEADS
from lvh.data.readers import ReadOptions, lead_name, record
from lvh.errors import EnvironmentFault, InputError

UNKNOWN = {".npy": {"leads": LEADS, "unit": "mV", "fs": 500.0}}
"""What a format cannot say, so that a user must."""


@pytest.fixture(scope="module")
def small(cohort) -> np.ndarray:
    """Return a second of a recording in whole microvolts that obey the laws of limb leads."""
    mv = np.rint(cohort.signals[0, :500] * 500) * 2 / 1000
    i, ii = mv[:, 0], mv[:, 1]
    mv[:, 2:6] = np.stack([ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2], axis=1)
    return mv


def read(path: Path, suffix: str = "", **options):
    return record.read(path, options=ReadOptions(**{**UNKNOWN.get(suffix, {}), **options}))


def refusal(path: Path, suffix: str = "", **options) -> str:
    with warnings.catch_warnings(action="error"), pytest.raises(InputError) as refused:
        read(path, suffix, **options)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 700
    return message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_record_is_the_same_in_each_format(small, tmp_path, suffix):
    path = write(tmp_path / f"r{suffix}", small)
    for options in ({}, {"fs": 500.0}):
        one = read(path, suffix, **options)
        assert (one.fs, one.leads, one.note) == (500, LEADS, "")
        span = 16 / 65535 if suffix == ".edf" else 16 / 2**24 if suffix == ".bdf" else 0
        np.testing.assert_allclose(one.signals[0], small, rtol=1e-6, atol=span / 2 + 1e-6)
    np.testing.assert_array_equal(
        read(path, suffix, start=0.2, seconds=0.5).signals, one.signals[:, 100:350]
    )
    if suffix != ".npy":
        assert "as --fs says. Received: 500" in refusal(path, suffix, fs=100.0)
    if suffix in {".dcm", ".aecg.xml", ".muse.xml"}:
        assert (one.age[0], one.male[0]) == (60, True)
    swapped = small[:, [0, 1, 2, 3, 5, 4, *range(6, 12)]]
    message = refusal(write(path, swapped), suffix)
    assert message.startswith(f"{path}: limb leads: expected avl = i - ii / 2 within 0.")


@given(
    noise=st.floats(0, 0.02),
    offsets=st.lists(st.floats(-3, 3), min_size=12, max_size=12),
    size=st.floats(1, 3),
    seed=st.integers(0, 99),
)
def test_limb_leads_may_have_noise_but_no_other_order(cohort, noise, offsets, size, seed):
    mv = cohort.signals[seed % 40] * size
    noisy = mv + np.array(offsets) + np.random.default_rng(seed).normal(0, noise, mv.shape)
    assert not limb_fault(noisy, [lead.upper() for lead in LEADS])
    shuffled = np.random.default_rng(seed).permutation(12)
    assert not limb_fault(noisy[:, shuffled], [LEADS[at] for at in shuffled])
    for wrong in (noisy[:, [1, 0, *range(2, 12)]], noisy * np.where(np.arange(12) == 3, -1, 1)):
        assert "limb leads: expected" in limb_fault(wrong, LEADS)


@given(
    step=st.sampled_from([0.005, 0.02, 0.05, 0.1]),
    size=st.floats(0.1, 1),
    rounded=st.sampled_from([np.rint, np.floor, np.trunc]),
    record=st.integers(0, 39),
)
def test_limb_leads_of_a_coarse_adc_obey_their_laws(cohort, step, size, rounded, record):
    mv = cohort.signals[record].astype(np.float64) * size
    i, ii = mv[:, 0], mv[:, 1]
    mv[:, 2:6] = np.stack([ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2], axis=1)
    assert not limb_fault((rounded(mv / step) * step).astype(np.float32), LEADS)


@given(data=st.data())
@examples(max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_damaged_file_is_refused_in_one_line_or_read(small, tmp_path, data):
    suffix = data.draw(st.sampled_from(SUFFIXES))
    path = write(tmp_path / f"r{suffix}", small[:60] if suffix.startswith(".m") else small)
    whole = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(whole), 256 * 13)))
        piece = bytes(
            data.draw(st.lists(st.sampled_from(b'019 -.,;:eEna"<>/\n\xff\0\x1b'), max_size=5))
        )
        whole = whole[:at] + piece + whole[at + data.draw(st.sampled_from([0, 1, 5, 999])) :]
    path.write_bytes(whole)
    try:
        with warnings.catch_warnings(action="error"):
            one = read(path, suffix)
    except InputError as error:
        message = str(error)
    else:
        message = str(path)
        assert one.signals.shape[::2] == (1, 12)
        assert np.isfinite(one.signals).all()
    assert message.startswith(str(tmp_path / "r"))
    assert message.isprintable()


def test_a_missing_package_is_named(small, tmp_path, monkeypatch):
    path = write(tmp_path / "r.dcm", small)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(EnvironmentFault, match=r"pydicom.* pip install 'lvh\[ecg\]'"):
        read(path)


def test_leads_are_known_by_any_usual_name():
    for pattern in ("{}", "ECG {}", "EKG {}-Ref", "MDC_ECG_LEAD_{}", " ECG_{}", "Lead {}"):
        assert [lead_name(pattern.format(lead.upper())) for lead in LEADS] == list(LEADS)
    assert [lead_name(name) for name in ("DII", "Lead I (Einthoven)")] == ["ii", "i"]
    for other in ("-aVR", "V1-V2", "V3R", "II and III", "", "dV1"):
        assert lead_name(other) is None


def unmarked(text: str) -> str:
    return text.replace(" (mV)", "")


def quoted(text: str) -> str:
    rows = (",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines())
    return "\n".join(row.replace(".", ",") for row in rows)


DIALECTS = {
    "utf-16": lambda text: text.encode("utf-16"),
    "unmarked": lambda text: text.encode("utf-16-le"),
    "big-endian": lambda text: text.encode("utf-16-be"),
    "bars": lambda text: text.replace(",", "|").encode(),
    "colons": lambda text: text.replace(",", ":").encode(),
    "decimals": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "spaces": lambda text: unmarked(text).replace(",", " ").encode(),
    "quotes": lambda text: quoted(text).encode(),
    "preamble": lambda text: f"Patient: x\nDate;1,2\n\n{text}".encode(),
    "units": lambda text: unmarked(text).replace("\n", f"\ns{',mV' * 12}\n", 1).encode(),
    "joined": lambda text: text.replace(" (mV)", "_mV").encode(),
    "micro sign": lambda text: text.replace("mV", "\xb5V").encode("cp1252"),
}


class TestTable:
    @pytest.mark.parametrize("encode", DIALECTS)
    def test_any_usual_dialect_is_read(self, encode, small, tmp_path):
        path = tmp_path / "r.csv"
        signal = small * 1000 if encode == "micro sign" else small
        path.write_bytes(DIALECTS[encode](table(signal, 500.0, digits=".4f")))
        one = read(path, unit="mV" if encode == "spaces" else None, fs=500.0)
        np.testing.assert_allclose(one.signals[0], small, atol=6e-5)

    @pytest.mark.parametrize("fs", [100, 257, 360, 500, 1000])
    @pytest.mark.parametrize(
        ("name", "scale"),
        [("time (s)", 1), ("time (ms)", 1e3), ("time (us)", 1e6), ("time", 1), ("time", 1e3)],
    )
    def test_sampling_frequency_is_that_of_the_times(self, fs, name, scale, small, tmp_path):
        times = (3.5 + np.arange(len(small)) / fs) * scale
        head, *rows = table(small).splitlines()
        lines = [f"{time:.6f},{row}" for time, row in zip(times, rows, strict=True)]
        (tmp_path / "r.csv").write_text("\n".join([f"{name},{head}", *lines]))
        is_known = name != "time" or scale == 1
        assert read(tmp_path / "r.csv", fs=None if is_known else fs).fs == fs
        if not is_known:
            assert "--fs says" in refusal(tmp_path / "r.csv")

    @pytest.mark.parametrize("leads", [LEADS, ("v1", "v5")])
    def test_columns_without_names_are_read_by_those_of_the_user(self, leads, small, tmp_path):
        mv = small[:, [LEADS.index(lead) for lead in leads]]
        (tmp_path / "r.csv").write_text(table(mv, names=leads).partition("\n")[2])
        options = ReadOptions(unit="mV", fs=500.0, leads=leads)
        one = record.read(tmp_path / "r.csv", leads=leads, options=options)
        np.testing.assert_allclose(one.signals[0], mv, atol=6e-5)

    def test_unit_and_times_must_be_known_and_even(self, small, tmp_path):
        path = tmp_path / "r.csv"
        path.write_text(table(small, names=LEADS))
        assert "--unit says it" in refusal(path, fs=500.0)
        assert "--fs says it" in refusal(path, unit="mV")
        path.write_text(table(small))
        assert "as --unit says" in refusal(path, fs=500.0, unit="uV")
        write(path, small, names=[f"{lead} (mmHg)" for lead in LEADS])
        assert "the unit mV, uV or V" in refusal(path)
        lines = table(small, 500.0).splitlines()
        (tmp_path / "r.csv").write_text("\n".join(lines[:100] + lines[101:]))
        assert "evenly spaced times that rise" in refusal(tmp_path / "r.csv")

    @pytest.mark.parametrize(
        ("change", "message"),
        {
            "no v6": (lambda text: text.replace("v6", "v7"), "no v6 in"),
            "a word": (lambda text: text + "x" + ",1" * 11, "expected a number. Received: x"),
            "no number": (lambda text: text + "nan" + ",1" * 11, "that are no finite number"),
            "a short row": (lambda text: text + "1,2,3\n", "expected 12 values"),
            "both": (lambda text: text.replace(",", ";").replace(".", ",", 20), "expected a numb"),
            "no header": (lambda text: text.partition("\n")[2], "expected a row of names"),
            "too many rows": (lambda text: "x" * (65 << 20), "expected at most"),
        }.values(),
    )
    def test_a_malformed_table_is_refused(self, change, message, small, tmp_path):
        (tmp_path / "r.csv").write_text(change(table(small[:50], digits=".4f")))
        assert message in refusal(tmp_path / "r.csv", fs=500.0)


class TestEdf:
    def test_other_signals_are_left_out_and_named(self, small, tmp_path):
        breath = EdfSignal(np.arange(10.0), 10, label="Resp")
        one = read(write(tmp_path / "r.edf", small, more=[breath]))
        assert one.note == "left out, for they are none of the twelve leads: 'Resp'"
        slow = EdfSignal(small[::2, 11].copy(), 250, label="V6", physical_dimension="mV")
        path = write(tmp_path / "r.edf", small[:, :11], names=LEADS[:11], more=[slow])
        assert "of one sampling frequency" in refusal(path)

    @pytest.mark.parametrize(
        ("sex", "year", "age"), [("F", 1950, 69), ("X", 1950, np.nan), ("M", None, np.nan)]
    )
    def test_age_and_sex_are_those_of_the_patient(self, sex, year, age, small, tmp_path):
        day = Recording(startdate=datetime.date(2020, 5, 31))
        born = year and datetime.date(year, 6, 1)
        known = {"patient": Patient(sex=sex, birthdate=born), "recording": day}
        notes = [EdfAnnotation(0.1, None, "x")]
        one = read(write(tmp_path / "r.edf", small, annotations=notes, **known))
        np.testing.assert_array_equal(one.age, [age])
        assert one.male[0] == (sex == "M")

    @pytest.mark.parametrize(
        ("place", "text", "message"),
        [  # bytes of the header of twelve signals (Kemp 1992)
            (192, "EDF+D", "without gaps"),
            (236, "99999999", "expected a whole EDF file"),
            (256 + 12 * 104, "8       ", "as the header says"),
            (256 + 12 * 120, "-5      ", "expected samples from -5"),
        ],
    )
    def test_a_header_that_lies_is_refused(self, place, text, message, small, tmp_path):
        data = edf(small, 500.0)
        (tmp_path / "r.edf").write_bytes(data[:place] + text.encode() + data[place + len(text) :])
        assert message in refusal(tmp_path / "r.edf")


def test_edf_and_muse_say_what_is_left_out_or_follows(small, tmp_path):
    path = write(tmp_path / "r.muse.xml", small, leads=("i", "ii", *LEADS[6:]))
    one = read(path)
    assert one.note == "iii avr avl avf follow from i and ii"
    np.testing.assert_allclose(one.signals[0], small, atol=1e-6)
    text = path.read_text()
    path.write_text(text.replace("<LeadDataCRC32>", "<LeadDataCRC32>1", 1))
    assert "CRC-32" in refusal(path)
    path.write_text(text.replace("LeadAmplitudeUnitsPerBit>", "Gain>"))
    assert "expected LeadAmplitudeUnitsPerBit" in refusal(path)
    path.write_text(text.replace("<SampleBase>500</SampleBase>", ""))
    assert "--fs says it" in refusal(path)
    assert read(path, fs=500.0).fs == 500
    entity = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'
    path = write(tmp_path / "r.aecg.xml", small, more=entity)
    assert "without entities" in refusal(path)
    path.write_text(path.read_text().replace('"1.0"', '"1.0" encoding="utf-16"'), "utf-16")
    assert "without entities" in refusal(path)
    path = write(tmp_path / "r.npy", small)
    assert "--leads says them in order" in refusal(path, fs=500.0, unit="mV")
    for array in (small[:, :11], small.astype(str), small[None], np.array([{}], dtype=object)):
        np.save(path, array)
        assert "expected" in refusal(path, ".npy")
    np.savez(tmp_path / "r.npz", other=small)
    assert "with the array `signals`" in refusal(tmp_path / "r.npz")
