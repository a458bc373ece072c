"""`python -m lvh.track`: bring a tracking store up to date, without training."""

import sys
from collections import Counter
from pathlib import Path

from lvh.cli.command import ended
from lvh.errors import InputError, TrackingFault, masked
from lvh.reports.progress import compare_hint, say

_HELP = """Write what finished runs and sweeps came to into a store of MLflow, without training.

usage: python -m lvh.track [tracking.uri=URI] [tracking.experiment=NAME] [store=FOLDER]

What is in the store already stays there once. Use it after a run with tracking=off, for a server
that was down or is another one, and for runs that were deleted by hand.
"""


def main(arguments: list[str] | None = None) -> int:
    """Track everything in a fold store and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if {"-h", "--help"} & set(given):
        print(_HELP, end="")
        return 0
    return ended(lambda: _track(given))


def _track(overrides: list[str]) -> None:
    from lvh.runs.notebook import settings
    from lvh.tracking.run_record import records_of
    from lvh.tracking.tracker import sync

    chosen = settings(*overrides)
    tracking, root = chosen.tracking, Path(chosen.store)
    if tracking.name == "off":
        raise InputError("tracking: expected a store of MLflow. Received: off")
    paths = [path.absolute() for path in records_of(root)]
    if not paths:
        raise InputError(f"store: expected finished runs in {root}/runs. Received: none")
    counts: Counter[str] = Counter()
    faults: dict[str, str] = {}
    for path, fault, page in sync(tracking, paths):
        if fault:
            faults[fault] = fault
        counts["" if fault else path.parent.name] += 1
        place = page
    if counts[""]:
        told = "; ".join(faults)
        raise TrackingFault(f"tracking: {counts['']} of {len(paths)} are not recorded: {told}")
    say(
        f"{counts['runs']} runs and {counts['sweeps']} sweeps are in "
        f"{masked(tracking.uri or 'mlflow.db')}, experiment {tracking.experiment}",
        compare_hint(tracking, place),
    )


if __name__ == "__main__":
    sys.exit(main())
