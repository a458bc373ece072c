"""The progress and the result of a run, as a user sees them."""

import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from lvh.data.cohort import Cohort
from lvh.data.cohort_summary import summarize_cohort
from lvh.errors import at_words, masked
from lvh.evaluation.cross_validation import Callback
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.features import FeatureSet
from lvh.tracking import resolved_uri
from lvh.tracking.run_record import at_random
from lvh.validation.metrics import SPECIFICITY, mean_and_std
from lvh.validation.splits import Split
from lvh.validation.thresholds import INNER_FOLDS

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings
    from lvh.models.training import Trainer

Verbosity = Literal["full", "bar", "line"]
"""Of a single run; of a run in a sweep; of a run while others run at the same time."""

_SHOWN = ("accuracy", "precision", "recall", "ap", "roc_auc")
_SHOWN_BY_THRESHOLD = ("accuracy", "specificity", "recall", "ap")
"""Scores that are shown if a specificity decides the threshold."""
_FOLDS_SHOWN = 10
_WIDTH = 76  # of the widest table
_LINE = 10_000  # letters of a row in a file or a pipe, which nothing breaks
_ADDRESS = re.compile(r"https?://[^\s'\"]*[^\s'\".,;:)]|\bdocs/\w+\.md")
_ROOT = Path(__file__).parents[2]


class _Console(Console):
    """A console whose reader may close the pipe, which must not end a training."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """Return a console on standard output: wide enough for the tables, or for any row of a file."""
    shown_on = Console()
    return _Console(width=max(shown_on.width, _WIDTH) if shown_on.is_terminal else _LINE)


def progress(*columns: TextColumn | TimeRemainingColumn, hidden: bool = False) -> Progress:
    """Return a progress bar, which only a terminal shows, until it is done."""
    shown_on = console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *columns,
        console=shown_on,
        transient=True,
        expand=True,
        # a notebook asks for colours, as a terminal has them, but cannot draw over a line
        disable=hidden or not shown_on.file.isatty(),
    )


def say(
    *lines: str,
    style: str | None = None,
    on: Console | None = None,
    wraps: bool = True,
    link: Path | None = None,
) -> None:
    """Print lines as they are, without reading them as markup.

    A terminal gets them wrapped at words, no path or address cut, with addresses, pages of docs/
    and `link`, a path in a line, to click; a file or a pipe gets a line as a line. A line to paste
    never `wraps`.
    """
    shown_on = on or console()
    for line in map(masked, lines):
        if wraps and shown_on.is_terminal:
            line = at_words(line)
        shown_on.print(_clickable(line, style or "", link), soft_wrap=True)


def _clickable(line: str, style: str = "", link: Path | None = None) -> Text:
    text = Text(line, style)
    if not style:
        text.highlight_regex(r"^[a-z]+:(?= )", "bold cyan")
    for address in _ADDRESS.finditer(line):
        page = _ROOT / address[0]
        target = page.as_uri() if page.is_file() else address[0]
        text.stylize(Style(link=target if ":" in target else None), *address.span())
    if link is not None and (start := line.rfind(str(link))) >= 0:
        text.stylize(Style(link=link.absolute().as_uri()), start, start + len(str(link)))
    return text


def show_facts(facts: Mapping[str, str], title: str = "", *, on: Console | None = None) -> None:
    """Print texts by their names: a terminal gets a frame, a file or a pipe a line for each."""
    shown_on = on or console()
    given = {name: masked(text) for name, text in facts.items() if text}
    if not shown_on.is_terminal:
        say(*filter(None, [title]), *(f"{one}: {text}" for one, text in given.items()), on=shown_on)
        return
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(style="bold cyan", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for name, text in given.items():
        grid.add_row(Text(name), _clickable(text))
    heading = Text(title, "bold") if title else None
    shown_on.print(Panel(grid, title=heading, title_align="left", border_style="dim"))


def show_table(table: Table, on: Console | None = None) -> None:
    """Print a table: as wide as a terminal; in a file or a pipe a row a line, without rules."""
    shown_on = on or console()
    table.title_justify, table.title_style = "left", "bold"
    if shown_on.is_terminal:
        table.box, table.expand = SIMPLE_HEAD, True
    else:
        table.box, table.padding, table.pad_edge = None, (0, 2, 0, 0), False
    shown_on.print(table)


def near(address: str) -> str:
    """Return a path, or the address of an embedded store, as seen from the working directory."""
    return re.sub(f"^(sqlite:///)?{re.escape(str(Path.cwd()))}/", "", address)


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
        self._has_epochs = settings.is_network
        self._n_epochs = settings.train.epochs if self._has_epochs else 1
        unit = TextColumn("epochs, left" if self._has_epochs else "folds, left")
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
            self._print(f"{self._name}: {self._training(known)}")
        self._bar.start()

    def _training(self, known: int) -> str:
        n_parameters = None if known else self._trainer().n_parameters
        parameters = "" if n_parameters is None else f"{n_parameters:,} parameters, "
        epochs = f" x {self._n_epochs} epochs" if self._has_epochs else ""
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
            "leads": self._other_leads(),
            "training": self._training(known),
            "done": done if known else "",
            "threshold": "" if settings.cv.threshold == "fixed" else threshold,
            "tracking": where,
            "note": self._cohort.note,
        }

    def _other_leads(self) -> str:
        """Say which leads are the inputs, where these are not those of the settings."""
        asked = getattr(self._settings.features, "leads", self._features.names)
        if self._features.kind != "signal" or tuple(map(str.lower, asked)) == self._features.names:
            return ""
        return f"{' '.join(self._features.names)}, all that the records have"

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
            epochs = f"{len(fold.history.loss)} epochs, " if self._has_epochs else ""
            self._print(
                f"fold {self._done} of {self._n_folds}: accuracy {fold.metrics.accuracy:.3f}, "
                f"ap {fold.metrics.ap:.3f}, {epochs}{fold.seconds:.1f} s"
            )

    def on_shuffle(self, done: int, wanted: int) -> None:
        """Say, ten times, how far the test against shuffled labels is."""
        if self._verbosity != "line" and done * 10 // wanted > (done - 1) * 10 // wanted:
            self._print(f"{done} of {wanted} shuffles of the labels are scored")

    def show(self, result: CVResult | None, folder: Path, reason: str = "") -> None:
        """Show the result, in full or in a line; or the reason why there is none."""
        if result is None:
            self._print(f"{self._name}: {reason}")
            return
        leakage = self._settings.cv.protocol.leakage
        dishonest = leakage and (
            f"NOT HONEST: {leakage}. Test records decided these scores, which have no rank"
        )
        if self._verbosity == "full":
            self._warn(dishonest)
            chosen = self._settings.cv.threshold != "fixed"
            show_table(result_table(result, f"{self._name} on {self._cohort.name}", chosen))
            note = self._cohort.note
            show_facts({"result": headline(result), "note": note}, on=self._console)
            self._warn(dishonest)
            files = near(str(folder))
            say(f"files: {files}", on=self._console, link=Path(files))
            return
        summary, seconds = result.scores, sum(fold.seconds for fold in result.folds)
        texts = []
        for name in ("ap", "accuracy"):
            average, std = getattr(summary.mean, name), getattr(summary.std, name)
            texts.append(f"{name} {average:.3f}{'' if math.isnan(std) else f' +- {std:.3f}'}")
        self._print(f"{self._name}: {', '.join(texts)}, {seconds:.1f} s")
        self._warn(dishonest)

    def _warn(self, *lines: str) -> None:
        say(*filter(None, lines), style="yellow", on=self._console)

    def _print(self, *lines: str) -> None:
        say(*lines, on=self._console)


def headline(result: CVResult) -> str:
    """Say the pooled average precision, and what a random order of the records has."""
    ap, baselines = result.scores.pooled["ap"], result.baselines
    chance = at_random({name: one.as_baseline() for name, one in baselines.items()})
    n = len(np.unique(result.test))
    return (
        f"ap of all {n} test records together {ap.estimate:.3f}, 95 % interval {ap.low:.3f} to "
        f"{ap.high:.3f}{chance}"
    )


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

    def threshold(folds: Sequence[FoldResult]) -> dict[str, float]:
        return {"threshold": mean(fold.threshold for fold in folds)}

    for label, folds in _groups(result):
        scores, _ = mean_and_std([fold.metrics for fold in folds])
        add(label, sum(len(fold.split.test) for fold in folds), asdict(scores) | threshold(folds))
    table.add_section()
    summary = result.scores
    add("mean", "", asdict(summary.mean) | threshold(result.folds), style="bold")
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


def _groups(result: CVResult) -> list[tuple[str, Sequence[FoldResult]]]:
    """Return each fold on its own; the folds of each repeat where there are many."""
    if len(result.folds) <= _FOLDS_SHOWN:
        return [(f"fold {fold.split.fold + 1}", [fold]) for fold in result.folds]
    repeats = groupby(result.folds, key=lambda fold: fold.split.repeat)
    return [(f"repeat {repeat + 1}", list(folds)) for repeat, folds in repeats]
