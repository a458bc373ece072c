"""What a point of a sweep trains is what the same overrides compose without -m."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from conftest import in_process
from hypothesis import HealthCheck, event, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.config import sweep_space
from lvh.config.command_line import CommandLine, read_arguments
from lvh.config.composition import compose
from lvh.config.run_settings import RunSettings, settings_from
from lvh.config.sweep_space import point_settings, space_of
from lvh.errors import InputError
from lvh.runs.lookup import settings_of
from lvh.search.space import Choice, Condition, Numbers
from lvh.tracking import TrackingSettings

RECIPE = """# @package _global_
defaults: [override /model: svm, override /features: voltage]
hydra: {sweeper: {params: {model.C: [0.1, 1]}}}
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


def shown(*arguments: str) -> RunSettings | None:
    code, out, _ = in_process(*arguments, "--cfg", "job", "--resolve")
    try:
        return settings_from(yaml.safe_load(out)) if code == 0 else None
    except InputError:
        return None


def swept(*arguments: str) -> CommandLine:
    taken: list[CommandLine] = []

    def take(command: CommandLine) -> None:
        taken.append(command)
        raise InputError("taken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_space, "space_of", take)
        code, _, err = in_process(*arguments, "hydra.sweep.dir=swept")
    if not taken:
        raise InputError(f"{code} {err}")
    return taken[0]


def trained(command: CommandLine) -> RunSettings | None:
    try:
        return compose(command).settings
    except InputError:
        return None


FIXED = (
    *("model=svm", "model=cnn", "model=extra_trees", "cv=stratified", "cv={folds:3}", "cv.folds=4"),
    *("budget=smoke", "~budget", "train=early_stopping", "experiment=best_honest", "seed=3"),
    *("features=voltage", "features=raw", "stride=50", "train={epochs:9}", "train.epochs=7"),
    *("features.leads=[v1,v2]", "model.C=3", "model={C:5}", "~external", "data=synthetic"),
    *("+train.augment.noise=0", "tracking=off", "store='a=b, ü (c)'", "hydra.job.name=x"),
    *("+hydra.job.env_set.LVH_DRAWN=1", "hydra.verbose=false"),
)
SWEPT = {
    "model": ("svm", "extra_trees", "cnn", "logistic"),
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


@given(
    typed=st.lists(ONE, min_size=1, max_size=3, unique_by=lambda one: one[0]),
    flags=st.sampled_from(((), (), ("--config-dir", ".", "--config-name", "mine"))),
    data=st.data(),
)
@examples(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
def test_a_point_trains_what_is_shown_without_m(typed, flags, data):
    overrides = [name if texts is None else f"{name}={','.join(texts)}" for name, texts in typed]
    try:
        command = swept(*flags, "-m", *overrides)
        space = space_of(command)
    except InputError:
        event("refused")
        return
    points = list(space.points())
    drawn = data.draw(st.sampled_from(points))
    point = space.texts(drawn)
    without_m = [
        name if texts is None else f"{name}={point[name].strip(chr(39))}"
        for name, texts in typed
        if texts is None or name in point
    ]
    expected = shown(*flags, *without_m)
    event("does not fit together" if expected is None else "trained")
    assert trained(command.at(point)) == expected
    settings = point_settings(command, space)
    for other in (points[0], points[-1]):  # of which one may be composed for the others
        with suppress(InputError):
            settings(other)
    try:
        assert settings(drawn) == expected
    except InputError:
        assert expected is None


def test_what_is_typed_goes_before_the_sweep_of_a_recipe():
    command = swept("--config-dir", ".", "-m", "experiment=listed", "cv.folds=3")
    space = space_of(command)
    assert space.dimensions == {"model.C": Choice(("0.1", "1"))}
    settings = compose(command.at({"model.C": "0.1"})).settings
    assert (settings.model.C, settings.cv.folds, settings.base_name) == (0.1, 3, "svm-voltage")
    assert space_of(swept("-m", "experiment=kernel_sweep", "kernel=400,500")).dimensions == {
        "kernel": Choice(("'400'", "'500'"))
    }
    with pytest.raises(InputError, match=r"stride: sets model\.strides, which is given too"):
        swept("-m", "model=cnn", "stride=10,50", "model.strides=5")
    with_one = swept("-m", "experiment=kernel_sweep", "kernel=500", "seed=1,2")
    assert compose(with_one.at({"seed": "1"})).settings.model.kernel_size == 500
    command, flags = read_arguments(["model=cnn", "-m", "stride=10,50", "-cp", "mine", "seed=1"])
    path = str(Path("mine").absolute())  # as seen from here, also by Hydra's own flags
    assert command == CommandLine(("model=cnn", "stride=10,50", "seed=1"), config_path=path)
    assert (flags.multirun, flags.config_path) == (True, path)


@pytest.mark.parametrize(
    ("typed", "dimensions", "conditions"),
    [
        (
            ["model=svm,extra_trees", "model.C=1,3"],
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
        (["train.epochs=range(5,20,5)"], {"train.epochs": Numbers(5, 15, 5, is_listed=True)}, {}),
        (["model.l2=tag(log,interval(1e-5,1))"], {"model.l2": Numbers(1e-5, 1.0, log=True)}, {}),
        (["model=svm", "model.gamma=interval(1,9)"], {"model.gamma": Numbers(1.0, 9.0)}, {}),
        (["train.patience=interval(1,9)"], {"train.patience": Numbers(1, 9, 1)}, {}),
        (["seed=1,2", "seed=3,4"], {"seed": Choice(("3", "4"))}, {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_grammar_of_sweeps_spans_a_space(typed, dimensions, conditions):
    space = space_of(CommandLine(tuple(typed)))
    assert (space.dimensions, space.conditions) == (dimensions, conditions)


@given(st.permutations([*range(9)]).map(lambda seeds: ",".join(map(str, seeds))))
@examples(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
def test_a_command_shuffles_in_the_same_order_each_time(seeds):
    for of in (seeds, "range(9)"):
        command = CommandLine((f"seed=shuffle({of})",))
        first, again = (space_of(command).dimensions["seed"].values() for _ in range(2))
        assert first == again
        assert sorted(first) == [*range(9)]


def test_a_configuration_holds_no_password_and_resolves(own, tmp_path, monkeypatch):
    monkeypatch.setenv("LVH_LUDB_ROOT", "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    (own / "named.yaml").write_text(
        "defaults: [config, _self_]\ntracking: {experiment: '${hydra:job.name}'}\n"
    )
    overrides = ("hydra.job.name=mine", "seed=5", "train.epochs=${seed}")
    composed = compose(CommandLine(overrides, config_name="named", config_dir=str(own)))
    assert composed.settings.train.epochs == 5
    assert composed.settings.tracking.experiment == "mine"
    assert composed.settings.tracking.uri == "http://me:secret@host"
    assert "secret" not in composed.yaml
    (tmp_path / "config.yaml").write_text(composed.yaml)
    assert settings_of(str(tmp_path), TrackingSettings()) == composed.settings
    written = yaml.safe_load(composed.yaml)
    assert (written["train"]["epochs"], written["data"]["root"]) == (5, "here")
