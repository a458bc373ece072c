"""What must not happen whatever is typed, downloaded or named: code run, secrets told, files hit.

The number in a test's name is that of its row in the table of faults; those of rows 41, 42 and 44
(loading a model, predicting) are in test_final_models.py, those of row 45 in test_serving.py.
"""

import re
from pathlib import Path

import pytest
from conftest import Done, command, write_data_set
from hydra import compose, initialize_config_dir
from lvh.config.hydra_errors import explained
from test_report_statistics import make_study, make_trial

from lvh.config.run_settings import conf_dir, plain, quoted, settings_from
from lvh.errors import InputError, LvhError, masked
from lvh.reports.study import write
from lvh.search import storage

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = "<script>alert(1)</script>"
SECRET = "s3same-0pen"
FAST = ("data=synthetic", "data.records=42", "cv.folds=3", "model=svm", "features=voltage")
CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")


CODE = [
    "data._target_=builtins.open",
    "+data._target_=builtins.open",
    "+model={_target_: builtins.open, file: evil, mode: w}",
    "+hydra.callbacks.a._target_=builtins.open",
    "+hydra.callbacks.a={_target_: builtins.open, file: evil, mode: w}",
    "hydra.callbacks={a: {x: 1}}",
    "++hydra/callbacks=evil",
    "hydra={callbacks: {a: {x: 1}}}",
    "hydra.sweeper._target_=builtins.open",
    "hydra.launcher._target_=builtins.open",
    "+hydra.job_logging.handlers.a.class=logging.FileHandler",
]


def refusal(*overrides: str) -> LvhError:
    """Compose, as a command does, and return what it says."""
    try:
        with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
            settings = settings_from(plain(compose("config", quoted(list(overrides)))))
        storage.embedded(settings.search.storage)
    except Exception as error:
        return explained(error)
    raise AssertionError(f"expected a refusal of {overrides}")


@pytest.mark.parametrize("override", CODE)
def test_43_an_override_that_names_code_is_refused(override):
    told = refusal(override)
    assert told.exit_code == 2
    assert override.partition("=")[0].lstrip("+") in str(told)


def test_43_code_in_an_override_does_not_run(tmp_path):
    """Hydra makes its callbacks from whatever they name, before a program of its user runs."""
    named = [f"+hydra.callbacks.a.{one}" for one in ("_target_=builtins.open", "file=evil")]
    done = command(*FAST, *named, "+hydra.callbacks.a.mode=w", cwd=tmp_path)
    assert done.code == 2
    assert re.fullmatch(r"lvh: \+hydra\.callbacks\.a\._target_: expected .+\n", done.err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://me:***@host:5000/x"),
        ("at postgresql://me:s:e/c@ret@host/db.", "at postgresql://me:***@host/db."),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "…?user=me&password=***&x=1"),
        ("invalid dsn: host=h password=secret port=1", "invalid dsn: host=h password=*** port=1"),
        ("https://host/?access_token=secret", "https://host/?access_token=***"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
    ],
)
def test_secrets_in_addresses_are_masked(text, shown):
    shown = shown.replace("…", "postgresql://host/db")
    assert masked(text) == shown
    assert masked(shown) == shown
    assert str(InputError(text)) == shown


def assert_secret_nowhere(done: Done) -> None:
    """Look into all that was printed and all that was written, the databases too."""
    assert SECRET not in done.out + done.err
    files = [path for path in done.cwd.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert SECRET not in str(path)


TOLD = {
    "a tracking server that is gone": (FAST, 3),
    "a sweep of which a configuration fails": (("-m", *FAST, "features=voltage,raw"), 3),
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "code"), TOLD.values(), ids=TOLD)
def test_secrets_of_a_tracking_server_are_nowhere(tmp_path, arguments, code):
    done = command(*arguments, f"tracking.uri=http://user:{SECRET}@127.0.0.1:9", cwd=tmp_path)
    assert done.code == code, done.out + done.err
    assert "user:***@127.0.0.1:9" in done.out + done.err
    assert_secret_nowhere(done)
    assert list(tmp_path.rglob("config.yaml")) or list(tmp_path.rglob("multirun.yaml"))


@pytest.mark.slow
def test_secrets_of_a_database_of_studies_are_nowhere(tmp_path):
    pytest.importorskip("psycopg")
    studies = f"search.storage=postgresql://me:{SECRET}@127.0.0.1:9/db"
    tracking = f"tracking.uri=http://user:{SECRET}@127.0.0.1:9"
    done = command("-m", *FAST, "model.C=0.5,1", studies, tracking, cwd=tmp_path)
    assert done.code == 3, done.out + done.err
    assert "me:***@127.0.0.1:9/db" in done.err
    assert (next(tmp_path.rglob("multirun.yaml"))).stat().st_size > 0
    assert_secret_nowhere(done)


@pytest.mark.slow
def test_secrets_of_a_mirror_are_no_parameters(tmp_path, cohort):
    """Every field of the data is a parameter of a run, and data.url is an address."""
    write_data_set(tmp_path / "set", cohort, 40)
    mirror = f"data.url=http://user:{SECRET}@127.0.0.1:9/a.zip"
    data = ("data=ludb", f"data.root={tmp_path}/set", mirror)
    done = command(*FAST[2:], *data, cwd=tmp_path)
    assert done.code == 0, done.err
    (run,) = done.runs("tags.level = 'configuration'")
    assert run.data.params["data.url"] == "http://user:***@127.0.0.1:9/a.zip"
    assert_secret_nowhere(done)


@pytest.mark.parametrize(
    "override",
    [
        "tracking=http://user:{}@host",
        "tracking.uri=[http://user:{}@host]",
        "search.storag=postgresql://user:{}@host/db",
        "search.storage=mysql://user:{}@host/db",
        "tracking.uri=http://user:{}@host x=[",
    ],
)
def test_secrets_are_in_no_error(override):
    told = str(refusal(*override.format(SECRET).split()))
    assert SECRET not in told
    assert told


def test_secrets_are_in_no_traceback(tmp_path):
    typed = f"tracking=http://user:{SECRET}@host"
    done = command(*FAST, typed, cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("lvh: tracking: expected an option")
    assert SECRET not in done.out + done.err


@pytest.mark.slow
@pytest.mark.skipif(
    not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
    reason="needs a browser: apt-get install chromium chromium-driver",
)
def test_names_that_are_markup_are_text_in_a_browser(tmp_path):
    pytest.importorskip("selenium")
    from browser import browsing
    from selenium.common.exceptions import NoAlertPresentException
    from selenium.webdriver.common.by import By

    breaking = '"><img src=x onerror=alert(1)>'
    trials = [
        make_trial(0, [0.5, 0.6], params={SCRIPT: SCRIPT, "b": breaking}),
        make_trial(1, [0.4, 0.7], params={SCRIPT: breaking, "b": SCRIPT}),
        make_trial(2, [], "failed", {SCRIPT: "x", "b": "y"}, error=SCRIPT),
    ]
    page = write(make_study(trials, title=SCRIPT, name=SCRIPT, note=breaking), tmp_path / "out")
    with browsing(tmp_path / "profile") as driver:
        driver.get(page.as_uri())
        with pytest.raises(NoAlertPresentException):
            _ = driver.switch_to.alert.text
        assert driver.find_element(By.TAG_NAME, "h1").text == SCRIPT
        assert driver.title == SCRIPT
        assert driver.find_element(By.CLASS_NAME, "note").text == breaking
        assert not driver.find_elements(By.TAG_NAME, "script")
        assert not driver.find_elements(By.CSS_SELECTOR, "img[onerror], img[src=x]")
        cells = [one.text for one in driver.find_elements(By.CSS_SELECTOR, "td.text")]
        assert cells.count(SCRIPT) >= 3


def test_servers_of_the_makefile_listen_on_loopback_alone():
    """As lvh.ui does: test_ui.py looks who listens."""
    recipes = [one for one in (ROOT / "Makefile").read_text().splitlines() if one[:1] == "\t"]
    for server in ("mlflow", "optuna-dashboard", "http.server", "tensorboard"):
        assert not [one for one in recipes if server in one]
