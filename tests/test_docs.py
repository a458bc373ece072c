"""The site: built strictly, asking nothing of other hosts, saying what the files say."""

import html
import re
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

LINKS = "return [...document.querySelectorAll('.md-search-result__link')].map(x => x.href)"


@pytest.mark.slow
@pytest.mark.skipif(
    not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
    reason="needs a browser: apt-get install chromium chromium-driver",
)
def test_pages_from_the_disk_fit_a_phone_and_are_searched(site, tmp_path):
    pytest.importorskip("selenium")
    from browser import browsing
    from selenium.webdriver.support.ui import WebDriverWait

    with browsing(tmp_path) as browser:
        browser.get(f"{(site / 'index.html').as_uri()}?q=permutation")
        links = WebDriverWait(browser, 60).until(lambda here: here.execute_script(LINKS))
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


def test_the_pages_hold_the_very_files_of_the_examples(site):
    for file in sorted((DOCS / "examples").rglob("*.*")):
        if "__pycache__" not in file.parts:
            shown = text_of(site / f"extend/{file.parent.name}.html")
            assert " ".join(file.read_text().split()) in shown, file


def test_links_between_readme_and_site_hold_in_the_repository_too():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text()):
            generated = re.search(
                r"(^|/)(contributing|notebook)\.md$|^(\.\./)?experiments/", target
            )
            assert generated or (page.parent / target).exists(), (page, target)
