"""Look up a finished run, the best of a sweep or a named one, and its settings."""

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import InputError, as_lvh_error
from lvh.files import read_bytes
from lvh.reports.study_report import run_folders
from lvh.reports.terminal import say
from lvh.search.study import load
from lvh.tracking import TrackingSettings
from lvh.tracking.run_dir import study_in

_STORE = "outputs/folds"
_MAX_CONFIG_BYTES = 1024 * 1024


class Chosen(NamedTuple):
    """A run, and the sweep that it was chosen from.

    `study` is empty if a user named the run. Else the run is the best of `n_candidates` by
    `score`, among them those that were stopped early.
    """

    run: str
    study: str = ""
    n_candidates: int = 1
    score: str = ""


def choose(run: str | None, storage: str | None, study: str | None) -> Chosen:
    """Return a run by its folder or ID, or the best of a sweep: by its folder, name, or the latest.

    Raises:
        InputError: See `best_of_sweep`.
    """
    study_of_folder = study_in(Path(run)) if run else ""
    if run and not study_of_folder:
        path = Path(run)  # a link will lead elsewhere: outputs/latest
        return Chosen(str(path.resolve()) if path.is_symlink() else run)
    return best_of_sweep(storage, study_of_folder or study)


def best_of_sweep(storage: str | None, study: str | None) -> Chosen:
    """Return the best configuration of the sweep of that name, or of the latest sweep for None."""
    result = load(storage, study, _STORE)
    ranked = result.complete
    if not ranked:
        raise InputError(f"RUN: study {result.name} has no complete configuration yet")
    best = ranked[0]
    folder = run_folders(replace(result, trials=(best,)), _STORE).get(best.number)
    if folder is None:
        raise InputError(
            f"RUN: the best trial of study {result.name}, number {best.number}, has no record in "
            f"{_STORE}. Give the folder of its run"
        )
    n_candidates = sum(trial.state in ("complete", "stopped") for trial in result.trials)
    score = result.objectives[0].name
    better = "highest" if result.objectives[0].maximize else "lowest"
    say(
        f"chosen: trial {best.number}, which has the {better} {score} of {n_candidates} trials in "
        f"sweep {result.name}"
    )
    return Chosen(str(folder), result.name, n_candidates, score)


def settings_of(run: str, tracking: TrackingSettings) -> RunSettings:
    """Return the settings of a run, by its folder or its ID."""
    if is_run_id(run):
        from lvh.tracking.run_lookup import files_of

        with files_of(run, tracking, "config.yaml") as path:
            return _read(path)
    path = Path(run) / "config.yaml"
    if not path.is_file():
        raise InputError(
            "RUN: expected the folder of a run (it has config.yaml), the 32-digit ID of a run in "
            "MLflow, or, for lvh export, the folder of a final model (it has model.json). "
            f"Received: {run}"
        )
    return _read(path)


def is_run_id(text: str) -> bool:
    """Return whether a text looks like the ID of a tracked run."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def _read(path: Path) -> RunSettings:
    """Read a resolved configuration; nothing in it is resolved again."""
    text = read_bytes(path, path.parent, _MAX_CONFIG_BYTES).decode("utf-8", errors="replace")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError("expected no aliases, by which a short text becomes a huge one")
        config = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:
        raise InputError(f"{path}: expected a configuration: {as_lvh_error(error)}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a configuration. Received: something else")
    settings = settings_from({str(key): value for key, value in config.items()})
    for option, plugin in settings.plugins.items():
        if config.get("plugins", {}).get(option, {}).get("digest") != plugin.digest:
            raise InputError(f"RUN: {option}: its code changed since this run. Run it again first")
    return settings
