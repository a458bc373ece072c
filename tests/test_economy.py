"""What is costly happens as often as it must: builds, traces, reads."""

from collections import Counter
from pathlib import Path

import pytest

from lvh.config.composition import Composed
from lvh.config.composition import settings_of as compose_settings
from lvh.data import SOURCES
from lvh.evaluation.cross_validation import Callback
from lvh.features import FORMS
from lvh.models import trainers
from lvh.models.backends import start
from lvh.models.classifiers import BASELINES
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
    load_data(settings_of("features.missing_p=zero"))
    assert done == {"load": 1, "extract": 2, "fit": 7}
    load_data(settings_of("data.records=35"))
    assert done == {"load": 2, "extract": 3, "fit": 7}


def counted_as(done: Counter, name: str, original):
    def counted(*args):
        done[name] += 1
        return original(*args)

    return counted
