"""`python -m lvh.report`: the tables and the page of a sweep, or of runs, at any time."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import exit_code_of
from lvh.errors import InputError
from lvh.reports.progress import console, say
from lvh.reports.study_report import run_folders, table, write
from lvh.reports.verdict import sentences
from lvh.runs.side_by_side import study_of_runs
from lvh.search.storage import Storage
from lvh.search.study import load


def main(arguments: list[str] | None = None) -> int:
    """Report on one study and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _report(options))


def _report(options: argparse.Namespace) -> None:
    if options.list:
        say(*Storage(options.storage, to_read=True).studies())
        return
    folders = [Path(folder) for folder in options.study if Path(folder).is_dir()]
    if folders:
        if len(folders) < len(options.study):
            raise InputError(f"STUDY: expected folders of runs alone. Received: {options.study}")
        result, runs = study_of_runs(folders)
        folder = Path(options.out) if options.out else folders[0] / "report"
        page = write(result, folder, runs)
    elif len(options.study) > 1:
        raise InputError(f"STUDY: expected one name, or folders of runs. Received: {options.study}")
    else:
        result = load(options.storage, next(iter(options.study), None), options.store)
        folder = Path(options.out or f"outputs/report-{result.name}")
        page = write(result, folder, run_folders(result, options.store))
    console().print(table(result))
    say(*sentences(result))
    say(f"page: {page}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.report",
        description="Show the result of a sweep, finished or not, of a run, or of several runs.",
    )
    parser.add_argument(
        "study",
        nargs="*",
        help="name of a study (default: the latest), or folders of runs, which are compared",
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
