"""Pictures of a cross-validation, as PNG files for its folder and for MLflow."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.files import written_whole
from lvh.reports.page import BLUE, ORANGE, clipped
from lvh.validation.calibration import recalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")


def draw_all(result: CVResult, features: FeatureSet, *, title: str, folder: Path) -> None:
    """Draw every figure of a cross-validation as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    panels: dict[str, Callable[[Axes, CVResult, FeatureSet], None]] = {
        "scores": _draw_scores,
        "precision_recall": partial(_draw_curve, kind="precision_recall"),
        "roc": partial(_draw_curve, kind="roc"),
        "learning_curves": _draw_learning_curves,
        "confusion_matrix": _draw_confusion_matrix,
        "calibration": _draw_calibration,
    }
    figure = Figure(figsize=(13.0, 8.4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    # Fixed places: matplotlib's own layouts take longer than the drawing
    grid = {"left": 0.055, "right": 0.985, "bottom": 0.07, "top": 0.905}
    axes = figure.subplots(2, 3, gridspec_kw=grid | {"wspace": 0.27, "hspace": 0.35})
    for ax, draw in zip(axes.flat, panels.values(), strict=True):
        draw(ax, result, features)
    figure.suptitle(title, y=0.985)
    canvas.draw()  # once: every panel's own file is cut from this picture
    pixels = np.asarray(canvas.buffer_rgba())
    height, width = pixels.shape[0], pixels.shape[1] // 3
    rows = np.split(pixels, [round(0.05 * height), round(0.525 * height)])[1:]
    parts = [row[:, at * width : (at + 1) * width] for row in rows for at in range(3)]
    for name, picture in {"summary": pixels, **dict(zip(panels, parts, strict=True))}.items():
        with written_whole(folder / f"{name}.png") as temporary:
            imsave(temporary, np.ascontiguousarray(picture), format="png")


def _draw_scores(ax: "Axes", result: CVResult, of: FeatureSet) -> None:
    """Show fold values, their mean and the pooled interval, and the baselines."""
    places = np.arange(len(_SHOWN))
    values = [[getattr(fold.metrics, name) for fold in result.folds] for name in _SHOWN]
    ax.plot(places, values, ".", color="#9db7d1")
    pooled = [result.scores.pooled[name] for name in _SHOWN]
    bounds = [[one.low for one in pooled], [one.high for one in pooled]]
    ax.vlines(places + 0.2, bounds[0], bounds[1], BLUE, linewidth=3, label="pooled, 95 %")
    summaries = {"mean over folds": result.scores, **result.baselines}
    for (name, summary), look in zip(summaries.items(), ("D", "_", "x"), strict=False):
        means = [getattr(summary.mean, score) for score in _SHOWN]
        ax.plot(places, means, look, color=BLUE if look == "D" else ORANGE, label=name)
    ax.set(title="Scores", xticks=places, xticklabels=_SHOWN, ylim=(0, 1.02))
    ax.legend(fontsize=7, loc="lower left")


def _draw_curve(ax: "Axes", result: CVResult, of: FeatureSet, *, kind: str) -> None:
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    display: Any = RocCurveDisplay if kind == "roc" else PrecisionRecallDisplay
    interval = result.scores.pooled["roc_auc" if kind == "roc" else "ap"]
    look = {"name": f"all folds [{interval.low:.3f}, {interval.high:.3f}]", "ax": ax}
    display.from_predictions(of.y[result.test], result.y_score, plot_chance_level=True, **look)
    if kind == "roc":
        ax.set(title="ROC", xlabel="1 - specificity", ylabel="recall")
    else:
        ax.set(title="Precision and recall", xlabel="recall", ylabel="precision")


def _draw_learning_curves(ax: "Axes", result: CVResult, of: FeatureSet) -> None:
    """Show the loss by epoch; where one point makes no curve, the loss of each fold."""
    for name, color in (("loss", BLUE), ("validation_loss", ORANGE)):
        curves = [curve for fold in result.folds if (curve := getattr(fold.history, name))]
        if not curves:
            continue
        has_epochs = max(map(len, curves)) > 1
        for curve in curves if has_epochs else [[curve[0] for curve in curves]]:
            ax.plot(range(1, len(curve) + 1), curve, ".-", color=color, linewidth=0.8, alpha=0.6)
        ax.plot([], [], color=color, label=name.replace("_", " "))
        xlabel, yscale = ("epoch", "log") if has_epochs else ("fold", "linear")
        ax.set(xlabel=xlabel, yscale=yscale)
    ax.set(title="Learning curves", ylabel="loss")
    ax.legend(fontsize=8)


def _draw_confusion_matrix(ax: "Axes", result: CVResult, of: FeatureSet) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay

    names = [clipped(name, 24) for name in (f"not {of.label_name}", of.label_name)]
    look: dict[str, Any] = {"labels": [0, 1], "display_labels": names, "cmap": "Blues"}
    y = of.y[result.test]
    ConfusionMatrixDisplay.from_predictions(y, result.y_pred, colorbar=False, ax=ax, **look)
    ax.set(title="Out of fold", xlabel="predicted", ylabel="label")
    ax.set_yticklabels(ax.get_yticklabels(), rotation=90, va="center")


def _draw_calibration(ax: "Axes", result: CVResult, of: FeatureSet) -> None:
    from sklearn.calibration import CalibrationDisplay

    y_true, y_score, label = of.y[result.test], result.y_score, clipped(of.label_name, 30)
    line = recalibration(y_true, y_score)
    look: dict[str, Any] = {"n_bins": 10, "strategy": "quantile", "ax": ax}
    look["name"] = f"intercept {line.intercept:.2f}, slope {line.slope:.2f}"
    CalibrationDisplay.from_predictions(y_true, y_score, **look)
    ax.set(title="Calibration, out of fold", xlabel=f"P({label})", ylabel=f"share with {label}")
