"""Own models, features and sources: loaded by the command line, checked, part of a result's key."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import command, csv_rows, exit_code, in_process, python

import lvh
from lvh.cli import export
from lvh.config import plugin_checks, plugins
from lvh.config.command_line import CommandLine
from lvh.config.composition import compose, plain
from lvh.config.plugins import ensure, load
from lvh.config.run_settings import RunSettings, settings_from
from lvh.data.lazy_array import LazyArray
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.inference import load as load_model
from lvh.runs.cache_key import deciding

PLUGIN = """
from dataclasses import dataclass
import lvh

@dataclass(frozen=True)
class Ridge:
    alpha: float = 1.0
    kind: str = "l2"

@lvh.register_model("ridge", settings=Ridge)
def ridge(settings):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / settings.alpha))

@dataclass(frozen=True)
class Net:
    units: int = 4
    l2: float = 0.01

@lvh.register_model("net", settings=Net)
def net(settings, input_shape):
    import keras
    from keras import layers
    inner = keras.Sequential([layers.Dense(settings.units), layers.Dropout(0.2)])  # unknown to lvh
    penalty = keras.regularizers.L2(settings.l2)
    outer = layers.Dense(3, kernel_regularizer=penalty)
    return keras.Sequential(
        [keras.Input(input_shape), inner, outer, layers.Dense(1, activation="sigmoid")]
    )

@lvh.register_features("spread")
def spread(cohort):
    return cohort.signals.std(axis=1), [f"{lead}_spread" for lead in cohort.leads]
"""
DATA = ("data=synthetic", "data.records=28", "cv.folds=2", "tracking=off", "hydra.run.dir=run")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins_forgotten: None) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "mine.py") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def run(*arguments: str, code: int = 0) -> str:
    done, out, err = in_process(*DATA, "--plugin", "mine.py", *arguments)
    assert done == code, out + err
    return out + err


def y_score(folder: str = "run") -> np.ndarray:
    return np.array([float(row["y_score"]) for row in csv_rows(Path(folder, "predictions.csv"))])


def test_folds_follow_the_code_and_scores_are_those_of_the_classifier():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    write(PLUGIN)
    chosen = ("model=ridge", "model.alpha=0.5", "features=spread")
    assert "changed" not in run(*chosen)
    data = lvh.load_data(lvh.settings(*DATA, *chosen))
    X = np.asarray(data.features.X, np.float64)
    expected = [
        make_pipeline(StandardScaler(), LogisticRegression(C=2.0))
        .fit(X[split.train], data.features.y[split.train])
        .predict_proba(X[split.test])[:, 1]
        for split in data.splits
    ]
    np.testing.assert_array_equal(y_score(), np.concatenate(expected))
    assert "2 of 2 folds are done already" in run(*chosen)
    before = y_score()
    write(PLUGIN.replace("C=1 /", "C=2 /"))
    said = run(*chosen)
    assert said.count("model=ridge: its code changed since the stored folds: they are train") == 1
    assert "done already" not in said
    assert (y_score() != before).any()
    write(PLUGIN)
    said = run(*chosen)
    assert "2 of 2 folds are done already" in said
    assert "changed" not in said
    np.testing.assert_array_equal(y_score(), before)


def test_names_of_plugins_work_from_python_and_on_lazy_records(cohort, monkeypatch):
    load([write(PLUGIN)])
    result = lvh.cross_validate("ridge", cohort, features="spread", cv=2)
    form = FORMS["spread"]
    features = form.extract(cohort, form.settings())
    same = lvh.cross_validate("ridge", features, cv=2)
    np.testing.assert_array_equal(result.y_score, same.y_score)
    monkeypatch.setattr(plugin_checks, "_BLOCK", 7)
    n, *shape = cohort.signals.shape
    lazy = LazyArray(np.arange(n), (*shape,), np.dtype("f4"), lambda at: cohort.signals[at])
    again = form.extract(replace(cohort, signals=lazy), form.settings())
    np.testing.assert_array_equal(again.X, features.X)


BEGIN = """from dataclasses import dataclass
import lvh
@dataclass(frozen=True)
class S:
    a: int = 1
"""
FITS = "class f:\n    def fit(self, X, y): pass\n    def predict_proba(self, X): return "
REFUSED = {  # a part of the message, and the code
    "ZeroDivisionError: division by zero (": "def f():\n    return 1 / 0",
    "CalibratedClassifierCV": "def f(): return svm.LinearSVC()",
    "expected parameters of": "def f(data): pass",
    "(random_state)": "def f(random_state): pass",
    "arguments of f": "class f:\n    def __init__(self): pass",
    "a function of a cohort": "def f(): pass\nlvh.register_features('own')(lambda: 1)",
    "expected probabilities": f"{FITS}2 * __import__('numpy').ones((len(X), 2))",
    "the classes 0 and 1, in this order. Received: [1, 0]": f"{FITS}0\n    classes_ = [1, 0]",
    "a new classifier for each fold": "def f(own=naive_bayes.GaussianNB()): return own",
    "one sigmoid output": "Dense(1)",
    "and float64": "Dense(2, dtype='float64'), Dense(1, activation='sigmoid')",
    "1 other losses": "Dense(2, activity_regularizer='l2'), Dense(1, activation='sigmoid')",
    "of one strength. Received: [{": (
        "Dense(2, kernel_regularizer=keras.regularizers.L2(0.1)), "
        "Dense(1, activation='sigmoid', kernel_regularizer='l2')"
    ),
}


@pytest.mark.parametrize("expected", REFUSED)
def test_what_would_give_wrong_numbers_is_refused(expected):
    code = REFUSED[expected]
    if code.startswith("Dense"):
        code = (
            "def f(input_shape):\n    import keras\n    from keras.layers import Dense\n"
            f"    return keras.Sequential([keras.Input(input_shape), {code}])"
        )
    more = ", settings=S" if expected in ("(random_state)", "arguments of f") else ""
    write(f"from sklearn import naive_bayes, svm\n{BEGIN}@lvh.register_model('own'{more})\n{code}")
    said = run("model=own", "features=voltage", "train.epochs=1", code=1 + ("Zero" not in expected))
    assert expected in said
    assert "own" in said


FEATURES = {
    "exit": "__import__('sys').exit(0)",
    "mean over records": "cohort.age[:, None] - cohort.age.mean()",
    "label": "cohort.label[:, None] * 1.0",
    "chance": "np.random.default_rng().normal(size=(len(cohort.records), 2))",
    "too few rows": "cohort.age[1:, None]",
    "names": "cohort.age[:, None], ['a', 'b']",
}


@pytest.mark.parametrize("case", FEATURES)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_features_that_leak_or_do_not_fit_are_refused(case):
    write(
        "import numpy as np\nimport lvh\n@lvh.register_features('own')\n"
        f"def f(cohort):\n    return {FEATURES[case]}"
    )
    said = run("model=svm", "features=own", code=1 if case == "exit" else 2)
    assert (
        "features=own: f: SystemExit: 0" if case == "exit" else "features=own: f: expec"
    ) in said


def test_fields_are_settings_and_part_of_the_key_which_results_without_plugins_keep():
    without = ("data=synthetic", "features=voltage", "model=svm")
    before = deciding(lvh.settings(*without))
    plugins = load([write(PLUGIN)])
    assert deciding(lvh.settings(*without)) == before
    assert "plugins" not in before
    chosen = ("data=synthetic", "features=spread", "model=ridge")
    composed = plain(CommandLine(chosen, plugins=plugins).load())

    def of(**model: object) -> RunSettings:
        return settings_from({**composed, "model": {"name": "ridge", **model}})

    default = of(alpha=1, kind="l2")
    for alpha, kind in ((1, "l2"), (2.0, "l2"), (1.0, "l1"), (0.1, "é ' {")):
        own = of(alpha=alpha, kind=kind)
        assert (own.model.alpha, own.model.kind) == (alpha, kind)
        assert (deciding(own) == deciding(default)) == ((alpha, kind) == (1, "l2"))
    for wrong in (True, "1", None, [1]):
        with pytest.raises(InputError, match=r"model\.alpha: "):
            of(alpha=wrong, kind="l2")
    with pytest.raises(InputError, match=r"model\.beta: no such setting"):
        of(alpha=1, kind="l2", beta=1)


def test_no_file_names_code_that_is_run():
    write("raise SystemExit('run')\n", "evil.py")
    touch = "{_target_: pathlib.Path.touch, self: {_target_: pathlib.Path, _args_: [evil]}}"
    launcher = f"_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\nx: {touch}"
    write(launcher, "own/hydra/launcher/own.yaml")
    for text in (
        *("plugins: [evil]", "plugins: evil.py", "plugins: {model=x: {source: evil.py}}"),
        "hydra: {sweeper: {params: {plugins: '[evil]'}}}",
        "hydra: {job_logging: {root: {}, formatters: {a: {(): pathlib.Path.touch, self: evil}}}}",
        "defaults: [override /hydra/launcher: own]",
    ):
        write(f"# @package _global_\n{text}\n", "own/experiment/bad.yaml")
        code, _, err = in_process("-m", *DATA, "--config-dir", "own", "experiment=bad", "seed=1,2")
        assert (code, "is not run" in err) == (2, True), err
    assert not Path("evil").exists()
    with pytest.raises(InputError, match="is not run"):
        CommandLine(("+plugins=[evil]",))


def test_the_code_of_files_next_to_it_counts():
    write("def scale():\n    return 2.0\n", "sub/scaling.py")
    write("unrelated = 1\n", "sub/other.py")
    source = write(
        "import lvh\n@lvh.register_features('own')\ndef f(cohort):\n"
        "    from scaling import scale\n    return scale() * cohort.age[:, None]\n",
        "sub/mine.py",
    )
    (first,) = load([source])
    write("unrelated = 2\n", "sub/other.py")
    assert load([source]) == (first,)
    write("def scale():\n    return 3.0\n", "sub/scaling.py")
    (second,) = load([source])
    assert second.digest != first.digest
    with pytest.raises(InputError, match="its code changed since this command began"):
        ensure([first])
    write("", "its/scaling.py")
    for name in (write("import scaling\n", "its/theirs.py"), "gone.py", "my.model.py", ".py"):
        with pytest.raises(InputError, match=r"expected (FILE\.py|files next).* no other module"):
            load([name])


def test_a_source_gets_a_fingerprint_of_all_that_it_holds(cohort):
    write(
        "import lvh\nfrom dataclasses import dataclass, replace\nfrom lvh.data import synthetic\n"
        "@dataclass(frozen=True)\nclass Shift:\n    years: float = 0.0\n"
        "@lvh.register_source('ours', settings=Shift)\ndef ours(settings):\n"
        "    made = synthetic.load(synthetic.SyntheticSettings(records=28))\n"
        "    return replace(made, age=made.age + settings.years, fingerprint='')\n"
    )
    plugins = load(["mine.py"])

    def loaded(*typed: str) -> lvh.Cohort:
        chosen = ("data=ours", "features=raw", "model=cnn", *typed)
        return lvh.load_data(compose(CommandLine(chosen, plugins=plugins)).settings).cohort

    assert loaded("data.years=0.0").fingerprint != loaded("data.years=0.5").fingerprint


def test_a_final_model_needs_the_very_code_that_it_was_fitted_with(cohort):
    write(PLUGIN)
    run("model=ridge", "features=spread")
    arguments = ["run", "--no-register", "--out", "model", "--seeds", "1"]
    assert exit_code(export.main, [*arguments, "--plugin", "mine.py"]) == 0
    predicted = load_model(Path("model")).predict(cohort)
    assert len(predicted.y_score) == len(cohort.records)
    write(PLUGIN.replace("std(", "var("))
    load(["mine.py"])
    with pytest.raises(InputError, match="expected the code that the model was fitted with"):
        load_model(Path("model"))
    plugins._forget("mine")
    with pytest.raises(InputError, match=r"Add --plugin \S*mine\.py; in Python"):
        load_model("model")
    assert exit_code(export.main, arguments) == 2


def test_entry_points_of_installed_packages_are_found(tmp_path):
    site = tmp_path / "site"
    (site / "theirs").mkdir(parents=True)
    (site / "theirs/__init__.py").write_text("")
    (site / "theirs/models.py").write_text(PLUGIN)
    about = site / "theirs-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[lvh.models]\ntheirs = theirs.models\n")
    script = (
        "import lvh; s = lvh.settings('data=synthetic', 'features=spread', 'model=ridge');"
        "print(s.model.alpha, sorted(s.plugins))"
    )
    paths = os.pathsep.join([str(site), str(Path(lvh.__file__).parent.parent)])
    done = python("-c", script, PYTHONPATH=paths)
    assert done.stdout == "1.0 ['features=spread', 'model=ridge']\n", done.stderr


@pytest.mark.slow
def test_processes_of_a_sweep_know_the_plugins(tmp_path):
    write(PLUGIN)
    arguments = (
        *("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *DATA[:-1]),
        *("features=spread", "model=ridge,net", "train.epochs=2", "--plugin", "mine.py"),
    )
    first = command(*arguments, cwd=tmp_path)
    assert first.code == 0, first.err
    assert "4 folds trained now" in first.out
    again = command(*arguments, cwd=tmp_path)
    assert (again.code, "0 folds trained now" in again.out) == (0, True), again.out + again.err
