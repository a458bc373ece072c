"""The ECG on paper: measured in the files that are written, where a ruler would measure it."""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lvh.data.cohort import LEADS
from lvh.reports.ecg_plot import Words, draw, save

MM = 25.4 / 72  # a point, which is the unit of a user in the files
WORDS = Words("Record 7", ("a line",))
CELLS = ["i avr v1 v4", "ii avl v2 v5", "iii avf v3 v6"]  # from top to bottom


@dataclass
class Page:
    """An SVG file: its size, the points of every path by the name of its group, and its text."""

    size: tuple[float, float]
    paths: dict[str, list[np.ndarray]]
    strokes: dict[str, list[str]]
    texts: list[tuple[str, float, float, str]]


def page(path: Path) -> Page:
    root = ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    height = float(root.get("height").removesuffix("pt")) * MM
    width = float(root.get("width").removesuffix("pt")) * MM
    paths, strokes = {}, {}
    for group in root.iter(f"{name}g"):
        drawn = group.findall(f"{name}path")
        points = [re.findall(r"[ML] (\S+) (\S+)", one.get("d")) for one in drawn]
        paths[group.get("id")] = [
            np.array(one, float) * [MM, -MM] + [0, height] for one in points if one
        ]
        strokes[group.get("id")] = [
            found[1]
            for one in drawn
            if (found := re.search(r"stroke: (#\w+)", one.get("style") or ""))
        ]
    texts = []
    for text in root.iter(f"{name}text"):
        at = re.search(r"translate\((\S+) (\S+)\)", text.get("transform") or "")
        x, y = (float(at[1]), float(at[2])) if at else (float(text.get("x")), float(text.get("y")))
        texts.append((text.text, x * MM, height - y * MM, text.get("style") or ""))
    return Page((width, height), paths, strokes, texts)


def drawn(folder: Path, signals: np.ndarray, fs: float = 500.0, **more) -> Page:
    path = folder / f"{len(list(folder.iterdir()))}.svg"
    save(draw(signals.astype(np.float32), fs, more.pop("words", WORDS), **more), path)
    return page(path)


def squares(fs: float = 500.0, seconds: float = 10.0) -> np.ndarray:
    """Leads of a height of their own, 0.1 mV to 1.2 mV, for 0.2 s of every second."""
    n = round(seconds * fs)
    high = (np.arange(n) % round(fs) >= round(0.4 * fs)) & (
        np.arange(n) % round(fs) < round(0.6 * fs)
    )
    return np.outer(high, 0.1 * np.arange(1, 13))


def lead_trace(of: Page, lead: str) -> np.ndarray:
    (points,) = of.paths[f"trace-{lead}"]
    return points


def edges(points: np.ndarray) -> np.ndarray:
    """Where the trace rises, mm: the points at which half the height is passed."""
    y, half = points[:, 1], (points[:, 1].min() + points[:, 1].max()) / 2
    rising = np.flatnonzero((y[:-1] < half) & (y[1:] >= half))
    return (points[rising, 0] + points[rising + 1, 0]) / 2


@pytest.mark.parametrize("fs", [500.0, 360.0])
def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five(fs, tmp_path):
    of = drawn(tmp_path, squares(fs), fs)
    assert of.size == pytest.approx((297, 210), abs=1e-3)
    for at, lead in enumerate(LEADS):
        height = np.ptp(lead_trace(of, lead)[:, 1])
        assert height == pytest.approx(10 * 0.1 * (at + 1), abs=0.01), lead
    rises = edges(lead_trace(of, "v6"))
    assert np.diff(rises) == pytest.approx(25.0, abs=0.02)
    (strip,) = of.paths["trace-rhythm"]
    assert len(edges(strip)) == 10
    assert np.diff(edges(strip)) == pytest.approx(25.0, abs=0.02)
    assert np.ptp(strip[:, 0]) == pytest.approx(250 - 25 / fs, abs=0.01)


def test_leads_are_in_their_cells_with_the_seconds_of_their_column(tmp_path):
    of = drawn(tmp_path, squares())
    left = lead_trace(of, "i")[0, 0]
    names = {text: (x, y) for text, x, y, _ in of.texts}
    for row in CELLS:
        for column, lead in enumerate(row.split()):
            points = lead_trace(of, lead)
            assert points[0, 0] == pytest.approx(left + 62.5 * column, abs=0.01)
            assert np.ptp(points[:, 0]) == pytest.approx(62.5 - 25 / 500, abs=0.01)
            shown = "aV" + lead[2:].upper() if lead.startswith("av") else lead.upper()
            x, y = names[shown] if lead != "ii" else (points[0, 0], points[:, 1].max() + 5)
            assert points[0, 0] <= x < points[0, 0] + 3
            assert points[:, 1].min() < y < points[:, 1].max() + 20
            # the squares begin 0.4 s after each whole second of the record
            since = (edges(points) - points[0, 0]) / 25 + 2.5 * column
            assert since % 1 == pytest.approx(0.4, abs=0.005)


def test_where_leads_are_missing_each_has_a_row_to_scale(tmp_path):
    of = drawn(tmp_path, squares()[:, :2], leads=("v5", "ecg"))
    traces = [lead_trace(of, lead) for lead in ("v5", "ecg")]
    for trace in traces:
        assert np.ptp(trace[:, 0]) == pytest.approx(250, abs=0.1)
    assert traces[0][:, 1].min() > traces[1][:, 1].max()
    assert "trace-rhythm" not in of.paths
    assert "trace-ii" not in of.paths


def colour(text: str) -> tuple[int, ...]:
    return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))


def test_importance_is_painted_where_it_is_in_its_colour(tmp_path):
    importance = np.full((5000, 12), np.nan)
    importance[:, LEADS.index("v1")] = 0.0
    importance[2600 : 2600 + 250, LEADS.index("v1")] = 2.0
    importance[:, LEADS.index("v6")] = -2.0
    importance[:, LEADS.index("i")] = 0.01  # too little to be seen
    of = drawn(tmp_path, squares(), importance=importance)
    (points,) = of.paths["band-v1"]
    left = lead_trace(of, "v1")[0, 0]
    assert (points[:, 0].min() - left, points[:, 0].max() - left) == pytest.approx(
        (25 * 0.2, 25 * 0.7), abs=0.06
    )
    red, _, blue = colour(of.strokes["band-v1"][0])
    assert red > blue + 100
    red, _, blue = colour(of.strokes["band-v6"][0])
    assert blue > red + 100
    for lead in ("i", "ii", "v2", "rhythm"):
        assert not of.paths.get(f"band-{lead}")
    shown = {text: style for text, _, _, style in of.texts}
    assert {"toward LVH", "away from LVH"} <= shown.keys()
    assert shown["V2"] != shown["V1"] == shown["V6"]


def test_words_are_not_read_as_markup(tmp_path):
    hostile = r"$\alpha$ <b> & \x1b[31m 心電図 " + "\x1b[31m\udcff"
    of = drawn(tmp_path, squares(), words=Words(hostile, ("a " * 120, "last"), "foot"))
    texts = [text for text, *_ in of.texts]
    assert r"$\alpha$ <b> & \x1b[31m 心電図 ?[31m?" in texts
    assert sum(text.startswith("a a a") for text in texts) == 2  # one line is too long for one
    assert {"last", "foot", "25 mm/s, 10 mm/mV"} <= set(texts)
    of = drawn(tmp_path, squares(), words=Words("x" * 300 + ", 50 years"))
    assert any(text.endswith("50 years") and len(text) < 100 for text, *_ in of.texts)
