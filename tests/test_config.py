"""What a user types becomes checked, typed settings."""

from dataclasses import asdict

import pytest

from lvh.config.command_line import CommandLine
from lvh.config.composition import settings_of as settings
from lvh.data.cohort import LEADS
from lvh.models import MODELS

GROUPS = ("data", "external", "features", "model", "kernel", "stride", "cv", "train", "tracking")
OPTIONS = [
    (group, option) for group in GROUPS for option in CommandLine().loader.get_group_options(group)
]


@pytest.fixture(autouse=True)
def _no_root_from_outside(monkeypatch):
    monkeypatch.delenv("LVH_LUDB_ROOT", raising=False)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    convolves = group in ("kernel", "stride") or option in ("raw", "beat")
    model = "cnn" if convolves else "two_branch" if option == "fusion" else None
    typed = [f"model={model}"] if model else []
    if "external" in (group, option):  # the one needs the other, and other records
        other = "synthetic" if option != "synthetic" else "ludb"
        typed += [f"data={other}", "cv=external", *(["external=ptbxl"] if group == "cv" else [])]
    if option == "table":
        typed += [f"{group}.path=records.csv", f"{group}.label=af"]
    assert settings(*typed, f"{group}={option}").params()["model"] in MODELS


def test_defaults_are_those_of_the_2021_study_and_of_the_model():
    default = settings()
    assert default.name == "dnn-ntp"
    assert (default.cv.scheme, default.cv.folds, default.cv.random_state) == ("kfold", 7, 123)
    assert (default.train.epochs, default.cv.validation) == (100, 0.0)
    assert (default.model.units, default.model.l2) == ((64, 32, 8), 0.001)
    early = settings("train=early_stopping")
    assert (early.train.patience, early.train.epochs, early.cv.validation) == (30, 200, 0.2)
    holdout = settings("cv=holdout").cv
    assert (holdout.scheme, holdout.test_size, holdout.validation) == ("holdout", 0.2, 0.2)
    assert settings("model=cnn").features.leads == ("avl", "v1", "v5", "v6")
    assert settings("model=resnet").features.leads == LEADS
    by_name = settings("model=cnn", f"features.leads=[{','.join(LEADS)}]")
    assert settings("model=cnn", "features.leads=all") == by_name
    both = asdict(settings("model=resnet").features) | {"name": "fusion", "missing": "mean"}
    assert asdict(settings("model=two_branch").features) == both
    assert settings("model=criteria", "features=voltage").features.missing == "zero"
    assert settings("model=criteria", "features.missing=mean").features.missing == "mean"
    assert settings("model=cnn", "train.augment.shift=0.1").train.augment.is_on


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("model=resnet", "resnet-beat"),
        ("model=cnn kernel=400 stride=125", "cnn-raw kernel=400 stride=125"),
        ("model=cnn model.kernel_size=7 model.strides=3", "cnn-raw kernel=7 stride=3"),
        ("cv.weights=carried cv.allow_leakage=true", "dnn-ntp-carried"),
        ("cv=external external=synthetic", "dnn-ntp-on-synthetic"),
        ("model=nested_selection", "nested_selection-ntp"),
        ("model=svm model.C=3 seed=2 cv=repeated", "svm-ntp C=3 cv=stratified repeats=5 seed=2"),
        ("data=ptbxl data.label=AFIB model=cnn", "cnn-raw label=AFIB"),
    ],
)
def test_a_short_name_says_what_was_chosen(typed, name):
    assert settings(*typed.split()).name == name
