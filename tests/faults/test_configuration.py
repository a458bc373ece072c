"""What may be typed: it gives checked settings, or one line that says what is wrong, and 2."""

import copy
import shlex
import sys
from pathlib import Path

import pytest
from conftest import command
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.config.command_line import CommandLine
from lvh.config.composition import plain, settings_of
from lvh.config.messages import in_quotes
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
    "unknown model": (["model=vgg"], ["model=vgg", "boosting, cnn, criteria, dnn"]),
    "unknown stride": (
        ["model=cnn", "stride=7"],
        ["stride=7", "5, 10, 50, 125", "model.strides=7"],
    ),
    "unknown group": (["modle=cnn"], ["modle", "did you mean model?"]),
    "unknown group of nothing": (["qqqqqq=3"], ["qqqqqq", "data, external, features, model"]),
    "unknown field": (["train.epoch=3"], ["train.epoch", "did you mean train.epochs?"]),
    "field of this model": (["model=cnn", "model.kernl=3"], ["did you mean model.kernel_size?"]),
    "nothing close": (["model.zzzz=3"], ["model.zzzz", "model.units, model.l2"]),
    "field of another model": (
        ["model.C=1"],
        ["model.C: model=dnn has no", "logistic and svm have"],
    ),
    "field of other features": (["features.leads=all"], ["features=ntp has no", "raw"]),
    "added field": (["+model.widht=3"], ["model.widht", "units, l2"]),
    "added to augment": (["model=cnn", "+train.augment.hum=1"], ["train.augment.hum"]),
    "direction": (["search.direction=minimize"], ["search.direction", "search.objectives"]),
    "unknown backend": (["backend=theano"], ["backend", "'tensorflow', 'jax' or 'torch'"]),
    "option of the wrong kind": (["data=0.0"], ["data=0.0", "ludb, ptbxl, synthetic"]),
    "no option": (["data=null"], ["data=null", "ludb, ptbxl, synthetic"]),
    "deleted option": (["~data=1"], ["data=1"]),
    "deleted group": (["~train"], ["train"]),
    "option a path": (["model=../config"], ["model: expected an option", "'../config'"]),
    "option an interpolation": (["data=${f:1}"], ["data: expected an option", "${f:1}"]),
    "option without end": ([f"data={'a' * 400}"], ["data: expected an option"]),
    "options a list": (["model=[svm,dnn]"], ["model: expected one option", "-m model=svm,dnn"]),
    "name a list": (["model.name=[1]"], ["model.name: expected one of", "[1]"]),
    "name a dictionary": (["data.name={a:1}"], ["data.name: expected one of ludb"]),
    "nothing": ([""], ["'': expected GROUP=OPTION"]),
    "no name": (["=1"], ["'=1': expected GROUP=OPTION"]),
    "name without end": ([f"{'k' * 1000}=1"], ["'kkkk", "the name of a group or of a field"]),
    "control characters": (["data.root=\x1b[2J"], [r"'data.root=\x1b[2J': expected"]),
    "lines": (["'\n'=1"], [r"'\n'", "expected GROUP=OPTION"]),
    "an unfinished list": (["x=["], ["x=[", "expected GROUP=OPTION or FIELD=VALUE"]),
    "a sweep of options": (["model=cnn", "stride=10,50"], ["stride=10,50", "add -m"]),
    "an equals sign": (["data.root=/a=b"], ["""'data.root="/a=b"'"""]),
    "a letter": (["data.root=/donn\xe9es"], ["""'data.root="/donn\xe9es"'"""]),
    "parentheses": (["data.root=/x (1)"], ["""'data.root="/x (1)"'"""]),
    "a comma": (["data.root=/a,b"], ["add -m", """'data.root="/a,b"'"""]),
    "a dollar": (["data.root=/${y}"], ["data.root", "'y' not found", """'data.root="/\\${y}"'"""]),
    "environment": (["data.root=${oc.env:NOT_SET_ANYWHERE}"], ["data.root", "NOT_SET_ANYWHERE"]),
    "epochs 0": (["train.epochs=0"], ["train.epochs", "greater than or equal to 1"]),
    "epochs true": (["train.epochs=true"], ["train.epochs", "integer", "True"]),
    "epochs a text": (["train.epochs=many"], ["train.epochs", "integer", "'many'"]),
    "epochs of many digits": ([f"train.epochs={DIGITS}"], ["train.epochs=9", "4300 digits"]),
    "epochs without end": (["train.epochs=1000000000000"], ["train.epochs", "to 1000000"]),
    "learning rate nan": (["train.learning_rate=nan"], ["train.learning_rate", "nan"]),
    "no seed": (["seed=null"], ["seed", "None"]),
    "a text without end": ([f"seed={'x' * 5000}"], ["seed: expected a valid integer", "..."]),
    "a choice of words": (
        ["features.missing_p=median"],
        ["features.missing_p", "'mean' or 'zero'"],
    ),
    "too few units": (["model.units=[64,32]"], ["model.units", "[64, 32]"]),
    "units beyond memory": (["model.units=[99999,8,4]"], ["model.units", "equal to 10000"]),
    "layers without end": (
        ["model=cnn", f"model.filters={[1] * 101}".replace(" ", "")],
        ["model.filters", "at most 100"],
    ),
    "leads a text": (
        ["model=cnn", "features.leads=v1"],
        ["features.leads", "all, or a list", "'v1'"],
    ),
    "a store no disk has": ([f"store={'k/' * 50_000}"], ["store: expected", "4096 characters"]),
    "a name no disk has": ([f"store={'k' * 300}"], ["store: expected", "255 bytes"]),
    "a port": (["search.storage='postgresql://u@h:99999/x'"], ["search.storage", "Port out of"]),
    "a bracket": (["search.storage='postgresql://[::1/x'"], ["search.storage", "IPv6"]),
    "another sweeper": (["hydra/sweeper=basic"], ["hydra/sweeper: lvh", "'basic'"]),
    "Optuna's sweeper": (["hydra/sweeper=optuna"], ["hydra/sweeper: lvh", "search.sampler"]),
    "_target_": (["data._target_=builtins.open"], ["data._target_"]),
    "added _target_": (["+data._target_=builtins.open"], ["data._target_"]),
    "_target_ in a dictionary": (
        ["+train.augment={_target_:builtins.open}"],
        ["train.augment", "any code"],
    ),
    "_target_ for a model": (["model={_target_:builtins.open}"], ["model"]),
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


def test_numbers_in_a_dictionary_stay_numbers():
    found = outcome("train={epochs:3}")

    assert isinstance(found, RunSettings)
    assert found.train.epochs == 3


@pytest.mark.parametrize(
    ("kernel", "stride", "said"),
    [(5001, 1, "model.kernel_size"), (250, 1000, "model.strides"), (10**30, 1, "kernel_size")],
)
def test_what_leaves_nothing_of_a_signal_is_refused(kernel, stride, said):
    with pytest.raises(InputError, match=said):
        check_cnn(CnnSettings("cnn", kernel, stride, filters=(8,) * 5), (5000, 4))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([f"seed={DIGITS}"], "4300 digits"),
        (["data.root=\udcff", "model=../config"], "lvh: model: expected an option"),
        (["-m", "data=0.0,nan"], "lvh: data=0.0: expected one of ludb, ptbxl, synthetic"),
        (["-m", "model=svm", "model.C=range(1,10,0)"], "lvh: model.C: expected range"),
        (["-m", "experiment=classical_baselines,report_dnn"], "this is the recipe of a sweep"),
        (["experiment=kernel_sweep"], "this is the recipe of a sweep. Add -m"),
        (["seed=1", "--resolve"], "lvh: The --resolve flag can only be used"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--experimental-rerun", "job.pickle"], "a pickle may hold code"),
        (["--config-dir", "nowhere"], "nowhere' not found"),
    ],
)
def test_the_command_ends_with_a_line_and_2(arguments, said, tmp_path):
    done = command(*arguments, cwd=tmp_path)

    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
@examples(max_examples=50, deadline=None)
def test_the_quoted_form_that_is_shown_gives_the_text(text):
    (typed,) = shlex.split(in_quotes(f"tracking.experiment={text}"))
    assert settings_of(typed).tracking.experiment == text


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
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(data=st.data())
@examples(max_examples=60, suppress_health_check=list(HealthCheck))
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
    return [plain(CommandLine(choice).load()) for choice in CHOICES]


def places(node, path=()):
    """Every group and field of a configuration."""
    for key, value in node.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


@given(data=st.data())
@examples(max_examples=500, suppress_health_check=list(HealthCheck))
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
