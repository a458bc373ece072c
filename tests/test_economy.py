"""What is costly happens as often as it must: builds, traces, reads."""

from collections import Counter
from pathlib import Path

import pytest

from lvh.config.composition import Composed
from lvh.config.composition import settings_of as compose_settings
from lvh.evaluation.cross_validation import Callback
from lvh.models import MODELS, trainers
from lvh.models.backends import start
from lvh.runs import run
from lvh.runs.run import load_data, run_configuration
from lvh.tracking import Tracker


@pytest.fixture(autouse=True)
def _backend():
    start("tensorflow", None, 1)


class Kept(Callback):
    """Keeps the folds."""

    def __init__(self) -> None:
        self.folds = []

    def on_fold(self, fold, known):
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
    for cached in (trainers._program, run._experiment_data, run._cohort, run.baselines_of):
        cached.cache_clear()


def trained(settings, folder: Path) -> list:
    kept = Kept()
    run_configuration(
        Composed(settings, ""),
        load_data(settings),
        folder,
        tracker=Tracker(settings.tracking),
        callbacks=[kept],
        verbosity="line",
    )
    return kept.folds


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
