"""Rows 1 to 4, 10 and 12 to 18: real processes, shot, interrupted, starved or late."""

import ast
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import optuna
import pytest
from beginnings import assert_one_tree, runs, stored
from conftest import Done, command, start
from lvh.search.description import Description
from lvh.search.trials import Study, create
from servers import until

import lvh
from lvh.evaluation.fold_training import train_folds
from lvh.evaluation.results import Objective
from lvh.features import FORMS
from lvh.features.ntp import NtpSettings
from lvh.models.backends import cores
from lvh.models.training import History
from lvh.search.space import Choice
from lvh.search.storage import Storage
from lvh.search.study_results import load, result_of
from lvh.validation.splits import CvSettings, splits

SMALL = ("data=synthetic", "data.records=42", "model.units=[8,4,2]", "train.side_by_side=1")
RATES = "train.learning_rate=0.001,0.003,0.01"
SWEEP = ("-m", *SMALL, "cv.folds=5", "train.epochs=1500", RATES)
RUN = (*SMALL, "cv.folds=3", "train.epochs=3")
CLASSICAL = ("data=synthetic", "data.records=42", "model=logistic", "cv.folds=3")


def leaderboard(cwd: Path, at: int = -1) -> list[dict[str, str]]:
    """Return the rows of a table, the latest by default, without what is measured."""
    file = sorted(cwd.glob("outputs/*/*/report/leaderboard.csv"))[at]
    with file.open() as opened:
        rows = csv.DictReader(opened)
        return [{name: of for name, of in row.items() if name != "seconds"} for row in rows]


def store_of(cwd: Path) -> str:
    return f"sqlite:///{cwd}/mlflow.db"


def statuses(cwd: Path, level: str) -> Counter:
    found = [run for run in runs(store_of(cwd)) if run.data.tags["level"] == level]
    return Counter(run.info.status for run in found)


def shown_folds(out: str) -> int:
    return len(re.findall(r"^fold \d+ of \d+: ", out, re.MULTILINE))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Done:
    """A sweep that nobody disturbs."""
    return command(*SWEEP, cwd=tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_1_a_sweep_shot_in_fold_4_of_trial_3_goes_on_there(whole, tmp_path):
    process = start(*SWEEP, cwd=tmp_path)
    shown = []
    while [line[:9] for line in shown].count("fold 3 of") < 3:
        shown.append(process.stdout.readline())
        assert shown[-1], process.stderr.read()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in stored(tmp_path)}
    assert len(before) == 13
    (third,) = [run for run in runs(store_of(tmp_path)) if run.data.params.get(RATE) == "0.01"]
    assert third.info.status == "RUNNING"

    done = command(*SWEEP, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "2 trials are done already, 1 were begun" in done.out
    assert "2 folds trained now" in done.out
    assert shown_folds(done.out) == 2
    for path, written in before.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == written  # read, never made again
    assert leaderboard(tmp_path) == leaderboard(whole.cwd, 0)
    assert_one_tree(store_of(tmp_path), 3, 5)
    assert third.info.run_id in {run.info.run_id for run in runs(store_of(tmp_path))}


RATE = "train.learning_rate"


@pytest.mark.slow
def test_1_a_fold_whose_hash_is_wrong_is_not_reused(whole, tmp_path):
    """A copy of the folds alone, one byte of one of them another one."""
    for path in stored(whole.cwd):
        there = tmp_path / path.relative_to(whole.cwd)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
    spoilt = stored(tmp_path)[0]
    text = spoilt.read_bytes()
    at = text.index(b'"y_score": [') + 14
    spoilt.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
    done = command(*SWEEP, "tracking=off", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "1 folds trained now" in done.out
    assert f"{spoilt.relative_to(tmp_path)}: a finished fold is damaged" in done.err
    assert leaderboard(tmp_path) == leaderboard(whole.cwd, 0)


@pytest.mark.slow
def test_1_a_parallel_sweep_whose_main_process_is_shot_leaves_no_process(begin, tmp_path):
    """Its workers would train on unseen, for hours, beside those of the next command."""
    cwd = tmp_path / "work"
    sweep = begin(cwd, *ENDLESS, "hydra/launcher=joblib")
    until(lambda: any(holders(cwd)), "a trial is trained")
    sweep.process.kill()
    until(lambda: not any(holders(cwd)), "nobody trains any more")
    until(lambda: not members(sweep.process.pid), "no process is left")


def members(session: int) -> list[int]:
    """Return the living processes that a command has started, and theirs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_2_a_finished_sweep_once_more_trains_nothing_and_shows_the_same(whole):
    again = command(*SWEEP, cwd=whole.cwd)
    assert again.code == 0, again.err
    assert "nothing to train" in again.out
    assert shown_folds(again.out) == 0
    assert leaderboard(again.cwd, 0) == leaderboard(again.cwd, -1)

    def shown(done: Done) -> list[str]:
        text = done.out[done.out.index("by mean ap") : done.out.index("folds trained now")]
        return text.splitlines()[:-1]

    assert shown(again) == shown(whole)
    assert_one_tree(store_of(whole.cwd), 3, 5)


@pytest.mark.slow
def test_3_other_settings_data_or_code_never_take_up_a_fold(tmp_path):
    cwd, copy = tmp_path / "work", tmp_path / "copy"
    cwd.mkdir()
    root = Path(lvh.__file__).parent.parent
    for name in ("lvh", "conf", "hydra_plugins"):
        shutil.copytree(root / name, copy / name)
    with (copy / "lvh/validation/metrics.py").open("a") as module:
        module.write("# another version\n")
    given = (*CLASSICAL, "tracking=off")
    others = ["model.C=1", "model.C=2", "data.seed=1"]
    for number, other in enumerate(others, start=1):
        done = command(*given, other, cwd=cwd)
        assert (done.code, shown_folds(done.out)) == (0, 3), done.err
        assert len(stored(cwd)) == 3 * number
    done = command(*given, cwd=cwd, PYTHONPATH=str(copy))
    assert (done.code, shown_folds(done.out)) == (0, 3), done.err
    assert len(stored(cwd)) == 3 * (len(others) + 1)
    assert "nothing to train" in command(*given, cwd=cwd).out
    assert "nothing to train" in command(*given, cwd=cwd, PYTHONPATH=str(copy)).out


WRITER = """
import sys
from pathlib import Path
from lvh.files import write_text

for number in range(10**9):
    write_text(Path(sys.argv[1]), f"{number % 10}" * 300_000)
    print(number, flush=True)
"""


def test_4_a_file_whose_writer_is_shot_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "fold.json"
    moments = np.random.default_rng(4).uniform(0, 0.02, 12)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.kill()
    for moment in moments:
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)  # somewhere in one of the next files
            process.kill()
        text = path.read_text()
        assert len(text) == 300_000
        assert len(set(text)) == 1


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill a disk but for some bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - leave)
    return filler


@pytest.mark.slow
def test_10_a_full_disk_fails_the_run_and_keeps_its_folds(small_disk, tmp_path):
    cwd = tmp_path / "work"
    cwd.mkdir()
    what = (*RUN, "cv.repeats=20", f"store={small_disk}/folds")
    filler = fill(small_disk, 100_000)
    first = command(*what, cwd=cwd)
    assert first.code == 3
    assert re.fullmatch(rf"lvh: cannot write {small_disk}/.+: No space left on device\n", first.err)
    assert statuses(cwd, "configuration") == {"FAILED": 1}
    kept = list((small_disk / "folds").glob("*/*.json"))
    assert 3 < len(kept) < 60
    for path in kept:
        json.loads(path.read_text().splitlines()[1])

    filler.unlink()
    second = command(*what, cwd=cwd)
    assert second.code == 0, second.err
    assert f"{len(kept)} of 60 folds are done already" in second.out
    assert shown_folds(second.out) == 60 - len(kept)
    assert statuses(cwd, "configuration") == {"FINISHED": 1}
    assert statuses(cwd, "fold") == {"FINISHED": 60}


@pytest.mark.slow
def test_10_a_disk_that_is_full_for_everything_is_told_as_such(small_disk):
    """The results, the study and the tracking store lie on it; there is room for the start."""
    filler = fill(small_disk, 0)
    for leave in (0, 500_000, 2_000_000):
        filler.unlink()
        fill(small_disk, leave)
        done = command("-m", *RUN, RATES, cwd=small_disk)
        assert done.code == 3, done.out + done.err
        assert re.fullmatch(r"lvh: .+\n", done.err)
        assert "Traceback" not in done.out
    filler.unlink()
    done = command("-m", *RUN, RATES, cwd=small_disk)
    assert done.code == 0, done.err
    assert_one_tree(store_of(small_disk), 3, 3)


def interrupted(cwd: Path, *numbers: signal.Signals, after: str) -> Done:
    """Signal a run, with all its processes, once it has shown a line; as a terminal does."""
    process = start(*SMALL, "cv.folds=3", "train.epochs=8000", cwd=cwd)  # a fold takes seconds
    while not (line := process.stdout.readline()).startswith(after):
        assert line, process.stderr.read()
    for number in numbers:
        os.killpg(process.pid, number)
    out, err = process.communicate(timeout=120)
    return Done(process.returncode, out, err, cwd)


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGTERM], 143),
        pytest.param([signal.SIGINT] * 5, 130, marks=pytest.mark.slow),
        pytest.param([signal.SIGINT], 130, marks=pytest.mark.slow),
    ],
    ids=["13 SIGTERM", "12 five times SIGINT", "12 SIGINT"],
)
def test_12_13_an_interrupted_run_is_killed_in_the_store_too(numbers, code, tmp_path):
    done = interrupted(tmp_path, *numbers, after="fold 1 of 3")
    assert done.code == code
    assert done.err == f"lvh: interrupted by {numbers[0].name}\n"
    assert statuses(tmp_path, "configuration") == {"KILLED": 1}
    assert statuses(tmp_path, "fold").keys() == {"FINISHED"}
    assert len(stored(tmp_path)) in (1, 2)  # so it can go on


def test_12_an_interruption_before_the_store_is_open_is_as_clean(tmp_path):
    done = interrupted(tmp_path, signal.SIGINT, after="synthetic cohort")
    assert done.code == 130
    assert done.err == "lvh: interrupted by SIGINT\n"
    if (tmp_path / "mlflow.db").exists():
        assert "RUNNING" not in {run.info.status for run in runs(store_of(tmp_path))}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_12_13_a_sweep_that_is_interrupted_leaves_nothing_open_and_goes_on(number, whole, tmp_path):
    process = start(*SWEEP, cwd=tmp_path)
    shown = []
    while [line[:9] for line in shown].count("fold 1 of") < 2:
        shown.append(process.stdout.readline())
        assert shown[-1], process.stderr.read()
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert err == f"lvh: interrupted by {number.name}\n"
    assert "RUNNING" not in {run.info.status for run in runs(store_of(tmp_path))}
    before = len(stored(tmp_path))
    done = command(*SWEEP, cwd=tmp_path)
    assert done.code == 0, done.err
    assert shown_folds(done.out) == 15 - before
    assert leaderboard(tmp_path) == leaderboard(whole.cwd, 0)
    assert_one_tree(store_of(tmp_path), 3, 5)


@pytest.mark.slow
def test_12_an_interrupted_parallel_sweep_leaves_nothing_open(begin, tmp_path):
    cwd = tmp_path / "work"
    process = begin(cwd, *ENDLESS, "hydra/launcher=joblib")
    until(lambda: [one for one in holders(cwd) if one is not None], "a trial is trained")
    until(lambda: configurations(cwd), "its run is open")
    os.killpg(process.process.pid, signal.SIGINT)
    assert process.ended() == 130
    assert {run.info.status for run in runs(store_of(cwd))} == {"KILLED"}


ENDLESS = ("-m", *SMALL, "cv.folds=3", "train.epochs=100000", "seed=0,1,2")


def configurations(cwd: Path) -> list:
    """Look only where the store has been made, for looking would make it."""
    found = runs(store_of(cwd)) if (cwd / "mlflow.db").exists() else []
    return [run for run in found if run.data.tags["level"] == "configuration"]


def holders(cwd: Path) -> list[int | None]:
    """Return which process holds each trial, by the file that it has locked."""
    found = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError, ValueError):  # it ends, or lets go
            path = os.readlink(link)
            if path.startswith(f"{cwd}/studies.db-locks/"):
                found[int(path.rpartition("-")[2])] = int(link.parts[2])
    return [found.get(number) for number in range(3)]


def owners(cwd: Path) -> list[str | None]:
    """Return the command that will answer for each trial, if its process dies."""
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{cwd}/studies.db")
    found = {one.number: one.user_attrs.get("owner") for one in study.trials}
    return [found.get(number) for number in range(3)]


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="two workers need two cores")
def test_14_a_trial_that_is_killed_again_and_again_fails_and_no_other_does(begin, tmp_path):
    """Its worker is shot as the kernel does when memory is short; beside it one works on."""
    cwd = tmp_path / "work"
    given = ("-m", *SMALL, "cv.folds=5", "train.epochs=1500", "seed=0,1,2,3")
    sweep = begin(cwd, *given, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    shot: set[int] = set()

    def is_first_tracked() -> bool:
        found = load(f"sqlite:///{cwd}/studies.db", None, "nowhere").trials if shown() else ()
        return bool(found and found[0].run_id)

    def shown() -> bool:
        assert sweep.process.poll() is None, sweep.out + sweep.err
        return "study " in sweep.out

    def worker_of_the_first() -> int | None:
        """Not a process that looks whether another has it, or that takes it at this moment."""
        assert shown()
        holder = holders(cwd)[0]
        trains = holder not in shot and owners(cwd)[0] and holders(cwd)[0] == holder
        return holder if trains else None

    until(is_first_tracked, "the first trial has its run")
    for _ in range(3):
        worker = until(worker_of_the_first, "a new process trains the first trial")
        shot.add(worker)
        os.kill(worker, signal.SIGKILL)
    assert sweep.ended() == 1, sweep.err
    assert "1 of 4 configurations failed" in sweep.err
    assert sweep.out.count("a process of this sweep died") == 3
    states = {row["seed"]: row["state"] for row in leaderboard(cwd)}
    assert states == {"0": "failed", "1": "complete", "2": "complete", "3": "complete"}
    assert statuses(cwd, "configuration") == {"FINISHED": 3, "FAILED": 1}
    (failed,) = [run for run in configurations(cwd) if run.info.status == "FAILED"]
    assert failed.data.params["seed"] == "0"
    assert "its process died 3 times: killed, or out of memory?" in failed.data.tags["error"]
    assert "RUNNING" not in {run.info.status for run in runs(store_of(cwd))}


LINE = Description(
    title="a sweep",
    note="",
    objectives=(Objective("ap"),),
    space={"x": Choice(tuple("012345"))},
    sampler="grid",
    n_trials=6,
    seed=0,
    n_folds=7,
    race=False,
    pruner="none",
    burn_in=3,
)

HOLDER = """
import sys
from lvh.validation.metrics import NAMES
from lvh.search.storage import Storage
from lvh.search.trials import Study
from lvh.evaluation.results import FoldScore

study = Study(Storage(sys.argv[1]), "s")
claim = study.claim(sys.argv[2])
print(None if claim is None else claim.number, flush=True)
sys.stdin.read()
score = FoldScore(0, 1, dict.fromkeys(NAMES, 0.1), 1.0, 30, 6)
study.record_fold(claim.number, 1, score, "late")
study.set_run(claim.number, "late")
study.stop(claim.number)
study.refuse(claim.number, "late")
study.complete(claim.number, [0.1], {"no skill": {"ap": 0.5}})
study.set_tracked(claim.number)
claim.release()
"""


class Holder:
    """A process that holds a trial until it is shot, or told to deliver."""

    def __init__(self, address: str, owner: str = "me") -> None:
        code = [sys.executable, "-c", HOLDER, address, owner]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(code, text=True, **pipes)
        self.number = ast.literal_eval(self.process.stdout.readline())

    def shoot(self) -> None:
        self.process.kill()
        self.process.communicate()

    def deliver(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.fixture
def address(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def study(address) -> Study:
    return create(Storage(address), "s", LINE, anew=False)


def states(study: Study) -> list[str]:
    return [one.state for one in result_of(study, "nowhere").trials]


def test_14_a_trial_is_blamed_only_for_processes_that_held_it(study, address):
    """Not one that waits for its turn, nor one of another command."""
    waiting = study.claim("me")
    waiting.release()
    deadly = Holder(address)
    assert deadly.number == waiting.number
    other = study.claim("other")
    assert study.count_deaths("me") == {}  # it lives
    deadly.shoot()
    for _ in range(5):
        assert study.count_deaths("me") == {}  # one death, however often it is looked for
    mine = study.claim("me")
    assert mine.number == deadly.number
    mine.release()
    other.release()
    assert states(study) == ["open", "open"]


def test_14_a_trial_on_its_last_chance_is_alone_so_that_no_other_dies_with_it(study, address):
    for _ in range(2):
        pair = Holder(address), Holder(address)
        assert [one.number for one in pair] == [0, 1]
        for one in pair:
            one.shoot()
        assert study.count_deaths("me") == {}
    first = study.claim("me")
    assert first.number == 0
    assert study.claim("me") is None  # nobody beside it
    stranger = study.claim("another command")
    assert stranger.number == 1
    stranger.release()
    first.release()

    deadly = Holder(address)
    assert deadly.number == 0
    deadly.shoot()
    error = "its process died 3 times: killed, or out of memory?"
    assert study.count_deaths("me") == {0: error}
    assert result_of(study, "nowhere").trials[0].error == error
    assert states(study) == ["failed", "open"]
    beside = study.claim("me")
    assert beside.number == 1
    study.complete(1, [0.5], {})
    beside.release()
    assert states(study) == ["failed", "complete"]


@pytest.fixture(scope="module")
def failing(tmp_path_factory) -> Done:
    """The training of one of three configurations ends with an exception."""
    return command(
        *("-m", *SMALL, "cv.folds=3", "train.epochs=20", "train.learning_rate=0.001,1e38,0.003"),
        cwd=tmp_path_factory.mktemp("failing"),
    )


def test_15_a_configuration_that_fails_is_told_and_the_others_finish(failing):
    assert failing.code == 1
    assert failing.err == "lvh: 1 of 3 configurations failed\n"
    assert "Traceback" not in failing.out
    assert statuses(failing.cwd, "configuration") == {"FINISHED": 2, "FAILED": 1}
    assert statuses(failing.cwd, "sweep") == {"FINISHED": 1}
    (run,) = [run for run in configurations(failing.cwd) if run.info.status == "FAILED"]
    assert run.data.params[RATE] == "1e+38"
    assert "A lower train.learning_rate" in run.data.tags["error"]


def test_16_a_loss_that_is_not_a_number_is_a_failure_and_never_the_best(failing):
    rows = {row[RATE]: row for row in leaderboard(failing.cwd)}
    lost = rows.pop("1e+38")
    assert (lost["state"], lost["rank"], lost["mean"]) == ("failed", "", "")
    assert sorted(row["rank"] for row in rows.values()) == ["1", "2"]
    assert "1e+38" not in failing.out[failing.out.index("Best: ") :].splitlines()[0]
    again = command(
        *("-m", *SMALL, "cv.folds=3", "train.epochs=20", "train.learning_rate=0.001,1e38,0.003"),
        cwd=failing.cwd,
    )
    assert again.code == 1
    assert shown_folds(again.out) == 0


class Slow:
    """Takes a moment of the monotonic clock, while the one on the wall jumps about."""

    n_parameters, setup_seconds = 0, 0.0

    def max_parallel(self, sizes):
        return 1

    def fit(self, jobs, on_epoch):
        return [History((0.7,), (0.5,), (), (), 1)] * len(jobs)

    def predict(self, parts):
        return [np.full(len(X), 0.6) for X in parts]


def test_17_a_clock_that_jumps_changes_no_duration(cohort, monkeypatch):
    jumping = iter(range(10**9, 0, -(10**6)))
    steady = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: float(next(jumping)))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(steady)))
    data = FORMS["ntp"].extract(cohort, NtpSettings("ntp", "mean", "drop", "minmax"))
    folds = splits(data.y, data.subjects, CvSettings("stratified", 3, 1, 0, 0.2, 0.0))
    results = train_folds(data, folds, Slow(), seed=0)
    assert [result.seconds for result in results] == [1.0] * 3


def test_17_the_clock_on_the_wall_only_says_when():
    """Never how long: nothing is subtracted from it, and nothing waits by it."""
    allowed = {"search/trials.py": 1, "tracking/mlflow_store.py": 1, "tracking/view.py": 1}
    package = Path(lvh.__file__).parent
    found = Counter()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                *("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "time.clock"),
            ):
                found[path.relative_to(package).as_posix()] += 1
    assert found == allowed


def test_18_what_a_worker_delivers_that_was_taken_for_dead_changes_nothing(
    study, address, tmp_path
):
    late = Holder(address)
    shutil.rmtree(tmp_path / "studies.db-locks")  # what held the trial is gone, but not who
    mine = study.claim("another command")
    assert mine.number == late.number == 0
    study.complete(0, [0.7], {})
    study.set_run(0, "mine")
    mine.release()
    assert late.deliver() == (0, "")
    trial = result_of(study, "nowhere").trials[0]
    assert (trial.state, trial.values, trial.error) == ("complete", (0.7,), "")
    assert trial.run_id == "mine"
    assert (trial.folds, trial.baselines) == ((), {})


def test_18_a_trial_that_was_failed_stays_so_when_its_worker_comes_back(study, address):
    late = Holder(address)
    study.fail(late.number, "taken for dead")
    assert late.deliver() == (0, "")
    trial = result_of(study, "nowhere").trials[0]
    assert (trial.state, trial.values, trial.error) == ("failed", (), "taken for dead")
    assert not study.untracked()
