"""`lvh explain`: what the models of a finished run look at, out of fold."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from lvh.cli.command import EXPERIMENT, RUN, between, check_folder, command, tracking_of
from lvh.config.run_settings import RunSettings
from lvh.errors import InputError
from lvh.explanations import Explanation, explain_run
from lvh.explanations.report import KINDS, by_kind, facts, write_report
from lvh.explanations.robustness import Change, changes_of
from lvh.features import FORMS
from lvh.reports.terminal import progress, say, show_facts, show_table
from lvh.runs.cache_key import run_key
from lvh.runs.experiment_data import ExperimentData, load_data
from lvh.runs.hints import say_next
from lvh.runs.lookup import choose, is_run_id, settings_of
from lvh.tracking import TrackingSettings
from lvh.tracking.fold_store import store_of
from lvh.tracking.run_record import load_run

_SHOWN = 6
CHANGES = "amplitude,noise,wander,resampling,arms,v1_v2,flat"
EXPLANATIONS = Path("outputs/explanations")
"""Where explanations of tracked runs lie, each in a folder with the ID of its run."""


def _run(args: argparse.Namespace) -> None:
    tracking = tracking_of(args)
    chosen = choose(args.run, args.storage, args.study)
    is_tracked = is_run_id(chosen.run)
    settings = settings_of(chosen.run, tracking)
    settings = replace(settings, store=str(store_of(chosen.study, settings.store)))
    if settings.cv.leakage:
        raise InputError(
            f"RUN: this run leaks ({settings.cv.leakage}): its models have learned from "
            "their test records, so they cannot be explained on them"
        )
    file = Path(chosen.run) / "run.json"
    record = load_run(file) if file.exists() else None
    if record is not None and record.status == "stopped":
        raise InputError(f"RUN: expected a finished run. Received: {chosen.run}, stopped early")
    data = load_data(settings)
    form = FORMS[settings.features.name]
    changes = changes_of(data.cohort, args.changes, is_ecg=form.reads_ecg)
    n_all = len(data.splits)
    n_folds = min(args.folds or n_all, n_all)
    usual = EXPLANATIONS / chosen.run if is_tracked else Path(chosen.run, "explanation")
    folder = Path(args.out or usual)
    check_folder("--out", folder, "importance.csv")
    title = f"{settings.name} on {data.cohort.name}"
    say(f"{title}: {n_folds} of {n_all} folds are trained again and explained")
    explanation = _explanation(settings, data, n_folds, changes)
    write_report(explanation, folder, title=title)
    _show(explanation, data.cohort.note)
    say(f"files: {folder}", link=folder)
    if not is_tracked:
        tracking = settings.tracking
    if tracking.name != "off":
        key = run_key(settings, data.cohort.fingerprint, data.splits)
        if record is not None:
            key = replace(record, key=key).path.stem
        _track(chosen.run, key, folder, tracking)
    if is_tracked:
        experiment = None if args.experiment == EXPERIMENT else args.experiment
        say_next("export", chosen.run, uri=args.uri, experiment=experiment)
    else:  # the page shows the explanation too
        say_next("report", chosen.study or Path(chosen.run), storage=args.storage)


def _explanation(
    settings: RunSettings, data: ExperimentData, n_folds: int, changes: Sequence[Change]
) -> Explanation:
    with progress() as bar:
        task = bar.add_task("", total=1)

        def show(fold: int, action: str, done: float) -> None:
            bar.update(task, description=f"fold {fold + 1} of {n_folds}: {action}", completed=done)

        return explain_run(settings, data, data.splits[:n_folds], changes, show)


def _show(explanation: Explanation, note: str) -> None:
    table = Table("without", "", "loss of ap [95 %]")
    for kind, of_kind in by_kind(explanation):
        for at, row in enumerate(of_kind[:_SHOWN].itertuples()):
            loss = f"{row.ap_drop:.3f} [{row.ap_drop_low:.3f}, {row.ap_drop_high:.3f}]"
            table.add_row("" if at else KINDS[kind], str(row.name), loss)
        table.add_section()
    show_table(table)
    show_facts({**facts(explanation), "note": note})
    say(
        "help: it shows what the scores depend on, no cause, and nothing about a patient: "
        "docs/predictions.md"
    )


def _track(run: str, key: str, folder: Path, tracking: TrackingSettings) -> None:
    """Log the folder to the run that was explained, where that is tracked."""
    from lvh.tracking.mlflow_store import log_explanation, run_with_key

    try:
        run_id = run if is_run_id(run) else run_with_key(key, tracking)
        if run_id is None:
            raise InputError("MLflow does not have this run, made by this code")
    except InputError as error:  # the store of another directory
        say(f"not tracked: {error}")
        return
    log_explanation(run_id, folder, tracking)
    say(f"logged to run {run_id} as explanation/")


main = command(
    "explain",
    "Show what the models of a finished run look at in their test records. Its folds "
    "are trained again, because a run stores scores and no weights.",
    {
        **RUN,
        "--folds": {"type": between(1, 1000, int), "help": "how many (default: all)"},
        "--changes": {"default": "all", "help": f"of signals: all, none or some of {CHANGES}"},
        "--out": {"help": f"folder (default: explanation in the run's, or {EXPLANATIONS}/RUN)"},
    },
    _run,
)

if __name__ == "__main__":
    sys.exit(main())
