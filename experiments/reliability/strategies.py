"""The same damage with Hypothesis to draw it, and contents that no record was the start of."""

import struct
from collections.abc import Sequence

from cases import LEADS, Case, Files, Record, damaged
from damage import COMMENTS, TOKENS
from hypothesis import strategies as st

_TOKEN = st.one_of(
    st.sampled_from(TOKENS),
    st.sampled_from(LEADS),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
)
_SIGNAL = st.tuples(
    st.one_of(st.just("1.dat"), _TOKEN),
    st.one_of(st.just("16"), _TOKEN),
    st.one_of(st.just("200(0)/mV"), _TOKEN),
    *[st.one_of(st.just("0"), _TOKEN)] * 5,
    st.one_of(st.sampled_from(LEADS), _TOKEN),
).map(" ".join)
_RECORD = st.tuples(
    st.one_of(st.just("1"), _TOKEN),
    st.one_of(st.sampled_from(("1", "2", "12")), _TOKEN),
    st.one_of(st.just("500"), _TOKEN),
    st.one_of(st.sampled_from(("1", "5000")), _TOKEN),
).map(" ".join)
_COMMENT = st.one_of(st.sampled_from(COMMENTS), st.text(max_size=20)).map("#{}".format)
HEADER = st.tuples(_RECORD, st.lists(_SIGNAL, max_size=13), st.lists(_COMMENT, max_size=5)).map(
    lambda parts: "\n".join([parts[0], *parts[1], *parts[2]]).encode("utf-8", errors="replace")
)
_WORD = st.one_of(
    st.integers(0, 0xFFFF),
    st.tuples(st.sampled_from((0, 1, 24, 27, 39, 40, 59, 60, 61, 62, 63)), st.integers(0, 40)).map(
        lambda pair: pair[0] << 10 | pair[1]
    ),
)
ANNOTATIONS = st.lists(_WORD, max_size=40).map(
    lambda words: struct.pack(f"<{len(words) + 1}H", *words, 0)
)
LISTING = st.one_of(
    st.binary(max_size=30), st.from_regex(r"(data/[-.\w/\s]{0,6}\n){0,3}").map(str.encode)
)
_CONTENTS = {"hea": HEADER, "v1": ANNOTATIONS, "dat": st.binary(max_size=200), "": LISTING}
_FAMILIES = {"hea": "header", "v1": "annotations", "dat": "signals", "": "listing"}


def cases(pool: Sequence[Record]) -> st.SearchStrategy[Case]:
    """Draw damaged records and made-up files, as often."""
    mutated = st.randoms(use_true_random=False).map(lambda rng: damaged(pool, rng))
    made_up = st.sampled_from(tuple(_CONTENTS)).flatmap(
        lambda end: st.tuples(
            st.just(end), st.sampled_from(tuple(pool)), st.one_of(_CONTENTS[end], st.binary())
        ).map(lambda drawn: _with(*drawn))
    )
    return st.one_of(mutated, made_up)


def _with(end: str, record: Record, content: bytes) -> Case:
    """Put other content for one of a record's files, or for the listing."""
    files: Files = {f"data/{record.name}.{one}": data for one, data in record.files.items()}
    files["RECORDS"] = f"data/{record.name}\n".encode()
    files[f"data/{record.name}.{end}" if end else "RECORDS"] = content
    return Case(f"{_FAMILIES[end]}: made up", files)
