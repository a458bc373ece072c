"""Damaged data sets in LUDB's layout: what disks, transfers, editors and enemies make of records.

A case is a function of two numbers, a seed and its own, and of the records it starts from.
"""

import os
import random
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")

Content = bytes | Callable[[Path], object]
"""Of a file; or what makes something else in its place."""
Files = dict[str, Content]
Rng = random.Random


@dataclass(frozen=True, slots=True)
class Record:
    """One good record.

    Attributes:
        name: Of the record.
        files: Content of each of its files by what follows the dot.
    """

    name: str
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One damaged data set.

    Attributes:
        kind: Which file was damaged, and by what.
        files: Content by path.
    """

    kind: str
    files: Files

    @property
    def family(self) -> str:
        """What was damaged."""
        return self.kind.split(":")[0]


def records_in(root: Path, names: Sequence[str]) -> tuple[Record, ...]:
    """Read good records, whole."""
    suffixes = ("hea", "dat", *LEADS)
    return tuple(
        Record(name, {one: (root / "data" / f"{name}.{one}").read_bytes() for one in suffixes})
        for name in names
    )


def case(pool: Sequence[Record], seed: int, number: int) -> Case:
    """Make one case, always the same one."""
    return damaged(pool, random.Random(f"{seed}/{number}"))


def damaged(pool: Sequence[Record], rng: Rng) -> Case:
    """Damage one or two records in one way, seldom in two."""
    chosen = rng.sample(pool, rng.choice((1, 1, 1, 2)))
    files: Files = {"RECORDS": "".join(f"data/{one.name}\n" for one in chosen).encode()}
    for record in chosen:
        files |= {f"data/{record.name}.{end}": data for end, data in record.files.items()}
    kinds = rng.sample(list(KINDS), 2 if rng.random() < 0.1 else 1)
    for kind in kinds:
        KINDS[kind](files, rng.choice(chosen), pool, rng)
    return Case(" and ".join(kinds), files)


def write(files: Files, root: Path) -> None:
    """Write a data set in place of the one that is there."""
    if os.path.lexists(root):
        shutil.rmtree(root)
    (root / "data").mkdir(parents=True)
    for name, content in files.items():
        path = root / name
        if "data" in files and path.parent.name == "data":
            continue
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)


# ---- any bytes

WORDS = (b"\0", b"\xff", b"\0\0", b"\n", b"\r\n", b"#", b"-", b"9", b" ", b"\x1b[2J")
WORDS += ("\u2028".encode(),)


def edited(data: bytes, rng: Rng) -> bytes:
    """Flip, drop, add, repeat, move or overwrite some bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        a, b = sorted(rng.randint(0, len(data)) for _ in "ab")
        b = min(b, a + rng.choice((1, 2, 3, 16, 1 << 20)))
        data = data[:a] + _part_edited(data[a:b], rng) + data[b:]
    return data


def _part_edited(part: bytes, rng: Rng) -> bytes:
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: bytes(byte ^ 1 << rng.randrange(8) for byte in part[:1]) + part[1:],
        lambda: b"",
        lambda: part + part,
        lambda: part[::-1],
        lambda: bytes(len(part)),
        lambda: rng.randbytes(min(len(part), 64)),
        lambda: rng.choice(WORDS) + part,
        lambda: rng.choice(WORDS),
    )
    return rng.choice(changes)()


def cut(data: bytes, rng: Rng) -> bytes:
    """Lose the end, as an interrupted transfer does."""
    whole = len(data)
    return data[: rng.choice((0, 1, whole // 2, max(0, whole - 1), rng.randint(0, whole)))]


def lengthened(data: bytes, rng: Rng) -> bytes:
    """Get something at the end."""
    return data + rng.choice((b"\0", b"\0\0", bytes(24), data, rng.randbytes(rng.randint(1, 99))))


# ---- text

TOKENS = ("", *"- 0 -0 +1 -1 1 12 00012 500 500.0 5e2 5_00 5000 \u0665\u0660\u0660 ²".split())
TOKENS += (*"nan -nan inf 1e999 1e-999 0x10 2147483648 2000000000".split(), "9" * 19, "9" * 5000)
TOKENS += ("9" * 30_000 + "x", "1" * 300)
TOKENS += (*"500/360 500(0) 1/2 16x100000 16:1000000000 16+24 212 80 99 0(6)/mV 200(6".split(),)
TOKENS += (*"200)(6) 200(\u0666)/mV 2_00(6)/mV 1e3 ../../etc/passwd /etc/passwd".split(),)
TOKENS += (*"https://example.org/1.dat .. . ~ 1.dat 2.dat 1.hea 1.dat. con.dat".split(),)
TOKENS += ("\x1b[2J", "\u202e", "ü", "🫀", "\0", "#", "i", "V6", "I", "v7", "ii v6", "None")
TOKENS += (*"true ${x} %s%n".split(), "'; --", "\\", "?", "*")
AGES = ("51", "-3", "999", "\u0665\u0661", "5e1", "", "51 52")
COMMENTS = tuple(f"<age>: {age}".strip() for age in AGES)
COMMENTS += (*(f"<sex>: {sex}".strip() for sex in ("M", "F", "m", "X", "")), "<diagnoses>:")
COMMENTS += ("<diagnoses>", "Left ventricular hypertrophy.", "left ventricular hypertrophy")
COMMENTS += ("No LVH", "", "#", "\x1b[2J")
_BLANKS = ("\t", "  ", "\u00a0", *"\u2028\x0b\x0c\x1c\x85\r\n\ufeff")


def fields_changed(text: str, rng: Rng) -> str:
    """Put something else for one field of one line."""
    lines = [line.split(" ") for line in text.split("\n")]
    line = rng.choice(lines)
    at = rng.randrange(len(line))
    old = line[at]
    changes: tuple[Callable[[], list[str]], ...] = (
        lambda: [rng.choice(TOKENS)],
        lambda: [],
        lambda: [old, old],
        lambda: [old, rng.choice(TOKENS)],
        lambda: [old.upper()],
        lambda: [nudged(old, rng)],
        lambda: [nudged(old, rng)],
        lambda: [rng.choice(rng.choice(lines))],
    )
    line[at : at + 1] = rng.choice(changes)()
    return "\n".join(" ".join(line) for line in lines)


def nudged(field: str, rng: Rng) -> str:
    """Change the first number of a field, or the way it is written."""
    digits = "".join(char for char in field if char in "0123456789")
    if not digits:
        return f"{field}1"
    number = int(digits[:18])
    near = (number + 1, number - 1, -number, number * 10, number // 10, number + 65536)
    written = rng.choice((*near, number * 2**32))
    others = (f"+{digits}", f"0{digits}", f"{digits}.0", f"{digits[:1]}_{digits[1:]}")
    others += (f"{digits}e0",)
    arabic = digits.translate({ord("0") + value: 0x660 + value for value in range(10)})
    return field.replace(digits, rng.choice((str(written), str(written), *others, arabic)), 1)


def lines_changed(text: str, rng: Rng) -> str:
    """Drop, repeat, move, swap or add lines."""
    lines = text.split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    for change in rng.choices(range(5), k=rng.choice((1, 1, 2))):
        if change == 0 and len(lines) > 1:
            del lines[a % len(lines)]
        elif change == 1:
            lines.insert(b, lines[a % len(lines)])
        elif change == 2:
            a, b = a % len(lines), b % len(lines)
            lines[a], lines[b] = lines[b], lines[a]
        elif change == 3:
            lines.insert(a, "#" + rng.choice(COMMENTS))
        else:
            lines[a % len(lines)] = " ".join(rng.choice(TOKENS) for _ in range(rng.randint(0, 12)))
    return "\n".join(lines)


def comments_changed(text: str, rng: Rng) -> str:
    """Say something else of the person, or say it twice."""
    lines = text.split("\n")
    at = [number for number, line in enumerate(lines) if line.startswith("#")]
    if not at:
        return text
    number, said = rng.choice(at), "#" + rng.choice(COMMENTS)
    lines[number : number + 1] = [said] if rng.random() < 0.6 else [lines[number], said]
    return "\n".join(lines)


def written_otherwise(text: str, rng: Rng) -> bytes:
    """Write a text as other editors and systems do."""
    blank = rng.choice(_BLANKS)
    at = [number for number, char in enumerate(text) if char in " \n"] or [0]
    spot = rng.choice(at)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: text.replace("\n", "\r").encode(),
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: text.encode("utf-16"),
        lambda: text.replace(" ", blank).encode(),
        lambda: (text[:spot] + blank + text[spot + 1 :]).encode(),
        lambda: text.upper().encode(),
        lambda: (text + "\n" * 70_000).encode(),
        lambda: (text + "#" + "x" * rng.choice((60_000, 70_000))).encode(),
        lambda: ("#" + " " * 60_000 + "\n" + text).encode(),
    )
    return rng.choice(ways)()


# ---- annotations

_CODES = (39, 40, 1, 24, 27)
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63


def words_changed(data: bytes, rng: Rng) -> bytes:
    """Change, drop, repeat, add or swap 16-bit words."""
    words = list(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2]))
    for _ in range(rng.choice((1, 1, 2, 5))):
        a = rng.randrange(len(words) + 1)
        change = rng.randrange(6)
        if change == 0:
            words[a : a + 1] = [rng.randrange(1 << 16)]
        elif change == 1:
            words[a : a + 1] = [rng.choice(_CODES) << 10 | rng.choice((0, 1, 30, 1023))]
        elif change == 2:
            words[a : a + rng.choice((1, 2, 3, 9))] = []
        elif change == 3:
            words[a:a] = words[a : a + rng.choice((1, 3, 9))]
        elif change == 4:
            words[a:a] = pseudo(rng)
        else:
            words[a : a + 2] = words[a : a + 2][::-1]
    return struct.pack(f"<{len(words)}H", *words)


def pseudo(rng: Rng) -> list[int]:
    """Make one of the annotations that describe others, whole or not."""
    code = rng.choice((_SKIP, _SKIP, _NUM, _SUB, _CHN, _AUX))
    if code == _SKIP:
        interval = rng.choice((0, 1, -1, 5, -5, 4999, 5000, 2**31 - 1, -(2**31), 65536))
        interval &= 0xFFFFFFFF
        return [code << 10, interval >> 16, interval & 0xFFFF][: rng.choice((3, 3, 3, 2, 1))]
    if code == _AUX:
        length = rng.choice((0, 1, 2, 5, 255, 1023))
        text = [rng.randrange(1 << 16) for _ in range((length + 1) // 2)]
        return [code << 10 | length, *(text if rng.random() < 0.8 else text[:1])]
    return [code << 10 | rng.randrange(1024)]


def many_words(data: bytes, rng: Rng) -> bytes:
    """Make as many annotations as a file may hold, and some more."""
    word = rng.choice(((_NUM << 10,), (_AUX << 10,), (_SKIP << 10, 0, 0), (39 << 10,), (0,)))
    many = rng.choice((1 << 14, (1 << 15) - 100, 1 << 15, 1 << 18, 1 << 19)) // len(word)
    return data[:-2] + struct.pack(f"<{len(word)}H", *word) * many + data[-2:]


# ---- header and signals that agree

Samples = npt.NDArray[np.int16]


def _digital(record: Record) -> Samples:
    return np.frombuffer(record.files["dat"], "<i2").reshape(-1, len(LEADS)).copy()


def _agree(files: Files, record: Record, digital: Samples, leads: Sequence[str] = LEADS) -> None:
    """Write signals, and a header that is right about them."""
    lines = record.files["hea"].decode().split("\n")
    name, _, fs, _ = lines[0].split(" ")
    sums = digital.sum(axis=0, dtype=np.int64).astype(np.int16)
    signals = []
    for at, lead in enumerate(leads):
        fields = lines[1 + at % len(LEADS)].split(" ")
        fields[5:7] = str(digital[0, at] if len(digital) else 0), str(sums[at])
        signals.append(" ".join([*fields[:8], lead]))
    lines[: 1 + len(LEADS)] = [f"{name} {len(leads)} {fs} {len(digital)}", *signals]
    files[f"data/{record.name}.hea"] = "\n".join(lines).encode()
    files[f"data/{record.name}.dat"] = digital.astype("<i2").tobytes()


def samples_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Change samples under checksums that agree."""
    digital = _digital(record)
    lead, at = rng.randrange(len(LEADS)), rng.randrange(len(digital))
    change = rng.randrange(6)
    if change == 0:
        digital[at, lead] = rng.choice((-32768, -32767, 32767, 0))
    elif change == 1:
        digital[:, lead] = rng.choice((0, 17, -32768))
    elif change == 2:
        digital[:at] = rng.choice((0, -32768, 32767))
    elif change == 3:
        digital[:, lead] = np.roll(digital[:, lead], at)
    elif change == 4:
        digital[:, rng.randrange(len(LEADS))] = digital[:, lead]
    else:
        digital = np.frombuffer(rng.randbytes(digital.nbytes), np.int16).reshape(digital.shape)
    _agree(files, record, digital)


def length_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Shorten or lengthen one record or all of them."""
    n = rng.choice((0, 1, 2, 10, 2500, 4999, 5001, 10_000))
    for one in pool if rng.random() < 0.5 else (record,):
        if f"data/{one.name}.hea" in files:
            digital = _digital(one)
            _agree(files, one, np.resize(digital, (n, len(LEADS))))


def leads_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Order, name, drop, repeat or add leads."""
    digital, order = _digital(record), list(range(len(LEADS)))
    change = rng.randrange(4)
    if change == 0:
        rng.shuffle(order)
    elif change == 1:
        del order[rng.randrange(len(order))]
    elif change == 2:
        order.insert(rng.randrange(len(order)), rng.randrange(len(order)))
    names = [LEADS[at] for at in order]
    if change == 3:
        names[rng.randrange(len(names))] = rng.choice(("V1", "vx", "mcl1", "aVL", "ii", "I", ""))
    _agree(files, record, digital[:, order], names)


def rate_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Give all records another sampling frequency, sensible or not."""
    fs = rng.choice((*TOKENS, "100", "250", "1000", "1e-300", "1e-5", "99999", "100000", "0.5"))
    for one in pool:
        path = f"data/{one.name}.hea"
        content = files.get(path)
        if isinstance(content, bytes):
            files[path] = content.replace(b" 500 ", f" {fs} ".encode(), 1)


def huge_and_agreeing(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Let the header declare the enormous, mostly empty file that is there."""
    n = rng.choice((10**6, 10**7, 10**8, 2 * 10**9))
    _agree(files, record, _digital(record))
    header = files[f"data/{record.name}.hea"]
    assert isinstance(header, bytes)
    files[f"data/{record.name}.hea"] = header.replace(b" 500 5000", f" 500 {n}".encode(), 1)
    files[f"data/{record.name}.dat"] = lambda path: _sparse(path, n * 24)


def of_another(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Take some files of another record, as a wrong copy does."""
    other = rng.choice(pool)
    for end in rng.choice((("hea",), ("dat",), ("v1",), ("hea", "dat"), tuple(other.files))):
        files[f"data/{record.name}.{end}"] = other.files[end]
    if rng.random() < 0.3:
        files[f"data/{other.name}.dat"] = other.files["dat"]


# ---- what is no file


def _sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def content(path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        make(path)

    return content


PLACES: tuple[Callable[[Path], object], ...] = (
    Path.mkdir,
    os.mkfifo,
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/proc/self/environ"),
    lambda path: path.symlink_to("nowhere"),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to(".."),
    lambda path: path.symlink_to("../RECORDS"),
    lambda path: _sparse(path, 2**33),
    lambda path: _sparse(path, 120_000),
    lambda path: path.write_bytes(b""),
    lambda path: None,
)


def places_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Put something else, or nothing, in a file's place."""
    path = rng.choice([*files, *[f"data/{record.name}.{end}" for end in ("hea", "dat", "v6")]])
    files[path] = _replaced(rng.choice(PLACES))  # data/ itself, if that was changed before


def folder_changed(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
    """Put something else, or nothing, in the place of data/."""
    for path in [path for path in files if path.startswith("data/")]:
        del files[path]
    files["data"] = _replaced(rng.choice(PLACES))


# ---- all of them

Damage = Callable[[Files, Record, Sequence[Record], Rng], None]


def _to(end: str, change: Callable[[bytes, Rng], bytes]) -> Damage:
    """Apply a change of bytes to one of a record's files."""

    def damage(files: Files, record: Record, pool: Sequence[Record], rng: Rng) -> None:
        path = f"data/{record.name}.{rng.choice(LEADS) if end == 'lead' else end}"
        path = path if end else "RECORDS"
        content = files.get(path)
        if isinstance(content, bytes):
            files[path] = change(content, rng)

    return damage


def _text(change: Callable[[str, Rng], str | bytes]) -> Callable[[bytes, Rng], bytes]:
    """Make a change of text one of bytes."""

    def damage(data: bytes, rng: Rng) -> bytes:
        result = change(data.decode("utf-8", errors="replace"), rng)
        return result if isinstance(result, bytes) else result.encode("utf-8", errors="replace")

    return damage


_OF_BYTES = {"edited": edited, "cut": cut, "lengthened": lengthened}
_OF_TEXT = {"fields": fields_changed, "lines": lines_changed, "written": written_otherwise}

KINDS: dict[str, Damage] = {
    **{f"listing: {name}": _to("", change) for name, change in _OF_BYTES.items()},
    **{f"listing: {name}": _to("", _text(change)) for name, change in _OF_TEXT.items()},
    **{f"header: {name}": _to("hea", change) for name, change in _OF_BYTES.items()},
    **{f"header: {name}": _to("hea", _text(change)) for name, change in _OF_TEXT.items()},
    "header: fields again": _to("hea", _text(fields_changed)),
    "header: lines again": _to("hea", _text(lines_changed)),
    "header: comments": _to("hea", _text(comments_changed)),
    **{f"annotations: {name}": _to("lead", change) for name, change in _OF_BYTES.items()},
    "annotations: words": _to("lead", words_changed),
    "annotations: words again": _to("lead", words_changed),
    "annotations: many": _to("lead", many_words),
    **{f"signals: {name}": _to("dat", change) for name, change in _OF_BYTES.items()},
    "together: samples": samples_changed,
    "together: length": length_changed,
    "together: leads": leads_changed,
    "together: rate": rate_changed,
    "together: huge": huge_and_agreeing,
    "together: another": of_another,
    "places: file": places_changed,
    "places: folder": folder_changed,
}
