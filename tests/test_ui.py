"""What a person sees of a sweep in the MLflow UI: a real sweep, server and browser.

Set LVH_SCREENSHOTS to a folder to keep the screenshots.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("selenium")

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
        reason="needs a browser: apt-get install chromium chromium-driver",
    ),
    # MLflow's own use of SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]

SWEEP = (
    "-m data=synthetic data.records=40 model=cnn kernel=250,400 stride=50,125 "
    "model.filters=[8,8,8,8,8] train.epochs=1 cv.folds=2"
).split()
POINTS = {  # kernel and stride of each configuration
    "k250-s50-cnn-raw": ("250", "50"),
    "k250-s125-cnn-raw": ("250", "125"),
    "k400-s50-cnn-raw": ("400", "50"),
    "k400-s125-cnn-raw": ("400", "125"),
}
FILTER = "tags.level = 'configuration'"
BY_AP = f"orderByKey={quote('metrics.`ap`')}&orderByAsc=false"

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1600,1000"
).split()
SWEEP_SECONDS = 600
SERVER_SECONDS = 180
PAGE_SECONDS = 60

# the table of runs, from the first row down: cells by column, a link's words where one is
TABLE = """
    const rows = new Map();
    for (const cell of document.querySelectorAll('.ag-row .ag-cell[col-id]')) {
        const at = Number(cell.closest('.ag-row').getAttribute('row-index'));
        if (!rows.has(at)) rows.set(at, {});
        rows.get(at)[cell.getAttribute('col-id')] =
            (cell.querySelector('a') ?? cell).innerText.trim();
    }
    return [...rows.keys()].sort((a, b) => a - b).map(at => rows.get(at));
"""
# the tables of the compare page: cells by the head of their row
COMPARED = """
    const rows = {};
    for (const row of document.querySelectorAll('.mlflow-compare-table tr')) {
        const [head, ...cells] = [...row.children].map(cell => cell.innerText.trim());
        rows[head] = cells;
    }
    return rows;
"""
# its metrics are boxes in two grids, of names and of values: what stands beside a name, in view
COMPARED_METRIC = """
    const place = box => box.getBoundingClientRect();
    const name = [...document.querySelectorAll('a[title="Plot chart"]')]
        .find(link => link.textContent.trim() === arguments[0])?.parentElement;
    if (!name) return [];
    const bottom = place(name.closest('.ReactVirtualized__Grid')).bottom;
    return [...document.querySelectorAll('.ReactVirtualized__Grid__innerScrollContainer > *')]
        .filter(box => Math.abs(place(box).top - place(name).top) < 2)
        .filter(box => place(box).left > place(name).left && place(box).bottom <= bottom)
        .sort((a, b) => place(a).left - place(b).left)
        .map(box => box.innerText.trim());
"""


@dataclass(frozen=True)
class Stored:
    """A configuration as MLflow's client returns it."""

    run_id: str
    experiment_id: str
    ap: float


class Ui:
    """Eyes and hands: a browser on one MLflow server."""

    def __init__(self, driver: Chrome, port: int, screenshots: Path) -> None:
        self.driver = driver
        self._address = f"http://127.0.0.1:{port}/#"
        self._screenshots = screenshots

    def open(self, route: str) -> None:
        """Open a page from scratch; a change behind the # alone would not reload it."""
        self.driver.get("about:blank")
        self.driver.get(self._address + route)

    def until(self, condition, what: str):
        """Return what the condition comes to, as soon as that is true.

        Raises:
            AssertionError: It did not become true; tells what the page shows instead.
        """
        wait = WebDriverWait(
            self.driver,
            PAGE_SECONDS,
            poll_frequency=0.1,
            ignored_exceptions=[StaleElementReferenceException],
        )
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            self.shoot("failed")
            page = self.driver.find_element(By.TAG_NAME, "body").text
            raise AssertionError(
                f"expected {what} at {self.driver.current_url}. Received:\n{page}"
            ) from None

    def displayed(self, css: str, words: str = ""):
        """Return the first displayed element that consists of these words, or None."""
        for element in self.driver.find_elements(By.CSS_SELECTOR, css):
            if element.is_displayed() and words in ("", element.text.strip()):
                return element
        return None

    def find(self, css: str, words: str = ""):
        """Wait for an element to be displayed and return it."""
        return self.until(lambda: self.displayed(css, words), f"{css} {words}")

    def click(self, css: str, words: str = "") -> None:
        """Click an element as soon as it can be clicked: not moving, not covered."""

        def clicked():
            element = self.displayed(css, words)
            if element is None:
                return False
            with suppress(ElementClickInterceptedException):
                element.click()
                return True
            return False

        self.until(clicked, f"{css} {words} to click")

    def runs(self) -> list[dict[str, str]]:
        """Return the rows of the table of runs."""
        return self.driver.execute_script(TABLE)

    def names(self) -> list[str]:
        """Return the names in the table of runs, from the first row down."""
        return [row.get("attributes.`Run Name`", "") for row in self.runs()]

    def until_names(self, *names: str) -> None:
        """Wait until the table shows exactly these runs, in this order."""
        self.until(lambda: self.names() == list(names), f"the runs {', '.join(names)}")

    def add_column(self, group: str, name: str) -> None:
        """Tick a column in the menu of columns and wait until the table has it."""
        self.click("[data-testid=column-selection-dropdown]")
        search = self.find("input[placeholder='Search columns']")
        search.send_keys(name)
        self.click("[data-testid=column-selector-tree] [title]", name)
        self.until(lambda: f"{group}.`{name}`" in self.runs()[0], f"a column {name}")
        search.send_keys(Keys.ESCAPE)
        self.until(lambda: not self.displayed("[data-testid=column-selector-tree]"), "no menu")

    def shoot(self, name: str) -> None:
        """Save a screenshot."""
        self.driver.save_screenshot(str(self._screenshots / f"{name}.png"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Run a real sweep and return the directory that it ran in."""
    folder = tmp_path_factory.mktemp("swept")
    done = subprocess.run(
        [sys.executable, "-m", "lvh.run", *SWEEP],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SWEEP_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def stored(swept):
    """Return the configurations in the store, by name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{swept / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lvh")
    return {
        run.info.run_name: Stored(run.info.run_id, experiment.experiment_id, run.data.metrics["ap"])
        for run in client.search_runs([experiment.experiment_id], FILTER)
    }


@pytest.fixture(scope="module")
def ui(swept, tmp_path_factory):
    """Open the experiments in a browser, without the assistant that covers a quarter."""
    folder = tmp_path_factory.mktemp("browser")
    screenshots = Path(os.environ.get("LVH_SCREENSHOTS", folder)).resolve()
    screenshots.mkdir(parents=True, exist_ok=True)
    with served(swept) as port, chromium(folder / "profile") as driver:
        ui = Ui(driver, port, screenshots)
        ui.open("/experiments")
        ui.find("a", "lvh")
        if ui.displayed("button[aria-label=Close]"):
            ui.click("button[aria-label=Close]")
        yield ui


def environment() -> dict[str, str]:
    """Return the environment, without anything that would point MLflow elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


@contextmanager
def served(folder: Path):
    """Run a bare `mlflow ui` in a directory; gives its port once it is healthy."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "ui.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its workers can be ended with it
        )
    try:
        wait_for_health(server, port, log)
        yield port
    finally:
        end(server)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_health(server: subprocess.Popen, port: int, log: Path) -> None:
    """Return when the server answers, or fail with its log."""
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if healthy(port):
            return
        time.sleep(0.2)
    pytest.fail(f"mlflow ui did not become healthy:\n{log.read_text()}")


def healthy(port: int) -> bool:
    """Ask a server whether it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end(server: subprocess.Popen) -> None:
    """End a server in order, then whatever is left of its own process group."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=30)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@contextmanager
def chromium(profile: Path):
    """Run a headless browser with a fresh profile."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def experiment_of(stored: dict[str, Stored]) -> str:
    return next(iter(stored.values())).experiment_id


def by_ap(stored: dict[str, Stored]) -> list[str]:
    """Return the names of the configurations, the best first."""
    return sorted(stored, key=lambda name: -stored[name].ap)


def test_the_store_holds_the_four_configurations(stored):
    assert sorted(stored) == sorted(POINTS)


def test_the_experiment_is_listed(ui):
    ui.open("/experiments")
    ui.find("a", "lvh")
    ui.shoot("experiments")


def test_a_sweep_hides_its_runs_until_it_is_unfolded(ui, stored):
    ui.open(f"/experiments/{experiment_of(stored)}/runs")
    ui.until_names("kernel x stride, 4 runs")
    ui.shoot("runs")
    ui.click(".ag-row [col-id='attributes.`Run Name`'] button")
    newest_first = list(reversed(POINTS))
    ui.until_names("kernel x stride, 4 runs", *newest_first)
    ui.shoot("runs_unfolded")


def test_the_filter_leaves_the_configurations(ui, stored):
    ui.open(f"/experiments/{experiment_of(stored)}/runs?{BY_AP}")
    ui.until(lambda: len(ui.names()) > len(POINTS), "more runs than configurations")
    ui.shoot("runs_unfiltered")
    ui.find("[data-testid=search-box]").send_keys(FILTER, Keys.ENTER)
    ui.until_names(*by_ap(stored))
    ui.shoot("runs_filtered")
    ui.add_column("metrics", "ap")
    ui.add_column("params", "kernel")
    ui.add_column("params", "stride")
    ui.shoot("runs_columns")
    for name, row in zip(ui.names(), ui.runs(), strict=True):
        assert (row["params.`kernel`"], row["params.`stride`"]) == POINTS[name]
        assert float(row["metrics.`ap`"]) == pytest.approx(stored[name].ap), row


def test_the_compare_page_shows_kernel_stride_and_ap(ui, stored):
    names = by_ap(stored)
    runs = quote(json.dumps([stored[name].run_id for name in names]))
    ui.open(f"/compare-runs?runs={runs}&experiments={quote(json.dumps([experiment_of(stored)]))}")
    compared = ui.until(
        lambda: len((rows := ui.driver.execute_script(COMPARED)).get("kernel", [])) == 4 and rows,
        "a row kernel with four cells",
    )
    ui.until(lambda: ui.displayed(".js-plotly-plot .main-svg"), "a plot")
    ui.shoot("compare_plot")
    assert compared["Run Name:"] == names
    assert list(zip(compared["kernel"], compared["stride"], strict=True)) == [
        POINTS[name] for name in names
    ]
    ui.click("[aria-label='Parameters - Show diff only']")
    switch = "[aria-label='Metrics - Show diff only']"
    ui.click(switch)
    ui.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", ui.find(switch))
    # in MLflow 3.17.2 the names stay where they are when the values are scrolled: whoever must
    # scroll to find ap reads another metric beside it
    shown = ui.until(
        lambda: len(cells := ui.driver.execute_script(COMPARED_METRIC, "ap")) == 4 and cells,
        "a row ap with four cells, without scrolling",
    )
    ui.shoot("compare_values")
    assert [float(ap) for ap in shown] == [round(stored[name].ap, 3) for name in names]


def test_a_run_shows_its_summary(ui, stored):
    best = by_ap(stored)[0]
    route = f"/experiments/{experiment_of(stored)}/runs/{stored[best].run_id}"
    ui.open(route)
    ui.find("h1, h2, h3", best)
    ui.shoot("run")
    ui.open(f"{route}/artifacts")
    ui.click("[data-testid=artifact-tree-node]", "summary.png")
    image = ui.find("img[alt='summary.png']")
    ui.until(lambda: int(image.get_property("naturalWidth")) > 0, "an image with a width")
    ui.shoot("artifact")
