"""A sweep that is killed again and again ends as an undisturbed one."""

import pytest


@pytest.mark.slow
def test_a_sweep_that_is_killed_ends_as_an_undisturbed_one(beside, tmp_path):
    beside("reliability")
    from kill_storm import storm

    kills = list(storm(tmp_path, 5, seed=1))
    assert len(kills) == 5
    assert {kill.faults for kill in kills} == {""}
