"""How long a sweep takes: before it, and while its configurations differ in cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, create_trial

from lvh.runs.forecast import Forecast
from lvh.search import SearchSettings
from lvh.search.plan import StudyPlan
from lvh.search.space import Choice, Space

KERNELS, STRIDES = ("250", "400", "500"), ("5", "10", "50", "125")
GRID = Space({"kernel": Choice(KERNELS), "stride": Choice(STRIDES), "model.l2": Choice(("0.1",))})
N_FOLDS = 7


def cost(point: dict) -> float:
    """Seconds of a configuration: nearly as a convolution's, and thirty times from end to end."""
    return 4.0 * point["kernel"] / point["stride"] + 5.0


class Sweep:
    """A sweep, trained in its order: what was expected before each trial, and what each took."""

    def __init__(self, costs: dict[int, float], *, race: bool = False, n_done: int = N_FOLDS):
        search = SearchSettings(sampler="grid", n_trials=12, race=race)
        self.plan = StudyPlan(GRID, search, title="", note="", n_folds=N_FOLDS)
        self.trials: dict[int, FrozenTrial] = {}
        self.attribute = {"costs": {str(at): one for at, one in costs.items()}}.get
        self.expected, self.taken = [], []
        follow = Forecast(self, at_once=1)
        for place in range(12):
            self.expected.append(follow.left())
            seconds = cost(GRID.at(place)) / N_FOLDS
            self.taken.append(n_done * seconds + 2)
            follow.add(self.taken[-1], n_done * seconds)
            self.trials[place] = create_trial(
                params=GRID.at(place),
                distributions={
                    name: CategoricalDistribution(one.values())
                    for name, one in GRID.dimensions.items()
                },
                value=0.5,
                user_attrs={
                    "outcome": {"state": "complete", "folds": n_done * [{"seconds": seconds}]}
                },
                intermediate_values=dict.fromkeys(range(n_done), 0.5),
            )
        assert follow.left() == 0

    def configurations(self) -> dict[int, FrozenTrial]:
        return self.trials


@pytest.mark.parametrize("n_timed", [2, 5, 12])
@settings(max_examples=20)
@given(error=st.floats(0.3, 3.0))
def test_after_a_quarter_the_time_left_is_right_within_a_quarter(n_timed, error):
    """Whatever the timed steps are wrong by; the costs of a grid differ thirty times."""
    places = [round(at * 11 / (n_timed - 1)) for at in range(n_timed)]
    sweep = Sweep({at: error * cost(GRID.at(at)) for at in places})
    for at in range(3, 12):
        assert sweep.expected[at] == pytest.approx(sum(sweep.taken[at:]), rel=0.25), at
