"""`python -m lvh.run` that also says when epochs end and how long its figures take.

    python experiments/speed/watched.py OVERRIDES

Prints lines `EPOCH number time-of-day` and `DRAWN seconds`.
"""

import sys
import time
from typing import Any

from lvh.cli.run import main
from lvh.reports import run_report
from lvh.reports.run_report import ProgressReporter

draw_all, show_epoch = run_report.draw_all, ProgressReporter.on_epoch


def timed_draw_all(*args: Any, **named: Any) -> None:
    """Draw; the import of matplotlib counts."""
    started = time.perf_counter()
    draw_all(*args, **named)
    print("DRAWN", time.perf_counter() - started, flush=True)


def timed_epoch(*args: Any) -> None:
    """Take the time before anything is shown."""
    print("EPOCH", args[-1], time.time(), flush=True)
    show_epoch(*args)


if __name__ == "__main__":
    run_report.draw_all = timed_draw_all
    ProgressReporter.on_epoch = timed_epoch  # type: ignore[method-assign]
    sys.exit(main())
