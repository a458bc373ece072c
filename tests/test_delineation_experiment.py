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


def test_the_prose_says_what_the_files_hold():
    from methods import ALL
    from table import MARK, read, waves

    prose = " ".join((FOLDER / "README.md").read_text().partition(MARK)[0].split())
    of = waves(read("waves.csv"))
    for wave, name in (("N", "QRS"), ("t", "T"), ("p", "P")):
        row = of[ALL, "all", wave, "peak"]
        found = f"{float(row['sensitivity']):.1%} of the {name} peaks".replace("%", " %")
        assert found in prose
    measured = {row["quantity"]: row for row in read("voltages.csv")}
    r, qrs = measured["R"], measured["QRS duration"]
    assert f"R by {float(r['bias']):.3f} ± {float(r['sd']):.3f} mV" in prose
    assert f"correlates by {float(qrs['correlation']):.2f}" in prose
    rows = {(row["scored"], row["model"], row["way"]): row for row in read("results.csv")}
    for model in ("svm", "logistic"):
        scores = [
            float(rows["LUDB", model, way]["ap_pooled"])
            for way in ("annotated, annotated", "annotated, found", "found, found")
        ]
        assert "{:.3f}, {:.3f} and {:.3f}".format(*scores) in prose
    external = rows["PTB-XL", "svm", "found, found"]
    assert (
        f"AUC {float(external['roc_auc_pooled']):.3f} [{float(external['roc_auc_low']):.3f}, "
        f"{float(external['roc_auc_high']):.3f}]"
    ) in prose
    alone = rows["PTB-XL", "svm", "age + sex"]
    assert f"age and sex alone {float(alone['roc_auc_pooled']):.3f}" in prose


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


def test_waves_without_a_bound_have_a_gap():
    from agreement import waves_of

    found = waves_of("(N)t)(p", np.array([1, 5, 9, 20, 30, 40, 45]))
    np.testing.assert_array_equal(found["N"], [[1, 5, 9]])
    np.testing.assert_array_equal(found["t"], [[np.nan, 20, 30]])
    np.testing.assert_array_equal(found["p"], [[40, 45, np.nan]])
