"""A run as a user sees it: its progress, the table of its result, and its pictures."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, astuple
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.progress import TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.evaluation.cross_validation import Callback
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.features import FeatureSet
from lvh.files import written_whole
from lvh.reports.page import BLUE, ORANGE, clipped
from lvh.reports.terminal import near, progress, say, show_facts, show_table
from lvh.tracking import resolved_uri
from lvh.tracking.run_record import interval_text
from lvh.validation.calibration import recalibration
from lvh.validation.inner_splits import INNER_FOLDS
from lvh.validation.metrics import SPECIFICITY, mean_and_std, ranking
from lvh.validation.splits import Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lvh.config.run_settings import RunSettings
    from lvh.models.training import Trainer

Verbosity = Literal["full", "bar", "line"]
"""Of a single run; of a run in a sweep; of a run while others run at the same time."""

_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")
_SHOWN_BY_THRESHOLD = ("threshold", "accuracy", "specificity", "recall", "ap")
"""Scores that are shown if a specificity decides the threshold."""
_FOLDS_SHOWN = 10
_PANELS = (
    "scores",
    "precision_recall",
    "roc",
    "learning_curves",
    "confusion_matrix",
    "calibration",
)


class ProgressReporter(Callback, AbstractContextManager["ProgressReporter"]):
    """Shows one run: its inputs, its progress and its result; a context of the progress bar."""

    def __init__(
        self,
        settings: "RunSettings",
        cohort: Cohort,
        features: FeatureSet,
        trainer: "Callable[[], Trainer]",
        *,
        verbosity: Verbosity = "full",
        title: str = "",
    ) -> None:
        """Take the parts of the run; `title` begins its lines."""
        self._settings, self._cohort, self._features = settings, cohort, features
        self._trainer, self._verbosity, self._name = trainer, verbosity, title
        self._n_folds = self._done = 0
        self._epochs: dict[tuple[int, int], int] = {}
        self._n_epochs = settings.train.epochs if settings.is_network else 1
        unit = TextColumn("epochs, left" if settings.is_network else "folds, left")
        self._bar = progress(unit, TimeRemainingColumn(), hidden=verbosity == "line")
        self._console = self._bar.console

    def __exit__(self, *exception: object) -> None:
        """Remove the progress bar."""
        self._bar.stop()

    def on_start(self, splits: Sequence[Split], known: int) -> None:
        """Say what will run, on what, and where it is tracked."""
        self._n_folds = len(splits)
        total = self._n_folds * self._n_epochs
        self._task = self._bar.add_task(f"fold 1 of {self._n_folds}", total=total)
        if self._verbosity == "full":
            show_facts(self._facts(known), self._name, on=self._console)
        elif self._verbosity == "bar" and not known and not self._console.is_terminal:
            say(f"{self._name}: {self._training(known)}", on=self._console)
        self._bar.start()

    def _training(self, known: int) -> str:
        n_parameters = None if known else self._trainer().n_parameters
        parameters = "" if n_parameters is None else f"{n_parameters:,} parameters, "
        epochs = f" x {self._n_epochs} epochs" if self._settings.is_network else ""
        n_tabular, *signal = self._features.input_shape
        join = " + " if self._features.signal_shape else " x "
        inputs = join.join(filter(None, [str(n_tabular), " x ".join(map(str, signal))]))
        noun = "input" if inputs == "1" else "inputs"
        folds = "1 fold" if self._n_folds == 1 else f"{self._n_folds} folds"
        return f"{inputs} {noun}, {parameters}{folds}{epochs}"

    def _facts(self, known: int) -> dict[str, str]:
        settings, features, tracking = self._settings, self._features, self._settings.tracking
        left = "nothing to train" if known == self._n_folds else "the others are trained"
        done = f"{known} of {self._n_folds} folds are done already, {left} (resume=false repeats)"
        by = "validation records" if settings.cv.validation else f"{INNER_FOLDS} more trainings"
        threshold = f"{SPECIFICITY:.0%} specificity by {by} inside each training part"
        dropped = "; ".join(f"{name} ({reason})" for name, reason in features.dropped)
        where = "nothing (tracking=off)"
        if tracking.name != "off":
            where = f"{near(resolved_uri(tracking))}, experiment {tracking.experiment}"
        return {
            "data": self._cohort.name,
            **summarize_cohort(self._cohort).facts(),
            "used": f"{len(features.records)} records, without {dropped}" if dropped else "",
            "leads": " ".join(features.names) if features.kind == "signal" else "",
            "training": self._training(known),
            "done": done if known else "",
            "threshold": "" if settings.cv.threshold == "fixed" else threshold,
            "tracking": where,
            "note": self._cohort.note,
        }

    def on_epoch(self, split: Split, epoch: int) -> None:
        """Move on by one epoch; folds may be trained side by side."""
        self._epochs[split.number] = epoch
        self._bar.update(self._task, completed=sum(self._epochs.values()))

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Move on by one fold, also where it had fewer epochs than it might."""
        self._done += 1
        self.on_epoch(fold.split, self._n_epochs)
        following = f"fold {min(self._done + 1, self._n_folds)} of {self._n_folds}"
        self._bar.update(self._task, description=following)
        if self._verbosity != "line" and not self._console.is_terminal and not known:
            epochs = f"{len(fold.history.loss)} epochs, " if self._settings.is_network else ""
            scores = f"accuracy {fold.metrics.accuracy:.3f}, ap {fold.metrics.ap:.3f}"
            text = f"fold {self._done} of {self._n_folds}: {scores}, {epochs}{fold.seconds:.1f} s"
            say(text, on=self._console)

    def on_shuffle(self, done: int, wanted: int) -> None:
        """Say, ten times, how far the test against shuffled labels is."""
        if self._verbosity != "line" and done * 10 // wanted > (done - 1) * 10 // wanted:
            say(f"{done} of {wanted} shuffles of the labels are scored", on=self._console)

    def show(self, result: CVResult | None, folder: Path, reason: str = "") -> None:
        """Show the result, in full or in a line; or the reason why there is none."""
        screen, leakage = self._console, self._settings.cv.leakage
        if result is None:
            say(f"{self._name}: {reason}", on=screen)
            return
        warning = f"NOT HONEST: {leakage}. Test records decided these scores, which have no rank"
        warnings = [warning] if leakage else []
        if self._verbosity == "full":
            say(*warnings, style="yellow", on=screen)
            chosen = self._settings.cv.threshold != "fixed"
            show_table(_result_table(result, f"{self._name} on {self._cohort.name}", chosen))
            baselines = {name: one.as_baseline() for name, one in result.baselines.items()}
            ap = interval_text(astuple(result.scores.pooled["ap"]), baselines)
            text = f"ap of all {len(np.unique(result.test))} test records together {ap}"
            show_facts({"result": text, "note": self._cohort.note}, on=screen)
            files = near(str(folder))
            say("help: docs/concepts.md says how to read this", on=screen)
            say(f"files: {files}", on=screen, link=Path(files))
        else:
            average, std = result.scores.mean, result.scores.std
            scores = f"ap {average.ap:.3f} +- {std.ap:.3f}, accuracy {average.accuracy:.3f}"
            seconds = sum(fold.seconds for fold in result.folds)
            line = f"{self._name}: {scores} +- {std.accuracy:.3f}, {seconds:.1f} s"
            say(line.replace(" +- nan", ""), on=screen)
        say(*warnings, style="yellow", on=screen)


def _result_table(result: CVResult, title: str, shows_threshold: bool) -> Table:
    """Make the table of one run: folds (or repeats), mean and deviation, pooled, baselines."""
    shown = _SHOWN_BY_THRESHOLD if shows_threshold else _SHOWN
    table = Table(title=Text(title))
    for name in ("", "scored", *shown):
        table.add_column(name, justify="right" if name else "left")

    def add(label: str, n_test: object, scores: Mapping[str, float], style: str = "") -> None:
        cells = [f"{scores[name]:.3f}" if name in scores else "" for name in shown]
        table.add_row(label, str(n_test), *cells, style=style)

    groups = [(f"fold {fold.split.fold + 1}", [fold]) for fold in result.folds]
    if len(groups) > _FOLDS_SHOWN:
        repeats = groupby(result.folds, key=lambda fold: fold.split.repeat)
        groups = [(f"repeat {repeat + 1}", list(folds)) for repeat, folds in repeats]
    means = map(mean_and_std, [[fold.metrics for fold in folds] for _, folds in groups])
    for (label, folds), (scores, _) in zip(groups, list(means), strict=True):
        threshold = {"threshold": mean(fold.threshold for fold in folds)}
        add(label, sum(len(fold.split.test) for fold in folds), asdict(scores) | threshold)
    table.add_section()
    threshold = {"threshold": mean(fold.threshold for fold in result.folds)}
    add("mean", "", asdict(result.scores.mean) | threshold, style="bold")
    add("std", "", asdict(result.scores.std))
    table.add_section()
    pooled = {name: astuple(interval) for name, interval in result.scores.pooled.items()}
    for at, label in enumerate(("pooled", "95 % from", "95 % to")):
        n_test = "" if at else len(result.test)
        add(label, n_test, {name: values[at] for name, values in pooled.items()})
    if result.null:
        add("p, shuffled", len(result.null), result.p_values)
    table.add_section()
    for name, baseline in result.baselines.items():
        add(name, "", asdict(baseline.mean), style="dim")
    return table


def draw_all(result: CVResult, features: FeatureSet, *, title: str, folder: Path) -> None:
    """Draw every picture of a cross-validation as a PNG file."""
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
    height = len(pixels)
    _, *rows = np.split(pixels, [round(0.05 * height), round(0.525 * height)])
    panels = [panel for row in rows for panel in np.array_split(row, 3, axis=1)]
    for name, picture in zip(("summary", *_PANELS), (pixels, *panels), strict=True):
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
    ranked = ranking(result.y_score, [len(fold.y_score) for fold in result.folds])
    for ax, display, score in zip(axes, displays, ("ap", "roc_auc"), strict=False):
        if not np.ptp(y):  # with one label there is no curve
            continue
        interval = result.scores.pooled[score]
        name = f"all folds [{interval.low:.3f}, {interval.high:.3f}]"
        display.from_predictions(y, ranked, plot_chance_level=True, name=name, ax=ax)
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
