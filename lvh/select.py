"""`python -m lvh.select`: the best of a sweep, or any run, fitted to all records and kept."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lvh.cohort import Cohort
from lvh.config import RunSettings, settings_from
from lvh.console import console, say
from lvh.errors import InputError, as_told
from lvh.tracking import TrackingSettings

if TYPE_CHECKING:
    from lvh.kept import Description

_CONFIG = "config.yaml"
_MAX_CONFIG_BYTES = 1024 * 1024


class _Chosen(NamedTuple):
    """A run, and what it was chosen from.

    Attributes:
        run: Folder, or identity in the tracking store.
        study: Name of its sweep; empty if a person named the run.
        n_candidates: Configurations that it is the best of, those that were stopped early too.
        score: By which it is.
    """

    run: str
    study: str = ""
    n_candidates: int = 1
    score: str = ""


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
    chosen = _Chosen(given.run) if given.run else _best(given)
    with _config(chosen.run, tracking) as path:
        settings = _settings(path)
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

    inputs, example = _request(description, cohort)
    found = register(
        *(folder, tracking, given.name, given.alias, f"model {settings.name}"),
        inputs=inputs,
        fs=cohort.fs,
        versions=description.versions,
        example=example,
    )
    say(f"registered as {found.name}, version {found.version}: {found.uri}")


def _request(
    of: "Description", cohort: Cohort
) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, npt.NDArray[Any]]]:
    """Return type and shape of what a request has to hold, and one of nobody's record."""
    n_samples = -1 if of.needs_delineation else cohort.signals.shape[1]
    inputs: dict[str, tuple[str, tuple[int, ...]]] = {
        "signal": ("float64", (n_samples, len(cohort.leads)))
    }
    example: dict[str, npt.NDArray[Any]] = {"signal": _generated(cohort)}
    if of.needs_age_and_sex:
        inputs |= {"age": ("float64", ()), "sex": ("str", ())}
        example |= {"age": np.array([61.0]), "sex": np.array(["female"])}
    return inputs, example


def _generated(cohort: Cohort) -> npt.NDArray[np.float64]:
    """Return a record that is nobody's, as long as those of a cohort, shape (1, n_samples, 12)."""
    from lvh.sources.dipole import FS, N_SAMPLES, Heart, draw_recording

    heart = Heart(male=False, severity=0.0, fibrillating=False)
    drawn, _ = draw_recording(np.random.default_rng(0), heart, noise=0.0)
    at = np.arange(cohort.signals.shape[1]) / cohort.fs * FS
    leads = [np.interp(at, np.arange(N_SAMPLES), lead, period=N_SAMPLES) for lead in drawn.T]
    return np.asarray(np.stack(leads, axis=1).round(3)[None], dtype=np.float64)


@contextmanager
def _config(run: str, tracking: TrackingSettings) -> Iterator[Path]:
    """Give the configuration of a run, by its folder or its identity."""
    from lvh.tracking.models import config_of, is_run_id

    if is_run_id(run):
        with config_of(run, tracking) as path:
            yield path
        return
    path = Path(run) / _CONFIG
    if not path.is_file():
        raise InputError(
            f"RUN: expected the folder of a run, with {_CONFIG}, or the 32 digits of a tracked "
            f"run. Received: {run}"
        )
    yield path


def _best(given: argparse.Namespace) -> "_Chosen":
    """Return the best configuration of a sweep."""
    from lvh.search.results import load

    result = load(given.storage, given.study, "outputs/folds")
    ranked = result.complete
    if not ranked:
        raise InputError(f"RUN: study {result.name} has no complete configuration yet")
    best = ranked[0]
    if not best.run_id:
        raise InputError(
            f"RUN: the best trial of study {result.name}, number {best.number}, has no "
            "tracked run. Give the folder of its run"
        )
    n_candidates = sum(one.state in ("complete", "stopped") for one in result.trials)
    score = result.objectives[0].name
    say(f"best of {n_candidates} of study {result.name} by {score}: trial {best.number}")
    return _Chosen(best.run_id, result.name, n_candidates, score)


def _settings(path: Path) -> RunSettings:
    """Read a resolved configuration; nothing in it is resolved again."""
    from lvh.files import read_bytes

    text = read_bytes(path, path.parent, _MAX_CONFIG_BYTES).decode("utf-8", errors="replace")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError("expected no aliases, by which a short text becomes a huge one")
        config = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:
        raise InputError(f"{path}: expected a configuration: {as_told(error)}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a configuration. Received: something else")
    return settings_from({str(key): value for key, value in config.items()})


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
