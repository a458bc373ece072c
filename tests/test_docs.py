"""The site: built strictly, asking nothing of other hosts, saying what the files say."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import python

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
