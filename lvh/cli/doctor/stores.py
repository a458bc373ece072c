"""Where results are kept: the tracking store, the studies, the finished folds, the disk."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lvh.cli.doctor import Finding, databases
from lvh.data.cache import cache_dir
from lvh.errors import masked
from lvh.files import made_in, write_fault
from lvh.tracking import check_path, embedded
from lvh.tracking.fold_store import FoldStore

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_PATIENCE = 5  # s
_VERSION = re.compile(r"(\d+)\.(\d+)[.\w+-]{0,20}")
_UNSAFE_BEFORE = 3, 11  # CVE-2026-2651, CVE-2026-4137 and others
_MIB = 2**20
_LITTLE, _TOO_LITTLE = 1024 * _MIB, 100 * _MIB


def tracking(settings: "RunSettings") -> Iterator[Finding]:
    """Check the store of tracking.uri."""
    uri = settings.tracking.uri
    file = embedded(settings.tracking)
    if settings.tracking.name == "off":
        yield Finding("tracking", "ok", "tracking=off: results are kept in outputs/ alone")
    elif file is not None:
        check_path(file)
        yield from databases.tracking(file, Path(settings.store), _studies_file(settings))
    elif uri and uri.startswith(("http://", "https://")):
        yield _server(uri)
    else:
        yield databases.reached("tracking", str(uri), databases.MLFLOW)


def studies(settings: "RunSettings") -> Iterator[Finding]:
    """Check the database of search.storage."""
    file = _studies_file(settings)
    if file is None:
        yield databases.reached("studies", str(settings.search.storage), databases.OPTUNA)
    else:
        yield from databases.studies(file)


def folds(settings: "RunSettings") -> Iterator[Finding]:
    """Check that finished folds can be kept, and those that are."""
    store = FoldStore(Path(settings.store))
    store.check()
    n_whole, damaged = store.count()
    where = Path(settings.store).absolute()
    if damaged:
        told = f"{where}: {len(damaged)} of {n_whole + len(damaged)} are damaged: {damaged[0]}"
        yield Finding("folds", "warning", told, "Nothing: the run they belong to trains them again")
    else:
        yield Finding("folds", "ok", f"{where}: {n_whole} finished ones, all whole")


def disk(settings: "RunSettings") -> Iterator[Finding]:
    """Check the room where results, data and temporary files go."""
    tmp = Path(os.environ.get("TMPDIR") or "/tmp")
    places = (Path.cwd() / "outputs", Path(settings.store).absolute(), cache_dir(), tmp)
    seen = set()
    for place in map(made_in, places):
        device = place.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        total, _, free = shutil.disk_usage(place)
        if not total:  # no disk at all, such as /proc: whether it can be written is told elsewhere
            continue
        told = f"{free // _MIB:,} MiB are free in {place}"
        if free < _TOO_LITTLE:
            yield Finding("disk", "fault", told, "Make room: a run needs some ten, LUDB 200")
        elif free < _LITTLE:
            yield Finding("disk", "warning", told, "A long sweep may fill it: make room")
        else:
            yield Finding("disk", "ok", told)
    outputs = made_in(Path.cwd() / "outputs")
    fault = write_fault(outputs)
    if fault:
        do = "Work in another folder, or hydra.run.dir=FOLDER"
        yield Finding("disk", "fault", f"cannot write in {outputs}: {fault}", do)


def _studies_file(settings: "RunSettings") -> Path | None:
    from lvh.search.storage import embedded as file_of  # brings Optuna

    return file_of(settings.search.storage)


def _server(uri: str) -> Finding:
    """Ask a tracking server for its version and, as every run does, for an experiment."""
    import requests

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{one}") for one in ("USERNAME", "PASSWORD"))
    login = (user, password) if user and password else None
    address, do = uri.rstrip("/"), "Start it, or tracking=off"
    try:
        version = requests.get(f"{address}/version", timeout=_PATIENCE, auth=login)
        asked = requests.post(
            f"{address}/api/2.0/mlflow/experiments/search",
            json={"max_results": 1},
            timeout=_PATIENCE,
            auth=login,
        )
    except (requests.RequestException, ValueError) as error:
        reason = "in time" if isinstance(error, requests.Timeout) else "at all"
        return Finding("tracking", "fault", f"{masked(uri)} does not answer {reason}", do)
    if asked.status_code in (401, 403):
        do = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Finding("tracking", "fault", f"{masked(uri)} lets nobody in without a login", do)
    if not asked.ok:
        told = f"{masked(uri)} is no MLflow server, or not well: it answers {asked.status_code}"
        return Finding("tracking", "fault", told, do)
    known = _VERSION.fullmatch(version.text.strip()) if version.ok else None
    told = f"{masked(uri)} answers, MLflow {known[0] if known else 'of an unknown version'}"
    if known and (int(known[1]), int(known[2])) < _UNSAFE_BEFORE:
        do = "Servers before 3.11 let in whoever reaches them: bring it up to date"
        return Finding("tracking", "warning", told, do)
    return Finding("tracking", "ok", told)
