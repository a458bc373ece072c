"""The ECG on paper: measured in the files that are written, where a ruler would measure it."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from lvh.data.cohort import LEADS
from lvh.reports.ecg_plot import Words, draw, save

MM = 25.4 / 72  # a point, which is the unit of a user in the files
WORDS = Words("Record 7", ("a line",))
CELLS = ["i avr v1 v4", "ii avl v2 v5", "iii avf v3 v6"]  # from top to bottom


def page(path: Path) -> SimpleNamespace:
    """An SVG file: its size, points and colours of paths by the name of their group, and texts."""
    root = ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    width, height = (float(root.get(of).removesuffix("pt")) * MM for of in ("width", "height"))
    paths, strokes = {}, {}
    for group in root.iter(f"{name}g"):
        drawn = group.findall(f"{name}path")
        points = [re.findall(r"[ML] (\S+) (\S+)", one.get("d")) for one in drawn]
        paths[group.get("id")] = [
            np.array(one, float) * [MM, -MM] + [0, height] for one in points if one
        ]
        colours = [re.search(r"stroke: (#\w+)", one.get("style") or "") for one in drawn]
        strokes[group.get("id")] = [one[1] for one in colours if one]
    texts = {text.text: text.get("style") or "" for text in root.iter(f"{name}text")}
    return SimpleNamespace(size=(width, height), paths=paths, strokes=strokes, texts=texts)


def drawn(folder: Path, signals: np.ndarray, fs: float = 500.0, **more) -> SimpleNamespace:
    path = folder / f"{len(list(folder.iterdir()))}.svg"
    save(draw(signals.astype(np.float32), fs, more.pop("words", WORDS), **more), path)
    return page(path)


def squares(fs: float = 500.0) -> np.ndarray:
    """Ten seconds of leads of 0.1 mV to 1.2 mV, for 0.2 s of every second, from 0.4 s on."""
    since = np.arange(round(10 * fs)) % round(fs)
    high = (since >= round(0.4 * fs)) & (since < round(0.6 * fs))
    return np.outer(high, 0.1 * np.arange(1, 13))


def edges(points: np.ndarray) -> np.ndarray:
    """Where the trace rises, mm: the points at which half the height is passed."""
    y, half = points[:, 1], (points[:, 1].min() + points[:, 1].max()) / 2
    rising = np.flatnonzero((y[:-1] < half) & (y[1:] >= half))
    return (points[rising, 0] + points[rising + 1, 0]) / 2


@pytest.mark.parametrize("fs", [500.0, 360.0])
def test_leads_are_in_their_cells_ten_mm_a_mv_and_twenty_five_a_second(fs, tmp_path):
    of = drawn(tmp_path, squares(fs), fs)
    assert of.size == pytest.approx((297, 210), abs=1e-3)
    left = of.paths["trace-i"][0][0, 0]
    for row in CELLS:
        for column, lead in enumerate(row.split()):
            (points,) = of.paths[f"trace-{lead}"]
            height = 0.1 * (LEADS.index(lead) + 1)
            assert np.ptp(points[:, 1]) == pytest.approx(10 * height, abs=0.01), lead
            assert points[0, 0] == pytest.approx(left + 62.5 * column, abs=0.01)
            assert np.ptp(points[:, 0]) == pytest.approx(62.5 - 25 / fs, abs=0.01)
            since = (edges(points) - points[0, 0]) / 25 + 2.5 * column  # of the record, s
            assert since % 1 == pytest.approx(0.4, abs=0.005)
    (strip,) = of.paths["trace-rhythm"]
    assert len(edges(strip)) == 10
    assert np.ptp(strip[:, 0]) == pytest.approx(250 - 25 / fs, abs=0.01)
    assert {"aVR", "II", "V6"} <= of.texts.keys()


def test_where_leads_are_missing_each_has_a_row_to_scale(tmp_path):
    of = drawn(tmp_path, squares()[:, :2], leads=("v5", "ecg"))
    (above,), (below,) = (of.paths[f"trace-{lead}"] for lead in ("v5", "ecg"))
    assert np.ptp(above[:, 0]) == pytest.approx(250, abs=0.1)
    assert above[:, 1].min() > below[:, 1].max()
    assert not {"trace-rhythm", "trace-ii"} & of.paths.keys()


def test_importance_is_painted_where_it_is_in_its_colour(tmp_path):
    importance = np.full((5000, 12), np.nan)
    importance[:, LEADS.index("v1")] = 0.0
    importance[2600 : 2600 + 250, LEADS.index("v1")] = 2.0
    importance[:, LEADS.index("v6")] = -2.0
    importance[:, LEADS.index("i")] = 0.01  # too little to be seen
    of = drawn(tmp_path, squares(), importance=importance)
    (points,) = of.paths["band-v1"]
    left = of.paths["trace-v1"][0][0, 0]
    ends = points[:, 0].min() - left, points[:, 0].max() - left
    assert ends == pytest.approx((25 * 0.2, 25 * 0.7), abs=0.06)
    for lead, sign in (("v1", 1), ("v6", -1)):
        red, _, blue = bytes.fromhex(of.strokes[f"band-{lead}"][0][1:])
        assert sign * (red - blue) > 100
    assert not any(of.paths.get(f"band-{lead}") for lead in ("i", "ii", "v2", "rhythm"))
    assert {"toward LVH", "away from LVH"} <= of.texts.keys()
    assert of.texts["V2"] != of.texts["V1"] == of.texts["V6"]
