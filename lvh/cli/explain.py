"""`python -m lvh.explain`: what the models of a finished run look at, out of fold."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from lvh.cli.command import ended
from lvh.config.run_settings import RunSettings
from lvh.data.lazy_array import read
from lvh.errors import InputError
from lvh.reports.progress import console, progress, say
from lvh.reports.study import EXPLANATIONS
from lvh.runs.lookup import Chosen, best_of_sweep, is_run_id, settings_of
from lvh.tracking import TrackingSettings

if TYPE_CHECKING:
    from lvh.evaluation.cv_result import FoldResult
    from lvh.explanations.aggregate import Explanation
    from lvh.explanations.fold_importance import Asked, OfFold
    from lvh.runs.run import ExperimentData
    from lvh.validation.splits import Split

_SHOWN = 6


def main(arguments: list[str] | None = None) -> int:
    """Train the folds again, look, write and show; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    from lvh.explanations.explanation_figures import draw_all
    from lvh.explanations.explanation_files import write
    from lvh.runs.run import load_data
    from lvh.search.results import store_of

    tracking = TrackingSettings("mlflow", given.uri, given.experiment)
    chosen = Chosen(given.run) if given.run else best_of_sweep(given.storage, given.study)
    settings = settings_of(chosen.run, tracking)
    settings = replace(settings, store=str(store_of(chosen.study, settings.store)))
    _check(settings)
    asked = _asked(given, settings)
    prepared = load_data(settings)
    n_folds = len(prepared.splits) if given.folds is None else given.folds
    if not 1 <= n_folds <= len(prepared.splits):
        raise InputError(
            f"--folds: expected 1 to {len(prepared.splits)}, which the run has. Received: {n_folds}"
        )
    place = EXPLANATIONS / chosen.run if is_run_id(chosen.run) else Path(chosen.run, "explanation")
    folder = Path(given.out or place)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "importance.csv").exists():
        raise InputError(  # all that is in it would be tracked
            f"--out: expected a new folder, or that of an earlier explanation. Received: {folder}"
        )
    title = f"{settings.name} on {prepared.cohort.name}"
    say(f"{title}: {n_folds} of {len(prepared.splits)} folds are trained again and looked at")
    found = _explained(settings, prepared, prepared.splits[:n_folds], asked)
    write(found, folder, title, prepared.cohort.note, asked)
    draw_all(found, f"{title}, {n_folds} of {len(prepared.splits)} folds, out of fold", folder)
    _show(found, prepared.cohort.note)
    say(f"files: {folder}")
    _track(chosen.run, settings, prepared, folder, tracking)
    if chosen.study and not given.out:
        say(f"python -m lvh.report {chosen.study} shows it, too")


def _check(settings: RunSettings) -> None:
    if settings.cv.protocol.leaks:
        raise InputError(
            "RUN: expected an honest protocol: under another one a model has learned from the "
            f"records that it is to be explained by. Received: {settings.cv.protocol.leakage}"
        )


def _asked(given: argparse.Namespace, settings: RunSettings) -> "Asked":
    from lvh.explanations.fold_importance import WINDOW, Asked, stride_of

    for name, value in (("--window", given.window), ("--stride", given.stride)):
        if value is not None and not 1 <= value <= 10_000:
            raise InputError(f"{name}: expected 1 to 10000 ms. Received: {value:g}")
    if not 1 <= given.repeats <= 1000:
        raise InputError(f"--repeats: expected 1 to 1000. Received: {given.repeats}")
    window = WINDOW if given.window is None else given.window / 1000
    stride = stride_of(settings.features.name) if given.stride is None else given.stride / 1000
    return Asked(window, stride, given.repeats)


def _explained(
    settings: RunSettings, prepared: "ExperimentData", splits: "tuple[Split, ...]", asked: "Asked"
) -> "Explanation":
    from lvh.explanations.aggregate import compared, conclude, trained_again
    from lvh.explanations.context import subject_of
    from lvh.explanations.fold_importance import explain, windows_of
    from lvh.features import fill_missing

    features = prepared.features
    subject = subject_of(prepared.cohort, features, settings.features)
    if subject.view is not None:
        windows_of(subject.view, asked, prepared.cohort.fs)  # refused before a training
    results: list[FoldResult] = []
    found: list[OfFold] = []
    epochs = settings.train.epochs if settings.is_network else 1
    with progress() as bar:
        task = bar.add_task("", total=epochs)

        def on_epoch(split: "Split", epoch: int) -> None:
            title = f"fold {len(found) + 1} of {len(splits)}: training"
            bar.update(task, description=title, completed=epoch, total=epochs)

        models = trained_again(settings, prepared, splits, on_epoch)
        for number, (result, score) in enumerate(models, start=1):
            split, title = result.split, f"fold {number} of {len(splits)}"
            train, scored = fill_missing(
                features.fill, features.X[split.train], features.X[split.scored]
            )
            tabular = features.kind != "signal"  # signals need no means, nor fit into memory
            means = read(train).mean(axis=0) if tabular else np.zeros(0, np.float32)
            bar.update(task, description=f"{title}: looking", completed=0, total=1)
            found.append(
                explain(
                    *(score, read(scored), means, split.scored, subject, asked),
                    seed=(split.repeat, split.fold),
                    watch=lambda done, total: bar.update(task, completed=done, total=total),
                )
            )
            results.append(result)
            if not console().is_terminal:
                say(f"{title}: ap {result.metrics.ap:.3f}")
    kept = compared(settings, prepared, results)
    return conclude(prepared, results, found, kept, subject.view)


def _show(found: "Explanation", note: str) -> None:
    from lvh.explanations.explanation_files import TABLES, same
    from lvh.explanations.overlap import ANY

    ap, baseline = found.scores["ap"], found.baseline["ap"]
    say(
        same(found.kept, found.n_folds),
        f"pooled ap {ap.estimate:.3f} [{ap.low:.3f}, {ap.high:.3f}], age + sex "
        f"{baseline.estimate:.3f}, on {found.n_scored} scored records",
    )
    made = Table(box=SIMPLE_HEAD, title="what is lost without it", title_justify="left")
    made.add_column("")
    made.add_column("without")
    for name in ("loss of ap", "95 % from", "to", "loss of AUC"):
        made.add_column(name, justify="right")
    for title, kinds in TABLES:
        for at, row in enumerate(found.of(*kinds)[:_SHOWN]):
            ap = row.drop.ap
            cells = [f"{one:.3f}" for one in (ap.estimate, ap.low, ap.high)]
            auc = f"{row.drop.roc_auc.estimate:.3f}"
            made.add_row("" if at else title, row.name, *cells, auc)
        made.add_section()
    console().print(made)
    for one in found.agreement:
        if one.criterion == ANY:
            low, high = one.share.low, one.share.high
            say(
                f"of the importance of the {one.part}, {one.share.estimate:.0%} [{low:.0%}, "
                f"{high:.0%}] lies where criteria look; {one.even.estimate:.0%} if it were even, "
                f"{one.even_over_leads.estimate:.0%} if even over the leads"
            )
    say("It says what the scores depend on, no cause, and nothing about a patient.")
    if note:
        say(note, style="yellow")


def _track(
    run: str,
    settings: RunSettings,
    prepared: "ExperimentData",
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
        key = run_key(settings, prepared.cohort.fingerprint, prepared.splits)
        try:
            known = run_with_key(key, tracking)
        except InputError as error:  # another directory's store
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
        prog="python -m lvh.explain",
        description="Show what the models of a finished run look at in records that they have not "
        "learned from: its folds are trained again, since a run keeps scores and no weights.",
    )
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run, or identity of a tracked one (default: the latest sweep's best)",
    )
    parser.add_argument("--study", help="sweep of which the best is taken (default: the latest)")
    parser.add_argument("--storage", help="as search.storage of the sweep (default: studies.db)")
    parser.add_argument("--folds", type=int, help="the first so many alone (default: all)")
    parser.add_argument("--window", type=float, help="of an occlusion, ms (default: 80)")
    parser.add_argument(
        "--stride", type=float, help="of the windows, ms (default: 20; 40 in recordings)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="of every permutation (default: %(default)s)"
    )
    parser.add_argument(
        "--out", help=f"folder (default: explanation in the run's, or {EXPLANATIONS}/RUN)"
    )
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    parser.add_argument(
        "--experiment", default="lvh", help="as tracking.experiment (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
