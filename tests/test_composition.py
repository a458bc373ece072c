"""What a point of a sweep trains is what the same overrides compose without -m."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, event, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lvh.cli.run import main
from lvh.config import sweep_space
from lvh.config.command_line import CommandLine, read_arguments
from lvh.config.composition import compose, settings_of
from lvh.config.run_settings import RunSettings, settings_from
from lvh.config.sweep_space import space_of
from lvh.errors import InputError
from lvh.search.space import Choice, Condition, Integers, Reals

RECIPE = """# @package _global_
defaults:
  - override /model: svm
  - override /features: voltage
hydra:
  sweeper:
    params:
      model.C: [0.1, 1]
"""


@pytest.fixture(scope="module", autouse=True)
def own(tmp_path_factory) -> Iterator[Path]:
    """A person's own folder of configurations, and no data set of this machine."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.yaml").write_text("defaults: [config, _self_]\ntrain: {epochs: 5}\nseed: 9\n")
    (folder / "experiment").mkdir()
    (folder / "experiment/listed.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LVH_LUDB_ROOT", raising=False)
        patch.chdir(folder)
        yield folder


def ended(*arguments: str) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lvh", *arguments])
        patch.delenv("HYDRA_FULL_ERROR", raising=False)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main()
    return code, out.getvalue(), err.getvalue()


def shown(*arguments: str) -> RunSettings | None:
    """Return the settings that Hydra itself shows; None where they are refused."""
    code, out, _ = ended(*arguments, "--cfg", "job", "--resolve")
    try:
        return settings_from(yaml.safe_load(out)) if code == 0 else None
    except InputError:
        return None


class Swept(Exception):
    """Ends a sweep before anything is trained."""


def swept(*arguments: str) -> CommandLine:
    """Return the command line that the sweeper of Hydra works on."""
    taken: list[CommandLine] = []

    def take(command: CommandLine) -> None:
        taken.append(command)
        raise InputError("taken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_space, "space_of", take)
        code, _, err = ended(*arguments, "hydra.sweep.dir=swept")
    if not taken:
        raise InputError(f"{code} {err}")
    return taken[0]


def trained(command: CommandLine) -> RunSettings | None:
    try:
        return compose(command).settings
    except InputError:
        return None


FIXED = (
    *("model=svm", "model=cnn", "model=trees", "cv=stratified", "cv={folds:3}", "cv.folds=4"),
    *("budget=smoke", "~budget", "train=early_stopping", "experiment=best_honest", "seed=3"),
    *("features=voltage", "features=raw", "stride=50", "train={epochs:9}", "train.epochs=7"),
    *("features.leads=[v1,v2]", "model.C=3", "model={C:5}", "~external", "data=synthetic"),
    *("+train.augment.noise=0", "tracking=off", "store='a=b, ü (c)'", "hydra.job.name=x"),
)
SWEPT = {
    "model": ("svm", "trees", "cnn", "logistic"),
    "features": ("voltage", "ntp", "raw"),
    "kernel": ("250", "400"),
    "stride": ("5", "10"),
    "seed": ("1", "2"),
    "cv": ("kfold", "repeated"),
    "cv.folds": ("3", "5"),
    "train": ("{epochs:3}", "{epochs:4,patience:null}"),
    "model.C": ("1", "0.3"),
    "features.leads": ("[v1]", "[v2,v3]"),
    "experiment": ("report_dnn", "best_honest"),
    "++train.augment.shift": ("0.0", "0.01"),
}
ONE = st.one_of(
    st.sampled_from(FIXED).map(lambda text: (text, None)),
    *[
        st.lists(st.sampled_from(values), min_size=2, max_size=3, unique=True).map(
            lambda texts, name=name: (name, tuple(texts))
        )
        for name, values in SWEPT.items()
    ],
)
FLAGS = st.sampled_from(((), (), ("--config-dir", ".", "--config-name", "mine")))


@given(
    typed=st.lists(ONE, min_size=1, max_size=3, unique_by=lambda one: one[0]),
    flags=FLAGS,
    data=st.data(),
)
@examples(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
def test_a_point_trains_what_is_shown_without_m(typed, flags, data):
    overrides = [name if texts is None else f"{name}={','.join(texts)}" for name, texts in typed]
    try:
        command = swept(*flags, "-m", *overrides)
        space = space_of(command)
    except InputError:
        event("refused")
        return
    point = space.texts(data.draw(st.sampled_from(list(space.points()))))
    without_m = [
        name if texts is None else f"{name}={point[name].strip(chr(39))}"
        for name, texts in typed
        if texts is None or name in point
    ]
    expected = shown(*flags, *without_m)
    event("does not fit together" if expected is None else "trained")
    assert trained(command.at(point)) == expected


@pytest.mark.parametrize(
    ("typed", "point", "expected"),
    [
        (["cv=stratified", "cv={folds:3}", "seed=1,2"], {"seed": "2"}, ["seed=2"]),
        (["~budget", "seed=1,2"], {"seed": "1"}, ["~budget", "seed=1"]),
        (["model=svm,trees", "model.C=1,3"], {"model": "trees"}, ["model=extra_trees"]),
        (["model=logistic,svm", "model.C=3"], {"model": "svm"}, ["model=svm", "model.C=3"]),
        (["--config-dir", ".", "--config-name", "mine", "seed=1,2"], {"seed": "2"}, None),
    ],
)
def test_a_point_of_a_command_line(typed, point, expected):
    expected = [*typed[:-1], "seed=2"] if "seed=2" in (expected or ["seed=2"]) else expected
    at = swept("-m", *typed).at(point)
    assert compose(at).settings == shown(*expected)


def test_a_recipe_sweeps_a_list_of_yaml():
    command = swept("--config-dir", ".", "-m", "experiment=listed", "cv.folds=3")
    space = space_of(command)
    assert space.dimensions == {"model.C": Choice(("0.1", "1"))}
    settings = compose(command.at({"model.C": "0.1"})).settings
    assert (settings.model.C, settings.cv.folds, settings.name) == (0.1, 3, "svm-voltage")


def test_what_is_typed_goes_before_the_sweep_of_a_recipe():
    assert space_of(swept("-m", "experiment=kernel_sweep", "kernel=400,500")).dimensions == {
        "kernel": Choice(("'400'", "'500'"))
    }
    with_one = swept("-m", "experiment=kernel_sweep", "kernel=500", "seed=1,2")
    assert compose(with_one.at({"seed": "1"})).settings.model.kernel_size == 500


@pytest.mark.parametrize(
    ("typed", "dimensions", "conditions"),
    [
        (
            ["model=svm,trees", "model.C=1,3"],
            {"model": Choice(("svm", "extra_trees")), "model.C": Choice(("1", "3"))},
            {"model.C": (Condition("model", ("svm",)),)},
        ),
        (
            ["model=cnn,svm", "features=raw,voltage", "features.leads=[v1],[v2]"],
            {
                "model": Choice(("cnn", "svm")),
                "features": Choice(("raw", "voltage")),
                "features.leads": Choice(("[v1]", "[v2]")),
            },
            {"features.leads": (Condition("features", ("raw",)),)},
        ),
        (
            ["model=cnn,svm", "kernel=250,400"],
            {"model": Choice(("cnn", "svm")), "kernel": Choice(("'250'", "'400'"))},
            {"kernel": (Condition("model", ("cnn",)),)},
        ),
        (["train.epochs=range(5,20,5)"], {"train.epochs": Integers(5, 15, 5, listed=True)}, {}),
        (["train.epochs=interval(5,20)"], {"train.epochs": Integers(5, 20)}, {}),
        (
            ["model.l2=tag(log,interval(1e-5,1))"],
            {"model.l2": Reals(1e-5, 1.0, log=True)},
            {},
        ),
        (["model.l2=interval(0,1)"], {"model.l2": Reals(0.0, 1.0)}, {}),
        (["model.l2=range(0,1,0.5)"], {"model.l2": Choice(("0.0", "0.5"))}, {}),
        (["model=glob([sv*,log*])"], {"model": Choice(("logistic", "svm"))}, {}),
        (["seed=1,2", "seed=3,4"], {"seed": Choice(("3", "4"))}, {}),
        (["seed=choice(5)"], {"seed": Choice(("5",))}, {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_grammar_of_sweeps_spans_a_space(typed, dimensions, conditions):
    space = space_of(CommandLine(tuple(typed)))
    assert (space.dimensions, space.conditions) == (dimensions, conditions)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["experiment=classical_baselines,report_dnn"], ["experiment=classical_base", "recipe"]),
        (["model.l2=range(1,10,0)"], ["model.l2", "a step other than 0", "range(1,10,0)"]),
        (["model.l2=range(1,1e12)"], ["model.l2", "at most 100000 values"]),
        (["model.l2=interval(2,1)"], ["model.l2", "low < high", "interval(2,1)"]),
        (["model.l2=tag(log,interval(0,1))"], ["model.l2", "0 < low < high"]),
        (["model.zzz=1,2"], ["model.zzz: no such setting", "model.units"]),
        (["model=svm,vgg"], ["model=vgg: expected one of", "svm"]),
        (["model=cnn", "stride=5,7"], ["stride=7: expected one of 5, 10, 50, 125"]),
        (
            ["model=svm,trees", "model.C=3"],
            ["model.C: model=extra_trees has no", "model.C=choice(3)"],
        ),
        (["model=svm", "model.C=glob(*)"], ["model.C=glob(*)", "one value or more"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_wrong_sweep_is_refused_before_anything_is_trained(typed, parts):
    with pytest.raises(InputError) as refused:
        space_of(CommandLine(tuple(typed)))
    assert all(part in str(refused.value) for part in parts), str(refused.value)


@pytest.mark.parametrize(
    ("params", "part"), [({"model.C": {"a": 1}}, "model.C"), ({"model.C": []}, "model.C")]
)
def test_a_recipe_that_sweeps_nothing_names_the_field(params, part):
    with pytest.raises(InputError, match=part):
        CommandLine().with_recipe(params)


def test_values_of_yaml_are_written_as_overrides_have_them():
    params = {"model.units": [[64, 32, 8], [8, 8, 8]], "train.patience": [None, 3], "x": [True]}
    assert CommandLine().with_recipe(params).overrides == (
        "model.units=[64,32,8],[8,8,8]",
        "train.patience=null,3",
        "x=choice(true)",
    )


def test_flags_may_stand_anywhere():
    command, flags = read_arguments(["model=cnn", "-m", "stride=10,50", "-cn", "mine", "seed=1"])
    assert command == CommandLine(("model=cnn", "stride=10,50", "seed=1"), config_name="mine")
    assert flags == ["-m", "-cn", "mine"]
    assert ended("seed=3", "--cfg", "job", "model=svm")[0] == 0


def test_a_configuration_holds_no_password_and_resolves():
    composed = compose(
        CommandLine(("tracking.uri=http://me:secret@host", "seed=5", "train.epochs=${seed}"))
    )
    assert composed.settings.train.epochs == 5
    assert "secret" not in composed.yaml
    assert yaml.safe_load(composed.yaml)["train"]["epochs"] == 5


def test_the_hydra_node_may_be_named(own):
    (own / "named.yaml").write_text(
        "defaults: [config, _self_]\ntracking: {experiment: '${hydra:job.name}'}\n"
    )
    command = CommandLine(("hydra.job.name=mine",), config_name="named", config_dir=str(own))
    assert compose(command).settings.tracking.experiment == "mine"


def test_roots_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LVH_LUDB_ROOT", "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    settings = settings_of("external=ludb", "cv=external", "data=synthetic")
    assert (settings.external.root, settings.tracking.uri) == ("here", "http://there")
    assert (
        OmegaConf.to_container(OmegaConf.create(compose(CommandLine()).yaml))["data"]["root"]
        == "here"
    )
