"""Panels that must be drawn whatever the predictions are."""

from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lvh.reports.cv_figures import _calibration


@dataclass
class OutOfFold:
    """What a panel reads of a result."""

    scored: np.ndarray
    y_score: np.ndarray


def calibration(y_true, y_score) -> np.ndarray:
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    _calibration(
        figure.add_axes((0.1, 0.1, 0.8, 0.8)), OutOfFold(np.arange(len(y_true)), y_score), y_true
    )
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def test_calibration_shows_the_scores():
    generator = np.random.default_rng(0)
    y_true = generator.integers(0, 2, 200)
    y_score = np.clip(generator.normal(0.3 + 0.4 * y_true, 0.25), 0, 1)
    one, again, other = (calibration(y_true, of) for of in (y_score, y_score, 1 - y_score))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("y_true", [[1, 1, 1, 1], [0, 0, 1, 1]], ids=["one class", "no overlap"])
def test_calibration_that_has_no_slope_is_drawn_all_the_same(y_true):
    assert calibration(np.array(y_true), np.array([0.1, 0.2, 0.8, 0.9])).std() > 0
