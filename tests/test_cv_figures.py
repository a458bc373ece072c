"""Figures of a cross-validation, for any predictions."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread

from lvh.evaluation.cross_validation import CVResult, Summary
from lvh.reports.cv_figures import draw_all
from lvh.validation.metrics import bootstrap_intervals, mean_and_std, score

NAMES = "scores precision_recall roc learning_curves confusion_matrix calibration".split()


@pytest.mark.parametrize("losses", [[[0.5]] * 3, [[0.5, 0.4, 0.3], [0.5, 0.4], [0.6]]])
def test_every_picture_is_drawn_even_of_a_fold_with_one_label(losses, tmp_path):
    y = np.array([0, 1] * 10 + [0] * 10)
    y_score = np.random.default_rng(0).random(30)
    parts = np.split(np.arange(30), 3)
    folds = tuple(
        SimpleNamespace(
            split=SimpleNamespace(test=part),
            y_score=y_score[part],
            y_pred=y_score[part] > 0.5,
            threshold=0.5,
            metrics=score(y[part], y_score[part]),
            history=SimpleNamespace(loss=loss, validation_loss=loss[1:]),
        )
        for part, loss in zip(parts, losses, strict=True)
    )
    mean, std = mean_and_std([fold.metrics for fold in folds])
    pooled = bootstrap_intervals(y, y_score, np.arange(30).astype(str), resamples=20)
    summary = Summary(mean, std, pooled)
    result = CVResult(folds, summary, {"no skill": summary, "age + sex": summary})
    draw_all(
        result, SimpleNamespace(y=y, label_name="AF"), title="cnn on synthetic", folder=tmp_path
    )
    whole = imread(tmp_path / "summary.png")
    assert {path.stem for path in tmp_path.iterdir()} == {"summary", *NAMES}
    panels = [imread(tmp_path / f"{name}.png") for name in NAMES]
    assert all(np.ptp(panel[..., :3]) > 0.5 for panel in panels)
    assert sum(panel.shape[1] for panel in panels[:3]) == pytest.approx(whole.shape[1], abs=3)
