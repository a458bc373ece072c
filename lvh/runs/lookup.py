"""Finished runs by what a user calls them, and the best of a sweep."""

import os
import re
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from lvh.config.groups import suggestion
from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import InputError, as_lvh_error, masked
from lvh.files import read_bytes
from lvh.reports.study_report import run_folders
from lvh.reports.terminal import say
from lvh.search.storage import Storage
from lvh.search.study import load
from lvh.tracking import TrackingSettings
from lvh.tracking.run_dir import study_in
from lvh.tracking.run_record import RunRecord, load_run, load_sweep, records_of

_STORE = "outputs/folds"
_MAX_CONFIG_BYTES = 1024 * 1024


class Chosen(NamedTuple):
    """A run, and the sweep, if any, of which it is the best of `n_candidates` by `score`."""

    run: str
    study: str = ""
    n_candidates: int = 1
    score: str = ""


def choose(run: str | None, storage: str | None, study: str | None) -> Chosen:
    """Return a run by what `runs_named` takes, or the best of a sweep, by default the latest."""
    if run and study:
        raise InputError(f"RUN and --study: expected one of them. Received: {run} and {study}")
    named = study_named(run, storage) if run else ""
    if run and not named:
        path = _path(run)
        if not path.exists() and not is_run_id(run):
            (path,) = runs_named(run, storage, _STORE)
        # `outputs/latest` will lead elsewhere later
        return Chosen(str(path.resolve() if path.is_symlink() else path))
    result = load(storage, named or study, _STORE)
    best = next(iter(result.complete), None)
    folders = run_folders(replace(result, trials=(best,)), _STORE) if best else {}
    if best is None or best.number not in folders:
        raise InputError(
            f"RUN: expected a complete configuration in study {result.name}, and its record in "
            f"{_STORE}. Give the folder of its run"
        )
    n_candidates = sum(trial.state in ("complete", "stopped") for trial in result.trials)
    score = result.objectives[0].name
    better = "highest" if result.objectives[0].maximize else "lowest"
    say(
        f"chosen: trial {best.number}, which has the {better} {score} of {n_candidates} trials in "
        f"sweep {result.name}"
    )
    return Chosen(str(folders[best.number]), result.name, n_candidates, score)


def study_named(name: str, storage: str | None) -> str:
    """Return the study that a user names, by its name or by the folder of its sweep; or nothing."""
    if (path := _path(name)).is_dir():
        return study_in(path)
    is_known = storage or Path("studies.db").is_file()
    return name if is_known and name in Storage(storage, to_read=True).studies() else ""


def runs_named(
    name: str, storage: str | None, store: str, tracking: TrackingSettings | None = None
) -> list[Path]:
    """Return the folders of the runs that a user names.

    It is the folder of a run; a sweep, by its folder or its name, for all its complete runs;
    `SWEEP/NUMBER`, for one trial of it; or the name or the ID that MLflow shows of a run or a
    sweep. `latest` is the newest of `outputs`.
    """
    path, (sweep, _, number) = _path(name), name.rpartition("/")
    study, trials = study_named(name, storage), list[int]()
    if not study and path.is_dir():
        return [path]
    if not study and number.isdecimal() and (study := study_named(sweep, storage)):
        trials = [int(number)]
    if not study:
        shown = name
        if is_run_id(name):
            from lvh.tracking.mlflow_store import key_of

            shown = key_of(name, tracking or TrackingSettings()) or name
        sweeps = [load_sweep(one) for one in records_of(Path(store)) if one.parent.name == "sweeps"]
        study = next((one.study for one in sweeps[::-1] if shown in (one.study, one.title)), "")
        if not study:
            return [_recorded(name, shown, store)]
    result = load(storage, study, store)
    folders = run_folders(result, store)
    wanted = trials or [one.number for one in result.complete]
    found = [folders[one] for one in wanted if one in folders]
    if not found:
        lacks = f"trial {number} that was run" if trials else "complete configuration yet"
        raise InputError(f"RUN: study {study} has no {lacks}")
    return found


def _path(name: str) -> Path:
    is_latest = name.partition("/")[0] == "latest" and not Path(name).exists()
    return Path("outputs", name) if is_latest else Path(name)


def _recorded(name: str, shown: str, store: str) -> Path:
    """Return the folder of the run that a user names, by its name or its key."""
    runs = list[RunRecord]()
    for path in records_of(Path(store)):
        with suppress(InputError):  # of a sweep, or damaged
            runs.append(load_run(path))
    found = {run.folder for run in runs if run.folder and shown in (run.path.stem, run.name)}
    if len(found) > 1:
        raise InputError(f"RUN: expected one of the runs called {name}: {', '.join(sorted(found))}")
    if not found:
        close = suggestion(name, {run.name for run in runs})
        raise InputError(
            "RUN: expected the folder of a run or a sweep, the name of a study, SWEEP/NUMBER, or "
            f"the name or ID that MLflow shows of a run in {store}{close}. Received: {name}"
        )
    return Path(found.pop())


def is_run_id(text: str) -> bool:
    """Return whether a text looks like the ID of a tracked run."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def settings_of(run: str, tracking: TrackingSettings) -> RunSettings:
    """Return the settings of a run, by its folder or its ID."""
    source: AbstractContextManager[Path] = nullcontext(Path(run) / "config.yaml")
    if is_run_id(run):
        from lvh.tracking.mlflow_store import files_of

        source = files_of(run, tracking, "config.yaml")
    with source as path:
        if not path.is_file():
            raise InputError(
                "RUN: expected the folder of a run (it has config.yaml), the 32-digit ID of a run "
                "in MLflow, or, for lvh export, the folder of a final model (it has model.json). "
                f"Received: {run}"
            )
        text = read_bytes(path, path.parent, _MAX_CONFIG_BYTES).decode("utf-8", errors="replace")
    try:  # a run's folder has resolved settings
        config = dict(OmegaConf.to_container(OmegaConf.create(text), resolve=False))  # type: ignore[arg-type]
    except Exception as error:
        raise InputError(f"{path}: expected a configuration: {as_lvh_error(error)}") from None
    settings = settings_from({str(key): value for key, value in config.items()})
    for uri in (tracking.uri, os.environ.get("MLFLOW_TRACKING_URI")):
        if uri and masked(uri) == settings.tracking.uri:  # the file has no password
            settings = replace(settings, tracking=replace(settings.tracking, uri=uri))
    for option, plugin in settings.plugins.items():
        if config.get("plugins", {}).get(option, {}).get("digest") != plugin.digest:
            raise InputError(f"RUN: {option}: its code changed since this run. Run it again first")
    return settings
