"""Commands that a test starts, disturbs and ends, and the files that they leave."""

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import conftest
import optuna
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import TrialState

_BEGUN = re.compile(r"^(.+?): [\dx ]+ inputs, .*folds x \d+ epochs$")
_FOLD = re.compile(r"^fold (\d+) of (\d+): ")
_CONCLUDED = re.compile(r"^(.+?): ap \d")


@dataclass
class Command:
    """A command that runs, or has run, with all it prints in files."""

    process: subprocess.Popen
    cwd: Path
    log: Path

    @property
    def out(self) -> str:
        return self.log.read_text()

    @property
    def err(self) -> str:
        return self.log.with_suffix(".err").read_text()

    def ended(self, seconds: float = 420) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it with all its processes, with no time to say anything."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    @property
    def study(self) -> str:
        return re.search(r"^study: (\S+) in ", self.out, re.MULTILINE)[1]

    @property
    def n_trained(self) -> int:
        return int(re.search(r"^(\d+) folds trained now", self.out, re.MULTILINE)[1])

    @property
    def leaderboard(self) -> str:
        shown = re.search(r"^\d+ configurations by .* complete\.$", self.out, re.DOTALL | re.M)
        assert shown, self.out + self.err
        return shown[0]

    def folds(self) -> list[tuple[str, int]]:
        """Return the folds that it says to have trained, by configuration and number."""
        trained, waiting, configuration = [], [], ""
        for line in self.out.splitlines():
            if fold := _FOLD.match(line):
                waiting.append(int(fold[1]))
            elif begun := _BEGUN.match(line):
                configuration = begun[1]
            elif done := _CONCLUDED.match(line):  # one that is taken up again is not announced
                trained += [(done[1], number) for number in waiting]
                waiting = []
        return trained + [(configuration, number) for number in waiting]

    def amid(self) -> bool:
        """Whether it trains a configuration of which it has done a fold, but not all."""
        assert self.process.poll() is None, self.out + self.err
        kinds = (_BEGUN, _FOLD, _CONCLUDED)
        events = [line for line in self.out.splitlines() if any(one.match(line) for one in kinds)]
        fold = _FOLD.match(events[-1]) if events else None
        return bool(fold) and fold[1] != fold[2]


def at_work(commands: list[Command]) -> list[Command]:
    """Return those that are amid a configuration; one that only times steps may train nothing."""
    return [one for one in commands if one.process.poll() is None and one.amid()]


Begin = Callable[..., Command]


@contextmanager
def beginning() -> Iterator[Begin]:
    """Start commands that are ended with the body, even if it fails."""
    begun: list[Command] = []

    def start(cwd: Path, *arguments: str, **environment: str) -> Command:
        cwd.mkdir(exist_ok=True)
        log = cwd / f"command-{len(begun)}.log"
        with log.open("w") as out, log.with_suffix(".err").open("w") as err:
            process = conftest.start(*arguments, cwd=cwd, out=out, err=err, **environment)
        begun.append(Command(process, cwd, log))
        return begun[-1]

    try:
        yield start
    finally:
        for command in begun:
            if command.process.poll() is None:
                command.kill()


def assert_done_once_each(storage: str, study: str, n_points: int) -> None:
    """Each point is complete once; all others are attempts that a process did not end."""
    kept = optuna.storages.RDBStorage(storage.replace("postgresql://", "postgresql+psycopg://"))
    found = optuna.load_study(study_name=study, storage=kept).trials
    kept.remove_session()
    kept.engine.dispose()
    complete = [one for one in found if one.state == TrialState.COMPLETE]
    assert len({tuple(sorted(one.params.items())) for one in complete}) == len(complete) == n_points
    assert all(one.state.is_finished() for one in found)


def runs(uri: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    client = MlflowClient(uri)
    found = [one.experiment_id for one in client.search_experiments(filter_string="name = 'lvh'")]
    return client.search_runs(found, run_view_type=view, max_results=1000)


def assert_one_tree(uri: str, n_points: int, n_folds: int) -> None:
    """One sweep, its configurations with their scores, their folds once each, all ended well."""
    found = runs(uri)
    states = Counter((one.data.tags.get("level"), one.info.status) for one in found)
    expected = {"sweep": 1, "configuration": n_points, "fold": n_points * n_folds}
    assert states == {(level, "FINISHED"): n for level, n in expected.items()}, states
    of_level = {
        level: [one for one in found if one.data.tags["level"] == level]
        for level in ("sweep", "configuration", "fold")
    }
    (sweep,) = of_level["sweep"]
    above = {one.info.run_id: one.data.tags.get("mlflow.parentRunId") for one in found}
    configurations = {one.info.run_id for one in of_level["configuration"]}
    assert len(configurations) == n_points
    assert {above[one] for one in configurations} == {sweep.info.run_id}
    assert all("ap" in one.data.metrics for one in of_level["configuration"])
    folds = [(above[one.info.run_id], one.data.params["fold"]) for one in of_level["fold"]]
    assert len(set(folds)) == len(folds) == n_points * n_folds
    assert {parent for parent, _ in folds} == configurations


def stored(cwd: Path) -> list[Path]:
    return list((cwd / "outputs" / "folds").glob("??/*.json"))
