"""The agreement of the experiment on found fiducials is counted as it should."""

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "experiments/delineation"


def test_points_are_matched_once_and_nearest_first(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
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
