"""`python -m lvh.select`: the best of a sweep, or any run, fitted to all records and kept."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lvh.cohort import Cohort
from lvh.console import console, say
from lvh.errors import InputError, as_told
from lvh.finished import Chosen, best_of_sweep, settings_of
from lvh.tracking import TrackingSettings


def main(arguments: list[str] | None = None) -> int:
    """Choose, fit, keep and register; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        told = as_told(error)
        print(f"lvh: {told}", file=sys.stderr)
        return told.exit_code
    return 0


def _run(given: argparse.Namespace) -> None:
    from lvh.evaluation import prepare
    from lvh.files import write_text
    from lvh.identity import run_key
    from lvh.kept import keep
    from lvh.kept.card import card
    from lvh.refit import cross_validated, refit
    from lvh.search.records import store_of

    if not 1 <= given.seeds <= 100:
        raise InputError(f"--seeds: expected 1 to 100. Received: {given.seeds}")
    tracking = TrackingSettings("mlflow", given.uri, given.experiment, None)
    chosen = Chosen(given.run) if given.run else best_of_sweep(given.storage, given.study)
    settings = settings_of(chosen.run, tracking)
    settings = replace(settings, store=str(store_of(chosen.study, settings.store)))
    prepared = prepare(settings)
    cohort = prepared.cohort
    key = run_key(settings, cohort.fingerprint, prepared.splits)
    folder = Path(given.out or f"outputs/models/{settings.name}-{key[:8]}")
    if folder.exists():
        raise InputError(f"--out: expected a folder that is not there yet. Received: {folder}")
    result = cross_validated(settings, prepared)
    say(
        f"{settings.name} on {cohort.name}: {len(prepared.features.y)} records, {given.seeds} seeds"
    )
    total = given.seeds * (settings.train.epochs if settings.is_network else 1)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console(),
        transient=True,
        disable=not console().is_terminal,
    ) as bar:
        task = bar.add_task("all records", total=total)
        description, taught = refit(
            settings, prepared, result, given.seeds, lambda at, epoch: bar.advance(task)
        )
    description = replace(description, n_candidates=chosen.n_candidates, chosen_by=chosen.score)
    if len(taught) < given.seeds:
        say("its seeds make no difference: one model is kept")
    description = keep(folder, description, taught)
    write_text(folder / "README.md", card(description))
    ap = description.evidence.scores["model"]["ap"]
    say(
        f"kept in {folder}: mean ap {ap.mean:.3f} over folds; threshold {description.threshold:.3g}"
    )
    if not given.register:
        return
    from lvh.tracking.models import register

    n_samples = cohort.signals.shape[1]
    found = register(
        *(folder, tracking, given.name, given.alias, f"model {settings.name}"),
        signals=(n_samples, len(cohort.leads)),
        fs=cohort.fs,
        versions=description.versions,
        example=None if description.needs_delineation else {"signal": _generated(cohort)},
    )
    say(f"registered as {found.name}, version {found.version}: {found.uri}")


def _generated(cohort: Cohort) -> npt.NDArray[np.float64]:
    """Return a record that is nobody's, as long as those of a cohort, shape (1, n_samples, 12)."""
    n_samples, n_leads = cohort.signals.shape[1:]
    seconds = np.arange(n_samples)[:, None] / cohort.fs
    waves = np.sin(2 * np.pi * (1 + np.arange(n_leads) / 10) * seconds)
    return np.asarray(waves.round(3)[None], dtype=np.float64)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lvh.select",
        description="Fit a run's model to all records and keep it, with what its folds say of it.",
    )
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run, or identity of a tracked one (default: the latest sweep's best)",
    )
    parser.add_argument("--study", help="sweep of which the best is taken (default: the latest)")
    parser.add_argument("--storage", help="as search.storage of the sweep (default: studies.db)")
    parser.add_argument(
        "--seeds", type=int, default=5, help="models that are averaged (default: %(default)s)"
    )
    parser.add_argument("--out", help="folder of the model (default: outputs/models/NAME-KEY)")
    parser.add_argument("--uri", help="as tracking.uri (default: mlflow.db in this directory)")
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
