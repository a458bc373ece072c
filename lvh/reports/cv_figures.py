"""Pictures of a cross-validation, as PNG files for its folder and for MLflow."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.evaluation.cv_result import CVResult
from lvh.files import written_whole
from lvh.reports.page import BLUE, ORANGE
from lvh.validation.calibration import calibration_curve, recalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PALE = "#9db7d1"
_SIZE = (13.0, 8.4)  # inches
_DPI = 100
_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")


def draw_all(result: CVResult, y: Labels, title: str, folder: Path) -> None:
    """Draw every figure of a cross-validation as a PNG file in `folder`.

    Args:
        result: What is shown.
        y: Labels of all records that `result` points to.
        title: Of the summary figure.
        folder: Where the files go.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    panels = {
        "scores": _draw_scores,
        "precision_recall": _draw_precision_recall,
        "roc": _draw_roc,
        "learning_curves": _draw_learning_curves,
        "confusion_matrix": _draw_confusion_matrix,
        "calibration": _draw_calibration,
    }
    figure = Figure(figsize=_SIZE, dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    # Fixed places: matplotlib's own layouts take longer than the drawing
    grid = {"left": 0.055, "right": 0.985, "bottom": 0.07, "top": 0.905}
    axes = figure.subplots(2, 3, gridspec_kw=grid | {"wspace": 0.27, "hspace": 0.35})
    for ax, draw in zip(axes.flat, panels.values(), strict=True):
        draw(ax, result, y)
    figure.suptitle(title, y=0.985)
    canvas.draw()  # once: every panel's own file is cut from this picture
    pixels = np.asarray(canvas.buffer_rgba())
    pictures = {"summary": pixels}
    height, width = pixels.shape[0], pixels.shape[1] // 3
    top, middle = round(0.05 * height), round(0.525 * height)
    for at, name in enumerate(panels):
        rows = slice(top, middle) if at < 3 else slice(middle, height)
        pictures[name] = pixels[rows, at % 3 * width : (at % 3 + 1) * width]
    for name, picture in pictures.items():
        with written_whole(folder / f"{name}.png") as temporary:
            imsave(temporary, np.ascontiguousarray(picture), format="png")


def _draw_scores(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show fold values, their mean and the pooled interval, and the baselines."""
    places = np.arange(len(_SHOWN))
    values = [[getattr(fold.metrics, name) for fold in result.folds] for name in _SHOWN]
    ax.plot(places, values, ".", color=_PALE)
    pooled = [result.summary.pooled[name] for name in _SHOWN]
    bounds = np.array([(one.low, one.high) for one in pooled])
    ax.vlines(places + 0.2, bounds[:, 0], bounds[:, 1], BLUE, linewidth=3, label="pooled, 95 %")
    summaries = {"mean over folds": result.summary, **result.baselines}
    for (name, summary), look in zip(summaries.items(), ("D", "_", "x"), strict=False):
        means = [getattr(summary.mean, score) for score in _SHOWN]
        ax.plot(places, means, look, color=BLUE if look == "D" else ORANGE, label=name)
    ax.set(title="Scores", xticks=places, xticklabels=_SHOWN, ylim=(0, 1.02))
    ax.legend(fontsize=7, loc="lower left")


def _draw_precision_recall(ax: "Axes", result: CVResult, y: Labels) -> None:
    from sklearn.metrics import precision_recall_curve

    def curve(y_true: Labels, y_score: Floats) -> tuple[Floats, Floats]:
        precision, recall, _ = precision_recall_curve(y_true, y_score)
        return recall, precision

    prevalence = float(y[result.test].mean())
    ax.axhline(prevalence, color=ORANGE, linestyle=":", label=f"no skill {prevalence:.2f}")
    ax.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    _draw_curves(ax, curve, result, y, area="ap", drawstyle="steps-post")


def _draw_roc(ax: "Axes", result: CVResult, y: Labels) -> None:
    from sklearn.metrics import roc_curve

    ax.plot([0, 1], [0, 1], color=ORANGE, linestyle=":", label="no skill 0.50")
    ax.set(title="ROC", xlabel="1 - specificity", ylabel="recall")
    _draw_curves(ax, roc_curve, result, y, area="roc_auc", drawstyle="default")


def _draw_curves(
    ax: "Axes",
    curve: Callable[[Labels, Floats], tuple[Floats, ...]],
    result: CVResult,
    y: Labels,
    *,
    area: str,
    drawstyle: Any,
) -> None:
    """Draw a curve for each fold that has both labels, and the pooled one with its area."""
    # not by scikit-learn displays: each of their calls makes a legend, a fifth of all the time
    for fold in result.folds:
        labels = y[fold.split.test]
        if 0 < labels.mean() < 1:
            x, height = curve(labels, fold.y_score)[:2]
            ax.plot(x, height, drawstyle=drawstyle, color=_PALE, linewidth=0.7)
    interval = result.summary.pooled[area]
    label = f"pooled, {area} {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    x, height = curve(y[result.test], result.y_score)[:2]
    ax.plot(x, height, drawstyle=drawstyle, color=BLUE, label=label)
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(fontsize=8, loc="lower right", reverse=True)


def _draw_learning_curves(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show the loss by epoch; where one point makes no curve, the loss of each fold."""
    for name, color in (("loss", BLUE), ("validation_loss", ORANGE)):
        curves = [curve for fold in result.folds if (curve := getattr(fold.history, name))]
        if not curves:
            continue
        has_epochs = max(map(len, curves)) > 1
        for curve in curves if has_epochs else [[one[0] for one in curves]]:
            ax.plot(range(1, len(curve) + 1), curve, ".-", color=color, linewidth=0.8, alpha=0.6)
        ax.plot([], [], color=color, label=name.replace("_", " "))
        ax.set(xlabel="epoch" if has_epochs else "fold")
    ax.set(title="Learning curves", ylabel="loss", yscale="log")
    ax.legend(fontsize=8)


def _draw_confusion_matrix(ax: "Axes", result: CVResult, y: Labels) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay

    ConfusionMatrixDisplay.from_predictions(
        y[result.test],
        result.y_pred,
        labels=[0, 1],
        display_labels=["not LVH", "LVH"],
        cmap="Blues",
        colorbar=False,
        ax=ax,
    )
    thresholds = [fold.threshold for fold in result.folds]
    bounds = dict.fromkeys((min(thresholds), max(thresholds)))  # one where they are equal
    title = f"Out of fold, threshold {' to '.join(f'{one:.3g}' for one in bounds)}"
    ax.set(title=title, xlabel="predicted", ylabel="label")
    ax.tick_params(axis="y", labelrotation=90)


def _draw_calibration(ax: "Axes", result: CVResult, y: Labels) -> None:
    from sklearn.calibration import CalibrationDisplay

    y_true, y_score = y[result.test], result.y_score
    bins, line = calibration_curve(y_true, y_score), recalibration(y_true, y_score)
    score, share, low, high = np.transpose(
        [(one.score, one.observed.estimate, one.observed.low, one.observed.high) for one in bins]
    )
    ax.vlines(score, low, high, color=_PALE, linewidth=2, label="95 % interval of a bin")
    name = f"intercept {line.intercept:.2f}, slope {line.slope:.2f}"
    CalibrationDisplay(share, score, y_score).plot(ax=ax, name=name, color=BLUE, markersize=4)
    ax.set(title="Calibration, out of fold", xlabel="P(LVH)", ylabel="share with LVH")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.legend(fontsize=7, loc="lower right")
