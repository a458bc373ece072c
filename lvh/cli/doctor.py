"""`lvh doctor`: what would keep a run from running here, and what to do about it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from lvh.errors import as_lvh_error, masked
from lvh.files import made_in, write_fault

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_PATIENCE, _IMPORT_PATIENCE = 5, 300  # s; the first import after an installation reads gigabytes
_MIB = 2**20
_HELP = """\
Look for what would keep `lvh run` from running here. Nothing is changed.

usage: lvh doctor [GROUP=OPTION ...] [FIELD=VALUE ...]

The arguments are those of lvh run; of what a sweep (-m) sweeps the first value is checked.

  lvh doctor data=synthetic
  lvh doctor data.root=FOLDER_OF_LUDB tracking.uri=http://127.0.0.1:5000

Each line is ok, a warning or a fault, and says what to do. Exit code: 0 without a fault, 2 for a
fault of the arguments or their data, else 3.
"""


class Finding(NamedTuple):
    """The result of a check: its state, what the check shows and what to do, and an exit code."""

    state: Literal["ok", "warning", "fault"]
    text: str
    exit_code: int = 3


def main(arguments: list[str] | None = None) -> int:
    """Print a line a finding and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if {"--help", "-h"} & set(given):
        print(_HELP, end="")
        return 0
    faults = []
    try:
        for name, finding in _findings(given):
            text = " ".join(masked(finding.text).split())
            print(f"{finding.state:<8} {name:<9} {text}", flush=True)
            faults += [finding.exit_code] if finding.state == "fault" else []
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return min(faults, default=0)


def _findings(arguments: list[str]) -> Iterator[tuple[str, Finding]]:
    checks: dict[str, Callable[[], Iterator[Finding]]] = {"python": _python, "packages": _packages}
    try:
        settings = _settings(arguments)
        checks["settings"] = lambda: iter([Finding("ok", settings.name)])
        for check in (_backend, _data, _tracking, _studies, _folders):
            checks[check.__name__.strip("_")] = partial(check, settings)
    except Exception as error:
        refusal = _fault_of(error)
        checks["settings"] = lambda: iter([refusal])
    for name, check_all in checks.items():
        try:
            for finding in check_all():
                yield name, finding
        except Exception as error:
            yield name, _fault_of(error)


def _fault_of(error: Exception) -> Finding:
    fault = as_lvh_error(error)
    return Finding("fault", str(fault), 2 if fault.exit_code == 2 else 3)


def _settings(arguments: list[str]) -> "RunSettings":
    """Compose and check the arguments, as lvh run does; of a swept field its first value."""
    from lvh.config.command_line import read_arguments
    from lvh.config.composition import compose
    from lvh.config.sweep_space import one_point

    command, _ = read_arguments(arguments)
    return compose(one_point(command)).settings


def _python() -> Iterator[Finding]:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)  # as in pyproject.toml
    version = f"{platform.python_version()} on {platform.platform()}"
    yield Finding("ok" if fits else "fault", f"{version}. Expected: 3.11 to 3.13")


def _packages() -> Iterator[Finding]:
    """Compare versions with those that lvh requires; of optional packages the installed ones."""
    from packaging.requirements import Requirement

    versions = []
    for required in map(Requirement, importlib.metadata.requires("lvh") or []):
        needed = required.marker is None or required.marker.evaluate({"extra": ""})
        expected = f"{required.name}{required.specifier}"
        try:
            version = importlib.metadata.version(required.name)
        except importlib.metadata.PackageNotFoundError:
            if needed:
                yield Finding("fault", f"{required.name} is missing. pip install '{expected}'")
            continue
        versions.append(f"{required.name} {version}")
        if not required.specifier.contains(version, prereleases=True):
            message = f"expected {expected}. Received: {version}. pip install '{expected}'"
            yield Finding("fault" if needed else "warning", message)
    yield Finding("ok", ", ".join(versions))


def _backend(settings: "RunSettings") -> Iterator[Finding]:
    """Import the backend and compute with it, in a process: native code may end one."""
    name = settings.backend
    if not settings.is_network:
        yield Finding("ok", f"model={settings.model.name} needs none")
        return
    if importlib.util.find_spec(name) is None:
        yield Finding("fault", f"{name} is not installed. pip install 'lvh[{name}]'")
        return
    code = f"import {name}, keras; x = keras.ops.ones(1); print({name}.__version__, (x + x).device)"
    variables = {"KERAS_BACKEND": name, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=_IMPORT_PATIENCE,
        env={**os.environ, **variables},
    )
    if done.returncode == 0:
        version, device = done.stdout.strip().rpartition("\n")[2].split(maxsplit=1)
        cores = len(os.sched_getaffinity(0))
        yield Finding("ok", f"{name} {version} computes on {device}; {cores} processor cores")
    else:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        remedy = f"pip install --force-reinstall {name}, or another backend="
        yield Finding("fault", f"{name} ended with exit code {done.returncode}: {reason}. {remedy}")


def _data(settings: "RunSettings") -> Iterator[Finding]:
    """Look for the files of each data set, or for the server that has them."""
    import requests

    from lvh.data.cache import cache_dir

    by_hand = "Download it elsewhere and give its folder by data.root=, or data=synthetic"
    for source in filter(None, (settings.data, settings.external)):
        chosen: Any = source
        if root := getattr(chosen, "root", None):
            folder = Path(root).expanduser()
            if folder.is_dir() and any(folder.iterdir()):
                yield Finding("ok", f"{folder} is there; a run checks its files as it reads them")
            else:
                yield Finding("fault", f"{folder}: expected the folder of the data. {by_hand}", 2)
        elif not (url := getattr(chosen, "url", None)):
            yield Finding("ok", f"data={chosen.name} needs no download")
        elif downloaded := next(cache_dir().glob(f"{chosen.name}-*/"), None):
            yield Finding("ok", f"{downloaded} is there, downloaded and verified")
        else:
            try:
                requests.head(url, timeout=_PATIENCE, allow_redirects=True).raise_for_status()
                yield Finding("ok", f"the first run downloads it from {url}")
            except (requests.RequestException, ValueError) as error:
                reason = f"{type(error).__name__} from {url}"
                yield Finding("fault", f"the first run would download it: {reason}. {by_hand}")


def _tracking(settings: "RunSettings") -> Iterator[Finding]:
    """Ask a tracking server for an experiment, as every run does; or look at the database."""
    uri = settings.tracking.uri
    if settings.tracking.name == "off":
        yield Finding("ok", "tracking=off: results stay in outputs/")
        return
    if uri is None or not uri.startswith(("http://", "https://")):
        yield _database(uri, "mlflow.db", "tracking.uri")
        return
    import requests

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{one}") for one in ("USERNAME", "PASSWORD"))
    address = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search"
    body, auth = {"max_results": 1}, (user, password) if user and password else None
    try:
        answer = requests.post(address, json=body, timeout=_PATIENCE, auth=auth)
        message = f"answers with status {answer.status_code}" if not answer.ok else ""
        if answer.status_code in (401, 403):
            message += ". Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    except (requests.RequestException, ValueError) as error:
        message = f"does not answer: {type(error).__name__}"
    remedy = f"{uri} {message}. Start an MLflow server there, or tracking=off"
    yield Finding("fault", remedy) if message else Finding("ok", f"{uri} answers")


def _studies(settings: "RunSettings") -> Iterator[Finding]:
    yield _database(settings.search.storage, "studies.db", "search.storage")


def _database(address: str | None, default: str, field: str) -> Finding:
    """Connect to a database; of a file, check that it is whole and that its folder is writable."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    elsewhere = f"Repair it, or choose another one by {field}"
    try:
        url = make_url(address or f"sqlite:///{default}")
        patience, check = {"connect_timeout": _PATIENCE}, "select 'ok'"
        if url.drivername == "sqlite":
            file = Path.cwd() / (url.database or "")
            if fault := write_fault(file.parent):
                return Finding("fault", f"cannot write in {file.parent}: {fault}. {elsewhere}")
            if not file.exists():
                return Finding("ok", f"{file} is made by the first run")
            url = make_url(f"sqlite:///file:{quote(str(file))}?mode=ro&uri=true")
            address, patience, check = str(file), {"timeout": _PATIENCE}, "pragma quick_check(1)"
        elif field == "search.storage":
            url = url.set(drivername="postgresql+psycopg")
        with create_engine(url, poolclass=NullPool, connect_args=patience).connect() as connection:
            reason = str(connection.execute(text(check)).scalar())
    except (SQLAlchemyError, ImportError) as error:
        cause = getattr(error, "orig", None) or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    if reason == "ok":
        return Finding("ok", f"{address} can be read")
    return Finding("fault", f"{address} cannot be used: {reason}. {elsewhere}")


def _folders(settings: "RunSettings") -> Iterator[Finding]:
    """Check that folders can be written, and the room on their disks."""
    from lvh.data.cache import cache_dir

    store, tmp = Path(settings.store).absolute(), Path(os.environ.get("TMPDIR") or "/tmp")
    for folder in dict.fromkeys(map(made_in, (Path.cwd() / "outputs", store, cache_dir(), tmp))):
        if fault := write_fault(folder):
            remedy = "Work in another folder, or choose another one by store= or hydra.run.dir="
            yield Finding("fault", f"cannot write in {folder}: {fault}. {remedy}")
            continue
        free = shutil.disk_usage(folder).free // _MIB
        state: Any = "fault" if free < 100 else "warning" if free < 1024 else "ok"
        yield Finding(state, f"{free:,} MiB are free in {folder}; a run needs some ten, LUDB 200")


if __name__ == "__main__":
    sys.exit(main())
