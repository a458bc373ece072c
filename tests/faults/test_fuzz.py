"""Damaged data sets: bad input is refused, or the cohort is right; nothing else.

The cases are those of experiments/reliability, which runs many more of them on all of LUDB, with
limits of time and memory.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import write_data_set

from lvh.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"
CASES = 200
COMPARED_EVERY = 40  # cohorts; wfdb is slow


@pytest.fixture(autouse=True)
def _beside_the_scripts():
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield
    for name in set(sys.modules) - before:  # short names, which other tests may want
        if str(FOLDER) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_damaged_records_are_refused_or_read_rightly(tmp_path, cohort, monkeypatch):
    from cases import case, records_in, write
    from judged import faults_by_oracle, faults_of_cohort, faults_of_refusal, read

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = [str(number) for number in range(1, 11)]
    pool = records_in(write_data_set(tmp_path / "pool", cohort, 10), names)
    seen = Counter()
    for number in range(CASES):
        drawn, folder = case(pool, 1, number), tmp_path / "set"
        write(drawn.files, folder)
        result = read(folder)
        if isinstance(result, InputError):
            seen["refused"] += 1
            assert not faults_of_refusal(result, folder), (drawn.kind, str(result))
            continue
        seen["read"] += 1
        assert not faults_of_cohort(result, folder), drawn.kind
        if seen["read"] % COMPARED_EVERY == 0:
            faults = faults_by_oracle(result, folder)
            assert not [one for one in faults if not one.startswith("wfdb refuses")], drawn.kind
    assert min(seen.values()) > CASES / 20  # both are tested
