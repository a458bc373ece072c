"""The experiment on found fiducials says what its files hold, and matches points as it should."""

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "experiments/delineation"


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:  # short names, which others may want
        if str(FOLDER) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_the_tables_are_those_of_the_files():
    from table import MARK, tables

    told = (FOLDER / "README.md").read_text()
    assert told.partition(MARK)[2].strip() == "\n".join(tables()).strip()


def test_points_are_matched_once_and_nearest_first():
    from agreement import agreement

    annotated = np.array([100.0, 200.0, 300.0, np.nan])
    found = np.array([90.0, 104.0, 290.0, 420.0, 50.0])
    one = agreement(annotated, found, (95, 320), 500.0)
    assert one.annotated == 3
    np.testing.assert_allclose(sorted(one.errors * 500), [-10.0, 4.0])
    assert one.false == 0  # 90, 420 and 50 lie where nobody has annotated
    inside = agreement(annotated, found, (0, 500), 500.0)
    assert inside.false == 3
    assert inside.sensitivity == pytest.approx(2 / 3)
    assert inside.ppv == pytest.approx(2 / 5)
