"""Changes of one file of a record: any bytes, text, and annotations."""

import random
import struct
from collections.abc import Callable

Rng = random.Random

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
