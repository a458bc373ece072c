"""`lvh export`: fit the best of a sweep, or any run, to all records, and register the model."""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from lvh.cli.command import ended
from lvh.cli.predict import add_uri
from lvh.errors import InputError, TrackingFault
from lvh.inference import CARD, DESCRIPTION, Description, check_files, load, save
from lvh.reports.progress import progress, say
from lvh.runs.lookup import Chosen, best_of_sweep, is_run_id, settings_of
from lvh.tracking import TrackingSettings


def main(arguments: list[str] | None = None) -> int:
    """Fit, save and register a final model; return the exit code."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if not 1 <= options.seeds <= 100:
        raise InputError(f"--seeds: expected 1 to 100. Received: {options.seeds}")
    tracking = TrackingSettings("mlflow", options.uri, options.experiment)
    if options.register:
        from lvh.inference.registry import check_names

        check_names(options.name, options.alias)
    if options.run and (Path(options.run) / DESCRIPTION).is_file():
        if not options.register:
            raise InputError(
                f"RUN: expected a run. Received: {options.run}, a final model, which can only be "
                "registered: leave out --no-register"
            )
        folder = Path(options.run)
        description = load(folder).description
        check_files(folder, description)
    else:
        folder, description = _export(options, tracking)
    if not options.register:
        return
    from lvh.inference.registry import register

    try:
        version = register(folder, description, tracking, name=options.name, alias=options.alias)
    except TrackingFault as fault:
        raise TrackingFault(
            f"{fault}\nThe model is saved. To register it: lvh export {shlex.quote(str(folder))}"
        ) from None
    uri = f"models:/{options.name}@{options.alias}"
    say(f"registered as {options.name}, version {version}: {uri}")


def _export(options: argparse.Namespace, tracking: TrackingSettings) -> tuple[Path, Description]:
    """Choose a run, fit its model to all records, and save it."""
    from lvh.files import made_whole, write_text
    from lvh.inference.mlflow_model import write_mlmodel
    from lvh.inference.model_card import card
    from lvh.inference.refit import cross_validated, refit
    from lvh.runs.cache_key import run_key
    from lvh.runs.run import load_data

    chosen = Chosen(options.run) if options.run else best_of_sweep(options.storage, options.study)
    settings = settings_of(chosen.run, tracking)
    data = load_data(settings)
    key = run_key(settings, data.cohort.fingerprint, data.splits)
    folder = Path(options.out or f"outputs/models/{settings.name}-{key[:8]}")
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
                settings, data, result, options.seeds, lambda member, epoch: bar.advance(task)
            )
        description = replace(
            description,
            chosen_run=chosen.run if is_run_id(chosen.run) else "",
            study=chosen.study,
            n_candidates=chosen.n_candidates,
            chosen_by=chosen.score,
        )
        write_text(temporary / CARD, card(description))
        write_mlmodel(temporary, description)
        description = save(temporary, description, states)
    if len(states) < options.seeds:
        say("the model does not depend on the seed: it has one member")
    ap = description.scores["model"]["ap"]
    say(f"saved in {folder}: mean ap {ap:.3f} over folds; threshold {description.threshold:.3g}")
    return folder, description


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvh export",
        description="Fit the model of a run to all records, and save it with its evidence.",
    )
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run, or identity of a tracked one (default: the latest sweep's best); "
        "or the folder of a final model, to register it",
    )
    parser.add_argument("--study", help="sweep whose best run is taken (default: the latest)")
    parser.add_argument("--storage", help="search.storage of the sweep (default: studies.db)")
    parser.add_argument(
        "--seeds", type=int, default=5, help="models that are averaged (default: %(default)s)"
    )
    parser.add_argument("--out", help="folder of the model (default: outputs/models/NAME-KEY)")
    add_uri(parser)
    parser.add_argument(
        "--experiment", default="lvh", help="as tracking.experiment (default: %(default)s)"
    )
    parser.add_argument("--name", default="lvh", help="in the registry (default: %(default)s)")
    parser.add_argument(
        "--alias", default="champion", help="of the new version (default: %(default)s)"
    )
    parser.add_argument(
        "--no-register", dest="register", action="store_false", help="only save the folder"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
