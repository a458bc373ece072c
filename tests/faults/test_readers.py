"""Damaged, hostile and senseless files: each is refused by name before it changes a result."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import edit, load_ludb, read_dat, write_signals

from lvh.errors import InputError

HEADER, SIGNALS = "data/1.hea", "data/1.dat"
FIRST_LINE = "1 12 500 5000\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))


def bytes_of(name, change):
    """Change the bytes of a file."""

    def fault(root):
        path = root / name
        path.write_bytes(change(path.read_bytes()))

    return fault


def record_line(line):
    return lambda root: edit(root / HEADER, FIRST_LINE, f"{line}\n")


def field(position, value):
    """Change one field of the first signal line."""

    def fault(root):
        line = (root / HEADER).read_text().splitlines()[1]
        fields = line.split(" ")
        fields[position] = value
        edit(root / HEADER, line, " ".join(fields))

    return fault


def digital(change):
    """Change samples, and mend their checksums."""

    def fault(root):
        samples = read_dat(root / HEADER).copy()
        change(samples)
        write_signals(root / HEADER, samples)

    return fault


def flat(samples):
    samples[:, 4] = 17


def invalid(samples):
    samples[2500, 11] = -32768


def comment(start, new):
    """Put other lines, or none, for a comment of the header."""

    def fault(root):
        path = root / HEADER
        text, found = re.subn(f"^#{start}.*\n", new, path.read_text(), flags=re.MULTILINE)
        assert found == 1
        path.write_text(text)

    return fault


def outside(name):
    """Move a file out of the data set and leave a link to it."""

    def fault(root):
        (root / name).rename(root.parent / "outside")
        (root / name).symlink_to(root.parent / "outside")

    return fault


def replaced(name, make):
    """Put something else in a file's place."""

    def fault(root):
        (root / name).unlink()
        make(root / name)

    return fault


def circle(path):
    path.symlink_to("circle")
    (path.parent / "circle").symlink_to(path.name)


def listing(content):
    return bytes_of("RECORDS", lambda _: content)


def samples_declared(number):
    """A length that no other record is there to disagree with."""

    def fault(root):
        record_line(f"1 12 500 {number}")(root)
        (root / "RECORDS").write_text("data/1\n")

    return fault


def huge_and_agreed(root):
    """A header that declares an enormous file, and that file: empty, it needs no disk."""
    samples_declared(2_000_000_000)(root)
    os.truncate(root / SIGNALS, 48_000_000_000)


def other_leads(number):
    """Eleven or thirteen leads, honestly declared."""

    def fault(root):
        samples = read_dat(root / HEADER)[:, np.arange(number) % 12]
        (root / SIGNALS).write_bytes(samples.tobytes())
        lines = (root / HEADER).read_text().splitlines()
        lines[0] = f"1 {number} 500 5000"
        lines[1:13] = [*lines[1:13], lines[12].replace(" v6", " v7")][:number]
        (root / HEADER).write_text("\n".join(lines))

    return fault


def of_another_record(root):
    for end in ("hea", "dat"):
        shutil.copyfile(root / f"data/2.{end}", root / f"data/1.{end}")


OF_ANY_FILE = {
    "missing": lambda name: lambda root: (root / name).unlink(),
    "link to outside": outside,
    "dangling link": lambda name: replaced(name, lambda path: path.symlink_to("nowhere")),
    "circle of links": lambda name: replaced(name, circle),
    "folder": lambda name: replaced(name, Path.mkdir),
    "fifo": lambda name: replaced(name, os.mkfifo),
    "device": lambda name: replaced(name, lambda path: path.symlink_to("/dev/zero")),
    "empty": lambda name: bytes_of(name, lambda _: b""),
    "8 GiB": lambda name: lambda root: os.truncate(root / name, 2**33),  # sparse
}
FILES = ("RECORDS", SIGNALS)
FAULTS = {
    "19-truncated by half": (
        bytes_of(SIGNALS, lambda data: data[:60_000]),
        SIGNALS,
        "expected 120000 bytes. Received: 60000",
    ),
    "19-truncated by one byte": (bytes_of(SIGNALS, lambda data: data[:-1]), SIGNALS, "119999"),
    "20-one byte too long": (bytes_of(SIGNALS, lambda data: data + b"\0"), SIGNALS, "120001"),
    "20-one frame too long": (bytes_of(SIGNALS, lambda data: data + bytes(24)), SIGNALS, "120024"),
    "21-wrong checksum": (field(6, "4"), SIGNALS, "expected checksum 4, as 1.hea says"),
    "21-a bit flipped": (
        bytes_of(SIGNALS, lambda data: data[:60_000] + bytes([data[60_000] ^ 1]) + data[60_001:]),
        SIGNALS,
        "lead i: expected checksum",
    ),
    **{
        f"22-signal file {value}": (field(0, value), HEADER, "same folder")
        for value in (
            *("../../etc/passwd", "..", "/etc/passwd", "https://example.org/1.dat", "..\\1.dat"),
            *("-", "~", "1.dat\0", "1" * 300),
        )
    },
    "22-two signal files": (field(0, "2.dat"), HEADER, "one signal file in format 16"),
    "22-the header of another record": (of_another_record, HEADER, "header of record 1"),
    **{
        f"23-{name} {what}": (fault(name), name, "")
        for name in FILES
        for what, fault in OF_ANY_FILE.items()
    },
    "23-data linked to outside": (outside("data"), HEADER, "a link to outside"),
    "23-no data": (lambda root: shutil.rmtree(root / "data"), "data", "cannot be read"),
    "23-data a file": (
        lambda root: (shutil.rmtree(root / "data"), (root / "data").write_text("")),
        "data",
        "cannot be read",
    ),
    **{
        f"23-record name {name.strip()}": (listing(name.encode()), "RECORDS", "expected names")
        for name in ("data/../x", "data/..", "/etc/passwd", "other/1", "1", "data/1\0", "data/\x1b")
    },
    "23-record names of no text": (listing(b"data/1\n\xff\xfe"), "RECORDS", "expected names"),
    "24-2e9 samples": (
        samples_declared(2_000_000_000),
        SIGNALS,
        "expected at most 4194304 bytes. Received: 48000000000, as 1.hea says",
    ),
    "24-2e9 samples and the file": (huge_and_agreed, SIGNALS, "expected at most 4194304 bytes"),
    "24-other samples": (samples_declared(4999), SIGNALS, "expected 119976 bytes"),
    "24-samples beyond any number": (record_line(f"1 12 500 {'9' * 20}"), HEADER, "expected"),
    "24-a billion signals": (record_line("1 1000000000 500 5000"), HEADER, "expected"),
    "24-multiples": (field(1, "16x100000"), HEADER, "without skew or multiples"),
    "24-skew": (field(1, "16:1000000000"), HEADER, "without skew or multiples"),
    "24-offset": (field(1, "16+24"), HEADER, "format 16"),
    "24-digits without end": (
        record_line(f"1 12 {'9' * 60_000}x 5000"),
        HEADER,
        "expected",
    ),
    "24-annotations without end": (
        bytes_of("data/1.i", lambda data: data[:-2] + (60 << 10).to_bytes(2, "little") * 2**14),
        "data/1.i",
        "expected at most 16384 bytes",
    ),
    **{
        f"25-length {length}": (record_line(f"1 12 500 {length}"), HEADER, "expected")
        for length in ("-5000", "0", "5e3", "+5000", "5_000", "\u0665\u0660\u0660\u0660")
    },
    "25-length missing": (record_line("1 12 500"), HEADER, "expected"),
    **{
        f"25-fs {fs}": (record_line(f"1 12 {fs} 5000"), HEADER, "expected")
        for fs in (
            "0",
            "-500",
            "nan",
            "inf",
            "1e9",
            "+1",
            "5_00",
            "\u0665\u0660\u0660",
            "fast",
            "999999",
        )
    },
    "26-11 signals declared": (record_line("1 11 500 5000"), HEADER, "expected"),
    "26-13 signals declared": (record_line("1 13 500 5000"), HEADER, "expected"),
    "26-0 signals": (record_line("1 0 500 5000"), HEADER, "expected"),
    "26-11 signals": (other_leads(11), HEADER, "expected the leads i ii iii"),
    "26-13 signals": (other_leads(13), HEADER, "expected the leads i ii iii"),
    "26-segments": (record_line("1/2 12 500 5000"), HEADER, "expected"),
    **{f"26-format {name}": (field(1, name), HEADER, "format 16") for name in ("99", "212", "80")},
    **{
        f"26-{what} out of step": (field(position, "v5"), HEADER, "expected a signal line")
        for position, what in ((3, "ADC resolution"), (5, "first value"), (7, "block size"))
    },
    "26-no format": (field(1, "\x1b[2J"), HEADER, "expected"),
    "26-no lead": (field(8, ""), HEADER, "expected"),
    "26-ADC zero text": (field(4, "x"), HEADER, "expected"),
    "26-checksum text": (field(6, "0x10"), HEADER, "expected"),
    **{
        f"26-header {what}": (bytes_of(HEADER, lambda _, data=data: data), HEADER, said)
        for what, data, said in (
            ("of nothing", b"", "expected"),
            ("of blanks", b"\n \r\n", "expected"),
            ("of a comment", b"#<age>: 51\n", "expected"),
            ("of four bytes", b"\xff\xfe\x00\x01", "expected"),
            ("of all bytes", bytes(range(256)), "expected"),
            ("of one line", FIRST_LINE.encode(), "expected"),
        )
    },
    **{f"27-gain {gain}": (field(2, gain), HEADER, "gain above 0") for gain in ("0(6)/mV", "0")},
    **{
        f"27-gain {gain}": (field(2, gain), HEADER, "expected")
        for gain in (
            f"{'9' * 400}/mV",
            "1e999/mV",
            "nan/mV",
            "-200/mV",
            "inf(6)/mV",
            "much/mV",
            "2_00/mV",
        )
    },
    "27-gain malformed": (field(2, "200(x)/mV"), HEADER, "expected"),
    "27-baseline absurd": (field(2, f"200({'9' * 5000})/mV"), HEADER, "expected"),
    "28-invalid sample": (digital(invalid), HEADER, "lead v6: expected a signal"),
    "28-flat lead": (digital(flat), HEADER, "lead avl: expected a signal. Received: a flat line"),
    "34-no diagnoses": (comment("<diagnoses>", ""), HEADER, "`#<diagnoses>:`. Received: none"),
    "34-diagnoses without their colon": (
        comment("<diagnoses>", "#<diagnoses>\n"),
        HEADER,
        "`#<diagnoses>:`. Received: none",
    ),
    "34-diagnoses twice": (
        comment("<diagnoses>", "#<diagnoses>:\n#<diagnoses>:\n"),
        HEADER,
        "expected one comment `#<diagnoses>:`",
    ),
    **{
        f"34-{said}": (comment(f"<{said.split()[0]}>", new), HEADER, "expected one comment `#<")
        for said, new in (
            ("age missing", ""),
            ("age twice", "#<age>: 51\n#<age>: 61\n"),
            ("age text", "#<age>: old\n"),
            ("age negative", "#<age>: -3\n"),
            ("age beyond a life", "#<age>: 999\n"),
            ("age in other digits", "#<age>: \u0665\u0661\n"),
            ("sex missing", ""),
            ("sex twice", "#<sex>: F\n#<sex>: M\n"),
            ("sex unknown", "#<sex>: MF\n"),
        )
    },
    "34-no records": (listing(b""), "RECORDS", "Received: 0 names"),
    "34-blank records": (listing(b"\n \n"), "RECORDS", "Received: 0 names"),
    "34-a record twice": (
        listing(b"data/1\ndata/2\ndata/1\n"),
        "RECORDS",
        "Received: 3 names, 2 distinct",
    ),
}


@pytest.mark.parametrize(("fault", "guilty", "said"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_file_is_refused_by_name(data_set, fault, guilty, said):
    fault(data_set)

    with pytest.raises(InputError) as refusal:
        load_ludb(data_set)

    told = str(refusal.value)
    assert said in told
    assert f"{data_set / guilty}: " in told
    assert refusal.value.exit_code == 2
    assert told.isprintable()  # nothing that a terminal would obey
    assert len(told) < 2 * len(str(data_set)) + 400  # what was received is cut short


OF_SIZE = [
    name
    for name, (_, guilty, _) in FAULTS.items()
    if name[:2] in ("19", "20", "24") and guilty != HEADER
]


@pytest.mark.parametrize("name", OF_SIZE)
def test_what_is_too_large_is_refused_before_it_is_read(data_set, name, monkeypatch):
    fault, guilty, _ = FAULTS[name]
    fault(data_set)
    read_bytes = Path.read_bytes

    def unless_guilty(path):
        assert path != data_set / guilty, "was read"
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", unless_guilty)
    with pytest.raises(InputError):
        load_ludb(data_set)


@pytest.mark.parametrize("root", ["nowhere", "~nobody-of-this-name/ludb"])
def test_34_a_root_that_is_not_there_is_refused_by_name(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=f"{root}.*Expected in data.root the folder of LUDB"):
        load_ludb(root)
