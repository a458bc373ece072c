"""What a user types becomes settings, or one line that says what is wrong."""

from dataclasses import asdict
from pathlib import Path

import pytest

from lvh.config.command_line import CommandLine, quoted
from lvh.config.composition import settings_of as settings
from lvh.config.groups import conf_dir
from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.models import MODELS

GROUPS = ("data", "external", "features", "model", "kernel", "stride", "cv", "train", "tracking")
CHOICES = [
    (group, option) for group in GROUPS for option in CommandLine().loader.get_group_options(group)
]


@pytest.fixture(autouse=True)
def _no_root_from_outside(monkeypatch):
    monkeypatch.delenv("LVH_LUDB_ROOT", raising=False)


def refusal(*overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        settings(*overrides)
    return str(caught.value)


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_choice_composes(group, option):
    convolves = group in ("kernel", "stride") or option in ("raw", "beat")
    model = "cnn" if convolves else "two_branch" if option == "fusion" else None
    given = [f"model={model}"] if model else []
    if "external" in (group, option):  # the one needs the other, and other records
        other = "synthetic" if option != "synthetic" else "ludb"
        given += [f"data={other}", "cv=external", *(["external=ptbxl"] if group == "cv" else [])]
    result = settings(*given, f"{group}={option}")
    assert result.params()["model"] in MODELS


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_says_what_it_is_and_how_it_is_used(path: Path):
    comment = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert any("python -m lvh.run" in line for line in comment)
    assert not comment[0].startswith("# @package") or len(comment) > 2


def test_defaults_are_the_reports():
    default = settings()
    assert default.name == "dnn-ntp"
    assert (default.cv.scheme, default.cv.folds, default.cv.random_state) == ("kfold", 7, 123)
    assert (default.train.epochs, default.cv.validation) == (100, 0.0)
    assert (default.model.units, default.model.l2) == ((64, 32, 8), 0.001)
    early = settings("train=early_stopping")
    assert (early.train.patience, early.train.epochs, early.cv.validation) == (30, 200, 0.2)
    holdout = settings("cv=holdout").cv
    assert (holdout.scheme, holdout.test_size, holdout.validation) == ("holdout", 0.2, 0.2)


def test_a_model_brings_its_features_kernel_and_stride():
    assert settings("model=cnn").name == "k250-s10-cnn-raw"
    assert settings("model=cnn").features.leads == ("avl", "v1", "v5", "v6")
    assert settings("model=dnn").features.name == "ntp"
    assert settings("model=resnet").name == "resnet-beat"
    assert settings("model=resnet").features.leads == LEADS
    assert settings("model=resnet", "features=raw").name == "resnet-raw"
    assert settings("model=two_branch").name == "two_branch-fusion"


def test_fusion_has_the_settings_of_both_halves():
    both = asdict(settings("model=resnet").features) | asdict(settings("features=voltage").features)

    assert asdict(settings("model=two_branch").features) == both | {"name": "fusion"}
    given = settings("model=two_branch", "features.leads=[v1]", "features.missing=zero").features
    assert (given.leads, given.missing) == (("v1",), "zero")


def test_all_leads_are_the_same_choice_as_their_names():
    by_name = settings("model=cnn", f"features.leads=[{','.join(LEADS)}]")
    assert settings("model=cnn", "features.leads=all") == by_name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (["stride=10"], "k250-s10-cnn-raw"),
        (["kernel=400", "stride=125"], "k400-s125-cnn-raw"),
        (["model.kernel_size=320"], "k320-s10-cnn-raw"),
        (["model.kernel_size=7", "model.strides=3", "stride=50"], "k7-s3-cnn-raw"),
    ],
)
def test_numbers_choose_kernel_and_stride_unquoted(typed, name):
    assert settings("model=cnn", *typed).name == name


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("stride=10", "stride='10'"),
        ("kernel=250,400,500", "kernel='250','400','500'"),
        ("stride=choice(5,10)", "stride=choice('5','10')"),
        ('kernel="250"', 'kernel="250"'),
        ("stride=null", "stride='null'"),
        ("model=svm,trees", "model=svm,extra_trees"),
        ("model=glob(*)", "model=glob(*)"),
        ("model.kernel_size=320", "model.kernel_size=320"),
        ("kernel_x=3", "kernel_x=3"),
    ],
)
def test_only_options_of_groups_are_quoted_and_renamed(typed, expected):
    assert quoted([typed]) == [expected]
    assert quoted([expected]) == [expected]


@pytest.mark.parametrize(
    ("typed", "name"),
    [("chosen", "nested_selection"), ("trees", "extra_trees"), ("average", "voting")],
)
def test_former_names_of_models_are_the_present_ones(typed, name):
    assert settings(f"model={typed}") == settings(f"model={name}")
    assert settings(f"model.name={name}", f"model={typed}").model.name == name


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["model=svm", "cv.weights=carried", "cv.allow_leakage=true"], ["fitted in one go", "svm"]),
        (["train.augment.noise=0.1"], ["train.augment: changes signals", "model=dnn"]),
        (["model=cnn", "train.augment.noise=0.1"], ["train.augment", "features.scaling=none"]),
        (["train.patience=5"], ["train.patience", "cv.validation"]),
        (["model=svm", "train=early_stopping"], ["train.patience", "train=fixed", "patience=30"]),
        (["model=svm", "features=raw"], ["model=svm", "features=raw", "features=ntp or voltage"]),
        (["model=criteria", "features=ntp"], ["model=criteria needs voltage", "features=voltage"]),
        (["model=resnet", "features=ntp"], ["model=resnet", "features=raw or beat"]),
        (["features=fusion"], ["model=dnn", "gives mixed ones", "features=ntp or voltage"]),
        (["features=raw"], ["model=dnn", "features=raw", "features=ntp"]),
        (["model=svm", "kernel=250"], ["kernel", "model=svm has no convolution"]),
        (["kernel=250", "stride=5"], ["kernel and stride", "model=dnn has no convolution"]),
        (["model=resnet", "kernel=250"], ["kernel: model=resnet has a kernel", "model=cnn"]),
        (["cv.weights=carried"], ["cv.weights: carried leaks", "cv.allow_leakage=true"]),
        (["cv.epoch=best_on_scored"], ["cv.epoch: best_on_scored leaks", "cv.allow_leakage=true"]),
        (
            ["cv.threshold=specificity_90", "cv.weights=carried", "cv.allow_leakage=true"],
            ["cv.threshold: expected fixed", "specificity_90, carried weights"],
        ),
        (
            ["cv.weights=carried", "cv.allow_leakage=true", "search.race=true"],
            ["search.race", "carried weights"],
        ),
        (["search.objectives=[ap,speed]"], ["search.objectives", "'speed'", "seconds"]),
        (["search.objectives=[ap,ap]"], ["search.objectives", "different ones"]),
        (["search.objectives=[ap,seconds]", "search.race=true"], ["search.objectives: expected"]),
        (["cv=external"], ["cv and external", "external=none"]),
    ],
    ids=lambda value: " ".join(value) if value and "=" in value[0] else "",
)
def test_settings_that_do_not_go_together_are_named(overrides, parts):
    message = refusal(*overrides)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message


def test_a_run_that_leaks_says_so_in_its_name():
    leaking = settings("cv.weights=carried", "cv.allow_leakage=true")
    assert leaking.name == "dnn-ntp-carried"
    assert settings("cv.allow_leakage=true").name == "dnn-ntp"


@pytest.mark.parametrize("path", sorted((conf_dir() / "experiment").glob("report_*.yaml")))
def test_a_recipe_of_the_report_composes_on_its_data(path):
    assert settings(f"experiment={path.stem}").data.name == "ludb"


def test_params_tell_configurations_apart_by_plain_names():
    params = settings("model=cnn", "stride=50", "seed=3").params()
    assert (params["model"], params["features"], params["data"]) == ("cnn", "raw", "ludb")
    assert (params["kernel"], params["stride"], params["seed"]) == (250, 50, 3)
    assert params["features.leads"] == "avl v1 v5 v6"
    assert not [name for name in params if name.startswith("tracking")]  # may hold a password
    assert all(value is None or isinstance(value, (str, int, float)) for value in params.values())


def test_what_keras_has_no_part_in_has_no_epochs_and_no_backend():
    svm = settings("model=svm", "backend=jax")
    assert not svm.is_network
    assert svm.backend == "scikit-learn"
    assert svm.params()["backend"] == "scikit-learn"
    assert not [name for name in svm.params() if name.startswith("train.")]
    assert settings("model=dnn", "backend=jax").backend == "jax"


def test_criteria_bring_their_inputs():
    assert settings("model=criteria").features.name == "voltage"
    assert settings("model=criteria", "features=voltage").features.missing == "zero"
    assert settings("model=criteria", "features.missing=mean").features.missing == "mean"


def test_augmentation_is_told_field_by_field():
    given = ["model=resnet", "train.augment.noise=0.02", "train.augment.shift=0.01"]
    params = settings(*given).params()
    assert (params["train.augment.noise"], params["train.augment.shift"]) == (0.02, 0.01)
    assert settings("model=cnn", "train.augment.shift=0.1").train.augment.is_on  # minmax or not
