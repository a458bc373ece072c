"""Damaged, hostile and senseless files of LUDB: each kind is refused by its name."""

import os
import re
import shutil

import numpy as np
import pytest
from record_files import load_ludb, read_dat, write_signals

from lvh.errors import InputError

pytestmark = pytest.mark.usefixtures("own_cache")

HEADER, SIGNALS = "data/1.hea", "data/1.dat"


def bytes_of(name, change):
    return lambda root: (root / name).write_bytes(change((root / name).read_bytes()))


def changed(pattern, new):
    """Replace what fits a pattern in the header, at its first place; a group before it stays."""

    def fault(root):
        before = (root / HEADER).read_text()
        after, n = re.subn(pattern, lambda one: one[1] + new, before, count=1, flags=re.M)
        assert n
        (root / HEADER).write_text(after)

    return fault


def record_line(line):
    return changed(r"\A()1 12 500 5000\n", f"{line}\n")


def field(position, value):
    return changed(rf"\A(.*\n(?:\S+ ){{{position}}})\S+", value)


def comment(name, new):
    return changed(f"^()#<{name}>.*\n", new)


def digital(at, value):
    """Change samples, and mend their checksums."""

    def fault(root):
        samples = read_dat(root / HEADER).copy()
        samples[at] = value
        write_signals(root / HEADER, samples)

    return fault


def outside(name):
    def fault(root):
        (root / name).rename(root.parent / "outside")
        (root / name).symlink_to(root.parent / "outside")

    return fault


def of_another_record(root):
    for end in ("hea", "dat"):
        shutil.copyfile(root / f"data/2.{end}", root / f"data/1.{end}")


FAULTS = {
    "cut": (bytes_of(SIGNALS, lambda data: data[:-1]), SIGNALS, "Received: 119999"),
    "checksum": (field(6, "4"), HEADER, "lead 'i': expected checksum 4"),
    "another record": (of_another_record, HEADER, "expected record 1"),
    "missing": (lambda root: (root / SIGNALS).unlink(), SIGNALS, "expected a file"),
    "link to outside": (outside(SIGNALS), SIGNALS, "a link to outside"),
    "8 GiB": (lambda root: os.truncate(root / "RECORDS", 2**33), "RECORDS", "expected at most"),
    "other length": (record_line("1 12 250 5000"), "data/2.hea", "5000 samples at 250.0 Hz"),
    "invalid sample": (digital((2500, 11), -32768), HEADER, "lead v6: expected a signal"),
    "flat lead": (digital((slice(None), 4), 17), HEADER, "lead avl: .* Received: a flat line"),
    "order": (digital((slice(None), 4), np.arange(5000)), HEADER, "limb leads: expected avl"),
    **{
        f"signal file {value[:20]!r}": (field(0, value), HEADER, "same folder")
        for value in ("../../etc/passwd", "/etc/passwd", "1.dat\0", "1" * 300)
    },
    **{
        f"record line {line[:24]!r}": (record_line(line), HEADER, "expected")
        for line in (
            *("1 12 500", "1 12 500 -5000", "1 12 0 5000", "1 12 nan 5000", "1 12 1e9 5000"),
            *("1/2 12 500 5000", "1 11 500 5000", f"1 12 {'9' * 60_000}x 5000", ""),
        )
    },
    **{
        f"field {at} {value[:20]!r}": (field(at, value), HEADER, "expected")
        for at, value in (
            *((1, "16x4"), (1, "16:9"), (1, "16+24"), (1, "212"), (1, "\x1b[2J"), (2, "nan/mV")),
            *((2, "-200/mV"), (2, f"200({'9' * 5000})/mV"), (2, "1/uV"), (6, "0x10"), (8, "")),
        )
    },
    **{
        f"header {data[:12]!r}": (bytes_of(HEADER, lambda _, data=data: data), HEADER, "expected")
        for data in (b"", b"#<age>: 51\n", bytes(range(256)), b"1 12 500 5000\n")
    },
    **{
        f"{name} {new!r}": (comment(name, new), HEADER, f"expected one comment `#<{name}>")
        for name, new in (
            *(("age", ""), ("age", "#<age>: 51\n#<age>: 61\n"), ("age", "#<age>: old\n")),
            *(("sex", "#<sex>: MF\n"), ("diagnoses", "")),
        )
    },
    **{
        f"listing {text!r}": (bytes_of("RECORDS", lambda _, text=text: text), "RECORDS", "expected")
        for text in (b"", b"data/../x", b"/etc/passwd", b"data/\x1b", b"data/1\ndata/1\n")
    },
}


@pytest.mark.parametrize(("fault", "guilty", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_file_is_refused_by_name(data_set, fault, guilty, message):
    fault(data_set)
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as refusal:
        load_ludb(data_set)
    text = str(refusal.value)
    assert f"{data_set / guilty}: " in text
    assert refusal.value.exit_code == 2
    assert text.isprintable()  # nothing that a terminal would obey
    assert len(text) < 2 * len(str(data_set)) + 400  # what was received is cut short
