"""A study: each point once, none lost with the process that trained it, the bad ones stopped."""

import math
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import optuna
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lvh.errors import EnvironmentFault
from lvh.search import SearchSettings
from lvh.search.results import FoldScore, Outcome, StudyResult, Trial
from lvh.search.space import Choice, Condition, Numbers, Space, StudyPlan
from lvh.search.storage import Storage
from lvh.search.study import MAX_RETRIES, OpenTrial, Study, load, open_study, result_of
from lvh.validation.metrics import NAMES

GRID = Space({"kernel": Choice(("250", "400", "500")), "stride": Choice(("5", "10", "50", "125"))})
LINE = Space({"x": Choice(tuple("012345"))})
CONDITIONAL = Space(
    {"C": Choice(("1", "3")), "model": Choice(("trees", "svm")), "seed": Choice(("0", "1"))},
    {"C": (Condition("model", ("svm",)),)},
)
MIXED = Space(
    {
        "kernel": Choice(("250", "400", "500")),
        "units": Numbers(4, 64, 1, log=True),
        "lr": Numbers(1e-4, 1e-1, log=True),
        "depth": Numbers(1, 3, 1),
    }
)
N_FOLDS = 7


def planned(space=LINE, **search) -> StudyPlan:
    chosen = {"sampler": "grid", "n_trials": int(min(space.size, 50)), **search}
    return StudyPlan(space, SearchSettings(**chosen), title="a sweep", note="", n_folds=N_FOLDS)


def scored(value: float, fold: int = 0) -> FoldScore:
    return FoldScore(0, fold, dict.fromkeys(NAMES, value), 1.5, 30, 6)


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk():
    def hurry(connection, record):
        connection.execute("pragma synchronous = off")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture(scope="module")
def schema(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("schema")
    Storage(f"sqlite:///{folder}/studies.db")
    return folder / "studies.db"


@pytest.fixture
def address(tmp_path, schema) -> str:
    return f"sqlite:///{shutil.copyfile(schema, tmp_path / 'studies.db')}"


@pytest.fixture
def storage(address) -> Storage:
    return Storage(address)


def trained(value, n_folds: int = N_FOLDS) -> Callable[[OpenTrial], Outcome]:
    """Return what trains as `lvh.runs.worker` does, with known scores in place of a training."""

    def train(trial: OpenTrial) -> Outcome:
        scores = []
        for fold in range(n_folds):
            scores.append(scored(value(trial.point, fold), fold))
            if reason := trial.report(scores[-1].metrics["ap"]):
                return Outcome("stopped", folds=tuple(scores), error=reason)
        mean = sum(one.metrics["ap"] for one in scores) / n_folds
        return Outcome("complete", (mean,), tuple(scores), run_key=f"run {trial.number}")

    return train


def worth(point: dict, fold: int = 0) -> float:
    return sum(math.sin(1 + at + float(value)) for at, value in enumerate(point.values()))


half = trained(lambda point, fold: 0.5, n_folds=1)


def result(study: Study) -> StudyResult:
    return result_of(study, "nowhere")


def points(study: Study) -> list[dict]:
    return [dict(trial.params) for trial in result(study).trials]


def states(study: Study) -> list[str]:
    return [trial.state for trial in result(study).trials]


def distinct(found: list[dict]) -> int:
    return len({tuple(sorted(point.items())) for point in found})


@pytest.mark.parametrize("space", [GRID, LINE, CONDITIONAL], ids=["grid", "line", "conditional"])
@pytest.mark.parametrize("sampler", ["grid", "tpe", "random"])
def test_each_point_is_taken_once_and_by_a_grid_in_the_order_typed(storage, space, sampler):
    study = open_study(storage, "s", planned(space, sampler=sampler, n_trials=50), again=False)
    study.optimize(half)
    found, every = points(study), list(space.points())
    assert len(found) == distinct(found) == distinct([*found, *every]) == space.size
    assert sampler != "grid" or found == every
    assert study.finished
    study.optimize(pytest.fail)


def test_processes_that_choose_at_once_share_no_point_and_no_place(storage, address):
    plan = planned(LINE, sampler="random", n_trials=6)
    for name in "abcd":
        study, seen = open_study(storage, name, plan, again=False), []

        def train(trial: OpenTrial, seen=seen) -> Outcome:
            seen.append(trial.number)
            return Outcome("complete", (0.5,))

        studies = [Study(Storage(address), name) for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            [*pool.map(lambda one, at: one.optimize(train, worker=at), studies, range(3))]
        assert (sorted(seen), distinct(points(study))) == ([*range(6)], 6)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interrupted_search_proposes_what_an_undisturbed_one_does(storage, sampler):
    plan = planned(MIXED, sampler=sampler, n_trials=16)
    whole = open_study(storage, "whole", plan, again=False)
    whole.optimize(trained(worth, 1))
    first = planned(MIXED, sampler=sampler, n_trials=5)
    open_study(storage, "cut", first, again=False).optimize(trained(worth, 1))
    cut = open_study(storage, "cut", plan, again=False)
    cut.optimize(trained(worth, 1))
    assert points(cut) == points(whole)
    assert distinct(points(whole)) == 16


def test_more_trials_continue_a_study_and_fewer_end_it(storage):
    study = open_study(storage, "s", planned(GRID, n_trials=5), again=False)
    study.optimize(half)
    assert len(points(study)) == 5
    open_study(storage, "s", planned(GRID, n_trials=3), again=False).optimize(pytest.fail)
    more = open_study(storage, "s", planned(GRID, n_trials=50), again=False)
    more.optimize(half)
    assert points(more) == list(GRID.points())


def test_a_result_has_all_that_was_recorded(storage, address):
    complete = Outcome(
        "complete",
        (0.1 + 0.2, 1e-300),
        (scored(0.1 + 0.2, 4), scored(math.nan, 0)),
        fold_keys=("a", "b"),
        baselines={"no skill": {"ap": math.nan}},
        run_key="run",
    )
    undefined = Outcome("complete", (math.nan, 3.0))
    fault, hot = EnvironmentFault("the disk is full"), Outcome("failed", error="hot")
    outcomes = [fault, undefined, hot, complete]

    def train(trial: OpenTrial) -> Outcome:
        if isinstance(outcome := outcomes.pop(), Exception):
            raise outcome
        return outcome

    study = open_study(storage, "s", planned(objectives=("ap", "loss")), again=False)
    with pytest.raises(EnvironmentFault, match="the disk is full"):
        study.optimize(train)
    read = load(address, None, "nowhere")
    assert (read.name, read.title, read.dimensions) == ("s", "a sweep", ("x",))
    first, second, third, last = read.trials
    known = {one.name: getattr(complete, one.name) for one in fields(complete)}
    assert repr(first) == repr(Trial(**known, number=0, params={"x": 0}))
    assert (second.state, second.error) == ("failed", "hot")
    assert (third.state, third.values) == ("failed", ())
    assert third.error == "ap: not defined on these folds"
    assert last.state == "open"


LEVELS = {0: 0.7, 1: 0.75, 2: 0.8, 3: 0.1, 4: 0.95, 5: 0.2}


def level(point: dict, fold: int) -> float:
    return LEVELS[point["x"]] + math.sin(12.9898 * (7 * point["x"] + fold)) / 100


@pytest.mark.parametrize("rule", ["race", "wilcoxon", "median", "percentile"])
def test_a_clearly_bad_trial_is_stopped_after_the_burn_in_and_the_best_is_not(storage, rule):
    change = {"race": True} if rule == "race" else {"pruner": rule}
    study = open_study(storage, "s", planned(**change), again=False)
    study.optimize(trained(level))
    trials = result(study).trials
    assert [trials[at].state for at in (3, 4, 5)] == ["stopped", "complete", "stopped"]
    for trial in (trials[3], trials[5]):
        assert 3 <= len(trial.folds) < N_FOLDS
        assert f"after {len(trial.folds)} of 7 folds" in trial.error
        assert not trial.values
    assert study.finished


@pytest.mark.parametrize("budget", ["halving", "both"])
def test_only_the_best_so_far_have_all_epochs(storage, budget):
    study = open_study(storage, "s", planned(budget=budget), again=False)

    def train(trial: OpenTrial) -> Outcome:
        for stage in range(3):
            for fold in range(N_FOLDS):
                if reason := trial.report(level(trial.point, fold), stage, is_last=stage == 2):
                    return Outcome("stopped", error=reason)
        return Outcome("complete", (LEVELS[trial.point["x"]],))

    study.optimize(train)
    assert states(study) == ["complete"] * 3 + ["stopped", "complete", "stopped"]
    # a race stops what is far behind before all folds have the first epochs
    by = {"halving": "halving after 7 of 7", "both": "racing after 3 of 7"}[budget]
    assert all(by in trial.error for trial in result(study).trials if trial.error)


def _die_amid(address: str) -> None:
    """Train in a process of its own, which is killed in the third fold of the second trial."""

    def train(trial: OpenTrial) -> Outcome:
        for fold in range(3):
            if (trial.number, fold) == (1, 2):
                os.kill(os.getpid(), signal.SIGKILL)
            trial.report(0.5)
        return Outcome("complete", (0.5,))

    Study(Storage(address), "s").optimize(train)


def test_a_trial_whose_process_was_killed_is_taken_up_at_once(storage, address):
    study = open_study(storage, "s", planned(n_trials=3), again=False)
    process = multiprocessing.get_context("spawn").Process(target=_die_amid, args=(address,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert states(study) == ["complete", "open"]
    assert not study.finished
    seen = []
    study.optimize(lambda trial: seen.append(trial.number) or Outcome("complete", (0.5,)))
    assert seen == [1, 2]
    assert points(study) == [{"x": 0}, {"x": 1}, {"x": 2}]


def test_a_process_of_another_machine_is_given_up_after_the_grace_period(storage, tmp_path):
    study = open_study(storage, "s", planned(n_trials=1), again=False)
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = optuna.load_study(study_name="s", storage=storage).ask()
    trial.set_user_attr("owner", "another-machine-4026531836 77 1234")
    storage.record_heartbeat(trial._trial_id)
    assert study.take_back() == 0
    with closing(sqlite3.connect(tmp_path / "studies.db")) as database:
        database.execute("update trial_heartbeats set heartbeat = '2020-01-01 00:00:00'")
        database.commit()
    # its signs of life end with those of any other process that works on the study
    Study(Storage(f"sqlite:///{tmp_path}/studies.db"), "s").optimize(half)
    assert states(study) == ["complete"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, EnvironmentFault])
def test_a_process_that_is_ended_puts_its_trial_back(storage, error):
    study = open_study(storage, "s", planned(n_trials=2), again=False)

    def train(trial: OpenTrial) -> Outcome:
        trial.report(0.5)
        raise error

    for _ in range(MAX_RETRIES + 3):  # however often: to be interrupted is no death
        with pytest.raises(error):
            study.optimize(train)
    assert [one.state.name for one in study.trials()] == ["WAITING"]
    study.optimize(half)
    assert (points(study), states(study)) == ([{"x": 0}, {"x": 1}], ["complete"] * 2)


def test_a_process_that_was_taken_for_dead_changes_nothing(storage, address):
    study, seen = open_study(storage, "s", planned(n_trials=1), again=False), []

    def train(trial: OpenTrial) -> Outcome:
        (running,) = study.trials()
        assert storage.put_back(running)
        assert not storage.put_back(running)  # by a third one, which looked at the same time
        Study(Storage(address), "s").optimize(lambda trial: Outcome("complete", (0.7,)))
        seen.append(trial.report(0.1))
        return Outcome("complete", (0.1,))

    study.optimize(train)
    assert [one.values for one in result(study).trials] == [(0.7,)]
    assert seen == ["another process has ended this trial"]
