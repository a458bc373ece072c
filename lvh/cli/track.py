"""`python -m lvh.track`: bring a tracking store up to date, without training."""

import sys
from pathlib import Path

from lvh.cli.command import hydra_command
from lvh.errors import InputError, TrackingFault, masked
from lvh.reports.terminal import say
from lvh.runs.hints import say_where

_HELP = """Write finished runs and sweeps to MLflow, without training.

usage: python -m lvh.track [tracking.uri=URI] [tracking.experiment=NAME] [store=FOLDER]

A run that MLflow has already is not written twice.
"""


def _track(overrides: list[str]) -> None:
    from lvh.config.composition import settings_of
    from lvh.tracking.run_record import records_of
    from lvh.tracking.tracker import RecordWriter

    chosen = settings_of(*overrides)
    tracking, root = chosen.tracking, Path(chosen.store)
    if tracking.name == "off":
        raise InputError("tracking: expected mlflow. Received: off")
    paths = [*records_of(root)]
    if not paths:
        raise InputError(f"store: expected finished runs in {root}/runs. Received: none")
    writer = RecordWriter(tracking)
    faults = [fault for path in paths if (fault := writer.write(str(path.absolute())))]
    if faults:
        raise TrackingFault(
            f"tracking: {len(faults)} of {len(paths)} results were not written to MLflow: "
            f"{'; '.join(dict.fromkeys(faults))}"
        )
    n_sweeps = sum(path.parent.name == "sweeps" for path in paths)
    where = f"{masked(tracking.uri or 'mlflow.db')}, experiment {tracking.experiment}"
    say(f"{len(paths) - n_sweeps} runs and {n_sweeps} sweeps are in {where}")
    say_where(tracking, writer.page)


main = hydra_command(_HELP, _track)

if __name__ == "__main__":
    sys.exit(main())
