"""The search of the site, in a browser and from the disk: what people type leads to the page."""

import pytest
from browser import IS_THERE, browsing
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from test_docs import site  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IS_THERE, reason="needs a browser: apt-get install chromium chromium-driver"
    ),
]

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
def driver(site, tmp_path_factory):  # noqa: F811
    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        driver.get((site / "index.html").as_uri())
        yield driver


@pytest.mark.parametrize("words", FIRST)
def test_the_first_result_is_the_page(driver, words):
    box = driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
    driver.execute_script("document.querySelector('.md-search-result__list').replaceChildren()")
    driver.execute_script(
        "arguments[0].focus(); arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));",
        box,
        words,
    )
    results = WebDriverWait(driver, 60).until(
        lambda _: driver.execute_script(
            "return [...document.querySelectorAll('.md-search-result__list > li')]"
            ".map(one => one.querySelector('a').href)"
        )
    )
    found = [one.partition("/site/")[2].partition(".html")[0] for one in results]
    assert found[0] in FIRST[words], found[:5]
