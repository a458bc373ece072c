"""Pictures of a cross-validation."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.evaluation.cv_result import CVResult
from lvh.files import written_whole
from lvh.reports.figures import BLUE, ORANGE, PALE
from lvh.validation.calibration import calibration_curve, recalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SIZE = (13.0, 8.4)  # inches
_DPI = 100
_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")


def draw_all(result: CVResult, y: Labels, title: str, folder: Path) -> None:
    """Draw every figure of a cross-validation as a PNG file in `folder`.

    Args:
        result: What is shown.
        y: Labels of all records that `result` points to.
        title: Of the summary figure; says what was run on what.
        folder: Where the files go.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    panels = {
        "scores": draw_scores,
        "precision_recall": draw_precision_recall,
        "roc": draw_roc,
        "learning_curves": draw_learning_curves,
        "confusion_matrix": draw_confusion_matrix,
        "calibration": draw_calibration,
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


def draw_scores(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show fold values, their mean and the pooled interval, and the baselines."""
    summary, styles = result.summary, dict(zip(result.baselines, ("_", "x"), strict=False))
    for at, name in enumerate(_SHOWN):
        values = [getattr(fold.metrics, name) for fold in result.folds]
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
        ax.scatter(at + spread, values, s=14, color=PALE, label="" if at else "fold", zorder=2)
        interval = summary.pooled[name]
        ax.vlines(at + 0.22, interval.low, interval.high, color=BLUE, linewidth=3)
        ax.plot(at, getattr(summary.mean, name), "D", color=BLUE, zorder=3)
        for shift, (baseline, marker) in zip((-0.25, -0.32), styles.items(), strict=False):
            value = getattr(result.baselines[baseline].mean, name)
            ax.plot(at + shift, value, marker, color=ORANGE, markersize=7, zorder=3)
    ax.plot([], [], "D", color=BLUE, label="mean over folds")
    ax.plot([], [], color=BLUE, linewidth=3, label="pooled, 95 % interval")
    for baseline, marker in styles.items():
        ax.plot([], [], marker, linestyle="", color=ORANGE, label=baseline)
    ax.set(title="Scores", xticks=range(len(_SHOWN)), xticklabels=_SHOWN, ylim=(0, 1.02))
    ax.legend(fontsize=7, loc="lower left")


def draw_precision_recall(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show the curve of every fold, and that of all folds together."""
    from sklearn.metrics import precision_recall_curve

    prevalence = float(y[result.test].mean())
    ax.axhline(prevalence, color=ORANGE, linestyle=":", label=f"no skill {prevalence:.2f}")
    ax.set(title="Precision and recall", xlabel="recall", ylabel="precision")

    def curve(y_true: Labels, y_score: Floats) -> tuple[Floats, Floats]:
        precision, recall, _ = precision_recall_curve(y_true, y_score)
        return recall, precision

    _draw_curves(ax, curve, result, y, area="ap", drawstyle="steps-post")


def draw_roc(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show the curve of every fold, and that of all folds together."""
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
    """Draw a curve for each fold that has both labels, and the pooled one with its area.

    Not by scikit-learn displays: each of their calls makes a legend, a fifth of all the time.
    """
    for fold in result.folds:
        labels = y[fold.split.test]
        if 0 < labels.mean() < 1:
            x, height = curve(labels, fold.y_score)[:2]
            ax.plot(x, height, drawstyle=drawstyle, color=PALE, linewidth=0.7)
    interval = result.summary.pooled[area]
    label = f"pooled, {area} {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    x, height = curve(y[result.test], result.y_score)[:2]
    ax.plot(x, height, drawstyle=drawstyle, color=BLUE, label=label)
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(fontsize=8, loc="lower right", reverse=True)


def draw_learning_curves(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show the loss by epoch; where one point makes no curve, the loss of each fold."""
    losses = {
        "training": [fold.history.loss for fold in result.folds],
        "validation": [fold.history.validation_loss for fold in result.folds],
    }
    if all(len(one) == 1 for one in losses["training"]):
        folds = range(1, len(result.folds) + 1)
        ax.plot(folds, [one[0] for one in losses["training"]], "o", color=BLUE, label="training")
        scored = [fold.metrics.loss for fold in result.folds]
        ax.plot(folds, scored, "D", color=ORANGE, label="scored")
        ax.set(title="Loss", xlabel="fold", ylabel="loss", ylim=(0, None))
        ax.locator_params(axis="x", integer=True)
    else:
        for (name, curves), color in zip(losses.items(), (BLUE, ORANGE), strict=True):
            for curve in filter(len, curves):
                marker = "." if len(curve) == 1 else None  # a line of one point is not seen
                look: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.6, "marker": marker}
                ax.plot(range(1, len(curve) + 1), curve, color=color, label=name, **look)
                name = "_more"  # one entry of the legend stands for all folds
        ax.set(title="Learning curves", xlabel="epoch", ylabel="loss", yscale="log")
    ax.legend(fontsize=8)


def draw_confusion_matrix(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show how many records of each label are predicted as which, each out of fold."""
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


def draw_calibration(ax: "Axes", result: CVResult, y: Labels) -> None:
    """Show the observed share by score, and below it where the scores of each label lie."""
    from sklearn.calibration import CalibrationDisplay

    y_true, y_score = y[result.test], result.y_score
    bins, line = calibration_curve(y_true, y_score), recalibration(y_true, y_score)
    score, share, low, high = np.transpose(
        [(one.score, one.observed.estimate, one.observed.low, one.observed.high) for one in bins]
    )
    ax.vlines(score, low, high, color=PALE, linewidth=2, label="95 % interval of a bin")
    name = f"intercept {line.intercept:.2f}, slope {line.slope:.2f}"
    CalibrationDisplay(share, score, y_score).plot(ax=ax, name=name, color=BLUE, markersize=4)
    rows = ((1, BLUE, -0.035, "a record with LVH"), (0, ORANGE, -0.075, "one without"))
    for value, color, height, label in rows:
        scores = y_score[y_true == value]
        ax.plot(scores, np.full(len(scores), height), "|", color=color, markersize=5, label=label)
    ax.set(title="Calibration, out of fold", xlabel="P(LVH)", ylabel="share with LVH")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.105, 1.02))
    ax.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.09))
