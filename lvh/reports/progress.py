"""The progress and the result of a run, as a user sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.progress import TextColumn, TimeRemainingColumn
from rich.table import Table

from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.evaluation.cross_validation import Callback
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.features import FeatureSet
from lvh.reports.terminal import near, progress, say, show_facts, show_table
from lvh.tracking import resolved_uri
from lvh.tracking.run_record import interval_text
from lvh.validation.inner_splits import INNER_FOLDS
from lvh.validation.metrics import SPECIFICITY, mean_and_std
from lvh.validation.splits import Split

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings
    from lvh.models.training import Trainer

Verbosity = Literal["full", "bar", "line"]
"""Of a single run; of a run in a sweep; of a run while others run at the same time."""

_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")
_SHOWN_BY_THRESHOLD = ("accuracy", "specificity", "recall", "ap")
"""Scores that are shown if a specificity decides the threshold."""
_FOLDS_SHOWN = 10


class ProgressReporter(Callback):
    """Shows one run: its inputs, its progress and its result."""

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

    def __enter__(self) -> "ProgressReporter":
        """Return this reporter; the progress bar begins with the first fold."""
        return self

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
        return f"{inputs} inputs, {parameters}{self._n_folds} folds{epochs}"

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
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def on_shuffle(self, done: int, wanted: int) -> None:
        """Say, ten times, how far the test against shuffled labels is."""
        if self._verbosity != "line" and done * 10 // wanted > (done - 1) * 10 // wanted:
            say(f"{done} of {wanted} shuffles of the labels are scored", on=self._console)

    def show(self, result: CVResult | None, folder: Path, reason: str = "") -> None:
        """Show the result, in full or in a line; or the reason why there is none."""
        settings, screen = self._settings, self._console
        if result is None:
            say(f"{self._name}: {reason}", on=screen)
            return
        leakage = settings.cv.leakage
        warning = [f"NOT HONEST: {leakage}. Test records decided these scores, which have no rank"]
        warning *= bool(leakage)
        if self._verbosity == "full":
            say(*warning, style="yellow", on=screen)
            chosen = settings.cv.threshold != "fixed"
            show_table(result_table(result, f"{self._name} on {self._cohort.name}", chosen))
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
        say(*warning, style="yellow", on=screen)


def result_table(result: CVResult, title: str, shows_threshold: bool = False) -> Table:
    """Make the table of one run: folds (or repeats), mean and deviation, pooled, baselines."""
    shown = ("threshold", *_SHOWN_BY_THRESHOLD) if shows_threshold else _SHOWN
    table = Table(title=title)
    table.add_column("")
    for name in ("scored", *shown):
        table.add_column(name, justify="right")

    def add(label: str, n_test: object, scores: Mapping[str, float], style: str = "") -> None:
        cells = [f"{scores[name]:.3f}" if name in scores else "" for name in shown]
        table.add_row(label, str(n_test), *cells, style=style)

    groups = [(f"fold {fold.split.fold + 1}", [fold]) for fold in result.folds]
    if len(groups) > _FOLDS_SHOWN:
        repeats = groupby(result.folds, key=lambda fold: fold.split.repeat)
        groups = [(f"repeat {repeat + 1}", list(folds)) for repeat, folds in repeats]
    for label, folds in groups:
        scores = folds[0].metrics
        if len(folds) > 1:
            scores, _ = mean_and_std([fold.metrics for fold in folds])
        values = asdict(scores) | {"threshold": mean(fold.threshold for fold in folds)}
        add(label, sum(len(fold.split.test) for fold in folds), values)
    table.add_section()
    summary = result.scores
    threshold = {"threshold": mean(fold.threshold for fold in result.folds)}
    add("mean", "", asdict(summary.mean) | threshold, style="bold")
    add("std", "", asdict(summary.std))
    table.add_section()
    for label, bound in (("pooled", "estimate"), ("95 % from", "low"), ("95 % to", "high")):
        pooled = {name: getattr(interval, bound) for name, interval in summary.pooled.items()}
        add(label, len(result.test) if bound == "estimate" else "", pooled)
    if result.null:
        add("p, shuffled", len(result.null), result.p_values)
    table.add_section()
    for name, baseline in result.baselines.items():
        add(name, "", asdict(baseline.mean), style="dim")
    return table
