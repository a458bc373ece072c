"""`lvh export`: fit the best of a sweep, or any run, to all records, and register the model."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lvh.cli.command import DEFAULT_MODEL, RUN, between, command, tracking_of
from lvh.data.readers import ReadOptions, lead_key
from lvh.data.readers.record import read
from lvh.data.table import TableSettings, file_of
from lvh.errors import InputError, LvhError
from lvh.files import made_whole
from lvh.inference import DESCRIPTION, Description, load, save
from lvh.inference.training_records import training_records
from lvh.reports.terminal import progress, say
from lvh.runs.cache_key import run_key
from lvh.runs.experiment_data import ExperimentData, load_data
from lvh.runs.hints import say_next, typed
from lvh.runs.lookup import choose, settings_of


def _run(options: argparse.Namespace) -> None:
    is_final = bool(options.run) and (Path(options.run) / DESCRIPTION).is_file()
    folder, example = (
        (Path(options.run), list[str | Path](["RECORD"])) if is_final else _export(options)
    )
    if not options.register:
        say_next("predict", *example, model=folder)
        return
    from lvh.inference.mlflow_model import register

    try:
        version = register(folder, load(folder).description, tracking_of(options))
    except LvhError as fault:
        again = typed("export", folder)
        raise type(fault)(f"{fault}. The model is saved. To register it: {again}") from None
    say(f"registered as lvh, version {version}: {DEFAULT_MODEL}")
    say_next("predict", *example, uri=options.uri)


def _export(options: argparse.Namespace) -> tuple[Path, list[str | Path]]:
    """Choose a run, fit its model to all records, and save it; return also what it can predict."""
    from lvh.inference.mlflow_model import write_mlmodel
    from lvh.inference.refit import cross_validated, refit

    chosen = choose(options.run, options.storage, options.study)
    settings = settings_of(chosen.run, tracking_of(options))
    data = load_data(settings)
    key = run_key(settings, data.cohort.fingerprint, data.splits)
    folder = Path(options.out or f"outputs/models/{settings.base_name}-{key[:8]}")
    if folder.exists():
        raise InputError(f"--out: expected a folder that is not there yet. Received: {folder}")
    result = cross_validated(settings, data, chosen.study)
    n_records = len(data.features.y)
    say(f"{settings.name} on {data.cohort.name}: {n_records} records, seeds: {options.seeds}")
    total = options.seeds * (settings.train.epochs if settings.is_network else 1)
    with made_whole(folder) as temporary:
        with progress() as bar:
            task = bar.add_task("all records", total=total)
            description, states = refit(
                settings,
                data,
                result,
                n_members=options.seeds,
                chosen=chosen,
                on_epoch=lambda member, epoch: bar.advance(task),
            )
        training = training_records(data.cohort, data.features)
        description = save(temporary, description, states, training)
        write_mlmodel(temporary, description)
    ap = description.scores["model"].get("ap")
    says = "no ap is defined" if ap is None else f"mean ap {ap:.3f}"
    say(f"saved in {folder}", link=folder)
    say(f"cross-validation of this configuration: {says}; threshold {description.threshold:.3g}")
    return folder, _example(settings.data, data, description)


def _example(source: Any, data: ExperimentData, description: Description) -> list[str | Path]:
    """Return a record like those of the training, and the options by which it can be read."""
    if not isinstance(source, TableSettings):
        return ["RECORD"]
    is_array, unit = source.signals is not None, source.unit
    leads, cohort = tuple(map(lead_key, source.leads)), data.cohort
    part = ReadOptions(unit, source.fs, leads, source.start, source.seconds)
    path, who, name = Path("RECORD.csv"), dict[str, str](), data.features.records[0]
    if description.needs_age_and_sex:
        at = cohort.records.index(name)
        who = {"age": f"{cohort.age[at]:g}", "sex": "male" if cohort.male[at] else "female"}
    if is_array:  # of which no part is a file: the user has records of one's own
        says_unit = str(source.signals).endswith(".npz")
        part = replace(part, fs=cohort.fs, leads=(), unit=unit or (None if says_unit else "mV"))
    else:
        path = file_of(source, name)
        try:
            read(path, leads=description.leads, options=part)
        except InputError:  # it says no unit, and the table takes mV
            part = replace(part, unit="mV")
    given = {
        "fs": f"{part.fs:g}" if part.fs else "",
        "unit": part.unit if part.unit and part.unit != "other" else "",
        "leads": ",".join(part.leads),
        "start": f"{part.start:g}" if part.start else "",
        "seconds": f"{part.seconds:g}" if part.seconds else "",
        **who,
    }
    return [path, *(word for name, of in given.items() if of for word in (f"--{name}", of))]


main = command(
    "export",
    "Fit the model of a run to all records, and save it with its evidence. RUN may "
    "also be the folder of a final model, to register it.",
    {
        **RUN,
        "--seeds": {"type": between(1, 100, int), "default": 5, "help": "models to average"},
        "--out": {"help": "folder of the model (default: outputs/models/NAME-KEY)"},
        "--no-register": {"dest": "register", "action": "store_false", "help": "only save it"},
    },
    _run,
)

if __name__ == "__main__":
    sys.exit(main())
