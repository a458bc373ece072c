"""A budget: fewer epochs first, from where they stopped; what cannot win is stopped."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lvh.config.command_line import CommandLine
from lvh.config.composition import compose
from lvh.evaluation.cross_validation import Callback, StopCrossValidation
from lvh.runs.experiment_data import load_data
from lvh.runs.run import run_configuration
from lvh.tracking import TrackingSettings
from lvh.tracking.fold_store import FoldStore
from lvh.tracking.run_record import RunRecord, SweepLink, load_run
from lvh.tracking.tracker import Tracker

OVERRIDES = (
    "data=synthetic data.records=40 model=cnn model.filters=[4,4] kernel=250 stride=125 "
    "cv=stratified cv.folds=3 train.epochs=6 train.precise_bn=true tracking=off"
).split()
RUNGS = (1, 3, 6)


class _Killed(BaseException):
    """The process ends now."""


class _Follow(Callback):
    """Counts the epochs of each fold; ends the process after some folds of any stage."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.epochs: Counter[int] = Counter()
        self._left = dies_after

    def on_epoch(self, split, epoch) -> None:
        self.epochs[split.fold] += 1

    def on_fold(self, fold, known) -> None:
        if self._left is not None and not known:
            self._left -= 1
            if self._left < 0:
                raise _Killed


def run(folder: Path, *follow: Callback, **more: Any) -> RunRecord:
    one = compose(CommandLine((*OVERRIDES, f"store={folder}/folds")))
    more |= {"tracker": Tracker(TrackingSettings("off")), "verbosity": "line"}
    return run_configuration(one, load_data(one.settings), folder / "run", callbacks=follow, **more)


def train(folder: Path, rungs: tuple[int, ...], follow: _Follow) -> dict[int, list[float]]:
    """Train, or resume; return the scores of the records of each fold."""
    record = run(folder, follow, rungs=rungs)
    assert record.status == "complete"
    folds = [FoldStore(folder / "folds").read(key) for key in record.fold_keys]
    return {fold.fold: list(fold.y_score) for fold in folds}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[int, list[float]]:
    return train(tmp_path_factory.mktemp("plain"), (6,), _Follow())


def test_stages_train_each_epoch_once_and_end_as_one_training(undisturbed, tmp_path):
    follow = _Follow()
    assert train(tmp_path, RUNGS, follow) == undisturbed
    assert follow.epochs == {fold: 6 for fold in range(3)}
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(("n_folds", "is_damaged"), [(0, False), (4, False), (8, False), (4, True)])
def test_a_killed_process_resumes_at_its_fold(undisturbed, tmp_path, n_folds, is_damaged):
    """A damaged checkpoint costs epochs and no number."""
    before, after = _Follow(dies_after=n_folds), _Follow()
    with suppress(_Killed):
        train(tmp_path, RUNGS, before)
    for path in tmp_path.rglob("*.npz") if is_damaged else ():
        path.write_bytes(path.read_bytes()[:1000])
    assert train(tmp_path, RUNGS, after) == undisturbed
    # the fold whose end the process did not see was stored already
    assert (before.epochs + after.epochs == {fold: 6 for fold in range(3)}) != is_damaged


class _Stop(Callback):
    def on_fold(self, fold, known) -> None:
        raise StopCrossValidation("behind")


def test_a_sweep_that_stops_a_run_leaves_the_result_of_another_one(tmp_path):
    run(tmp_path, sweep=SweepLink("full", 0))
    for study in ("full", "budget", "budget"):
        stopped = run(tmp_path, _Stop(), sweep=SweepLink(study, 4), rungs=RUNGS)
        assert (stopped.status, stopped.error) == ("stopped", "behind")
    own, other = sorted(map(load_run, tmp_path.glob("folds/runs/*.json")), key=lambda of: of.status)
    assert (own.status, own.sweep.study, len(own.fold_keys)) == ("complete", "full", 3)
    assert (other.status, other.sweep.study, other.path) == ("stopped", "budget", stopped.path)
