"""Who trains which trial: each once, none lost with the process that held it."""

import math
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from lvh.search.description import Description
from lvh.search.trials import Claim, Study, create
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lvh.errors import InputError
from lvh.evaluation.results import FoldScore, Objective
from lvh.search.space import Choice, Integers, Reals, size
from lvh.search.storage import Storage
from lvh.search.study_results import load, result_of
from lvh.validation.metrics import NAMES

GRID = {"kernel": Choice(("250", "400", "500")), "stride": Choice(("5", "10", "50", "125"))}
LINE = {"x": Choice(tuple("012345"))}
ME = "me"


def described(space=GRID, objectives=("ap",), **changes) -> Description:
    return replace(
        Description(
            title="a sweep",
            note="",
            objectives=tuple(Objective(name) for name in objectives),
            space=space,
            sampler="grid",
            n_trials=int(min(size(space), 50)),
            seed=0,
            n_folds=7,
            race=False,
            pruner="none",
            burn_in=3,
        ),
        **changes,
    )


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


def finish(study: Study, claim: Claim, value: float = 0.5) -> None:
    study.complete(claim.number, [value] * len(study.description.objectives), {})
    study.set_tracked(claim.number)
    claim.release()


def drain(study: Study) -> list[int]:
    numbers = []
    while (claim := study.claim(ME)) is not None:
        numbers.append(claim.number)
        assert len(numbers) < 100
        finish(study, claim)
    return numbers


def train(study: Study, value, order: list | None = None) -> None:
    """Work as `lvh.runs.worker` does, with known scores in place of a training."""
    while (claim := study.claim(ME)) is not None:
        verdict = "go on"
        done = len(state(study, claim.number).folds)
        while done < study.description.n_folds:
            verdict = study.verdict(claim.number, done, claim.until)
            if verdict != "go on":
                break
            score = scored(value(claim.params, done), done)
            study.record_fold(claim.number, done, score, f"key {claim.number} {done}")
            done += 1
            if order is not None:
                order.append((claim.number, done))
        if verdict == "stop":
            study.stop(claim.number)
        elif verdict == "go on":
            folds = state(study, claim.number).folds
            study.complete(claim.number, [sum(f.metrics["ap"] for f in folds) / len(folds)], {})
        if verdict != "pause":
            study.set_tracked(claim.number)
        claim.release()


def state(study: Study, number: int):
    return result_of(study, "nowhere").trials[number]


def states(study: Study) -> list[str]:
    return [one.state for one in result_of(study, "nowhere").trials]


def test_one_process_gets_each_point_once(storage):
    study = create(storage, "s", described(), anew=False)
    assert drain(study) == list(range(12))
    points = [(one.params["kernel"], one.params["stride"]) for one in study.trials()]
    assert points == [(k, s) for k in (250, 400, 500) for s in (5, 10, 50, 125)]
    assert study.finished
    assert study.claim(ME) is None
    assert not study.at_work()
    assert not study.untracked()


def test_a_held_trial_is_given_to_nobody_else(storage, address):
    study = create(storage, "s", described(LINE), anew=False)
    other = Study(Storage(address), "s")
    mine, theirs = study.claim(ME), other.claim("other")
    assert (mine.number, theirs.number) == (0, 1)
    assert study.at_work() == [0, 1]
    assert not study.free_open()
    mine.release()
    assert other.free_open() == [0]
    again = other.claim("other")
    assert again.number == 0
    assert again.params == mine.params
    assert not study.finished


HOLDER = """
import sys
from lvh.search.storage import Storage
from lvh.search.trials import Study

study = Study(Storage(sys.argv[1]), "s")
claim = study.claim("holder")
print(claim.number, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_frees_its_trial_at_once(storage, address):
    study = create(storage, "s", described(LINE), anew=False)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "0\n"
        assert study.at_work() == [0]
        mine = study.claim(ME)
        assert mine.number == 1
        assert study.count_deaths("holder") == {}  # it lives
    finally:
        process.kill()
        process.communicate()
    assert study.free_open() == [0]
    mine.release()
    assert study.claim(ME).number == 0


def test_studies_share_nothing(storage):
    one = create(storage, "a", described(LINE), anew=False)
    two = create(storage, "a-0", described(GRID), anew=False)
    held = one.claim(ME), two.claim(ME)
    assert [claim.number for claim in held] == [0, 0]
    for claim in held:
        claim.release()
    drain(one)
    assert one.finished
    assert not two.finished
    assert (len(one.trials()), len(two.trials())) == (6, 1)


def test_anew_makes_another_beside_and_the_latest_is_taken_up(storage):
    drain(create(storage, "s", described(LINE), anew=False))
    second = create(storage, "s", described(LINE), anew=True)
    assert second.name == "s.2"
    assert not second.trials()
    assert create(storage, "s", described(LINE), anew=False).name == "s.2"
    assert create(storage, "s", described(LINE), anew=True).name == "s.3"
    assert create(storage, "s", described(LINE), anew=False).name == "s.3"
    assert create(storage, "sx", described(LINE), anew=False).name == "sx"
    assert storage.studies() == ["s", "s.2", "s.3", "sx"]
    assert len(Study(storage, "s").trials()) == 6


def test_a_study_that_is_not_there_is_told_with_those_that_are(storage):
    create(storage, "s", described(LINE), anew=False)
    optuna.create_study(study_name="not ours", storage=storage.optuna)
    for name in ("t", "not ours"):
        with pytest.raises(InputError, match=rf"expected one of .*: s\. Received: {name}"):
            Study(storage, name)


def test_more_trials_continue_the_same_study(storage):
    study = create(storage, "s", described(n_trials=5), anew=False)
    assert drain(study) == [0, 1, 2, 3, 4]
    assert study.finished
    more = create(storage, "s", described(n_trials=12), anew=False)
    assert not more.finished
    assert drain(more) == list(range(5, 12))
    assert len({tuple(one.params.values()) for one in more.trials()}) == 12


def test_more_trials_than_points_are_the_points(storage):
    study = create(storage, "s", described(LINE, n_trials=50), anew=False)
    assert study.n_trials == 6
    assert len(drain(study)) == 6


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interval_with_fewer_points_than_trials_ends_when_all_are_taken(storage, sampler):
    few = described({"x": Integers(1, 3)}, n_trials=50, sampler=sampler)
    study = create(storage, "s", few, anew=False)
    assert len(drain(study)) == 3
    assert study.finished


def test_values_typed_twice_are_one_point(storage):
    study = create(storage, "s", described({"lr": Choice(("0.1", "1e-1", "0.2"))}), anew=False)
    assert len(drain(study)) == 2
    assert study.finished


def test_a_trial_that_others_have_failed_leaves_the_race(storage):
    study = create(storage, "s", described(LINE, race=True), anew=False)
    number = study.claim(ME).number
    study.fail(number, "taken for dead")
    assert study.verdict(number, 3, 3) == "stop"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_undefined_objective_is_a_failure_with_a_reason(storage, value):
    study = create(storage, "s", described(LINE, ("ap", "seconds")), anew=False)
    claim = study.claim(ME)
    study.complete(claim.number, [value, 3.0], {})
    trial = state(study, claim.number)
    assert (trial.state, trial.values) == ("failed", ())
    assert trial.error == "ap: not defined on these folds"


def test_a_refused_point_has_failed_if_a_person_listed_it(storage):
    for name, sampler, expected in (("g", "grid", "failed"), ("t", "tpe", "stopped")):
        study = create(storage, name, described(LINE, sampler=sampler), anew=False)
        claim = study.claim(ME)
        study.refuse(claim.number, "kernel and stride do not fit")
        claim.release()
        trial = state(study, 0)
        assert (trial.state, trial.error) == (expected, "kernel and stride do not fit")
        assert not study.untracked()
        assert study.claim(ME).params != claim.params


def test_a_finished_trial_comes_back_until_it_is_tracked(storage, address):
    study = create(storage, "s", described(LINE), anew=False)
    claim = study.claim(ME)
    study.complete(claim.number, [0.5], {})
    assert study.untracked() == [claim.number]
    claim.release()
    again = Study(Storage(address), "s").claim("other")
    assert again.number == claim.number
    again.release()
    assert study.claim(ME, skip=frozenset([claim.number])).number == 1
    study.set_tracked(claim.number)
    assert not study.untracked()


def test_the_last_untracked_trial_does_not_count_as_open(storage):
    study = create(storage, "s", described(LINE, n_trials=1), anew=False)
    claim = study.claim(ME)
    study.set_run(claim.number, "run 1")
    study.complete(claim.number, [0.5], {})
    claim.release()
    assert study.finished
    assert study.untracked() == [0]
    assert study.runs() == {0: "run 1"}


def test_a_run_that_opens_after_its_trial_is_finished_is_not_lost(storage, address):
    study = create(storage, "s", described(LINE), anew=False)
    for run_id in ("late", ""):
        claim = study.claim(ME)
        study.complete(claim.number, [0.5], {})
        if run_id:
            study.set_run(claim.number, run_id)
            study.set_run(claim.number, "another's")
        study.set_tracked(claim.number)
        claim.release()
    assert Study(Storage(address), "s").runs() == {0: "late"}
    assert [one.run_id for one in load(address, "s", "nowhere").trials] == ["late", ""]


def torn(study: Study, storage: Storage, params: dict) -> int:
    """Leave what a process leaves that dies between asking for a trial and its last parameter."""
    trial = optuna.load_study(study_name=study.name, storage=storage.optuna).ask()
    for name in params:
        trial._suggest(name, study.description.space[name].distribution())
    return trial.number


@pytest.mark.parametrize("params", [[], ["kernel"]], ids=["nothing", "half"])
def test_a_trial_that_never_got_its_point_is_ignored(storage, params):
    study = create(storage, "s", described(), anew=False)
    number = torn(study, storage, params)
    assert not study.trials()
    assert drain(study) == [n for n in range(13) if n != number]
    assert len({tuple(one.params.values()) for one in study.trials()}) == 12
    assert study.finished
    raw = optuna.load_study(study_name="s", storage=storage.optuna).trials[number]
    assert raw.state == TrialState.FAIL


def test_an_interrupted_trial_keeps_its_folds_and_comes_first(storage, address):
    study = create(storage, "s", described(LINE), anew=False)
    claim = study.claim(ME)
    for at in range(3):
        study.record_fold(claim.number, at, scored(at / 10, at), f"k{at}")
    claim.release()
    again = Study(Storage(address), "s")
    assert again.claim("other").number == claim.number
    assert [fold.fold for fold in state(again, 0).folds] == [0, 1, 2]


def test_a_result_has_all_that_was_recorded(storage, address):
    study = create(storage, "s", described(LINE, ("ap", "loss")), anew=False)
    first, second, third = (study.claim(ME) for _ in range(3))
    for at, fold in enumerate((4, 0, 2)):
        study.record_fold(first.number, at, scored(math.nan if at else 0.1 + 0.2, fold), f"k{at}")
    study.set_run(first.number, "run")
    study.complete(first.number, [0.1 + 0.2, 1e-300], {"no skill": {"ap": math.nan}})
    study.fail(second.number, "out of memory")
    result = load(address, None, "nowhere")
    assert (result.name, result.title, result.dimensions) == ("s", "a sweep", ("x",))
    trial = result.trials[0]
    assert (trial.values, trial.run_id) == ((0.1 + 0.2, 1e-300), "run")
    assert [fold.fold for fold in trial.folds] == [4, 0, 2]
    assert trial.folds[0] == scored(0.1 + 0.2, 4)
    assert math.isnan(trial.folds[1].metrics["ap"])
    assert math.isnan(trial.baselines["no skill"]["ap"])
    assert [one.state for one in result.trials] == ["complete", "failed", "open"]
    assert result.trials[1].error == "out of memory"
    assert not result.predictions
    third.release()


def noise(at: float) -> float:
    return math.sin(12.9898 * at) / 100


def quality(params, fold: int) -> float:
    """Return .9 or so for three of six, .2 for the others; folds differ for all of them."""
    good = params["x"] in (2, 3, 4)
    return (0.85 if good else 0.2) + 0.02 * fold % 0.07 + noise(params["x"] * 7 + fold)


def test_a_race_stops_the_bad_ones_and_none_of_the_good(storage):
    study = create(storage, "s", described(LINE, race=True), anew=False)
    order = []
    train(study, quality, order)
    trials = result_of(study, "nowhere").trials
    bad = [one for one in trials if one.params["x"] in (0, 1, 5)]
    assert {one.state for one in bad} == {"stopped"}
    assert all(len(one.folds) < 7 for one in bad)
    assert all(f"after {len(one.folds)} of 7 folds" in one.error for one in bad)
    assert not any(one.values for one in bad)
    good = [one for one in trials if one.params["x"] in (2, 3, 4)]
    assert any(one.state == "complete" for one in good)
    best = max(good, key=lambda one: sum(quality(one.params, fold) for fold in range(7)))
    assert (best.state, len(best.folds)) == ("complete", 7)
    assert all(len(one.folds) >= 3 for one in trials)
    # fold by fold: after the burn-in, nobody is two folds ahead of another who still races
    done = Counter()
    for number, n_done in order:
        done[number] = n_done
        racing = [at for at in done if trials[at].state == "complete"]
        if n_done > 4 and number in racing:
            assert min(done[at] for at in racing) >= n_done - 1
    assert study.finished


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [sys.maxsize] * 3),
        ({"race": True, "burn_in": 4}, [4, 1, 1]),
        ({"pruner": "median", "burn_in": 2}, [2, 1, 1]),
    ],
)
def test_folds_go_together_as_far_as_nothing_can_stop_the_trial(storage, changes, expected):
    study = create(storage, "one", described(**changes), anew=False)
    assert [study.ahead(n_done) for n_done in (0, 4, 6)] == expected


def test_all_trials_burn_in_before_one_is_stopped(storage):
    study = create(storage, "s", described(LINE, race=True), anew=False)
    worse = {number: 0.9 - 0.1 * number for number in range(6)}
    while (claim := study.claim(ME)) is not None:
        done = len(state(study, claim.number).folds)
        while (verdict := study.verdict(claim.number, done, claim.until)) == "go on":
            value = worse[claim.number] + noise(claim.number * 7 + done)
            study.record_fold(claim.number, done, scored(value, done), "k")
            done += 1
        claim.release()
        if verdict == "stop":
            break
    done = [len(one.folds) for one in result_of(study, "nowhere").trials]
    assert len(done) == 6
    assert min(done) == 3


def test_equals_are_never_stopped(storage):
    study = create(storage, "s", described({"x": Choice(tuple("012"))}, race=True), anew=False)
    train(study, lambda params, fold: 0.5)
    assert states(study) == ["complete"] * 3


def test_a_race_under_a_sampler_trains_one_after_another(storage):
    given = described({"x": Reals(0, 5)}, race=True, sampler="random", n_trials=8, seed=4)
    study = create(storage, "s", given, anew=False)
    order = []
    train(study, lambda params, fold: params["x"] / 5 + noise(fold + params["x"]), order)
    numbers = [number for number, _ in order]
    assert numbers == sorted(numbers)
    trials = result_of(study, "nowhere").trials
    assert len(trials) == 8
    best = max(trials, key=lambda one: one.params["x"])
    assert best.state == "complete"
    assert {one.state for one in trials} == {"complete", "stopped"}


@pytest.mark.parametrize("pruner", ["wilcoxon", "median", "percentile"])
def test_a_pruner_stops_a_clearly_bad_trial_and_keeps_the_best(storage, pruner):
    study = create(storage, "s", described(LINE, pruner=pruner), anew=False)
    level = {0: 0.7, 1: 0.75, 2: 0.8, 3: 0.1, 4: 0.95, 5: 0.2}
    train(study, lambda params, fold: level[params["x"]] + noise(7 * params["x"] + fold))
    trials = result_of(study, "nowhere").trials
    assert [trials[at].state for at in (3, 4, 5)] == ["stopped", "complete", "stopped"]
    assert all(3 <= len(trials[at].folds) < 7 for at in (3, 5))
    assert f"stopped by the {pruner} pruner" in trials[3].error
    assert study.finished


@pytest.mark.parametrize("pruner", ["wilcoxon", "median", "percentile"])
def test_a_pruner_goes_down_where_less_is_better(storage, pruner):
    study = create(storage, "s", described(LINE, ("loss",), pruner=pruner), anew=False)
    level = {0: 0.7, 1: 0.75, 2: 0.8, 3: 0.1, 4: 0.95, 5: 2.0}
    train(study, lambda params, fold: level[params["x"]] + noise(7 * params["x"] + fold))
    assert states(study)[3] == "complete"
    assert states(study)[5] == "stopped"


def test_what_leaks_is_neither_complete_nor_the_best(storage):
    study = create(storage, "s", described(LINE), anew=False)
    for value in (0.6, 0.99, 0.7):
        claim = study.claim(ME)
        study.record_fold(claim.number, 0, scored(value), f"key {claim.number}")
        if value == 0.99:
            study.set_apart(claim.number, "carried weights")
            study.set_tracked(claim.number)
            claim.release()
        else:
            finish(study, claim, value)
    result = result_of(study, "nowhere")
    assert [one.state for one in result.trials] == ["complete", "leaking", "complete"]
    assert result.trials[1].error == "not honest: carried weights"
    assert [one.number for one in result.complete] == [2, 0]
    assert study._study.best_trial.number == 2
    assert study.claim(ME).number == 3
