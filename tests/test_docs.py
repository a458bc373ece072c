"""The site: built strictly, asking nothing of other hosts, saying what the files say."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import python
from servers import until

import lvh

ROOT = Path(__file__).resolve().parent.parent
_BUILD = """
import sys
from mkdocs.__main__ import cli
cli(["build", "--strict", "--quiet", "--site-dir", sys.argv[1]], standalone_mode=False)
heavy = {"tensorflow", "keras", "sklearn", "mlflow", "optuna", "matplotlib", "numpy", "lvh"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = python("-c", _BUILD, str(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    return folder


class Fetched(HTMLParser):
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
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_the_reference_has_every_public_name_and_each_is_a_link(site):
    page = (ROOT / "docs/reference/python.md").read_text()
    assert {*re.findall(r"\[`(\w+)`\]", page)} == {*lvh.__all__}
    assert "][lvh." not in (site / "reference/python.html").read_text()


FIRST = {
    "own data numpy": ("own_data", "gallery/numpy_arrays"),
    "own data": ("own_data",),
    "csv": ("own_data", "gallery/own_csv"),
    "Slurm": ("cluster",),
    "resume": ("sweeps",),
    "no skill": ("concepts",),
    "external validation": ("gallery/other_hospital", "which_model"),
    "keras": ("gallery/keras_model", "extend/model"),
    "exit code": ("troubleshooting",),
    "export": ("predictions",),
    "share": ("sweeps",),
    "dicom": ("formats",),
}


@pytest.fixture(scope="module")
def driver(site, tmp_path_factory):
    from browser import browsing

    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        driver.get((site / "index.html").as_uri())
        yield driver


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/usr/bin/chromedriver").exists(), reason="needs a browser: apt-get install chromium"
)
@pytest.mark.parametrize("words", FIRST)
def test_the_first_result_of_the_search_is_the_page(driver, words):
    search = "css selector", "input.md-search__input"
    box, *_ = until(lambda: driver.find_elements(*search), "the page", seconds=30)
    box.click()  # a page from the disk reads its index when a person goes to the search
    driver.execute_script("document.querySelector('.md-search-result__list').replaceChildren()")
    driver.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));",
        box,
        words,
    )
    links = (
        "return [...document.querySelectorAll('.md-search-result__list > li')]"
        ".map(one => one.querySelector('a').href)"
    )
    results = until(lambda: driver.execute_script(links), "a result", seconds=30)
    found = [one.partition("/site/")[2].partition(".html")[0] for one in results]
    assert found[0] in FIRST[words], found[:5]
