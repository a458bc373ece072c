"""Records as CSV and EDF: what WFDB makes of them, and files that must not be taken."""

import datetime
import io
import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording
from final_models import write_record
from scipy.signal import resample_poly

from lvh.data.cohort import LEADS
from lvh.data.readers import record
from lvh.data.readers.leads import ReadOptions, lead_columns
from lvh.errors import InputError

EPS = np.finfo(np.float32).eps
N_SIGNALS = 12
MV = ReadOptions("mV")
BOTH = ReadOptions("mV", 500.0)


def table(
    signals: np.ndarray,
    *,
    separator: str = ",",
    names: Sequence[str] = LEADS,
    times: Sequence[str] | None = None,
    digits: str = "",
) -> str:
    """Write a table; each number to the bit, unless `digits` says otherwise."""
    rows = [[format(float(value), digits) for value in row] for row in signals]
    if times is not None:
        rows = [[time, *row] for time, row in zip(times, rows, strict=True)]
        names = ["time", *names]
    return "\n".join(separator.join(row) for row in [list(names), *rows]) + "\n"


def edf_bytes(
    signals: np.ndarray,
    fs: float = 500.0,
    *,
    names: Sequence[str] = LEADS,
    unit: str = "mV",
    span: float = 8.0,
    more: Sequence[EdfSignal] = (),
    **header,
) -> bytes:
    ours = [
        EdfSignal(
            column.astype(np.float64),
            fs,
            label=name,
            physical_dimension=unit,
            physical_range=(-span, span),
        )
        for name, column in zip(names, signals.T, strict=True)
    ]
    data = io.BytesIO()
    header.setdefault("data_record_duration", 0.1)
    Edf([*ours, *more], **header).write(data)
    return data.getvalue()


def read_csv(
    folder: Path, text: str | bytes, said: ReadOptions = BOTH, name: str = "r.csv", **more
):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return record.read(path, options=said, **more)


def read_edf(folder: Path, data: bytes, said: ReadOptions = record._NO_OPTIONS, **more):
    path = folder / "r.edf"
    path.write_bytes(data)
    return record.read(path, options=said, **more)


def refusal(read, *arguments, **more) -> str:
    """Return the one plain line by which a file is refused, whatever its libraries warn of."""
    with warnings.catch_warnings(action="error"), pytest.raises(InputError) as refused:
        read(*arguments, **more)
    told = str(refused.value)
    assert told.isprintable()
    assert len(told) < 600
    return told


# ---- names of leads


@pytest.mark.parametrize(
    "spelled",
    [
        "I II III AVR AVL AVF V1 V2 V3 V4 V5 V6",
        "ECG {}",
        "EKG {}-Ref",
        "MDC_ECG_LEAD_{}",
        "lead {}",
        " ECG_{}",
    ],
)
def test_leads_are_known_by_any_usual_name_in_any_order(spelled):
    names = spelled.split() if "{" not in spelled else [spelled.format(one) for one in LEADS]
    order, others = lead_columns(Path("x"), [*names[::-1], "Resp"])
    assert order == list(range(11, -1, -1))
    assert others == ("Resp",)


@pytest.mark.parametrize("name", ["-aVR", "V1-V2", "V3R", "V7", "II and III", "DI", "", "avr2"])
def test_another_lead_is_not_taken_for_one_of_the_twelve(name):
    names = [name if lead == "avr" else lead for lead in LEADS]
    told = refusal(lead_columns, Path("x"), names)
    assert "expected the leads i ii iii" in told
    assert told.endswith("so no avr")


# ---- the same record in each format


def converted(path: Path, folder: Path) -> tuple[Path, Path]:
    """Write a record of WFDB's as CSV and, by its whole µV, as EDF."""
    one = record.read(path)
    mv = one.signals[0]
    times = [repr(at / one.fs) for at in range(len(mv))]
    (folder / "r.csv").write_text(table(mv, times=times, names=[f"ECG {n}" for n in LEADS]))
    digital = np.rint(mv * 1000).astype(np.int16)
    signals = [
        EdfSignal.from_digital(
            digital[:, at].copy(),
            one.fs,
            label=f"ECG {lead}",
            physical_dimension="uV",
            physical_range=(-32768, 32767),
            digital_range=(-32768, 32767),
        )
        for at, lead in enumerate(LEADS)
    ]
    Edf(signals).write(folder / "r.edf")
    return folder / "r.csv", folder / "r.edf"


def agree(path: Path, folder: Path) -> None:
    """Check that a record has the same signals in all three formats."""
    of_csv, of_edf = converted(path, folder)
    wfdb = record.read(path)
    for other in (record.read(of_csv, options=MV), record.read(of_edf)):
        assert (other.fs, other.leads, other.note) == (wfdb.fs, LEADS, "")
        # to the bit from CSV; whole microvolts from EDF, but for a product in float64
        np.testing.assert_allclose(other.signals, wfdb.signals, rtol=EPS, atol=1e-9)


@pytest.mark.ludb
def test_records_of_ludb_are_the_same_in_each_format(ludb_root, tmp_path):
    for name in ("1", "112"):
        agree(ludb_root / "data" / name, tmp_path)


def test_a_generated_record_is_the_same_in_each_format(cohort, tmp_path):
    agree(write_record(tmp_path, cohort, name="w"), tmp_path)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("\xb5V", 1e3), ("V", 1e-3), ("mV", 1)])
def test_units_come_to_millivolts(unit, factor, cohort, tmp_path):
    signals = cohort.signals[0].astype(np.float64)
    names = [f"{lead} ({unit})" for lead in LEADS]
    of_csv = read_csv(tmp_path, table(signals * factor, names=names), ReadOptions(fs=500.0))
    np.testing.assert_allclose(of_csv.signals[0], signals, rtol=1e-6, atol=1e-9)
    ascii_unit = unit.replace("\xb5", "u")
    data = edf_bytes(signals * factor, unit=ascii_unit, span=8 * factor)
    data = data.replace(ascii_unit.encode().ljust(8), unit.encode("latin-1").ljust(8))
    of_edf = read_edf(tmp_path, data)
    np.testing.assert_allclose(of_edf.signals[0], signals, atol=16 / 65535 / 2 + 8 * EPS)


def test_resampling_is_that_of_wfdb(cohort, tmp_path):
    signals = cohort.signals[0].astype(np.float64)
    slow = resample_poly(signals, 1, 5, axis=0, padtype="line").astype(np.float32)
    one = read_csv(tmp_path, table(slow), ReadOptions("mV", 100.0), fs=500.0)
    expected = resample_poly(slow, 5, 1, axis=0, padtype="line")
    assert one.fs == 500
    np.testing.assert_array_equal(one.signals[0], expected.astype(np.float32))


# ---- CSV


@pytest.fixture
def small(cohort) -> np.ndarray:
    return cohort.signals[0, :300]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("dressed", [str, lambda text: "\ufeff" + text.replace("\n", "\r\n")])
def test_tables_of_any_separator_are_read(separator, dressed, small, tmp_path):
    one = read_csv(tmp_path, dressed(table(small, separator=separator)), name="r.TSV")
    np.testing.assert_array_equal(one.signals[0], small)
    assert one.records == ("r.TSV",)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("V1 (mV)", "V1 (\xb5V)").encode("cp1252"),
        lambda text: text.replace(",", ";").replace(".", ",").encode(),
    ],
    ids=["utf-16", "windows", "decimal commas"],
)
def test_tables_as_european_devices_write_them_are_read(encode, small, tmp_path):
    names = [f"{lead.upper()} (mV)" for lead in LEADS]
    data = encode(table(small, names=names))
    expected = small.copy()
    if b"\xb5V" in data:
        expected[:, 6] /= 1000
    one = read_csv(tmp_path, data, ReadOptions(fs=500.0))
    np.testing.assert_allclose(one.signals[0], expected, rtol=2 * EPS)


def test_times_in_ms_need_their_unit_or_the_frequency(small, tmp_path):
    text = table(small, times=[f"{2 * at}" for at in range(len(small))])
    assert read_csv(tmp_path, text.replace("time", "time (ms)", 1), MV).fs == 500
    assert read_csv(tmp_path, text, BOTH).fs == 500
    assert "expected the time in s. Received: steps of 2" in refusal(read_csv, tmp_path, text, MV)
    other = ReadOptions("mV", 250.0)
    assert "expected the time in s" in refusal(read_csv, tmp_path, text, other)
    numbered = table(small, times=[str(at) for at in range(len(small))])
    assert read_csv(tmp_path, numbered, other).fs == 250


def test_quoted_names_and_columns_that_are_no_lead_are_understood(small, tmp_path):
    text = table(np.column_stack([small, small[:, :1]]), names=[*LEADS, "Resp"])
    head, body = text.split("\n", 1)
    quoted = ",".join(f'"{name}"' for name in head.split(","))
    one = read_csv(tmp_path, f"{quoted}\n\n{body}\n")
    np.testing.assert_array_equal(one.signals[0], small)
    assert one.note == "left out, for they are none of the twelve leads: 'Resp'"


@pytest.mark.parametrize(
    ("fs", "digits"), [(500, ".3f"), (360, ".3f"), (1000, ".3f"), (128, ".6g"), (257, "")]
)
def test_the_sampling_frequency_is_that_of_the_times(fs, digits, small, tmp_path):
    times = [format(7.5 + at / fs, digits) for at in range(len(small))]
    assert read_csv(tmp_path, table(small, times=times), MV).fs == fs
    assert read_csv(tmp_path, table(small, times=times), ReadOptions("mV", fs)).fs == fs
    told = refusal(read_csv, tmp_path, table(small, times=times), ReadOptions("mV", fs + 1))
    assert told.endswith(f"expected {fs + 1} Hz, as --fs says. Received: {fs}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda at: (at + (at > 150)) / 500, "row 152: expected evenly spaced times"),
        (lambda at: (at + (at > 0)) / 500, "row 2: expected evenly spaced times"),
        (lambda at: (at - (at > 298)) / 500, "row 300: expected evenly spaced times"),
        (lambda at: at * 2, "expected the time in s. Received: steps of 2"),
        (lambda at: -at / 500, "expected times that rise"),
        (lambda at: 1.0, "expected times that rise"),
        (lambda at: float("nan") if at == 5 else at / 500, "expected times that rise"),
    ],
    ids=["a gap", "a gap at once", "twice at the end", "ms", "back", "still", "nan"],
)
def test_times_that_are_not_even_are_refused(change, told, small, tmp_path):
    times = [repr(change(at)) for at in range(len(small))]
    assert told in refusal(read_csv, tmp_path, table(small, times=times), MV)


def quoted_over_rows(text, n):
    """Put a column in front in which a quote opens in a row and ends `n` rows later."""
    header, *rows = text.strip().split("\n")
    marked = [
        f'"a,{row}' if at % n == 0 else f'b",{row}' if at % n == n - 1 else f"c,{row}"
        for at, row in enumerate(rows)
    ]
    return "\n".join(["note," + header, *marked]) + "\n"


CSV_FAULTS = {
    "open quotes that would take rows in": (
        lambda text: quoted_over_rows(text, 5),
        BOTH,
        "quotes that end where they begin",
    ),
    "no unit": (lambda text: text, ReadOptions(fs=500.0), "expected the unit of its voltages"),
    "no rate": (lambda text: text, MV, "expected a column `time` in s"),
    "another unit": (
        lambda text: text.replace("v1", "v1 (mmHg)", 1),
        BOTH,
        "lead v1: expected mV, uV or V. Received: 'mmhg'",
    ),
    "contradicted": (
        lambda text: text.replace("v1", "v1 (uV)", 1),
        BOTH,
        "lead v1: expected mV, as --unit says. Received: 'uV'",
    ),
    "headless": (lambda text: text.split("\n", 1)[1], BOTH, "expected the leads i ii iii"),
    "header alone": (lambda text: text.split("\n", 1)[0], BOTH, "Received: a header alone"),
    "empty": (lambda text: "", BOTH, "expected a header row of 12 to 256 names"),
    "zeros": (lambda text: "\0" * 5000, BOTH, "expected a header row of 12 to 256 names"),
    "a picture": (lambda text: b"\x89PNG\r\n\x1a\n" * 99, BOTH, "expected a header row"),
    "two units rows": (
        lambda text: text.replace("\n", "\n" + ",".join(["mV"] * 12) + "\n", 1),
        BOTH,
        "row 1, column 1: expected a number. Received: 'mV'",
    ),
    "a comment": (
        lambda text: text.replace("\n", "\n# by a device\n", 1),
        BOTH,
        "row 1: expected 12 values, as the header has names, and",
    ),
    "an empty cell": (lambda text: text + "1," * 11 + "\n", BOTH, "row 301, column 12"),
    "an underscore": (lambda text: text + "1_0" + ",1" * 11, BOTH, "Received: '1_0'"),
    "nan": (lambda text: text + "nan" + ",1" * 11, BOTH, "lead i: expected a signal"),
    "too large": (lambda text: text + "1e300" + ",1" * 11, BOTH, "that are no finite number"),
    "a control": (
        lambda text: text + "\x1b[2J" + ",1" * 11,
        BOTH,
        "x1b[2J",
    ),
    "points and commas": (
        lambda text: text.replace(",", ";").replace(".", ",", 20),
        BOTH,
        "expected decimal points or decimal commas. Received: both",
    ),
    "commas between commas": (
        lambda text: text.replace(".", ","),
        BOTH,
        "Received: 24 values. Are these decimal commas?",
    ),
    "an endless row": (lambda text: text + "," * (1 << 22), BOTH, "expected 12 values"),
    "an endless header": (lambda text: "i," * (1 << 22), BOTH, "12 to 256 names"),
    "an endless name": (
        lambda text: text.replace("v1", "v1" + " " * 100_000 + "x", 1),
        BOTH,
        "so no v1",
    ),
    "too many rows": (lambda text: "x" * (33 << 20), BOTH, "expected at most 33554432 bytes"),
}


@pytest.mark.parametrize(("change", "said", "told"), CSV_FAULTS.values(), ids=CSV_FAULTS)
def test_a_table_that_is_none_is_refused(change, said, told, small, tmp_path):
    assert told in refusal(read_csv, tmp_path, change(table(small, digits=".4f")), said)


def test_a_flat_lead_is_refused_in_each_format(small, tmp_path):
    flat = small.copy()
    flat[:, 4] = 0.5
    for read, content in ((read_csv, table(flat)), (read_edf, edf_bytes(flat, span=8))):
        told = refusal(read, tmp_path, content)
        assert "lead avl: expected a signal. Received: a flat line" in told


def test_another_kind_of_file_is_told_which_ones_there_are(tmp_path):
    (tmp_path / "r.xml").write_text("<x/>")
    told = refusal(record.read, tmp_path / "r.xml")
    assert "expected a header (.hea), .csv, .tsv or .edf" in told


# ---- EDF


def patient(sex: str = "F", born: datetime.date | None = datetime.date(1950, 6, 1)) -> Patient:
    return Patient(sex=sex, birthdate=born)


def start(day: datetime.date | None = datetime.date(2020, 5, 31)) -> Recording:
    return Recording(startdate=day)


@pytest.mark.parametrize(
    ("header", "age", "male"),
    [
        ({"patient": patient(), "recording": start()}, 69, False),
        ({"patient": patient("M"), "recording": start(datetime.date(2020, 6, 1))}, 70, True),
        ({"patient": patient("X"), "recording": start()}, None, False),  # half is not enough
        ({"patient": patient("M", None), "recording": start()}, None, True),
        ({"patient": patient("M"), "recording": start(None)}, None, True),
        ({}, None, False),
    ],
)
def test_age_and_sex_are_those_of_the_patient_field(header, age, male, small, tmp_path):
    for more in ({}, {"annotations": [EdfAnnotation(0.1, None, "x")]}):
        data = edf_bytes(small, **header, **more)
        one = read_edf(tmp_path, data)
        assert (one.age[0] == age) if age is not None else np.isnan(one.age[0])
        assert one.male[0] == male
    typed = read_edf(tmp_path, data, age=33.0, male=True)
    assert (typed.age[0], typed.male[0]) == (33, True)


def header_field(name: str, signal: int = 0) -> slice:
    """Where a field of an EDF file of twelve signals lies (Kemp 1992)."""
    fixed = {"version": (0, 8), "header_bytes": (184, 8), "reserved": (192, 44)}
    fixed |= {"n_records": (236, 8), "duration": (244, 8), "n_signals": (252, 4)}
    if name in fixed:
        begin, width = fixed[name]
        return slice(begin, begin + width)
    begin = 256
    for other, width in (
        *(("label", 16), ("transducer", 80), ("unit", 8), ("physical_min", 8)),
        *(("physical_max", 8), ("digital_min", 8), ("digital_max", 8), ("prefilter", 80)),
        ("samples", 8),
    ):
        if other == name:
            return slice(begin + signal * width, begin + (signal + 1) * width)
        begin += width * N_SIGNALS
    raise KeyError(name)


def with_field(data: bytes, name: str, text: str | bytes, signal: int = 0) -> bytes:
    place = header_field(name, signal)
    value = text if isinstance(text, bytes) else text.encode()
    return data[: place.start] + value.ljust(place.stop - place.start) + data[place.stop :]


EDF_FAULTS = {
    "a byte short": (lambda data: data[:-1], "expected a whole EDF file"),
    "a byte long": (lambda data: data + b"x", "expected a whole EDF file"),
    "half": (lambda data: data[: len(data) // 2], "expected a whole EDF file"),
    "a header alone": (lambda data: data[: 256 * 13], "expected a whole EDF file"),
    "half a header": (lambda data: data[:400], "expected a whole EDF file"),
    "empty": (lambda data: b"", "expected a whole EDF file"),
    "text": (lambda data: b"i,ii\n" * 999, "expected a whole EDF file"),
    "another record": (lambda data: data[:256] + data, "expected"),
    "BDF": (lambda data: with_field(data, "version", b"\xffBIOSEMI"), "expected a whole EDF file"),
    "version 1": (lambda data: with_field(data, "version", "1"), "expected the header of an EDF"),
    "gaps": (lambda data: with_field(data, "reserved", "EDF+D"), "Received: EDF+D"),
    "wrong label": (lambda data: with_field(data, "label", b"\xff\x1b[2J"), "so no i"),
    "no unit": (lambda data: with_field(data, "unit", ""), "expected the unit of its voltages"),
    "mmHg": (lambda data: with_field(data, "unit", "mmHg", 3), "lead avr: expected mV, uV or V"),
    "too many bytes": (lambda data: data + bytes(16 << 20), "expected at most 16777216 bytes"),
    "twice": (lambda data: with_field(data, "label", "ECG II", 5), "lead ii: expected one signal"),
}
EDF_FAULTS |= {
    f"{name} {text or 'missing'}": (
        lambda data, name=name, text=text: with_field(data, name, text),
        "expected",
    )
    for name, texts in {
        "n_records": ("99999999", "-1", "-5", "0", "1e3", ""),
        "duration": ("0", "-1", "nan", "inf", "1e-300", ""),
        "n_signals": ("9999", "-1", "0", "1", "13", "x"),
        "header_bytes": ("0", "-5", "99999999", "256"),
        "samples": ("99999999", "-5", "0", "x"),
        "physical_min": ("8", "nan", "x", "-1e300", ""),
        "digital_min": ("32767", "32768", "-5", "x"),
        "digital_max": ("-32769", "5"),
    }.items()
    for text in texts
}


@pytest.mark.parametrize(("change", "told"), EDF_FAULTS.values(), ids=EDF_FAULTS)
def test_an_edf_file_that_is_not_whole_or_lies_is_refused(change, told, small, tmp_path):
    data = edf_bytes(small)
    read_edf(tmp_path, data)
    assert told in refusal(read_edf, tmp_path, change(data))


def test_leads_of_two_sampling_frequencies_are_refused(small, tmp_path):
    half = EdfSignal(small[::2, 11].astype(float), 250, label="V6", physical_dimension="mV")
    data = edf_bytes(small[:, :11], names=LEADS[:11], more=[half])
    assert "one sampling frequency. Received: 250, 500 Hz" in refusal(read_edf, tmp_path, data)


def test_what_is_said_may_not_contradict_an_edf_file(small, tmp_path):
    data = edf_bytes(small)
    assert read_edf(tmp_path, data, BOTH).fs == 500
    assert "as --fs says. Received: 500" in refusal(read_edf, tmp_path, data, ReadOptions(fs=100.0))
    assert "as --unit says. Received: 'mV'" in refusal(read_edf, tmp_path, data, ReadOptions("uV"))
    without = data
    for lead in range(12):
        without = with_field(without, "unit", "", lead)
    np.testing.assert_array_equal(
        read_edf(tmp_path, without, MV).signals, read_edf(tmp_path, data).signals
    )


def test_whatever_becomes_of_a_file_it_is_refused_or_read(small, tmp_path):
    rng, outcomes = random.Random(0), {True: 0, False: 0}
    files = {
        "r.csv": table(small[:20], digits=".4f").encode(),
        "r.edf": edf_bytes(small, patient=patient(), recording=start()),
    }
    for name, data in files.items():
        for _ in range(400):
            changed = bytearray(data)
            for _ in range(rng.choice((1, 1, 2, 5))):
                at = rng.randrange(min(len(data), 256 * 13))
                piece = bytes(
                    rng.choice(b'0123456789 -+.,;eEnaif"\n\t\xff\x00\x1b\xb5')
                    for _ in range(rng.choice((1, 1, 3, 8)))
                )
                changed[at : at + len(piece) * rng.choice((0, 1, 1, 1))] = piece
            (tmp_path / name).write_bytes(bytes(changed))
            try:
                with warnings.catch_warnings(action="error"):
                    one = record.read(tmp_path / name, options=BOTH)
            except InputError as error:
                outcomes[False] += 1
                told = str(error)
            else:
                outcomes[True] += 1
                told = str(tmp_path / name)
                assert one.signals.shape[::2] == (1, 12)
                assert np.isfinite(one.signals).all()
            assert told.isprintable()
            assert told.startswith(str(tmp_path / name))
    assert min(outcomes.values()) > 100
