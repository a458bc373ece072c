"""A sweep that is shot again and again comes to what an undisturbed one comes to."""

import csv
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"


@pytest.mark.parametrize("n_kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_sweep_that_is_shot_ends_as_an_undisturbed_one(n_kills, monkeypatch, tmp_path):
    """The end of each sweep is looked at by the script itself; it raises."""
    monkeypatch.syspath_prepend(str(FOLDER))
    storm = __import__("kill_storm").storm
    monkeypatch.delitem(sys.modules, "kill_storm")
    kills = list(storm(tmp_path, n_kills, seed=1))
    assert len(kills) == n_kills
    assert {kill.faults for kill in kills} == {""}


def test_what_is_told_of_fifty_kills_is_what_was_written_of_them():
    with (FOLDER / "kill_storm.csv").open(newline="") as file:
        kills = list(csv.DictReader(file))
    told = " ".join((FOLDER / "kill_storm.md").read_text().split())
    assert len(kills) == 50
    assert {kill["faults"] for kill in kills} == {""}
    of_sweeps = Counter(kill["round"] for kill in kills)
    assert f"All {len(of_sweeps)} sweeps" in told
    assert max(of_sweeps.values()) == 8
    of_phases = Counter(
        kill["phase"] if kill["phase"] in ("start", "begun", "shown") else "amid" for kill in kills
    )
    for phase, words in (
        ("start", "kills hit a command while it started"),
        ("begun", "between the making of the study and the first fold"),
        ("amid", "amid the training"),
        ("shown", "while the table was shown"),
    ):
        assert f"{of_phases[phase]} {words}" in told
    whole = sum(kill["whom"] == "group" for kill in kills)
    assert f"{whole} of them of the whole group" in told
    assert max(int(kill["open_runs"]) for kill in kills) == 3
    left = [int(kill["leftovers"]) for kill in kills]
    assert f"After {sum(map(bool, left))} of the kills one or two hidden files" in told
    assert max(left) == 2
