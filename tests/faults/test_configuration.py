"""What may be typed: checked settings come of it, or one line that says what is wrong, and 2.

The number in front of a name is the row of the project's list of faults.
"""

import copy
import sys
from pathlib import Path

import pytest
from conftest import command
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.config.command_line import CommandLine
from lvh.config.composition import plain, settings_of
from lvh.config.hydra_loader import config_of
from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import InputError
from lvh.models.cnn import CnnSettings
from lvh.models.cnn import check as check_cnn

FOLDER = Path(__file__).resolve().parents[2] / "experiments/reliability"
DIGITS = "9" * 5000


@pytest.fixture(scope="module", autouse=True)
def _composing():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LVH_LUDB_ROOT", raising=False)
        yield


def outcome(*overrides: str) -> RunSettings | InputError:
    """Compose as a run does; any error but bad input gets through."""
    try:
        return settings_of(*overrides)
    except InputError as error:
        return error


WRONG = {
    "35-unknown model": (["model=vgg"], ["model=vgg", "cnn, dnn, svm, trees, chosen"]),
    "35-unknown data": (["data=mitbih"], ["data=mitbih", "ludb, ptbxl, synthetic"]),
    "35-unknown stride": (["model=cnn", "stride=7"], ["stride=7", "5, 10, 50, 125"]),
    "35-unknown group": (["modle=cnn"], ["modle", "did you mean model?"]),
    "35-unknown field": (["train.epoch=3"], ["train.epoch", "did you mean train.epochs?"]),
    "35-added field": (["+model.widht=3"], ["model.widht", "units, l2"]),
    "35-unknown backend": (["backend=theano"], ["backend", "'tensorflow', 'jax' or 'torch'"]),
    "35-option of the wrong kind": (["data=0.0"], ["data=0.0", "ludb, ptbxl, synthetic"]),
    "35-option not a number": (["data=nan"], ["data=nan", "ludb, ptbxl, synthetic"]),
    "35-added option": (["+data=0"], ["data=0", "ludb, ptbxl, synthetic"]),
    "35-deleted option": (["~data=1"], ["data=1"]),
    "35-option a path": (["model=../config"], ["model: expected an option", "'../config'"]),
    "35-option an absolute path": (["data=/etc/passwd"], ["data: expected an option"]),
    "35-option an interpolation": (["data=${f:1}"], ["data: expected an option", "${f:1}"]),
    "35-option without end": ([f"data={'a' * 400}"], ["data: expected an option"]),
    "35-name a list": (["model.name=[1]"], ["model.name: expected one of", "[1]"]),
    "35-name a dictionary": (["data.name={a:1}"], ["data.name: expected one of ludb"]),
    "35-features a list": (["features.name=[1]"], ["features.name: expected one of ntp"]),
    "35-nothing": ([""], ["'': expected GROUP=OPTION"]),
    "35-no name": (["=1"], ["'=1': expected GROUP=OPTION"]),
    "35-control characters": (["data.root=\x1b[2J"], [r"'data.root=\x1b[2J': expected"]),
    "35-lines": (["'\n'=1"], [r"'\n'", "expected GROUP=OPTION"]),
    "35-an unfinished list": (["x=["], ["x=[", "expected GROUP=OPTION or FIELD=VALUE"]),
    "36-a kernel where none is": (["kernel=250"], ["kernel", "model=dnn has no convolution"]),
    "37-epochs 0": (["train.epochs=0"], ["train.epochs", "greater than or equal to 1"]),
    "37-epochs -1": (["train.epochs=-1"], ["train.epochs", "Received: -1"]),
    "37-epochs of many digits": ([f"train.epochs={DIGITS}"], ["train.epochs=9", "4300 digits"]),
    "37-learning rate nan": (["train.learning_rate=nan"], ["train.learning_rate", "nan"]),
    "37-learning rate 0": (["train.learning_rate=0"], ["train.learning_rate", "greater than 0"]),
    "37-stride 0": (["model=cnn", "model.strides=0"], ["model.strides", "equal to 1"]),
    "37-folds 1": (["cv.folds=1"], ["cv.folds", "greater than or equal to 2"]),
    "37-records without end": (
        ["data=synthetic", "data.records=1000000000000"],
        ["data.records", "less than or equal to 100000"],
    ),
    "37-noise beyond any number": (["data=synthetic", "data.noise=1e300"], ["data.noise", "1000"]),
    "37-a beat without end": (
        ["model=resnet", "features.before=1e308"],
        ["features.before", "less than or equal to 3600"],
    ),
    "37-epochs without end": (
        ["train.epochs=1000000000000"],
        ["train.epochs", "less than or equal to 1000000"],
    ),
    "37-units beyond memory": (["model.units=[99999,8,4]"], ["model.units", "equal to 10000"]),
    "37-filters beyond memory": (
        ["model=cnn", "model.filters=[100000]"],
        ["model.filters", "equal to 10000"],
    ),
    "37-layers without end": (
        ["model=cnn", f"model.filters={[1] * 101}".replace(" ", "")],
        ["model.filters", "at most 100"],
    ),
    "37-blocks without end": (["model=resnet", "model.blocks=1000"], ["model.blocks", "to 100"]),
    "37-trees without end": (
        ["model=trees", "features=voltage", "model.trees=100000000"],
        ["model.trees", "equal to 1000000"],
    ),
    "37-threads beyond any machine": (["train.threads=100000"], ["train.threads", "to 1000"]),
    "35-unknown kernel": (["model=cnn", "kernel=1"], ["kernel=1", "model.kernel_size=1"]),
    "37-a text without end": ([f"seed={'x' * 5000}"], ["seed: expected a valid integer", "..."]),
    "43-_target_": (["data._target_=builtins.open"], ["data._target_"]),
    "43-added _target_": (["+data._target_=builtins.open"], ["data._target_"]),
    "43-_target_ in a dictionary": (
        ["+train.augment={_target_:builtins.open}"],
        ["train.augment", "any code"],
    ),
    "43-_target_ for a model": (["model={_target_:builtins.open}"], ["model"]),
    "43-_target_ at the top": (["+_target_=builtins.open"], ["_target_: expected a setting"]),
    "43-model a name in Python": (["model.name=os.system"], ["model.name: expected one of"]),
}


@pytest.mark.parametrize(("overrides", "parts"), WRONG.values(), ids=WRONG)
def test_a_wrong_override_is_named_in_one_line(overrides, parts):
    told = outcome(*overrides)

    assert isinstance(told, InputError)
    assert told.exit_code == 2
    assert str(told).isprintable()
    assert len(str(told)) < 500
    for part in parts:
        assert part in str(told)


def test_35_numbers_in_a_dictionary_stay_numbers():
    found = outcome("train={epochs:3}")

    assert isinstance(found, RunSettings)
    assert found.train.epochs == 3


@pytest.mark.parametrize(
    ("kernel", "stride", "said"),
    [(5001, 1, "model.kernel_size"), (250, 1000, "model.strides"), (10**30, 1, "kernel_size")],
    ids=["36-kernel longer than the signal", "36-stride that leaves nothing", "36-huge kernel"],
)
def test_what_leaves_nothing_of_a_signal_is_refused(kernel, stride, said):
    settings = CnnSettings("cnn", kernel, stride, (8,) * 5, dropout=0.5, bn_momentum=0.9)

    with pytest.raises(InputError, match=said):
        check_cnn(settings, (5000, 4))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model.name=[1]"], "lvh: model.name: expected one of"),
        ([f"seed={DIGITS}"], "4300 digits"),
        (["data.root=\udcff", "model=../config"], "lvh: model: expected an option"),
        (["+data._target_=builtins.open"], "lvh: +data._target_: expected a setting"),
        (["-m", "data=0.0,nan"], "lvh: data=0.0: expected one of ludb, ptbxl, synthetic"),
    ],
    ids=["35-a list", "37-digits", "35-a path", "43-_target_", "35-a sweep of numbers"],
)
def test_the_command_ends_with_a_line_and_2(arguments, said, tmp_path):
    done = command(*arguments, cwd=tmp_path)

    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def told_rightly(found: RunSettings | InputError, names: list[str]) -> bool:
    if isinstance(found, RunSettings):
        return True
    told = str(found)
    return told.isprintable() and any(name in told for name in names if name)


@pytest.fixture(scope="module")
def commands():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import overrides

        yield overrides.COMMANDS
    del sys.modules["overrides"]


@pytest.mark.filterwarnings("ignore::UserWarning")  # what ${oc.deprecated:...} is for
@given(data=st.data())
@examples(max_examples=100, suppress_health_check=list(HealthCheck))
def test_any_overrides_give_settings_or_a_line(commands, data):
    typed = data.draw(commands)

    names = [name for one in typed for name in (one.lstrip("+~").split("=")[0].split(".")[0],)]
    quotes = [repr(part)[1:-1] for one in typed for part in (one[:60], one.split("=")[-1][:60])]
    assert told_rightly(outcome(*typed), [*names, *quotes, *(one.split("@")[0] for one in names)])


CHOICES = (
    [],
    ["model=cnn"],
    ["model=resnet"],
    ["model=nested_selection"],
    ["model=svm"],
    ["data=synthetic"],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((10**30, -(10**30), 2**63, 10**400, 0, -1, 1, 2)),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(("all", "v1", "ap", "???", "svm", "inf", "\x1b[2J", "a\nb", "x" * 5000)),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(("name", "_target_", "noise", "x")), inner, max_size=3),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def composed():
    return [plain(config_of(CommandLine(choice))) for choice in CHOICES]


def places(node, path=()):
    """Every group and field of a configuration."""
    for key, value in node.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


@given(data=st.data())
@examples(max_examples=1500, suppress_health_check=list(HealthCheck))
def test_anything_in_the_place_of_a_field_gives_settings_or_a_line(composed, data):
    config = copy.deepcopy(data.draw(st.sampled_from(composed)))
    *groups, field = path = data.draw(st.sampled_from(list(places(config))))
    node = config
    for group in groups:
        node = node[group]
    if data.draw(st.integers(0, 9)):
        node[field] = data.draw(ANYTHING)
    else:
        del node[field]

    try:
        found = settings_from(config)
        found.params()
    except InputError as refusal:
        found = refusal
    assert told_rightly(found, [path[0]])
