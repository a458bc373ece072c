"""`lvh report`: the tables and the page of a sweep, or of runs, at any time."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import command
from lvh.errors import InputError
from lvh.reports.study_report import run_folders, show_sweep
from lvh.reports.terminal import say
from lvh.runs.hints import say_next
from lvh.runs.result_page import write_page
from lvh.runs.side_by_side import study_of_runs
from lvh.search.storage import Storage
from lvh.search.study import load
from lvh.tracking.run_dir import study_in


def _report(options: argparse.Namespace) -> None:
    if options.list:
        say(*Storage(options.storage, to_read=True).studies())
        return
    names = [study_in(Path(name)) or name for name in options.study]
    is_study = len(names) <= 1 and not any(Path(name).is_dir() for name in names)
    if not is_study:
        found = [folder for name in names for folder in _runs(name, options)]
        folders = [*{folder.resolve(): folder for folder in found}.values()]
        result, runs = study_of_runs(folders)
        page = write_page(result, Path(options.out) if options.out else folders[0] / "report", runs)
    else:
        result = load(options.storage, next(iter(names), None), options.store)
        folder = Path(options.out or f"outputs/report-{result.name}")
        page = write_page(result, folder, run_folders(result, options.store))
    show_sweep(result)
    say(f"page: {page}", link=page)
    if result.complete and is_study:
        say_next("export", study=result.name, storage=options.storage)
    elif result.complete:
        say_next("explain", runs[result.complete[0].number])


def _runs(name: str, options: argparse.Namespace) -> list[Path]:
    """Return the folder of a run, or those of the complete runs of a study."""
    if Path(name).is_dir():
        return [Path(name)]
    study = load(options.storage, name, options.store)
    folders = run_folders(study, options.store)
    complete = [trial.number for trial in study.complete if trial.number in folders]
    if not complete:
        raise InputError(f"STUDY: study {name} has no complete configuration yet")
    return [folders[number] for number in complete]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study",
        nargs="*",
        help="name of a study, or folder of a run or of a sweep (default: the latest study); "
        "several are compared",
    )
    parser.add_argument("--list", action="store_true", help="only list the studies")
    parser.add_argument(
        "--storage",
        help="the database of the sweep: the value that you gave to search.storage (default: "
        "studies.db in this directory)",
    )
    parser.add_argument(
        "--store", default="outputs/folds", help="as store of the sweep (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        help="folder of the page (default: outputs/report-STUDY, or report in the first run)",
    )


main = command(
    "lvh report",
    "Show the result of a sweep, finished or not, of a run, or of several of them side by side.",
    _add_arguments,
    _report,
)

if __name__ == "__main__":
    sys.exit(main())
