"""`lvh export`: fit the best of a sweep, or any run, to all records, and register the model."""

import argparse
import sys
from pathlib import Path

from lvh.cli.command import DEFAULT_MODEL, add_run, between, command, tracking_of
from lvh.errors import InputError, LvhError
from lvh.files import made_whole
from lvh.inference import DESCRIPTION, load, save
from lvh.inference.training_records import training_records
from lvh.reports.terminal import progress, say
from lvh.runs.cache_key import run_key
from lvh.runs.experiment_data import load_data
from lvh.runs.hints import say_next, typed
from lvh.runs.lookup import choose, settings_of


def _run(options: argparse.Namespace) -> None:
    is_final = bool(options.run) and (Path(options.run) / DESCRIPTION).is_file()
    folder = Path(options.run) if is_final else _export(options)
    if not options.register:
        say_next("predict", "RECORD", model=folder)
        return
    from lvh.inference.mlflow_model import register

    try:
        version = register(folder, load(folder).description, tracking_of(options))
    except LvhError as fault:
        again = typed("export", folder)
        raise type(fault)(f"{fault}. The model is saved. To register it: {again}") from None
    say(f"registered as lvh, version {version}: {DEFAULT_MODEL}")
    say_next("predict", "RECORD", uri=options.uri)


def _export(options: argparse.Namespace) -> Path:
    """Choose a run, fit its model to all records, and save it."""
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
    say(f"{settings.name} on {data.cohort.name}: {n_records} records, {options.seeds} seeds")
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
    ap, threshold = description.scores["model"]["ap"], description.threshold
    say(f"saved in {folder}", link=folder)
    say(f"cross-validation of this configuration: mean ap {ap:.3f}; threshold {threshold:.3g}")
    return folder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add = parser.add_argument
    seeds = between(1, 100, int)
    add("--seeds", type=seeds, default=5, help="number of models to average (default: %(default)s)")
    add("--out", help="folder of the model (default: outputs/models/NAME-KEY)")
    add("--no-register", dest="register", action="store_false", help="only save the folder")


main = command(
    "lvh export",
    "Fit the model of a run to all records, and save it with its evidence. RUN may "
    "also be the folder of a final model, to register it.",
    _add_arguments,
    _run,
)

if __name__ == "__main__":
    sys.exit(main())
