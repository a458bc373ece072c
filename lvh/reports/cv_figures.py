"""Pictures of a cross-validation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lvh.evaluation.cv_result import CVResult
from lvh.files import written_whole
from lvh.validation.calibration import calibration_curve, recalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MODEL, _BASELINE, _FOLD = "#1f4e79", "#b5651d", "#9db7d1"
_SIZE = (13.0, 8.4)  # inches
_DPI = 100
_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")


def draw_all(result: CVResult, y: npt.NDArray[np.int64], title: str, folder: Path) -> None:
    """Draw every figure of a cross-validation as a PNG file in `folder`.

    Args:
        result: What is shown.
        y: Labels of all records that `result` points to.
        title: Of the summary figure; says what was run on what.
        folder: Where the files go.
    """
    panels = {
        "scores": _scores,
        "precision_recall": _precision_recall,
        "roc": _roc,
        "learning_curves": _learning_curves,
        "confusion_matrix": _confusion_matrix,
        "calibration": _calibration,
    }
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    for at, draw in enumerate(panels.values()):
        left, bottom, width, height = _cell(at)
        inside = (left + 0.055, bottom + 0.075, width - 0.07, height - 0.12)
        draw(figure.add_axes(inside), result, y)
    figure.suptitle(title, y=0.985)
    canvas.draw()  # once: every panel's own file is cut from this picture
    pixels = np.asarray(canvas.buffer_rgba())
    _save(pixels, folder / "summary.png")
    for at, name in enumerate(panels):
        _save(_cut(pixels, _cell(at)), folder / f"{name}.png")


def _cell(at: int) -> tuple[float, float, float, float]:
    """Return a panel's left, bottom, width and height as shares of the figure.

    Fixed cells, two rows of three below the title: matplotlib's own layouts lay out every
    text twice and take longer than the drawing.
    """
    row, column = divmod(at, 3)
    return column / 3, 0.95 * (1 - row) / 2, 1 / 3, 0.95 / 2


def _cut(
    pixels: npt.NDArray[np.uint8], cell: tuple[float, float, float, float]
) -> npt.NDArray[np.uint8]:
    left, bottom, width, height = cell
    rows, columns = pixels.shape[:2]
    top = round((1 - bottom - height) * rows)
    return pixels[
        top : round((1 - bottom) * rows), round(left * columns) : round((left + width) * columns)
    ]


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    from matplotlib.image import imsave

    with written_whole(path) as temporary:
        imsave(temporary, np.ascontiguousarray(pixels), format="png")


def _scores(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    """Show fold values, their mean and the pooled interval beside the baselines."""
    for at, name in enumerate(_SHOWN):
        values = [getattr(fold.metrics, name) for fold in result.folds]
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
        ax.scatter(at + np.asarray(spread), values, s=14, color=_FOLD, zorder=2)
        interval = result.summary.pooled[name]
        ax.vlines(at + 0.22, interval.low, interval.high, color=_MODEL, linewidth=3)
        ax.plot(at, getattr(result.summary.mean, name), "D", color=_MODEL, zorder=3)
        for shift, marker, baseline in zip(
            (-0.25, -0.32), ("_", "x"), result.baselines.values(), strict=False
        ):
            value = getattr(baseline.mean, name)
            ax.plot(at + shift, value, marker, color=_BASELINE, markersize=7, zorder=3)
    ax.plot([], [], "D", color=_MODEL, label="mean over folds")
    ax.plot([], [], color=_MODEL, linewidth=3, label="pooled, 95 % interval")
    ax.scatter([], [], s=14, color=_FOLD, label="fold")
    for marker, name in zip(("_", "x"), result.baselines, strict=False):
        ax.plot([], [], marker, linestyle="", color=_BASELINE, label=name)
    ax.set(title="Scores", xticks=range(len(_SHOWN)), xticklabels=_SHOWN, ylim=(0, 1.02))
    ax.legend(fontsize=7, loc="lower left")


def _precision_recall(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    from sklearn.metrics import precision_recall_curve

    for fold in result.folds:
        precision, recall, _ = precision_recall_curve(y[fold.split.scored], fold.y_score)
        ax.step(recall, precision, where="post", color=_FOLD, linewidth=0.7)
    precision, recall, _ = precision_recall_curve(y[result.scored], result.y_score)
    interval = result.summary.pooled["ap"]
    label = f"pooled, AP {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    ax.step(recall, precision, where="post", color=_MODEL, label=label)
    prevalence = float(y[result.scored].mean())
    ax.axhline(prevalence, color=_BASELINE, linestyle=":", label=f"no skill {prevalence:.2f}")
    ax.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    _unit(ax)


def _roc(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    from sklearn.metrics import roc_curve

    for fold in result.folds:
        if 0 < y[fold.split.scored].mean() < 1:
            fpr, tpr, _ = roc_curve(y[fold.split.scored], fold.y_score)
            ax.plot(fpr, tpr, color=_FOLD, linewidth=0.7)
    fpr, tpr, _ = roc_curve(y[result.scored], result.y_score)
    interval = result.summary.pooled["roc_auc"]
    label = f"pooled, AUC {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    ax.plot(fpr, tpr, color=_MODEL, label=label)
    ax.plot([0, 1], [0, 1], color=_BASELINE, linestyle=":", label="no skill 0.50")
    ax.set(title="ROC", xlabel="1 - specificity", ylabel="recall")
    _unit(ax)


def _unit(ax: "Axes") -> None:
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(fontsize=8, loc="lower right")


def _learning_curves(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    if all(len(fold.history.loss) == 1 for fold in result.folds):
        _losses(ax, result)
        return
    for at, fold in enumerate(result.folds):
        epochs = range(1, len(fold.history.loss) + 1)
        label = "training" if at == 0 else None
        marker = "." if len(epochs) == 1 else None  # a line of one point is not seen
        look: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.6, "marker": marker}
        ax.plot(epochs, fold.history.loss, color=_MODEL, label=label, **look)
        if fold.history.validation_loss:
            label = "validation" if at == 0 else None
            losses = fold.history.validation_loss
            ax.plot(epochs, losses, color=_BASELINE, label=label, **look)
    ax.set(title="Learning curves", xlabel="epoch", ylabel="loss", yscale="log")
    ax.legend(fontsize=8)


def _losses(ax: "Axes", result: CVResult) -> None:
    """Show, where one point a fold makes no curve, what was learned beside what it is worth."""
    folds = range(1, len(result.folds) + 1)
    learned = [fold.history.loss[0] for fold in result.folds]
    ax.plot(folds, learned, "o", color=_MODEL, label="training")
    scored = [fold.metrics.loss for fold in result.folds]
    ax.plot(folds, scored, "D", color=_BASELINE, label="scored")
    ax.set(title="Loss", xlabel="fold", ylabel="loss", ylim=(0, None))
    ax.locator_params(axis="x", integer=True)
    ax.legend(fontsize=8)


def _confusion_matrix(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(y[result.scored], result.y_pred, labels=[0, 1])
    ax.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        ax.text(column, row, str(count), ha="center", va="center", color="w" if dark else "k")
    ticks: dict[str, Any] = {"xticks": [0, 1], "yticks": [0, 1]}
    thresholds = [fold.threshold for fold in result.folds]
    bounds = dict.fromkeys((min(thresholds), max(thresholds)))  # one where they are equal
    title = f"Out of fold, threshold {' to '.join(f'{one:.3g}' for one in bounds)}"
    ax.set(title=title, xlabel="predicted", ylabel="label", **ticks)
    ax.set_xticklabels(["not LVH", "LVH"])
    ax.set_yticklabels(["not LVH", "LVH"], rotation=90, va="center")


def _calibration(ax: "Axes", result: CVResult, y: npt.NDArray[np.int64]) -> None:
    """Show the observed share by score, and below it where the scores of each label lie."""
    y_true, y_score = y[result.scored], result.y_score
    bins = calibration_curve(y_true, y_score)
    for one in bins:
        ax.vlines(one.score, one.observed.low, one.observed.high, color=_FOLD, linewidth=2)
    line = recalibration(y_true, y_score)
    label = f"intercept {line.intercept:.2f}, slope {line.slope:.2f}"
    shares = [one.observed.estimate for one in bins]
    ax.plot([one.score for one in bins], shares, "o-", color=_MODEL, markersize=4, label=label)
    ax.plot([], [], color=_FOLD, linewidth=2, label="95 % interval of a bin")
    ax.plot([0, 1], [0, 1], color=_BASELINE, linestyle=":", label="calibrated")
    rows = ((1, _MODEL, -0.035, "a record with LVH"), (0, _BASELINE, -0.075, "one without"))
    for value, color, height, name in rows:
        scores = y_score[y_true == value]
        ax.plot(scores, np.full(len(scores), height), "|", color=color, markersize=5, label=name)
    ax.set(title="Calibration, out of fold", xlabel="P(LVH)", ylabel="share with LVH")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.105, 1.02))
    ax.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.09))
