"""`python -m lvh.select`: the best of a sweep, or any run, fitted to all records and kept."""

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from lvh.cli.command import ended
from lvh.errors import InputError, TrackingFault
from lvh.inference import CARD, DESCRIPTION, Description, check_alone, keep, load
from lvh.reports.progress import progress, say
from lvh.runs.lookup import Chosen, best_of_sweep, is_run_id, settings_of
from lvh.tracking import TrackingSettings


def main(arguments: list[str] | None = None) -> int:
    """Choose, fit, keep and register; return the exit code."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    if not 1 <= given.seeds <= 100:
        raise InputError(f"--seeds: expected 1 to 100. Received: {given.seeds}")
    tracking = TrackingSettings("mlflow", given.uri, given.experiment)
    if given.register:
        from lvh.tracking.registry import check_names

        check_names(given.name, given.alias)
    if given.run and (Path(given.run) / DESCRIPTION).is_file():
        if not given.register:
            raise InputError(
                f"RUN: expected one that is not kept yet. Received: {given.run}, which is: "
                "without --no-register it is registered"
            )
        folder = Path(given.run)
        description = load(folder).description
        check_alone(folder, description)
    else:
        folder, description = _kept(given, tracking)
    if given.register:
        _register(folder, description, given, tracking)


def _kept(given: argparse.Namespace, tracking: TrackingSettings) -> tuple[Path, Description]:
    """Choose a run, fit its model to all records, and keep that."""
    from lvh.files import made_whole, write_text
    from lvh.inference.model_card import card
    from lvh.inference.refit import cross_validated, refit
    from lvh.runs.cache_key import run_key
    from lvh.runs.run import load_data

    chosen = Chosen(given.run) if given.run else best_of_sweep(given.storage, given.study)
    settings = settings_of(chosen.run, tracking)
    prepared = load_data(settings)
    cohort = prepared.cohort
    key = run_key(settings, cohort.fingerprint, prepared.splits)
    folder = Path(given.out or f"outputs/models/{settings.name}-{key[:8]}")
    if folder.exists():
        raise InputError(f"--out: expected a folder that is not there yet. Received: {folder}")
    result = cross_validated(settings, prepared, chosen.study)
    say(
        f"{settings.name} on {cohort.name}: {len(prepared.features.y)} records, {given.seeds} seeds"
    )
    total = given.seeds * (settings.train.epochs if settings.is_network else 1)
    with made_whole(folder) as making:
        with progress() as bar:
            task = bar.add_task("all records", total=total)
            description, taught = refit(
                settings, prepared, result, given.seeds, lambda at, epoch: bar.advance(task)
            )
        description = replace(
            description,
            chosen_run=chosen.run if is_run_id(chosen.run) else "",
            study=chosen.study,
            n_candidates=chosen.n_candidates,
            chosen_by=chosen.score,
        )
        description = keep(making, description, taught)
        write_text(making / CARD, card(description))
    if len(taught) < given.seeds:
        say("its seeds make no difference: one model is kept")
    ap = description.evidence.scores["model"]["ap"]
    say(
        f"kept in {folder}: mean ap {ap.mean:.3f} over folds; threshold {description.threshold:.3g}"
    )
    return folder, description


def _register(
    folder: Path, of: Description, given: argparse.Namespace, tracking: TrackingSettings
) -> None:
    from lvh.inference.registration import offer
    from lvh.tracking.registry import register

    try:
        found = register(offer(folder, of), tracking, given.name, given.alias)
    except TrackingFault as fault:
        raise TrackingFault(
            f"{fault}\nThe model is kept: python -m lvh.select {shlex.quote(str(folder))} "
            "registers it"
        ) from None
    say(f"registered as {found.name}, version {found.version}: {found.uri}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.select",
        description="Fit a run's model to all records and keep it, with what its folds say of it.",
    )
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run, or identity of a tracked one (default: the latest sweep's best); "
        "or the folder of a kept model, to register that",
    )
    parser.add_argument("--study", help="sweep of which the best is taken (default: the latest)")
    parser.add_argument("--storage", help="as search.storage of the sweep (default: studies.db)")
    parser.add_argument(
        "--seeds", type=int, default=5, help="models that are averaged (default: %(default)s)"
    )
    parser.add_argument("--out", help="folder of the model (default: outputs/models/NAME-KEY)")
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    parser.add_argument(
        "--experiment", default="lvh", help="as tracking.experiment (default: %(default)s)"
    )
    parser.add_argument("--name", default="lvh", help="in the registry (default: %(default)s)")
    parser.add_argument(
        "--alias", default="champion", help="of the new version (default: %(default)s)"
    )
    parser.add_argument(
        "--no-register", dest="register", action="store_false", help="keep the folder alone"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
