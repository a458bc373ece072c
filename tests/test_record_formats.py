"""Records as CSV and EDF: what WFDB makes of them, and files that must not be taken."""

import datetime
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording
from final_models import write_record
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

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
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


def test_leads_are_known_by_any_usual_name_in_any_order():
    for pattern in ("{}", "ECG {}", "EKG {}-Ref", "MDC_ECG_LEAD_{}", " ECG_{}"):
        names = [pattern.format(lead.upper()) for lead in LEADS]
        order, others = lead_columns(Path("x"), [*names[::-1], "Resp"])
        assert (order, others) == (list(range(11, -1, -1)), ("Resp",))
    for other in ("-aVR", "V1-V2", "V3R", "II and III", ""):
        names = [other if lead == "avr" else lead for lead in LEADS]
        assert refusal(lead_columns, Path("x"), names).endswith("so no avr")


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


def test_a_record_is_the_same_in_each_format_at_any_frequency(cohort, tmp_path):
    path = write_record(tmp_path, cohort, name="w")
    of_csv, of_edf = converted(path, tmp_path)
    for fs in (None, 100.0):
        wfdb = record.read(path, fs=fs)
        for other in (record.read(of_csv, fs=fs, options=MV), record.read(of_edf, fs=fs)):
            assert (other.fs, other.leads, other.note) == (wfdb.fs, LEADS, "")
            # to the bit from CSV; whole microvolts from EDF, but for a product in float64
            np.testing.assert_allclose(other.signals, wfdb.signals, rtol=EPS, atol=1e-6)


@pytest.fixture
def small(cohort) -> np.ndarray:
    return cohort.signals[0, :300]


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


def test_the_sampling_frequency_is_that_of_evenly_spaced_times(small, tmp_path):
    at = np.arange(len(small))
    for fs, digits in ((360, ".3f"), (128, ".6g"), (257, "")):
        text = table(small, times=[format(7.5 + time, digits) for time in at / fs])
        assert read_csv(tmp_path, text, MV).fs == fs
        message = refusal(read_csv, tmp_path, text, ReadOptions("mV", fs + 1))
        assert message.endswith(f"expected {fs + 1} Hz, as --fs says. Received: {fs}")
    in_ms = table(small, times=[str(2 * one) for one in at])
    assert read_csv(tmp_path, in_ms.replace("time", "time (ms)", 1), MV).fs == 500
    assert read_csv(tmp_path, in_ms, BOTH).fs == 500
    for times, message in (
        ((at + (at > 150)) / 500, "row 152: expected evenly spaced times"),
        (at * 2.0, "expected the time in s. Received: steps of 2"),
        (-at / 500, "expected times that rise"),
        (np.where(at == 5, np.nan, at), "expected times that rise"),
    ):
        text = table(small, times=[repr(float(one)) for one in times])
        assert message in refusal(read_csv, tmp_path, text, MV)


def quoted_over_rows(text, n):
    """Put a column in front in which a quote opens in a row and ends `n` rows later."""
    header, *rows = text.strip().split("\n")
    marked = [
        f'"a,{row}' if at % n == 0 else f'b",{row}' if at % n == n - 1 else f"c,{row}"
        for at, row in enumerate(rows)
    ]
    return "\n".join(["note," + header, *marked]) + "\n"


UNITS_ROW = "\n" + ",".join(["mV"] * 12) + "\n"
CSV_FAULTS = {
    "open quotes that would join rows": (
        lambda text: quoted_over_rows(text, 5),
        "quotes that end where they begin",
    ),
    "another unit": (lambda text: text.replace("v1", "v1 (mmHg)", 1), "v1: expected mV, uV or V"),
    "contradicted": (lambda text: text.replace("v1", "v1 (uV)", 1), "as --unit says"),
    "headless": (lambda text: text.split("\n", 1)[1], "expected the leads i ii iii"),
    "header alone": (lambda text: text.split("\n", 1)[0], "Received: a header alone"),
    "empty": (lambda text: "", "expected a header row of 12 to 256 names"),
    "a picture": (lambda text: b"\x89PNG\r\n\x1a\n" * 99, "expected a header row"),
    "two header rows": (
        lambda text: text.replace("\n", UNITS_ROW, 1),
        "row 1, column 1: expected a number. Received: 'mV'",
    ),
    "an empty cell": (lambda text: text + "1," * 11 + "\n", "row 301, column 12"),
    "nan": (lambda text: text + "nan" + ",1" * 11, "lead i: expected a signal"),
    "too large": (lambda text: text + "1e300" + ",1" * 11, "that are no finite number"),
    "a control": (lambda text: text + "\x1b[2J" + ",1" * 11, "x1b[2J"),
    "points and commas": (
        lambda text: text.replace(",", ";").replace(".", ",", 20),
        "expected decimal points or decimal commas. Received: both",
    ),
    "commas between commas": (lambda text: text.replace(".", ","), "Are these decimal commas?"),
    "an endless row": (lambda text: text + "," * (1 << 22), "expected 12 values"),
    "an endless header": (lambda text: "i," * (1 << 22), "12 to 256 names"),
    "too many rows": (lambda text: "x" * (33 << 20), "expected at most 33554432 bytes"),
}


@pytest.mark.parametrize(("change", "message"), CSV_FAULTS.values(), ids=CSV_FAULTS)
def test_a_malformed_table_is_refused(change, message, small, tmp_path):
    assert message in refusal(read_csv, tmp_path, change(table(small, digits=".4f")))


def test_unit_and_sampling_frequency_must_be_known(small, tmp_path):
    for options, message in (
        (ReadOptions(fs=500.0), "expected the unit of its voltages"),
        (MV, "expected a column `time` in s"),
    ):
        assert message in refusal(read_csv, tmp_path, table(small), options)


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
    "cut": (lambda data: data[:-1], "expected a whole EDF file"),
    "too long": (lambda data: data + b"x", "expected a whole EDF file"),
    "half a header": (lambda data: data[:400], "expected a whole EDF file"),
    "text": (lambda data: b"i,ii\n" * 999, "expected a whole EDF file"),
    "BDF": (lambda data: with_field(data, "version", b"\xffBIOSEMI"), "expected a whole EDF file"),
    "gaps": (lambda data: with_field(data, "reserved", "EDF+D"), "Received: EDF+D"),
    "a control": (lambda data: with_field(data, "label", b"\xff\x1b[2J"), "so no i"),
    "no unit": (lambda data: with_field(data, "unit", ""), "expected the unit of its voltages"),
    "mmHg": (lambda data: with_field(data, "unit", "mmHg", 3), "lead avr: expected mV, uV or V"),
    "too many bytes": (lambda data: data + bytes(16 << 20), "expected at most 16777216 bytes"),
    "twice": (lambda data: with_field(data, "label", "ECG II", 5), "lead ii: expected one signal"),
}
EDF_FAULTS |= {
    f"{name} {text!r}": (lambda data, at=name, text=text: with_field(data, at, text), "expected")
    for name, texts in {
        "n_records": ("99999999", "-1", "0", "1e3"),
        "duration": ("0", "nan", "1e-300", ""),
        "n_signals": ("9999", "-1", "13", "x"),
        "header_bytes": ("0", "99999999"),
        "samples": ("99999999", "-5", "x"),
        "physical_min": ("8", "nan", "-1e300", ""),
        "digital_min": ("32767", "32768", "-5", "x"),
    }.items()
    for text in texts
}


@pytest.mark.parametrize(("change", "message"), EDF_FAULTS.values(), ids=EDF_FAULTS)
def test_an_edf_file_that_is_not_whole_or_lies_is_refused(change, message, small, tmp_path):
    data = edf_bytes(small)
    read_edf(tmp_path, data)
    assert message in refusal(read_edf, tmp_path, change(data))


def test_options_must_not_contradict_an_edf_file(small, tmp_path):
    data = edf_bytes(small)
    assert read_edf(tmp_path, data, BOTH).fs == 500
    for options, message in (
        (ReadOptions(fs=100.0), "as --fs says. Received: 500"),
        (ReadOptions("uV"), "as --unit says. Received: 'mV'"),
    ):
        assert message in refusal(read_edf, tmp_path, data, options)
    half = EdfSignal(small[::2, 11].astype(float), 250, label="V6", physical_dimension="mV")
    mixed = edf_bytes(small[:, :11], names=LEADS[:11], more=[half])
    assert "one sampling frequency. Received: 250, 500 Hz" in refusal(read_edf, tmp_path, mixed)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("\xb5V", 1e3), ("V", 1e-3)])
def test_units_are_converted_to_millivolts(unit, factor, small, tmp_path):
    names = [f"{lead} ({unit})" for lead in LEADS]
    of_csv = read_csv(tmp_path, table(small * factor, names=names), ReadOptions(fs=500.0))
    np.testing.assert_allclose(of_csv.signals[0], small, rtol=1e-6, atol=1e-9)
    data = edf_bytes(small * factor, unit=unit.replace("\xb5", "u"), span=8 * factor)
    of_edf = read_edf(tmp_path, data)
    np.testing.assert_allclose(of_edf.signals[0], small, atol=16 / 65535 / 2 + 8 * EPS)


@given(data=st.data())
@examples(max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_damaged_file_is_refused_or_read(small, tmp_path, data):
    name = data.draw(st.sampled_from(["r.csv", "r.edf"]))
    of_csv = name == "r.csv"
    whole = table(small[:20], digits=".4f").encode() if of_csv else edf_bytes(small)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(len(whole), 256 * 13)))
        piece = bytes(
            data.draw(st.lists(st.sampled_from(b'019 -.,;eEna"\n\xff\0\x1b'), max_size=5))
        )
        whole = whole[:at] + piece + whole[at + data.draw(st.integers(0, 5)) :]
    (tmp_path / name).write_bytes(whole)
    try:
        with warnings.catch_warnings(action="error"):
            one = record.read(tmp_path / name, options=BOTH)
    except InputError as error:
        message = str(error)
    else:
        message = str(tmp_path / name)
        assert one.signals.shape[::2] == (1, 12)
        assert np.isfinite(one.signals).all()
    assert message.startswith(str(tmp_path / name))
    assert message.isprintable()
