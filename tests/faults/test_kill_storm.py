"""A sweep that is shot again and again comes to what an undisturbed one comes to."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"


def test_a_sweep_shot_five_times_ends_as_an_undisturbed_one(monkeypatch, tmp_path):
    """The end of each sweep is looked at by the script itself; it raises."""
    monkeypatch.syspath_prepend(str(FOLDER))
    storm = __import__("kill_storm").storm
    monkeypatch.delitem(sys.modules, "kill_storm")
    kills = list(storm(tmp_path, 5, seed=1))
    assert len(kills) == 5
    assert [kill.faults for kill in kills] == [""] * 5
