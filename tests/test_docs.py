"""The site: built strictly, asking nothing of other hosts, saying what the files say."""

import csv
import html
import re
import runpy
import statistics
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_BUILD = """
import sys
from mkdocs.__main__ import cli
cli(["build", "--strict", "--quiet", "--site-dir", sys.argv[1]], standalone_mode=False)
heavy = {"tensorflow", "keras", "sklearn", "mlflow", "optuna", "matplotlib", "numpy", "lvh"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build it as `make docs` does, and see that this imports nothing of ours."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    return folder


class Fetched(HTMLParser):
    """What a browser fetches for a page without being asked."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag != "a":
            self.addresses += [given[name] for name in ("src", "srcset", "data") if name in given]
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given["href"])


def test_no_page_asks_anything_of_another_host(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        addresses = Fetched(page).addresses
        assert addresses
        for address in addresses:
            assert not re.match(r"\w+:|//", address) or address.startswith("data:"), page
            local = address.partition("#")[0].partition("?")[0]
            where = site / local.lstrip("/") if local.startswith("/") else page.parent / local
            assert page.name == "404.html" or where.exists(), (page, address)
    for style in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", style.read_text())
        assert found == [], style
    # the theme would fetch this one for a diagram
    assert not any('class="mermaid"' in page.read_text() for page in pages)


def test_every_page_and_every_experiment_is_in_the_navigation(site):
    start = (site / "index.html").read_text()
    for page in PAGES:
        at = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert f'href="{at}"' in start.replace('href="./"', 'href="index.html"'), at
    for page in (ROOT / "experiments").glob("*/README.md"):
        at = page.relative_to(ROOT).with_name("index.html").as_posix()
        assert f'href="{at}"' in start, at


CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@pytest.mark.slow
@pytest.mark.skipif(
    not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
    reason="needs a browser: apt-get install chromium chromium-driver",
)
def test_pages_from_the_disk_fit_a_phone_and_are_searched(site):
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = str(CHROMIUM)
    with Chrome(options=options, service=Service(str(CHROMEDRIVER))) as browser:
        browser.get(f"{(site / 'index.html').as_uri()}?q=permutation")
        found = "return [...document.querySelectorAll('.md-search-result__link')].map(x => x.href)"
        links = WebDriverWait(browser, 60).until(lambda here: here.execute_script(found))
        assert any("reference/folds.html" in link for link in links)
        small = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
        asked = "return performance.getEntriesByType('resource').map(x => x.name)"
        for page in sorted(site.rglob("*.html")):
            if page.name != "404.html":
                browser.get(page.as_uri())
                width = browser.execute_script("return document.documentElement.scrollWidth")
                assert width == 390, page
                assert all(one.startswith("file:") for one in browser.execute_script(asked)), page
                assert browser.get_log("browser") == [], page


def text_of(page: Path) -> str:
    """Return what stands on a page, without marks and in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.read_text())).split())


def test_the_reference_holds_what_the_code_says(site):
    page = site / "reference/folds.html"
    shown = text_of(page)
    assert "Which records train, which stop the training, which are scored." in shown
    assert "How often the whole scheme is repeated" in shown
    assert "Casale et al., J Am Coll Cardiol 6, 1985" in text_of(site / "reference/criteria.html")
    for name, is_public in (("external_split", True), ("_check_enough", False)):
        assert (f'id="lvh.validation.splits.{name}"' in page.read_text()) == is_public


def test_the_pages_hold_the_very_files_of_the_examples(site):
    for file in sorted((DOCS / "examples").rglob("*.*")):
        if "__pycache__" not in file.parts:
            shown = text_of(site / f"extend/{file.parent.name}.html")
            assert " ".join(file.read_text().split()) in shown, file


def test_links_between_readme_and_site_hold_in_the_repository_too():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text()):
            generated = re.search(r"(^|/)(readme|notebook)\.md$|^(\.\./)?experiments/", target)
            assert generated or (page.parent / target).exists(), (page, target)


def rows(path: str) -> list[dict[str, str]]:
    with (ROOT / "experiments" / path).open(newline="") as file:
        return list(csv.DictReader(file))


def science() -> str:
    return " ".join((DOCS / "science.md").read_text().split())


def test_the_table_of_protocols_is_that_of_the_reproduction():
    kinds = {
        ("dnn", "100"): r"dense network, 100 epochs",
        ("cnn_k250_s125", "60"): r"convolutional, stride 125, 60 epochs",
        ("cnn_k250_s125", "200"): r"convolutional, stride 125, 200 epochs, one seed",
    }
    protocols = ("honest", "carried", "best_on_scored", "carried-best_on_scored")
    found = rows("report_reproduction/results.csv")
    told, expected = science(), []
    for (experiment, epochs), label in kinds.items():
        for cohort, what in (("ludb", "LUDB"), ("null", "labels without information")):
            if (cohort, epochs) == ("null", "200"):
                continue  # not run
            medians = [
                statistics.median(
                    {
                        row["seed"]: statistics.fmean(map(float, row["folds"].split()))
                        for row in found
                        if row["mean"]
                        and (row["experiment"], row["epochs"]) == (experiment, epochs)
                        and (row["cohort"], row["protocol"]) == (cohort, protocol)
                    }.values()
                )
                for protocol in protocols
            ]
            cells = " | ".join(f"{one:.3f}" for one in medians)
            expected.append(f"| {label if cohort == 'ludb' else ''} | {what} | {cells} |")
    for line in expected:
        assert line.replace("|  |", "| |") in told
    leaking = [float(line.split("|")[-2]) for line in expected[1:4:2]]
    assert f"make {min(leaking):.2f} to {max(leaking):.2f} out of records" in told
    report = runpy.run_path(str(ROOT / "experiments/report_reproduction/rows.py"))
    printed = {name: one.printed for name, one in report["EXPERIMENTS"].items()}
    assert f"claims an accuracy of {printed['cnn_k250_s10']:.3f}" in told
    assert f"network has {printed['cnn_k250_s125']:.3f} at stride 125" in told


def test_the_honest_scores_are_those_of_the_experiment():
    found = {(row["run"], row["of"], row["metric"]): row for row in rows("best_honest/scores.csv")}
    told = science()

    def of(run: str, who: str, metric: str, column: str = "mean") -> str:
        return f"{float(found[run, who, metric][column]):.3f}"

    for label, run, who in (
        ("chosen inside every training part", "chosen", "model"),
        ("three kinds of model averaged", "average", "model"),
        ("these, of ST, intervals and axes too", "average_morphology", "model"),
        (r"age + sex", "chosen", "age + sex"),
    ):
        low, high = of(run, who, "ap", "low"), of(run, who, "ap", "high")
        scores = f"{of(run, who, 'accuracy')} | {of(run, who, 'ap')}"
        assert f"| {label} | {scores} | {low} to {high} |" in told
    accuracy, ap = (of("chosen", "age + sex", one) for one in ("accuracy", "ap"))
    assert f"mean accuracy of {accuracy} and a mean ap of {ap} (7 x 5 folds)" in told
    assert f"knowing nothing comes to {of('chosen', 'no skill', 'accuracy')}" in told
    assert f"an ap of {of('chosen', 'no skill', 'ap')} is no skill" in told


def test_what_a_seed_changes_is_that_of_the_file():
    accuracies = [float(row["accuracy"]) for row in rows("default_run/seeds.csv")]
    low, high = min(accuracies), max(accuracies)
    assert f"[from {low:.3f} to {high:.3f}](experiments/default_run/README.md)" in science()
    interval = {
        row["metric"]: float(row["high"]) - float(row["low"])
        for row in rows("default_run/scores.csv")
        if row["of"] == "model"
    }
    assert high - low == pytest.approx(interval["accuracy"], abs=0.02)  # "as much as"
