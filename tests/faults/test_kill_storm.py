"""A sweep that is killed again and again ends as an undisturbed one."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [5])
def test_a_sweep_that_is_killed_ends_as_an_undisturbed_one(n_kills, beside, tmp_path):
    """The script itself looks at the end of each sweep; it raises."""
    beside("reliability")
    from kill_storm import storm

    kills = list(storm(tmp_path, n_kills, seed=1))
    assert len(kills) == n_kills
    assert {kill.faults for kill in kills} == {""}
