"""Samplers: every point once, and the same ones however often the search is interrupted."""

import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lvh.search.samplers import NewPoints
from lvh.search.space import Choice, Integers, Reals, distributions, points, size

GRID = {"kernel": Choice(("250", "400", "500")), "stride": Choice(("5", "10", "50", "125"))}
MIXED = {
    "kernel": Choice(("250", "400", "500")),
    "units": Integers(4, 64, log=True),
    "lr": Reals(1e-4, 1e-1, log=True),
    "depth": Integers(1, 3),
}
WIDER = {**GRID, "i": Integers(1, 9, listed=True)}
KINDS = ("grid", "tpe", "cmaes", "random")
SAMPLERS = ("tpe", "cmaes", "random")


def worth(params) -> float:
    """Return a score that depends on all of a point."""
    return sum(math.sin(1 + at + float(value)) for at, value in enumerate(params.values()))


def new_study(directions=("maximize",), storage=None) -> optuna.Study:
    return optuna.create_study(
        study_name="s", storage=storage, directions=directions, load_if_exists=True
    )


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk():
    def hurry(connection, record):
        connection.execute("pragma synchronous = off")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


def ask(study, kind, space, seed=0):
    """Ask as `lvh.search.trials` does: a sampler of its own for each trial."""
    own = np.random.SeedSequence([seed, len(study.trials)]).generate_state(1)[0]
    study.sampler = NewPoints(kind, space, int(own))
    return study.ask(fixed_distributions=distributions(space))


def proposed(kind, space, n, study=None, seed=0) -> list[dict]:
    study = study or new_study()
    for _ in range(n):
        trial = ask(study, kind, space, seed)
        study.tell(trial, worth(trial.params))
    return [trial.params for trial in study.trials]


def distinct(found) -> int:
    return len({tuple(sorted(point.items())) for point in found})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_twelve_trials_are_the_twelve_points(kind, seed):
    found = proposed(kind, GRID, 12, seed=seed)
    assert distinct(found) == 12
    assert all(point in found for point in points(GRID))
    if kind == "grid":
        assert found == list(points(GRID))


@pytest.mark.parametrize("kind", KINDS)
def test_what_runs_elsewhere_is_not_proposed_again(kind):
    study = new_study()
    assert distinct([ask(study, kind, GRID).params for _ in range(12)]) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_with_every_point_taken_there_is_none_to_propose(kind):
    study = new_study()
    proposed(kind, GRID, 12, study)
    with pytest.raises(LookupError):
        ask(study, kind, GRID)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize(("space", "n"), [(MIXED, 60), (WIDER, 30)], ids=["endless", "finite"])
def test_no_point_is_proposed_twice(kind, space, n):
    found = proposed(kind, space, n)
    assert distinct(found) == n
    for name, dimension in space.items():
        distribution = dimension.distribution()
        for point in found:
            assert distribution._contains(distribution.to_internal_repr(point[name]))
    assert all(list(point) == list(space) for point in found)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_seed_decides_and_another_decides_otherwise(kind):
    assert proposed(kind, MIXED, 20) == proposed(kind, MIXED, 20)
    assert proposed(kind, MIXED, 5) != proposed(kind, MIXED, 5, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_search_goes_on_as_if_it_were_not(kind, tmp_path):
    """Each trial is asked for by a study that was opened afresh."""
    space = GRID if kind == "grid" else MIXED
    n = 12 if kind == "grid" else 13
    address = f"sqlite:///{tmp_path}/s.db"
    for _ in range(0, n, 5):
        reopened = new_study(storage=address)
        proposed(kind, space, min(5, n - len(reopened.trials)), reopened)
    assert [one.params for one in new_study(storage=address).trials] == proposed(kind, space, n)


def test_tpe_learns():
    study = new_study()
    space = {"x": Reals(-10, 10), "y": Reals(-10, 10)}
    for _ in range(50):
        trial = ask(study, "tpe", space)
        study.tell(trial, -(trial.params["x"] ** 2) - trial.params["y"] ** 2)
    values = [trial.value for trial in study.trials]
    assert np.median(values[25:]) > np.median(values[:10])
    assert size(space) == math.inf


@pytest.mark.parametrize("kind", ["grid", "tpe", "random"])
def test_several_objectives(kind):
    found = []
    for _ in range(2):
        study = new_study(("maximize", "minimize"))
        for _ in range(12):
            trial = ask(study, kind, GRID)
            study.tell(trial, [worth(trial.params), trial.params["kernel"]])
        found.append([trial.params for trial in study.trials])
        assert study.best_trials
    assert distinct(found[0]) == 12
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_failed_and_stopped_trials_keep_their_points(kind):
    study = new_study()
    for at in range(12):
        trial = ask(study, kind, GRID)
        if at % 3:
            study.tell(trial, worth(trial.params))
        else:
            study.tell(trial, state=TrialState.FAIL if at % 2 else TrialState.PRUNED)
    assert distinct([trial.params for trial in study.trials]) == 12


def test_cmaes_learns_from_what_it_is_told():
    """A bowl in two numbers: the second half of the trials is nearer to its bottom."""
    space = {"x": Reals(-5, 5), "n": Integers(1, 1000, log=True)}
    study = new_study(("minimize",))
    for _ in range(60):
        trial = ask(study, "cmaes", space)
        x, n = trial.params["x"], trial.params["n"]
        study.tell(trial, (x - 1) ** 2 + math.log(n / 30) ** 2)
    values = [trial.value for trial in study.trials]
    assert np.median(values[30:]) < np.median(values[:30]) / 3
    assert all(1 <= trial.params["n"] <= 1000 for trial in study.trials)


def test_nothing_pickled_reaches_the_database(tmp_path):
    study = new_study(storage=f"sqlite:///{tmp_path}/s.db")
    proposed("cmaes", {"x": Reals(-5, 5), "y": Reals(0, 1)}, 15, study)
    assert not any(trial.system_attrs for trial in study.trials)
