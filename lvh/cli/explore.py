"""`python -m lvh.explore`: load a source, measure it, draw it, write the page, track it."""

import sys
from pathlib import Path

from lvh.cli.command import check_folder, hydra_command
from lvh.config.command_line import in_plain_words, read_arguments
from lvh.config.composition import composed_from
from lvh.data import SOURCES
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, InputError
from lvh.files import made_in, write_fault
from lvh.reports.dataset_report import PAGE, write
from lvh.reports.terminal import say, show_facts
from lvh.runs.hints import say_next
from lvh.tracking.run_record import DataRecord, RunRecord, save
from lvh.tracking.tracker import Tracker

_HELP = """\
Show what a source holds before anything is trained, on one HTML page that needs no other file;
its numbers also as CSV, the examples as SVG, and all of it in MLflow: docs/predictions.md.

It takes the arguments of lvh.run. Three groups matter: data chooses the records, cv the folds on
which age and sex alone are scored, tracking the store that also gets the page.

  python -m lvh.explore data=ptbxl data.root=FOLDER tracking=off
  python -m lvh.explore data=synthetic hydra.run.dir=FOLDER  instead of a dated one in outputs/
"""

_FOLDER = "hydra.run.dir='outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}-explore-${data.name}-${now:%f}'"
"""The page of no run: its folder has a name of its own."""


def _run(arguments: list[str]) -> None:
    command, _ = read_arguments([_FOLDER, *arguments])
    config = command.load()
    settings = composed_from(config).settings
    with in_plain_words():
        folder = Path(str(config.hydra.run.dir))
    if settings.external is not None:
        raise InputError(f"external: expected none. Received: {settings.external.name}")
    source = SOURCES[settings.data.name]
    check_folder("hydra.run.dir", folder, PAGE)
    if fault := write_fault(made_in(folder.absolute())):
        raise EnvironmentFault(f"cannot write {folder}: {fault}")
    cohort = source.cohort(settings.data)
    n, label, note = len(cohort.records), cohort.label_name, cohort.note
    records = f"{n}, prevalence of {label} {cohort.prevalence:.3f}"
    show_facts({"records": records, "note": note}, cohort.name)
    with Tracker(settings.tracking) as tracker:
        page = write(cohort, source.metadata, cv=settings.cv, folder=folder)
        record = RunRecord(
            key=fingerprint(cohort.fingerprint, str(folder.absolute())),
            name=f"explore {cohort.name}",
            level="data",
            status="complete",
            params={key: one for key, one in settings.params().items() if key.startswith("data")},
            data=DataRecord(cohort.name, cohort.fingerprint, note, n, label),
            tags={"note": note, "label": label, "mlflow.source.name": "lvh.explore"},
            folder=str(folder),
            root=settings.store,
        )
        if settings.tracking.name == "mlflow":
            save(record)
            tracker.track(record)
        say(f"page: {page}", link=page)  # seen even if the store fails now
    say_next("run", *(one for one in arguments if not one.startswith("hydra.run.dir=")))


main = hydra_command(_HELP, _run)

if __name__ == "__main__":
    sys.exit(main())
