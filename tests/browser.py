"""A headless browser on an MLflow server, for tests that see what a person sees."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("selenium")

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
IS_THERE = CHROMIUM.exists() and CHROMEDRIVER.exists()

PAGE_SECONDS = 60
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --window-size=1400,1000"
).split()

# the table of runs, from the first row down: cells by column, a link's words where one is
_TABLE = """
    const rows = new Map();
    for (const cell of document.querySelectorAll('.ag-row .ag-cell[col-id]')) {
        const at = Number(cell.closest('.ag-row').getAttribute('row-index'));
        if (!rows.has(at)) rows.set(at, {});
        rows.get(at)[cell.getAttribute('col-id')] =
            (cell.querySelector('a') ?? cell).innerText.trim();
    }
    return [...rows.keys()].sort((a, b) => a - b).map(at => rows.get(at));
"""


class Ui:
    """Eyes and hands: a browser on one MLflow server, by its address; a folder of screenshots."""

    def __init__(self, driver: Chrome, address: str, screenshots: Path) -> None:
        self.driver, self._address, self._screenshots = driver, address, screenshots

    def open(self, route: str) -> None:
        """Open a page from scratch; a change behind the # alone would not reload it."""
        self.driver.get("about:blank")
        self.driver.get(f"{self._address}/#{route}")

    def until(self, condition, what: str):
        """Return what the condition comes to, once it is true; fail with what the page shows."""
        stale = [StaleElementReferenceException]
        wait = WebDriverWait(self.driver, PAGE_SECONDS, 0.1, ignored_exceptions=stale)
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            self.shoot("failed")
            page = self.driver.find_element(By.TAG_NAME, "body").text
            at = self.driver.current_url
            raise AssertionError(f"expected {what} at {at}. Received:\n{page}") from None

    def displayed(self, css: str, words: str = ""):
        """Return the first displayed element that consists of these words, or None."""
        found = self.driver.find_elements(By.CSS_SELECTOR, css)
        shown = (one for one in found if one.is_displayed())
        return next((one for one in shown if words in ("", one.text.strip())), None)

    def find(self, css: str, words: str = ""):
        return self.until(lambda: self.displayed(css, words), f"{css} {words}")

    def click(self, css: str, words: str = "") -> None:
        """Click an element as soon as it can be clicked: not moving, not covered."""

        def clicked():
            with suppress(ElementClickInterceptedException, ElementNotInteractableException):
                if element := self.displayed(css, words):
                    element.click()
                    return True
            return False

        self.until(clicked, f"{css} {words} to click")

    def says(self, words: str) -> None:
        body = self.driver.find_element(By.TAG_NAME, "body")
        self.until(lambda: words in body.text, f"the words {words!r}")

    def runs(self) -> list[dict[str, str]]:
        """Return the rows of the table of runs."""
        return self.driver.execute_script(_TABLE)

    def names(self) -> list[str]:
        return [row.get("attributes.`Run Name`", "") for row in self.runs()]

    def until_names(self, *names: str) -> None:
        """Wait until the table shows exactly these runs, in this order."""
        self.until(lambda: self.names() == list(names), f"the runs {', '.join(names)}")

    def shoot(self, name: str) -> None:
        self.driver.save_screenshot(str(self._screenshots / f"{name}.png"))


@contextmanager
def browsing(profile: Path) -> Iterator[Chrome]:
    """Run a headless browser with a fresh profile."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()
