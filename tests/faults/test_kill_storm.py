"""A sweep that is killed again and again ends as an undisturbed one."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [5])
def test_a_sweep_that_is_killed_ends_as_an_undisturbed_one(n_kills, monkeypatch, tmp_path):
    """The script itself looks at the end of each sweep; it raises."""
    monkeypatch.syspath_prepend(str(FOLDER))
    storm = __import__("kill_storm").storm
    monkeypatch.delitem(sys.modules, "kill_storm")
    kills = list(storm(tmp_path, n_kills, seed=1))
    assert len(kills) == n_kills
    assert {kill.faults for kill in kills} == {""}
