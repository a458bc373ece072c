"""`python -m lvh.report`: a sweep's tables, pictures and page, at any time after it."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import ended
from lvh.reports.progress import console, say
from lvh.reports.study import sentences, table, write
from lvh.runs.lookup import best_folder
from lvh.search.storage import Storage
from lvh.search.study import load


def main(arguments: list[str] | None = None) -> int:
    """Report on one study and return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _report(given))


def _report(given: argparse.Namespace) -> None:
    if given.list:
        say(*Storage(given.storage, to_read=True).studies())
        return
    result = load(given.storage, given.study, given.store)
    folder = Path(given.out or f"outputs/report-{result.name}")
    run = best_folder(result, given.store)
    page = write(result, folder, run and run / "explanation")
    console().print(table(result))
    say(*sentences(result))
    say(f"page: {page}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.report", description="Show what a sweep came to, finished or not."
    )
    parser.add_argument("study", nargs="?", help="name of the study (default: the latest)")
    parser.add_argument("--list", action="store_true", help="list the studies and end")
    parser.add_argument(
        "--storage", help="as search.storage of the sweep (default: studies.db in this directory)"
    )
    parser.add_argument(
        "--store", default="outputs/folds", help="as store of the sweep (default: %(default)s)"
    )
    parser.add_argument("--out", help="folder of the page (default: outputs/report-STUDY)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
