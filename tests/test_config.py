"""What a user types becomes settings, or one line that says what is wrong."""

from dataclasses import asdict
from pathlib import Path

import pytest

from lvh.config.command_line import quoted
from lvh.config.composition import settings_of as settings
from lvh.config.groups import conf_dir
from lvh.data.cohort import LEADS
from lvh.errors import InputError
from lvh.models import MODELS

GROUPS = ("data", "features", "model", "kernel", "stride", "cv", "train", "tracking")
CHOICES = [
    (folder, path.stem) for folder in GROUPS for path in sorted((conf_dir() / folder).glob("*"))
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
        ("stride='10'", "stride='10'"),
        ('kernel="250"', 'kernel="250"'),
        ("stride=null", "stride='null'"),
        ("data=synthetic", "data=synthetic"),
        ("model.kernel_size=320", "model.kernel_size=320"),
        ("kernel_x=3", "kernel_x=3"),
        ("-m", "-m"),
    ],
)
def test_only_options_of_groups_are_quoted(typed, expected):
    assert quoted([typed]) == [expected]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["model=svm", "cv.weights=carried", "cv.allow_leakage=true"],
            ["fitted in one go", "model=svm"],
        ),
        (["train.augment.noise=0.1"], ["train.augment: changes signals", "model=dnn"]),
        (["model=svm", "train.augment.shift=0.1"], ["train.augment: changes signals", "model=svm"]),
        (["model=cnn", "train.augment.noise=0.1"], ["train.augment", "features.scaling=none"]),
        (["model=cnn", "train.augment.noise=-1"], ["train.augment.noise", "greater than or equal"]),
        (["model=cnn", "+train.augment.hum=1"], ["train.augment.hum"]),
        (["train.zzzzzzzzzzzz=3"], ["train.zzzzzzzzzzzz", "train.batch_size"]),
        (["qqqqqq=3"], ["qqqqqq", "data, external, features, model"]),
        (["train.epochs=2.5"], ["train.epochs", "integer", "2.5"]),
        (["train.epochs=true"], ["train.epochs", "integer", "True"]),
        (["train.epochs=many"], ["train.epochs", "integer", "'many'"]),
        (["train.patience=5"], ["train.patience", "cv.validation"]),
        (["model=svm", "train=early_stopping"], ["train.patience", "train=fixed", "patience=30"]),
        (["model=svm", "features=raw"], ["model=svm", "features=raw", "features=ntp or voltage"]),
        (["model=criteria", "features=raw"], ["model=criteria needs voltage", "features=voltage"]),
        (["model=criteria", "features=ntp"], ["model=criteria needs voltage", "features=voltage"]),
        (["model=svm", "kernel=250"], ["kernel", "model=svm has no convolution"]),
        (["model=logistic", "model.C=0"], ["model.C", "greater than 0", "Received: 0"]),
        (["model=svm", "model.C=many"], ["model.C", "number", "'many'"]),
        (["model=svm", "model.gamma=scale"], ["model.gamma", "number", "'scale'"]),
        (["model=boosting", "model.trees=0"], ["model.trees", "greater than or equal to 1"]),
        (["model=trees", "model.max_features=1.5"], ["model.max_features", "1.5"]),
        (
            ["model=criteria", "model.criterion=corner"],
            ["model.criterion", "'any', 'sokolow_lyon'"],
        ),
        (["model=dnn", "model.C=1"], ["model.C", "the chosen option of model"]),
        (["cv.validation=1"], ["cv.validation", "less than 1"]),
        (["cv.weights=carried"], ["cv.weights: carried leaks", "cv.allow_leakage=true"]),
        (["cv.epoch=best_on_scored"], ["cv.epoch: best_on_scored leaks", "cv.allow_leakage=true"]),
        (["cv.weights=stale"], ["cv.weights", "'fresh' or 'carried'", "'stale'"]),
        (["cv.threshold=0.4"], ["cv.threshold", "'fixed' or 'specificity_90'", "0.4"]),
        (
            ["cv.threshold=specificity_90", "cv.weights=carried", "cv.allow_leakage=true"],
            ["cv.threshold: expected fixed", "specificity_90, carried weights"],
        ),
        (["cv.allow_leakage=1"], ["cv.allow_leakage", "boolean"]),
        (
            ["cv.weights=carried", "cv.allow_leakage=true", "search.race=true"],
            ["search.race", "carried weights"],
        ),
        (
            ["cv.scheme=loo"],
            ["cv.scheme", "'kfold', 'stratified', 'holdout' or 'external'", "'loo'"],
        ),
        (["model=cnn", "model.filters=[]"], ["model.filters", "[]"]),
        (["model=cnn", "features.leads=v1"], ["features.leads", "all, or a list", "'v1'"]),
        (["model=resnet", "features.before=0"], ["features.before", "greater than 0"]),
        (["model=resnet", "features.average=mode"], ["features.average", "'mean' or 'median'"]),
        (["model=resnet", "features.malformed=keep"], ["features.malformed", "'drop' or 'fail'"]),
        (["model=resnet", "model.filters=[]"], ["model.filters", "[]"]),
        (["model=resnet", "model.blocks=0"], ["model.blocks", "greater than or equal to 1"]),
        (["model=resnet", "model.kernel_size=9"], ["model.kernel_size", "no such setting"]),
        (["model=resnet", "kernel=250"], ["kernel: model=resnet has a kernel", "model=cnn"]),
        (["model=resnet", "features=ntp"], ["model=resnet", "features=raw or beat"]),
        (["model=resnet", "features=fusion"], ["gives mixed ones", "features=raw or beat"]),
        (["features=fusion"], ["model=dnn", "gives mixed ones", "features=ntp or voltage"]),
        (["model=svm", "features=fusion"], ["model=svm", "features=ntp or voltage"]),
        (
            ["model=two_branch", "features=beat"],
            ["model=two_branch needs mixed inputs", "gives signal ones", "Choose features=fusion,"],
        ),
        (["model=two_branch", "features=voltage"], ["gives tabular ones", "features=fusion"]),
        (["model=two_branch", "stride=5"], ["stride: model=two_branch has a kernel", "model=cnn"]),
        (
            ["model=two_branch", "train.augment.shift=0.01"],
            ["train.augment: changes signals", "nothing else", "model=two_branch"],
        ),
        (["model=two_branch", "model.units=0"], ["model.units", "greater than or equal to 1"]),
        (["model=two_branch", "model.filters=[]"], ["model.filters", "[]"]),
        (["model=two_branch", "model.l2=-1"], ["model.l2", "greater than or equal to 0"]),
        (["model=two_branch", "features.missing=drop"], ["features.missing", "'mean' or 'zero'"]),
        (["model=two_branch", "features.after=0"], ["features.after", "greater than 0"]),
        (["model=two_branch", "features.missing_p=zero"], ["features.missing_p", "no such"]),
        (["model.units=[64,32]"], ["model.units", "[64, 32]"]),
        (["features.missing_p=median"], ["features.missing_p", "'mean' or 'zero'", "'median'"]),
        (["features.scaling=zscore"], ["features.scaling", "'minmax' or 'none'", "'zscore'"]),
        (["features=voltage", "features.missing=drop"], ["features.missing", "'mean' or 'zero'"]),
        (["features=voltage", "features.missing_p=mean"], ["features.missing_p", "no such"]),
        (["model=cnn", "features=voltage"], ["needs signal inputs", "features=raw"]),
        (["data=synthetic", "data.effect=-1"], ["data.effect", "-1"]),
        (["data=synthetic", "data.records=1"], ["data.records", "1"]),
        (["seed=-1"], ["seed", "-1"]),
        (["train.precision=float16"], ["train.precision", "'float32' or 'bfloat16'"]),
        (["seed=null"], ["seed", "None"]),
        (["~train"], ["train"]),
        (["data=null"], ["data=null", "ludb, ptbxl, synthetic"]),
        (["train=7"], ["train=7", "fixed"]),
        (["data.root=${oc.env:NOT_SET_ANYWHERE}"], ["data.root", "NOT_SET_ANYWHERE"]),
        (["kernel=250", "stride=5"], ["kernel and stride", "model=dnn has no convolution"]),
        (["model=cnn", "features=ntp"], ["model=cnn", "features=ntp", "features=raw"]),
        (["features=raw"], ["model=dnn", "features=raw", "features=ntp"]),
    ],
    ids=lambda value: " ".join(value) if value and "=" in value[0] else "",
)
def test_a_wrong_override_is_named_with_what_is_expected(overrides, parts):
    told = refusal(*overrides)
    assert len(told.splitlines()) == 1
    for part in parts:
        assert part in told


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
