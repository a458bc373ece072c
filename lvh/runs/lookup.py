"""Look up a finished run, the best of a sweep or a named one, and the settings that it had."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import InputError, as_lvh_error
from lvh.reports.progress import say
from lvh.tracking import TrackingSettings
from lvh.tracking.run_record import load_run

if TYPE_CHECKING:
    from lvh.search.results import StudyResult

_CONFIG = "config.yaml"
_STORE = "outputs/folds"
_MAX_CONFIG_BYTES = 1024 * 1024


class Chosen(NamedTuple):
    """A run, and what it was chosen from.

    Attributes:
        run: Folder, or id in the tracking store.
        study: Name of its sweep; empty if a person named the run.
        n_candidates: Configurations that it is the best of, those that were stopped early too.
        score: By which it is.
    """

    run: str
    study: str = ""
    n_candidates: int = 1
    score: str = ""


def best_of_sweep(storage: str | None, study: str | None) -> Chosen:
    """Return the best configuration of a sweep.

    Args:
        storage: As `search.storage` of the sweep; None for the default one.
        study: Its name; None for the latest.

    Raises:
        InputError: There is no such sweep, or the record of its best configuration is elsewhere.
    """
    from lvh.search.study_results import load

    result = load(storage, study, _STORE)
    ranked = result.complete
    if not ranked:
        raise InputError(f"RUN: study {result.name} has no complete configuration yet")
    best, folder = ranked[0], best_folder(result, _STORE)
    if folder is None:
        raise InputError(
            f"RUN: the best trial of study {result.name}, number {best.number}, has no record in "
            f"{_STORE}. Give the folder of its run"
        )
    n_candidates = sum(one.state in ("complete", "stopped") for one in result.trials)
    score = result.objectives[0].name
    say(f"best of {n_candidates} of study {result.name} by {score}: trial {best.number}")
    return Chosen(str(folder), result.name, n_candidates, score)


def best_folder(result: "StudyResult", store: str) -> Path | None:
    """Return the folder of the best run of a sweep; None if its record is elsewhere.

    Args:
        result: Of the sweep.
        store: Folder of the finished folds.
    """
    from lvh.search.results import store_of

    run = result.complete[0].run_key if result.complete else ""
    record = store_of(result.name, store) / "runs" / f"{run}.json"
    folder = load_run(record).folder if run and record.is_file() else ""
    return Path(folder) if folder else None


def settings_of(run: str, tracking: TrackingSettings) -> RunSettings:
    """Return the settings of a run, by its folder or its identity.

    Raises:
        InputError: There is no such run, or it has no configuration of this code.
        TrackingFault: The store cannot be reached.
    """
    with _config(run, tracking) as path:
        return _settings(path)


def is_run_id(text: str) -> bool:
    """Return whether a text looks like the identity of a tracked run."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


@contextmanager
def _config(run: str, tracking: TrackingSettings) -> Iterator[Path]:
    from lvh.tracking.run_lookup import config_of

    if is_run_id(run):
        with config_of(run, tracking) as path:
            yield path
        return
    path = Path(run) / _CONFIG
    if not path.is_file():
        raise InputError(
            f"RUN: expected the folder of a run, with {_CONFIG}, the 32 digits of a tracked run, "
            f"or, to lvh export, the folder of a final model, with model.json. Received: {run}"
        )
    yield path


def _settings(path: Path) -> RunSettings:
    """Read a resolved configuration; nothing in it is resolved again."""
    from lvh.files import read_bytes

    text = read_bytes(path, path.parent, _MAX_CONFIG_BYTES).decode("utf-8", errors="replace")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError("expected no aliases, by which a short text becomes a huge one")
        config = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:
        raise InputError(f"{path}: expected a configuration: {as_lvh_error(error)}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a configuration. Received: something else")
    return settings_from({str(key): value for key, value in config.items()})
