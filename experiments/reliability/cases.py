"""Damaged data sets in LUDB's layout: what disks, transfers, editors and enemies make of records.

A case is a function of two numbers, a seed and its own, and of the records it starts from.
"""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from damage import (
    TOKENS,
    Rng,
    comments_changed,
    cut,
    edited,
    fields_changed,
    lengthened,
    lines_changed,
    many_words,
    words_changed,
    written_otherwise,
)

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")

Content = bytes | Callable[[Path], object]
"""Of a file; or what makes something else in its place."""
Files = dict[str, Content]


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
