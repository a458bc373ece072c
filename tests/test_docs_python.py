"""The page on Python: its blocks run, one after the other."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs/python.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run(trained, monkeypatch):
    run = trained("data.records=60", "features=voltage", "model=svm")
    monkeypatch.chdir(run.folder.parent)
    namespace: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), namespace)
    assert namespace["run"].summary().equals(namespace["svm"].summary())
