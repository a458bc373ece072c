"""What a user types becomes checked, typed settings."""

import pytest

from lvh.config.command_line import CommandLine
from lvh.config.composition import settings_of as settings
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
