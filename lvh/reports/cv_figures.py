"""Pictures of a cross-validation, as PNG files for its folder and for MLflow."""

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
_PANELS = ("scores", "precision_recall", "roc")
_PANELS_BELOW = ("learning_curves", "confusion_matrix", "calibration")


def draw_all(result: CVResult, features: FeatureSet, *, title: str, folder: Path) -> None:
    """Draw every figure of a cross-validation as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    figure = Figure(figsize=(13.0, 8.4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    # Fixed places: matplotlib's own layouts take longer than the drawing
    grid = {"left": 0.055, "right": 0.985, "bottom": 0.07, "top": 0.905}
    (scores, *curves), (learning, *others) = figure.subplots(
        2, 3, gridspec_kw=grid | {"wspace": 0.27, "hspace": 0.35}
    )
    _draw_scores(scores, result)
    _draw_learning_curves(learning, result)
    _draw_displays([*curves, *others], result, features.y[result.test], features.label_name)
    figure.suptitle(title, y=0.985)
    canvas.draw()  # once: every panel's own file is cut from this picture
    pixels = np.asarray(canvas.buffer_rgba())
    pictures, height = {"summary": pixels}, len(pixels)
    rows = np.split(pixels, [round(0.05 * height), round(0.525 * height)])[1:]
    for row, names in zip(rows, (_PANELS, _PANELS_BELOW), strict=True):
        pictures |= zip(names, np.array_split(row, 3, axis=1), strict=True)
    for name, picture in pictures.items():
        with written_whole(folder / f"{name}.png") as temporary:
            imsave(temporary, np.ascontiguousarray(picture), format="png")


def _draw_scores(ax: "Axes", result: CVResult) -> None:
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


def _draw_learning_curves(ax: "Axes", result: CVResult) -> None:
    """Show the loss by epoch, or of each fold where there are no epochs."""
    for name, color in (("loss", BLUE), ("validation_loss", ORANGE)):
        curves = [curve for fold in result.folds if (curve := getattr(fold.history, name))]
        has_epochs = max(map(len, curves), default=0) > 1
        for curve in curves if has_epochs else np.array(curves).T:
            ax.plot(range(1, len(curve) + 1), curve, ".-", color=color, linewidth=0.8, alpha=0.6)
        if curves:
            ax.plot([], [], color=color, label=name.replace("_", " "))
            xlabel, yscale = ("epoch", "log") if has_epochs else ("fold", "linear")
            ax.set(xlabel=xlabel, yscale=yscale)
    ax.set(title="Learning curves", ylabel="loss")
    ax.legend(fontsize=8)


def _draw_displays(axes: "list[Axes]", result: CVResult, y: Any, label_name: str) -> None:
    """Draw what scikit-learn draws: curves, the confusion matrix and the calibration."""
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

    displays: tuple[Any, ...] = (PrecisionRecallDisplay, RocCurveDisplay)
    for ax, display, score in zip(axes, displays, ("ap", "roc_auc"), strict=False):
        interval = result.scores.pooled[score]
        name = f"all folds [{interval.low:.3f}, {interval.high:.3f}]"
        display.from_predictions(y, result.y_score, plot_chance_level=True, name=name, ax=ax)
    axes[0].set(title="Precision and recall", xlabel="recall", ylabel="precision")
    axes[1].set(title="ROC", xlabel="1 - specificity", ylabel="recall")
    names = [clipped(name, 24) for name in (f"not {label_name}", label_name)]
    look: dict[str, Any] = {"labels": [0, 1], "display_labels": names, "cmap": "Blues"}
    ConfusionMatrixDisplay.from_predictions(y, result.y_pred, colorbar=False, ax=axes[2], **look)
    axes[2].set(title="Out of fold", xlabel="predicted", ylabel="label")
    axes[2].set_yticklabels(axes[2].get_yticklabels(), rotation=90, va="center")
    line, label = recalibration(y, result.y_score), clipped(label_name, 30)
    look = {"name": f"intercept {line.intercept:.2f}, slope {line.slope:.2f}", "ax": axes[3]}
    CalibrationDisplay.from_predictions(y, result.y_score, n_bins=10, strategy="quantile", **look)
    ylabel = f"share with {label}"
    axes[3].set(title="Calibration, out of fold", xlabel=f"P({label})", ylabel=ylabel)
