"""A wrong command line ends with one line that names the field, and 2, before anything is read."""

import copy
import shlex

import pytest
from conftest import in_process
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lvh.config.command_line import CommandLine
from lvh.config.composition import plain
from lvh.config.run_settings import settings_from
from lvh.errors import InputError

LEAKING = "cv.weights=carried cv.allow_leakage=true"
REFUSED = {  # arguments as a shell takes them: parts of the line
    "model=vgg": ["model=vgg: expected one of boosting, cnn, criteria, dnn", "--plugin"],
    "hydra/launcher=ray": ["hydra/launcher=ray: expected one of basic", "lvh[ray]"],
    "model.C=1": ["model.C: expected model=logistic or svm"],
    "model=../config": ["model=../config: expected one of boosting"],
    "cv=nested model=svm": ["cv=nested: expected model=nested_selection", "model=svm"],
    "externl=ptbxl": ["did you mean external"],
    "hydra.job.chdir=true": ["hydra.job.chdir: expected false"],
    "''": ["'': expected GROUP=OPTION"],
    "'data.root=\x1b[2J'": [r"'data.root=\x1b[2J': expected"],
    "'data.root=a=b'": ["needs quotes: 'data.root=\"a=b\"'"],
    "'data.root=${x}'": ["data.root", r"needs quotes: 'data.root=\"\${x}\"'".replace(r"\"", '"')],
    "model=svm,dnn": ["model=svm,dnn: several values are a sweep: add -m"],
    f"{'a' * 1000}=3": ["expected"],
    "hydra/sweeper=basic": ["hydra/sweeper=basic': lvh"],
    "hydra.sweeper.n_trials=9": ["search.n_trials"],
    "hydra/launcher=joblib hydra.launcher.n_jobs=x": ["hydra.launcher.n_jobs=x: ", "'x'"],
    f"model=svm {LEAKING}": ["a model that has no epochs", "svm"],
    "train.augment.noise=0.1": ["train.augment: changes signals", "model=dnn"],
    "-m data=synthetic model=svm,cnn kernel=250": ["kernel=choice(...)"],
    "'search.objectives=[ap,speed]'": ["search.objectives", "'speed'", "seconds"],
    "data=synthetic features=voltage tracking.uri=mlruns": ["tracking.uri: expected", "mlruns"],
    f"tracking.experiment={'x' * 1000}": ["tracking.experiment", "500"],
    "-m experiment=classical_baselines,report_dnn": ["experiment: the recipe of a sweep"],
    "-m model=svm 'model.C=range(1,10,0)'": ["model.C: expected range", "a step other than 0"],
    "-m seed=0,1 search.workers=2": ["search.workers: needs a launcher"],
    "-m seed=0,1 search.budget=race search.pruner=median": ["only one of the two"],
    "-m data=synthetic ++cv.folds=2,3 search.budget=race": ["a sweep of ++cv.folds"],
    "-m data=synthetic train.epochs=9,18 search.budget=halving": ["a sweep of train.epochs"],
    "-m data=synthetic 'model.l2=interval(0.1,1)' search.sampler=grid": ["cannot be listed"],
    "-m model=svm,extra_trees model.C=3": ["model.C: expected model=", "model.C=choice(...)"],
    "--experimental-rerun job.pickle": ["a pickle may hold code"],
    "--config-dir nowhere": ["nowhere"],
}


@pytest.fixture(scope="module", autouse=True)
def _composing(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LVH_LUDB_ROOT", raising=False)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


@pytest.mark.parametrize(("typed", "parts"), REFUSED.items(), ids=lambda value: str(value)[:50])
def test_a_wrong_command_line_is_refused_in_one_line(typed, parts):
    code, _, err = in_process(*shlex.split(typed))
    (line,) = err.splitlines()
    assert code == 2
    assert line.startswith("lvh: ")
    assert line.isprintable()
    assert len(line) < 500
    assert all(part in line for part in parts), line


CHOICES = ["", "model=cnn", "model=resnet", "model=nested_selection", "model=svm", "data=synthetic"]
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
    return [plain(CommandLine(tuple(choice.split())).load()) for choice in CHOICES]


def paths(node, path=()):
    """Every group and field of a configuration."""
    for key, value in node.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from paths(value, (*path, key))


@given(data=st.data())
@examples(max_examples=300, suppress_health_check=list(HealthCheck))
def test_any_value_of_a_field_gives_settings_or_a_line(composed, data):
    config = copy.deepcopy(data.draw(st.sampled_from(composed)))
    *groups, field = path = data.draw(st.sampled_from(list(paths(config))))
    node = config
    for group in groups:
        node = node[group]
    if data.draw(st.integers(0, 9)):
        node[field] = data.draw(ANYTHING)
    else:
        del node[field]
    try:
        settings_from(config).params()
    except InputError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()
    assert path[0] in message
