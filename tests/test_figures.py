"""Figures that are not yet part of a run's folder."""

import numpy as np
import pytest

from lvh.figures import draw_calibration


def drawn(path):
    from matplotlib.image import imread

    return imread(path)


def predictions(n=200):
    generator = np.random.default_rng(0)
    y_true = generator.integers(0, 2, n)
    return y_true, np.clip(generator.normal(0.3 + 0.4 * y_true, 0.25), 0, 1)


def test_calibration_is_a_panel_of_the_summarys_size_with_something_on_it(tmp_path):
    draw_calibration(*predictions(), tmp_path / "calibration.png")

    pixels = drawn(tmp_path / "calibration.png")
    assert pixels.shape[:2] == (399, 433)
    assert pixels[..., :3].std() > 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.png"]


def test_calibration_of_other_scores_looks_otherwise(tmp_path):
    y_true, y_score = predictions()
    for name, scores in (("one", y_score), ("again", y_score), ("other", 1 - y_score)):
        draw_calibration(y_true, scores, tmp_path / f"{name}.png")

    one, again, other = (drawn(tmp_path / f"{name}.png") for name in ("one", "again", "other"))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("y_true", [[1, 1, 1, 1], [0, 0, 1, 1]], ids=["one class", "no overlap"])
def test_calibration_that_has_no_slope_is_drawn_all_the_same(y_true, tmp_path):
    draw_calibration(np.array(y_true), np.array([0.1, 0.2, 0.8, 0.9]), tmp_path / "calibration.png")

    assert (tmp_path / "calibration.png").stat().st_size > 1000
