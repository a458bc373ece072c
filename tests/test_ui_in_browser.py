"""What a person sees of a sweep and its model in the MLflow UI: real ones, server and browser.

`make screenshots` keeps what is seen, for the documentation.
"""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import IS_THERE, Ui, browsing
from conftest import python
from mlflow import MlflowClient
from servers import listening, until
from servers import ui as run_ui

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IS_THERE, reason="needs a browser: apt-get install chromium chromium-driver"
    ),
    # MLflow's own use of SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]

POINTS = {  # kernel and stride of each configuration, in the order in which they are trained
    f"cnn-raw kernel={kernel} stride={stride}": (str(kernel), str(stride))
    for kernel in (250, 400, 500)
    for stride in (5, 10, 50, 125)
}
SWEEP = "kernel x stride, 12 runs"
OTHER = "logistic-voltage-on-synthetic"
DATA = "data=synthetic data.records=40"
COMMANDS = (
    f"lvh.run -m {DATA} model=cnn kernel=250,400,500 stride=5,10,50,125 "
    "model.filters=[4,4] train.epochs=2 cv.folds=2",
    "lvh.export --seeds 1",
    f"lvh.run {DATA} cv=external external=synthetic external.records=24 external.seed=1 "
    "model=logistic features=voltage",
)


HIDDEN_PATH = """
    for (const line of document.querySelectorAll('span, div'))
        if (/^(Path: )?file:/.test(line.textContent)) line.style.visibility = 'hidden';
"""


@pytest.fixture(scope="module", autouse=True)
def _nothing_points_elsewhere():
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    for typed in COMMANDS:
        done = python("-m", *typed.split(), cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def stored(swept):
    client = MlflowClient(tracking_uri=f"sqlite:///{swept / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lvh").experiment_id
    found = client.search_runs([experiment], "tags.level != 'fold'")
    return {run.info.run_name: run for run in found}


@pytest.fixture(scope="module")
def shown(swept):
    with serving(swept) as address:
        yield address


@pytest.fixture(scope="module")
def ui(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    screenshots = Path(os.environ.get("LVH_SCREENSHOTS", folder)).resolve()
    screenshots.mkdir(parents=True, exist_ok=True)
    with browsing(folder / "profile") as driver:
        ui = Ui(driver, shown.partition("/#")[0], screenshots)
        ui.open("/experiments")
        ui.find("a", "lvh")
        ui.click("button[aria-label=Close]")  # of the assistant, which covers a quarter
        ui.click("[role=button]", "Model training")
        ui.says("A sweep is a run, its configurations are runs below it")
        ui.shoot("experiments")
        yield ui


@contextmanager
def serving(folder: Path, *options: str):
    with run_ui(folder, *options, err=None) as (_, port, printed):
        until(lambda: listening(port), "the server answers")
        yield re.search("(?:configurations by ap|sweeps): (.+)", printed)[1]


def route(run) -> str:
    return f"/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def by_ap(stored) -> list[str]:
    return sorted(POINTS, key=lambda name: -stored[name].data.metrics["ap"])


def follow(ui: Ui, words: str) -> None:
    tabs = ui.driver.window_handles
    ui.click("a", words)
    ui.until(lambda: len(ui.driver.window_handles) > len(tabs), "a new tab")
    ui.driver.switch_to.window(ui.driver.window_handles[-1])


def test_the_printed_address_and_a_link_of_the_sweep_show_its_configurations(ui, shown, stored):
    ui.open(shown.partition("#")[2])
    ranked = sorted([*POINTS, OTHER], key=lambda name: -stored[name].data.metrics["ap"])
    ui.until_names(*ranked)
    for name, row in zip(ui.names(), ui.runs(), strict=True):
        assert float(row["metrics.`ap`"]) == pytest.approx(stored[name].data.metrics["ap"]), row
        point = row["params.`kernel`"], row["params.`stride`"]
        assert point == POINTS.get(name, ("-", "-"))
    ui.shoot("configurations")
    ui.open(shown.partition("#")[2] + "&compareRunsMode=CHART")
    ui.find(".js-plotly-plot .contour")
    ui.shoot("contour")
    ui.find(".parcoords canvas.foreground")
    ui.shoot("parallel_coordinates")
    ui.open(route(stored[SWEEP]))
    follow(ui, "Its configurations as a table, and their charts")
    ui.until_names(*by_ap(stored))


def test_two_that_are_ticked_are_compared(ui, shown, stored):
    ui.open(shown.partition("#")[2])
    ui.until(lambda: len(ui.names()) == len(POINTS) + 1, "the configurations")
    for name in by_ap(stored)[:2]:
        ui.click(f".ag-row[row-index='{ui.names().index(name)}'] .ag-checkbox-input-wrapper")
    ui.click("[data-testid=runs-compare-button]")
    ui.find(".mlflow-compare-table")
    ui.click("[aria-label='Parameters - Show diff only']")
    switch = "[aria-label='Metrics - Show diff only']"
    ui.click(switch)
    ui.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", ui.find(switch))
    ui.shoot("compare_two")


def test_a_run_names_its_data_set_sweep_model_and_pictures(ui, stored):
    best = by_ap(stored)[0]
    ui.open(route(stored[best]))
    ui.find("h1, h2, h3", best)
    ui.find("a", SWEEP)
    ui.says("Metrics (15)")
    ui.find("a[href$='#/models/lvh/versions/1']")
    ui.shoot("run")
    (data,) = (one.dataset for one in stored[best].inputs.dataset_inputs)
    ui.click("[role=button] span", f"{data.name} ({data.digest})")
    ui.says("records used: 40")
    ui.shoot("dataset")
    ui.open(f"{route(stored[best])}/artifacts")
    ui.click("[data-testid=artifact-tree-node]", "summary.png")
    image = ui.find("img[alt='summary.png']")
    ui.until(lambda: int(image.get_property("naturalWidth")) > 0, "a picture with a width")
    ui.driver.execute_script(HIDDEN_PATH)  # of a temporary folder
    ui.shoot("artifact")


def test_the_model_leads_to_the_run_that_it_was_chosen_from(ui, stored):
    best = by_ap(stored)[0]
    ui.open("/models")
    ui.click("button", "Try it now")  # a notice of MLflow on its registry
    ui.click("a[href$='#/models/lvh']")
    ui.says("@ champion")
    ui.click("a[href$='#/models/lvh/versions/1']")
    ui.says("Not a medical device.")
    ui.says("The model is the best of 12 by ap, which flatters that score")
    ui.shoot("model")
    (model,) = (name for name in stored if name.startswith("model "))
    ui.click("a", model)
    ui.find("h1, h2, h3", model)
    ui.open("/models/lvh/versions/1")
    follow(ui, "The cross-validated run, with its folds and figures")
    ui.find("h1, h2, h3", best)


def test_the_dashboard_of_optuna_shows_the_sweep_and_its_objective_by_name(ui, swept):
    pytest.importorskip("optuna_dashboard")
    with serving(swept, "--studies") as address:
        ui.driver.get(f"{address}/studies/1")
        ui.says("Hyperparameter Importance")
        ui.shoot("dashboard")
