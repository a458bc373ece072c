"""Damaged data sets by the thousand: bad input is told, or the cohort is right; nothing else.

The cases are those of experiments/reliability, which runs many more of them on all of LUDB, with
limits of time and memory. No test here depends on the machine's speed.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import write_data_set
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"
CASES, PARTS = 500, 1
COMPARED_EVERY = 40  # cohorts; wfdb is slow


@pytest.fixture(scope="module", autouse=True)
def _beside_the_scripts():
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield
    for name in set(sys.modules) - before:  # short names, which others may want
        if str(FOLDER) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture(scope="module")
def pool(tmp_path_factory, cohort):
    """Some of LUDB's records where it is at hand, else generated ones in its layout."""
    from cases import records_in

    names = [str(number) for number in range(1, 11)]
    root = os.environ.get("LVH_LUDB_ROOT")
    if root:
        return records_in(Path(root), names)
    return records_in(write_data_set(tmp_path_factory.mktemp("pool") / "set", cohort, 10), names)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "set"


def outcome(case, folder, compare=False):
    """Say what came out of a case; fail on anything that may not."""
    from cases import write
    from judged import faults_by_oracle, faults_of_cohort, faults_of_refusal, read

    write(case.files, folder)
    found = read(folder)
    if isinstance(found, InputError):
        assert not faults_of_refusal(found, folder), (case.kind, str(found))
        return "refused"
    assert not faults_of_cohort(found, folder), case.kind
    if compare:
        faults = faults_by_oracle(found, folder)
        assert not [one for one in faults if not one.startswith("wfdb refuses")], case.kind
    return "taken"


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_records_are_refused_or_read_rightly(pool, folder, part):
    from cases import case

    seen = Counter()
    for number in range(part, CASES, PARTS):
        compare = seen["taken"] % COMPARED_EVERY == COMPARED_EVERY - 1
        seen[outcome(case(pool, 1, number), folder, compare)] += 1
    assert min(seen["refused"], seen["taken"]) > CASES / PARTS / 20  # both are tested


@given(data=st.data())
@examples(max_examples=200, suppress_health_check=list(HealthCheck))
def test_what_hypothesis_draws_is_refused_or_read_rightly(pool, folder, data):
    from strategies import cases

    outcome(data.draw(cases(pool)), folder)


def test_a_case_is_always_the_same(pool):
    from cases import case

    first, second = (
        {name: data for name, data in case(pool, 0, 7).files.items() if isinstance(data, bytes)}
        for _ in range(2)
    )
    assert first == second


def test_the_table_is_that_of_the_file():
    from fuzz import README, RESULTS, rows, table

    found = rows(RESULTS)
    assert table(found) in README.read_text()
    assert not any(row.errors or row.wrong or row.slow for row in found)
