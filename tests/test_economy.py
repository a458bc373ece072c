"""What is costly happens as often as it must: builds, traces, reads, calls of the store."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from lvh.runs.evaluate import Place, Unobserved, evaluate, prepare
from mlflow import MlflowClient

from lvh.config.composition import settings_of as compose_settings
from lvh.data import SOURCES
from lvh.features import FORMS
from lvh.models import MODELS
from lvh.models.backends import start
from lvh.models.baselines import BASELINES
from lvh.runs import evaluate as evaluation


@pytest.fixture(autouse=True)
def _backend():
    start("tensorflow", None, 1)


class Kept(Unobserved):
    """Keeps the folds."""

    def __init__(self) -> None:
        self.folds = []

    def on_fold(self, fold, key, known):
        self.folds.append(fold)


@pytest.fixture
def settings_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def composed(*overrides: str):
        small = ["data=synthetic", "data.records=42", "train.epochs=2", "resume=false"]
        return compose_settings(*small, "tracking=off", *overrides)

    clear()
    yield composed
    clear()


def clear() -> None:
    for cached in (evaluation._program, evaluation._prepared, evaluation._cohort):
        cached.cache_clear()
    evaluation.baselines.cache_clear()


def trained(settings, folder: Path) -> list:
    observer = Kept()
    evaluate(settings, prepare(settings), Place(folder, "", "line"), observer)
    return observer.folds


@pytest.mark.parametrize(
    ("model", "same_shape", "another_shape"),
    [
        ("dnn", ["seed=1", "train.learning_rate=0.01", "model.l2=0.1"], "model.units=[8,4,2]"),
        ("cnn", ["seed=1", "train.learning_rate=0.01"], "stride=50"),
    ],
)
def test_a_shape_is_built_and_traced_once(
    settings_of, tmp_path, monkeypatch, model, same_shape, another_shape
):
    builds = Counter()
    architecture = MODELS[model]

    def build(settings, shape):
        builds[settings] += 1
        return architecture.build(settings, shape)

    # one function for all calls: programs are kept by the function that builds them
    monkeypatch.setitem(MODELS, model, architecture._replace(build=build))
    common = [f"model={model}", *(["stride=125", "model.filters=[4,4]"] if model == "cnn" else [])]
    for number, change in enumerate(["seed=0", *same_shape]):
        folds = trained(settings_of(*common, change), tmp_path / str(number))
        assert len(folds) == 7
    assert list(builds.values()) == [1]
    trained(settings_of(*common, another_shape), tmp_path / "another")
    assert list(builds.values()) == [1, 1]
    assert evaluation._program.cache_info().currsize == 2


def test_folds_of_a_dense_network_are_trained_at_once(settings_of, tmp_path, monkeypatch):
    from lvh.models.backends.dense import DenseProgram

    trainings = []
    begin = DenseProgram.begin_anew

    def begin_anew(self, seeds, l2):
        trainings.append(len(seeds))
        begin(self, seeds, l2)

    monkeypatch.setattr(DenseProgram, "begin_anew", begin_anew)
    together = trained(settings_of("cv.repeats=3", "train.epochs=3"), tmp_path / "together")
    assert trainings == [16, 5]
    trainings.clear()
    few = settings_of("cv.repeats=3", "train.epochs=3", "train.side_by_side=3")
    for one, other in zip(trained(few, tmp_path / "few"), together, strict=True):
        assert one.y_score.tolist() == other.y_score.tolist()  # to the bit
        assert one.history == other.history
    assert trainings == [3] * 7


def test_records_inputs_and_baselines_are_made_once_for_all_configurations(
    settings_of, tmp_path, monkeypatch
):
    done = Counter()
    source, form = SOURCES["synthetic"], FORMS["ntp"]
    extract = counted_as(done, "extract", form.extract)
    load = counted_as(done, "load", source.load)
    monkeypatch.setitem(SOURCES, "synthetic", source._replace(load=load))
    monkeypatch.setitem(FORMS, "ntp", form._replace(extract=extract))
    monkeypatch.setitem(BASELINES, "age + sex", counted_as(done, "fit", BASELINES["age + sex"]))
    for seed in range(3):
        trained(settings_of(f"seed={seed}"), tmp_path / str(seed))
    assert done == {"load": 1, "extract": 1, "fit": 7}
    prepare(settings_of("features.missing_p=zero"))
    assert done == {"load": 1, "extract": 2, "fit": 7}
    prepare(settings_of("data.records=35"))
    assert done == {"load": 2, "extract": 3, "fit": 7}


def test_the_store_is_called_three_times_a_fold_however_many_epochs(
    settings_of, tmp_path, monkeypatch
):
    """A call to a server is a round trip: epochs and scores go in one."""
    from lvh.tracking.mlflow_run import MlflowRun

    from lvh.evaluation.cross_validation import conclude
    from lvh.tracking import RunKey, RunToOpen, TrackingSettings

    calls = Counter()
    for name in (one for one in dir(MlflowClient) if not one.startswith("_")):
        original = getattr(MlflowClient, name)
        if callable(original):
            monkeypatch.setattr(MlflowClient, name, counting(calls, name, original))
    settings = settings_of("model=dnn", "train.epochs=30")
    folds = trained(settings, tmp_path / "run")
    result = conclude(prepare(settings).features, folds, {})
    tracking = TrackingSettings("mlflow", None, "lvh")
    database = tmp_path / "mlflow.db"
    key = RunKey("key", anew=True)
    run = MlflowRun(
        RunToOpen(f"sqlite:///{database}", database, tracking, "configuration", "one", {}, {}, key)
    )
    calls.clear()
    for fold in folds:
        run.log_fold(fold)
    assert calls == {name: 7 for name in ("create_run", "log_batch", "set_terminated")}
    calls.clear()
    run.log_result(result)
    run.log_folder(tmp_path / "run")
    run.end("FINISHED", "")
    assert sum(calls.values()) == 4, calls


def counted_as(done: Counter, name: str, original):
    def counted(*args):
        done[name] += 1
        return original(*args)

    return counted


def counting(calls: Counter, name: str, original):
    def counted(self, *args, **kwargs):
        calls[name] += 1
        return original(self, *args, **kwargs)

    return counted


def test_what_conclusions_need_is_imported_once_beside_the_training():
    code = """
import sys, threading
from lvh import evaluation

before = sys.getswitchinterval()
evaluation._import_ahead()
evaluation._import_ahead()
(thread,) = set(threading.enumerate()) - {threading.main_thread()}
thread.join()
assert set(evaluation._SLOW) <= sys.modules.keys()
assert sys.getswitchinterval() == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_recorder_does_without_what_mlflow_imports_where_it_finds_it():
    code = "import sys, lvh.tracking.mlflow_run; assert 'pandas' not in sys.modules; import pandas"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_seldom_looks_for_garbage():
    """By default Python does so seven times among all of TensorFlow's objects: a second a run."""
    code = """
import gc, sys
from lvh.cli.run import main

sys.argv[1:] = ["seed=-1"]
assert main() == 2
assert gc.get_threshold()[0] >= 10_000  # by default 700, 2000 as of Python 3.13
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
