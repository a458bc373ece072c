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
    assert settings("model=cnn").features.leads == ("avl", "v1", "v5", "v6")
    assert settings("model=resnet", "features.leads=all").features.leads == LEADS
    both = asdict(settings("model=resnet").features) | {"name": "fusion", "missing": "mean"}
    assert asdict(settings("model=two_branch").features) == both
    assert settings("model=criteria", "features=voltage").features.missing == "zero"
