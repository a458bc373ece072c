"""`lvh report`: the tables and the page of a sweep, or of runs, at any time."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import STORAGE, TRACKING, command, tracking_of
from lvh.reports.study_report import run_folders, show_sweep
from lvh.reports.terminal import say
from lvh.runs.hints import say_next
from lvh.runs.lookup import runs_named, study_named
from lvh.runs.result_page import study_of_runs, write_page
from lvh.search.storage import Storage
from lvh.search.study import load


def _report(options: argparse.Namespace) -> None:
    if options.list:
        say(*Storage(options.storage, to_read=True).studies())
        return
    studies = [study_named(name, options.storage) for name in options.run]
    is_study = len(studies) <= 1 and all(studies)
    if is_study:
        result = load(options.storage, next(iter(studies), None), options.store)
        usual, runs = Path(f"outputs/report-{result.name}"), run_folders(result, options.store)
    else:
        where = (options.storage, options.store, tracking_of(options))
        found = [folder for name in options.run for folder in runs_named(name, *where)]
        folders = [*{folder.resolve(): folder for folder in found}.values()]
        result, runs = study_of_runs(folders)
        usual = folders[0] / "report"
    page = write_page(result, Path(options.out or usual), runs)
    show_sweep(result)
    say(f"page: {page}", link=page)
    if result.complete and is_study:
        say_next("export", study=result.name, storage=options.storage)
    elif result.complete:
        say_next("explain", runs[result.complete[0].number])


main = command(
    "report",
    "Show the result of a sweep, finished or not, of a run, or of several of them side by side.",
    {
        "run": {
            "nargs": "*",
            "help": "folder of a run or a sweep, name of a study, SWEEP/NUMBER, or what MLflow "
            "calls a run, its name or ID (default: the latest study); several are compared",
        },
        "--list": {"action": "store_true", "help": "only list the studies"},
        **STORAGE,
        "--store": {
            "default": "outputs/folds",
            "help": "as store of the sweep",
        },
        "--out": {"help": "folder of the page (default: outputs/report-STUDY, or in the run)"},
        **TRACKING,
    },
    _report,
)

if __name__ == "__main__":
    sys.exit(main())
