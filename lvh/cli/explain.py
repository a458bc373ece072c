"""`lvh explain`: what the models of a finished run look at, out of fold."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lvh.cli.command import ended
from lvh.config.run_settings import RunSettings
from lvh.errors import InputError
from lvh.reports.progress import console, progress, say
from lvh.runs.lookup import Chosen, best_of_sweep, is_run_id, settings_of
from lvh.tracking import TrackingSettings

if TYPE_CHECKING:
    from lvh.explanations.importance import Options
    from lvh.explanations.run_explanation import Explanation
    from lvh.runs.run import ExperimentData

_SHOWN = 6
EXPLANATIONS = Path("outputs/explanations")
"""Where explanations of tracked runs lie, each in a folder with the identity of its run."""


def main(arguments: list[str] | None = None) -> int:
    """Train the folds again, explain, write and show; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    from lvh.explanations.explanation_report import write_report
    from lvh.runs.run import load_data
    from lvh.search.results import store_of

    tracking = TrackingSettings("mlflow", given.uri, given.experiment)
    chosen = Chosen(given.run) if given.run else best_of_sweep(given.storage, given.study)
    settings = settings_of(chosen.run, tracking)
    settings = replace(settings, store=str(store_of(chosen.study, settings.store)))
    if settings.cv.protocol.leaks:
        raise InputError(
            "RUN: expected an honest protocol: under another one a model has learned from the "
            f"records that would explain it. Received: {settings.cv.protocol.leakage}"
        )
    options = _options(given, settings)
    data = load_data(settings)
    n_all = len(data.splits)
    n_folds = n_all if given.folds is None else given.folds
    if not 1 <= n_folds <= n_all:
        raise InputError(f"--folds: expected 1 to {n_all}, as the run has. Received: {n_folds}")
    folder = _folder(given.out, chosen.run)
    title = f"{settings.name} on {data.cohort.name}"
    say(f"{title}: {n_folds} of {n_all} folds are trained again and explained")
    explanation = _explanation(settings, data, n_folds, options)
    write_report(explanation, folder, title=title, note=data.cohort.note, options=options)
    _show(explanation, data.cohort.note)
    say(f"files: {folder}")
    _track(chosen.run, settings, data, folder=folder, tracking=tracking)
    if chosen.study and not given.out:
        say(f"lvh report {chosen.study} shows it, too")


def _options(given: argparse.Namespace, settings: RunSettings) -> "Options":
    from lvh.explanations.importance import WINDOW, Options, default_stride

    for name, value in (("--window", given.window), ("--stride", given.stride)):
        if value is not None and not 1 <= value <= 10_000:
            raise InputError(f"{name}: expected 1 to 10000 ms. Received: {value:g}")
    if not 1 <= given.repeats <= 1000:
        raise InputError(f"--repeats: expected 1 to 1000. Received: {given.repeats}")
    window = WINDOW if given.window is None else given.window / 1000
    stride = default_stride(settings.features.name) if given.stride is None else given.stride / 1000
    return Options(window, stride, given.repeats)


def _folder(out: str | None, run: str) -> Path:
    folder = Path(out or (EXPLANATIONS / run if is_run_id(run) else Path(run, "explanation")))
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "importance.csv").exists():
        raise InputError(  # all files in it would be tracked
            f"--out: expected a new folder, or that of an earlier explanation. Received: {folder}"
        )
    return folder


def _explanation(
    settings: RunSettings, data: "ExperimentData", n_folds: int, options: "Options"
) -> "Explanation":
    from lvh.explanations.run_explanation import explain_run

    with progress() as bar:
        task = bar.add_task("", total=1)
        shown = ""

        def show(fold: int, action: str, done: float) -> None:
            nonlocal shown
            text = f"fold {fold + 1} of {n_folds}: {action}"
            bar.update(task, description=text, completed=done)
            if not console().is_terminal and text != shown:
                say(text)
            shown = text

        return explain_run(settings, data, data.splits[:n_folds], options, show)


def _show(explanation: "Explanation", note: str) -> None:
    from lvh.explanations.explanation_report import TABLES, comparison
    from lvh.explanations.overlap import ANY

    ap, baseline = explanation.scores["ap"], explanation.baseline["ap"]
    say(
        comparison(explanation),
        f"pooled ap {ap.estimate:.3f} [{ap.low:.3f}, {ap.high:.3f}], age + sex "
        f"{baseline.estimate:.3f}, on {explanation.n_test} test records",
    )
    table = Table(box=SIMPLE_HEAD, title="what the scores lose without it", title_justify="left")
    for name in ("", "without"):
        table.add_column(name)
    for name in ("loss of ap", "95 % from", "to", "loss of AUC"):
        table.add_column(name, justify="right")
    for kind, title in TABLES.items():
        for at, one in enumerate(explanation.of(kind)[:_SHOWN]):
            values = (one.ap.estimate, one.ap.low, one.ap.high, one.roc_auc.estimate)
            table.add_row("" if at else title, one.name, *(f"{value:.3f}" for value in values))
        table.add_section()
    console().print(table)
    for overlap in explanation.overlap:
        if overlap.criterion == ANY:
            share, even = overlap.share, overlap.even.estimate
            say(
                f"of the importance of the {overlap.part}, {share.estimate:.0%} [{share.low:.0%}, "
                f"{share.high:.0%}] lies where criteria look; {even:.0%} if it were even, "
                f"{overlap.even_over_leads.estimate:.0%} if even over the leads"
            )
    say("It shows what the scores depend on: no cause, and nothing about a patient.")
    if note:
        say(note, style="yellow")


def _track(
    run: str,
    settings: RunSettings,
    data: "ExperimentData",
    *,
    folder: Path,
    tracking: TrackingSettings,
) -> None:
    """Log the folder to the run that was explained, where that is tracked."""
    from lvh.runs.cache_key import run_key
    from lvh.tracking.run_lookup import log_explanation, run_with_key

    if not is_run_id(run):
        if settings.tracking.name == "off":
            return
        tracking = settings.tracking
        key = run_key(settings, data.cohort.fingerprint, data.splits)
        try:
            known = run_with_key(key, tracking)
        except InputError as error:  # the store of another directory
            say(f"not tracked: {error}")
            return
        if known is None:
            say("not tracked: expected this run, made by this code, in the store of its settings")
            return
        run = known
    log_explanation(run, folder, tracking)
    say(f"logged to run {run} as explanation/")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvh explain",
        description="Show what the models of a finished run look at in records that they have not "
        "learned from: its folds are trained again, since a run keeps scores and no weights.",
    )
    add = parser.add_argument
    add(
        "run",
        nargs="?",
        help="folder of a run, or identity of a tracked one (default: the latest sweep's best)",
    )
    add("--study", help="sweep of which the best is taken (default: the latest)")
    add("--storage", help="as search.storage of the sweep (default: studies.db)")
    add("--folds", type=int, help="the first so many alone (default: all)")
    add("--window", type=float, help="of an occlusion, ms (default: 80)")
    add("--stride", type=float, help="of the windows, ms (default: 20; 40 in recordings)")
    add("--repeats", type=int, default=5, help="of every permutation (default: %(default)s)")
    add("--out", help=f"folder (default: explanation in the run's, or {EXPLANATIONS}/RUN)")
    add(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    add("--experiment", default="lvh", help="as tracking.experiment (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
