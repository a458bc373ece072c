"""How long a sweep takes, by studies that are made up: nothing is trained."""

import csv
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from lvh.runs.forecast import seconds_left
from lvh.search import SearchSettings
from lvh.search.racing import usual_shares
from lvh.search.space import Choice, Space, StudyPlan
from lvh.search.storage import OWNER
from lvh.search.study import OUTCOME

N_FOLDS, EPOCHS = 7, 100
ENDED = datetime(2026, 1, 1)
BUDGETS = Path(__file__).parents[1] / "experiments" / "joint_kernel_stride" / "budgets.csv"
SECONDS = st.floats(0.5, 1e4)


def planned(values: dict[str, list[int]], **search) -> StudyPlan:
    space = Space({name: Choice(tuple(map(str, of))) for name, of in values.items()})
    search = SearchSettings(sampler="grid", n_trials=int(space.size), **search)
    return StudyPlan(space, search, title="", note="", n_folds=N_FOLDS)


def ended(plan, place, seconds, overhead=0.5, n_scores=None):
    """A trial whose folds took some seconds; with `n_scores`, one that was stopped after these."""
    point = plan.space.at(place)
    trial = create_trial(
        state=TrialState.COMPLETE if n_scores is None else TrialState.PRUNED,
        params=point,
        distributions={
            name: CategoricalDistribution(plan.space.dimensions[name].values()) for name in point
        },
        value=0.5 if n_scores is None else None,
        intermediate_values=dict.fromkeys(range(n_scores or N_FOLDS), 0.5),
        user_attrs={OUTCOME: {"folds": [{"seconds": seconds / 2}] * 2}, OWNER: "one process"},
    )
    trial.datetime_complete = ENDED + timedelta(hours=place)
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=seconds + overhead)
    return trial


def left(plan, trials, costs=None, at_once=1):
    return seconds_left(plan, trials, costs or {}, epochs=EPOCHS, at_once=at_once)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.lists(SECONDS, min_size=2, max_size=5), SECONDS, st.integers(1, 4))
def test_the_time_left_is_exact_where_all_costs_are_known(data, of_stride, overhead, at_once):
    plan = planned({"seed": list(range(4)), "stride": list(range(1, 1 + len(of_stride)))})
    n_kinds, total = len(of_stride), plan.total
    others = data.draw(st.sets(st.integers(n_kinds, total - 1)))
    cost = [of_stride[place % n_kinds] for place in range(total)]
    trials = {at: ended(plan, at, cost[at], overhead) for at in {*range(n_kinds), *others}}
    rest = [cost[at] + overhead for at in range(total) if at not in trials]
    expected = max(sum(rest) / at_once, max(rest, default=0.0))
    assert left(plan, trials, at_once=at_once) == pytest.approx(expected, rel=1e-6, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 1e3), st.floats(0.1, 10), st.booleans(), st.integers(0, 3))
def test_a_law_of_costs_is_seen_after_a_quarter(constant, pace, is_timed, seed):
    """Costs are inverse to the stride; timed steps, where there are some, are wrong by a factor."""
    plan = planned({"kernel": [250, 500], "stride": [1, 2, 5, 10, 25, 50, 100, 125]})
    noise = np.random.default_rng(seed).uniform(0.95, 1.05, plan.total)
    cost = [1e3 * constant / plan.space.at(at)["stride"] for at in range(plan.total)]
    costs = {str(at): (cost[at] / pace, 1.0) for at in (0, 15, 3, 6, 9)} if is_timed else {}
    n_ended = plan.total // 4
    trials = {at: ended(plan, at, cost[at] * noise[at], 0) for at in range(n_ended)}
    truth = sum(cost[n_ended:])
    assert left(plan, trials, costs) == pytest.approx(truth, rel=0.25)


def test_what_ran_last_says_how_fast_the_machine_is_now():
    plan = planned({"stride": list(range(1, 13))})
    costs = {str(at): (10.0, 1.0) for at in range(12)}
    trials = {at: ended(plan, at, 10 if at < 2 else 30, 0) for at in range(6)}
    assert left(plan, trials, costs) == pytest.approx(6 * 30)
    slow = {at: ended(plan, at, 30, 0) for at in range(6)}
    assert left(plan, slow, costs) == pytest.approx(left(plan, trials, costs))


def test_stored_folds_are_free_and_nothing_is_known_of_nothing():
    plan = planned({"stride": [1, 2]})
    assert math.isnan(left(plan, {}))
    assert left(plan, {}, {"0": (10.0, 0.5), "1": (0.0, 0.0)}) == pytest.approx(5 + 2 * 0.5)


def test_a_running_trial_has_less_left_the_longer_it_runs():
    plan = planned({"stride": [1, 2]})
    costs = {"0": (100.0, 1.0), "1": (100.0, 1.0)}
    running = ended(plan, 0, 0, n_scores=1)
    running.state, running.intermediate_values, running.datetime_complete = (
        TrialState.RUNNING,
        {},
        None,
    )
    for seconds, most in ((0, 100.5), (60, 40.5), (300, 0)):
        running.datetime_start = datetime.now() - timedelta(seconds=seconds)
        assert left(plan, {0: running}, costs) <= 100.5 + most
        assert left(plan, {0: running}, costs) >= 100.5


def test_what_budgets_usually_save_is_what_recorded_curves_say():
    for row in csv.DictReader(BUDGETS.read_text().splitlines()):
        search = SearchSettings(budget=row["budget"], reduction=int(row["reduction"]))
        folds, n_trials = int(row["folds"]), int(row["configurations"])
        usual = usual_shares(search, search.rungs(int(row["epochs"])), folds, n_trials)
        assert np.all((usual > 0) & (usual <= 1))
        assert usual[0] == 1
        assert usual.mean() == pytest.approx(float(row["training"]), rel=0.2), row
