"""`lvh report`: the tables and the page of a sweep, or of runs, at any time."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import command
from lvh.errors import InputError
from lvh.reports.hints import option, say_next
from lvh.reports.progress import console, say
from lvh.reports.study_report import run_folders, table, write
from lvh.reports.verdict import sentences
from lvh.runs.side_by_side import study_of_runs
from lvh.search.storage import Storage
from lvh.search.study import load
from lvh.tracking.run_dir import study_in


def _report(options: argparse.Namespace) -> None:
    if options.list:
        say(*Storage(options.storage, to_read=True).studies())
        return
    names = [study_in(Path(name)) or name for name in options.study]
    storage = option("--storage", options.storage)
    if len(names) > 1 or any(Path(name).is_dir() for name in names):
        folders = [folder for name in names for folder in _runs(name, options)]
        result, runs = study_of_runs(folders)
        page = write(result, Path(options.out) if options.out else folders[0] / "report", runs)
        following: list[str | Path] = ["explain"]
        following += [runs[best.number] for best in result.complete[:1]]
    else:
        result = load(options.storage, next(iter(names), None), options.store)
        folder = Path(options.out or f"outputs/report-{result.name}")
        page = write(result, folder, run_folders(result, options.store))
        following = ["export", "--study", result.name, *storage]
    console().print(table(result))
    say(*sentences(result))
    say(f"page: {page}", link=page)
    if result.complete:
        say_next(str(following[0]), *following[1:])


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
        "--storage", help="as search.storage of the sweep (default: studies.db in this directory)"
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
