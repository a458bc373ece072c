"""`python -m lvh.explore`: load a source, measure it, draw it, write the page, track it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.cli.command import check_folder, hydra_command
from lvh.errors import EnvironmentFault, InputError
from lvh.files import made_in, write_fault

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_HELP = """\
Show what a source holds before anything is trained, on one HTML page that needs no other file;
its numbers also as CSV, the examples as SVG, and all of it in MLflow: docs/predictions.md.

usage: python -m lvh.explore [GROUP=OPTION ...] [FIELD=VALUE ...]

It takes the arguments of lvh.run. Three groups matter: data chooses the records, cv the folds on
which age and sex alone are scored, tracking the store that also gets the page.

  python -m lvh.explore                                      LUDB
  python -m lvh.explore data=ptbxl data.root=FOLDER tracking=off
  python -m lvh.explore data=synthetic hydra.run.dir=FOLDER  instead of a dated one in outputs/

It ends with the path of the page. Exit code: 0 done, 2 bad input, 3 environment.
"""


_FOLDER = "hydra.run.dir='outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}-explore-${data.name}-${now:%f}'"
"""The page of no run: its folder has a name of its own."""


def _settings(arguments: list[str]) -> "tuple[RunSettings, Path]":
    """Compose and check what was typed, as lvh.run does; return the folder of the page too."""
    from lvh.config.command_line import read_arguments
    from lvh.config.composition import composed_from
    from lvh.config.messages import explained

    command, _ = read_arguments([_FOLDER, *arguments])
    try:
        for override in command.parsed():
            if override.is_sweep_override():
                raise InputError(
                    f"{override.input_line}: expected one value: a page shows one source"
                )
        config = command.load()
        folder, settings = Path(str(config.hydra.run.dir)), composed_from(config).settings
    except Exception as error:
        raise explained(error, command) from None
    if settings.external is not None:
        raise InputError(
            "external: expected none, for a page shows one source: "
            f"data={settings.external.name}. Received: {settings.external.name}"
        )
    return settings, folder


def _explore(settings: "RunSettings", folder: Path) -> None:
    from lvh.data import SOURCES
    from lvh.data.cohort import fingerprint
    from lvh.reports.dataset_report import PAGE, write
    from lvh.reports.survey import survey
    from lvh.reports.terminal import near, progress, say, show_facts
    from lvh.tracking import Tracker, resolved_uri
    from lvh.tracking.run_record import DataRecord, RunRecord, save

    source, tracking = SOURCES[settings.data.name], settings.tracking
    check_folder("hydra.run.dir", folder, PAGE)
    if fault := write_fault(made_in(folder.absolute())):
        raise EnvironmentFault(f"cannot write {folder}: {fault}")
    cohort = source.cohort(settings.data)
    n, label = len(cohort.records), cohort.label_name
    is_tracked = tracking.name == "mlflow"
    where = f"{near(resolved_uri(tracking))}, experiment {tracking.experiment}"
    facts = {
        "records": f"{n}, prevalence of {label} {cohort.prevalence:.3f}",
        "tracking": where if is_tracked else "nothing (tracking=off)",
        "note": cohort.note,
    }
    show_facts(facts, cohort.name)
    params = {key: value for key, value in settings.params().items() if key.split(".")[0] == "data"}
    with Tracker(tracking) as tracker:
        with progress() as bar:
            task = bar.add_task("measured", total=len(cohort.records))
            measured = survey(cohort, lambda done: bar.update(task, completed=done))
        page = write(cohort, source.metadata, measured=measured, cv=settings.cv, folder=folder)
        record = RunRecord(
            key=fingerprint(cohort.fingerprint, str(folder.absolute())),
            name=f"explore {cohort.name}",
            level="data",
            status="complete",
            params=params,
            data=DataRecord(cohort.name, cohort.fingerprint, cohort.note, n, label),
            tags={
                "note": cohort.note,
                "label": label,
                "mlflow.source.name": "lvh.explore",
                "mlflow.note.content": f"The data, before any model: {page.name} below.",
            },
            folder=str(folder),
            root=settings.store,
        )
        if is_tracked:
            save(record)
            tracker.track(record)
        say(f"page: {page}", link=page)  # seen even if the store fails now


def _run(arguments: list[str]) -> None:
    from lvh.runs.hints import say_next

    _explore(*_settings(arguments))
    say_next("run", *(one for one in arguments if not one.startswith("hydra.run.dir=")))


main = hydra_command(_HELP, _run)

if __name__ == "__main__":
    sys.exit(main())
