"""`lvh doctor`: find what would stop a run here, and say what to do."""

import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from lvh.cli.command import hydra_command
from lvh.config.command_line import read_arguments
from lvh.config.composition import compose
from lvh.config.sweep_space import one_point, space_of, with_recipe
from lvh.data import SOURCES
from lvh.data.cache import cache_dir
from lvh.errors import EnvironmentFault, InputError, LvhError, as_lvh_error
from lvh.files import made_in, write_fault
from lvh.models.backends import check_installed, version
from lvh.reports.terminal import say
from lvh.runs.sweep_points import SweepPoints

_MAIN = ("keras", "mlflow", "numpy", "optuna", "scikit-learn", "tensorflow")
_PATIENCE = 5  # s
_STYLES = {"ok": None, "warning": "yellow", "fault": "bold red"}
_POSTGRESQL = 5432  # its port
_HELP = """\
Check whether `lvh run` can run here: it takes the same arguments. Nothing is changed.

  lvh doctor data.root=FOLDER_OF_LUDB tracking.uri=http://127.0.0.1:5000
  lvh doctor -m data=synthetic model=cnn kernel=250,400     reads the data, checks every point

Each line is ok, a warning or a fault, and says what to do. Exit code: 0 without a fault, 2 for a
fault of the arguments or the data, else 3.
"""

Finding = str | Warning | LvhError
"""The result of a check: a text if all is well, else a warning or a fault."""


def _examine(arguments: list[str]) -> int:
    codes = []
    for check, found in _findings(arguments):
        state = "ok" if isinstance(found, str) else "warning"
        if isinstance(found, LvhError):
            state = "fault"
            codes.append(2 if found.exit_code == 2 else 3)
        text = f"{state:<8} {check:<9} {' '.join(str(found).split())}"
        say(text, style=_STYLES[state], indent=" " * 19)
    return min(codes, default=0)


def _findings(arguments: list[str]) -> Iterator[tuple[str, Finding]]:
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "packages", ", ".join(f"{one} {version(one)}" for one in _MAIN)
    check = "settings"
    try:
        command, flags = read_arguments(arguments)
        if flags.multirun:
            command = with_recipe(command)
        settings = compose(one_point(command)).settings
        yield check, settings.name
        check = "backend"
        check_installed(settings.backend)
        yield check, settings.backend
        check = "data"
        data = [_data(one) for one in (settings.data, settings.external) if one is not None]
        yield from ((check, found) for found in data)
        if flags.multirun and all(isinstance(one, str) and "download" not in one for one in data):
            check = "points"
            points = SweepPoints(command, space_of(command))
            yield check, f"{points.plan.title}: {points.check()} can run"
    except Exception as error:
        yield check, as_lvh_error(error)
        if check == "settings":
            return
    uri, storage = settings.tracking.uri, settings.search.storage
    if settings.tracking.name == "off":
        yield "tracking", "tracking=off: results stay in outputs/"
    else:
        yield "tracking", _store(uri or "sqlite:///mlflow.db", "tracking.uri")
    yield "studies", _store(storage or "sqlite:///studies.db", "search.storage")
    for folder in (Path("outputs"), Path(settings.store), cache_dir(), Path(tempfile.gettempdir())):
        yield "folders", _folder(folder.absolute())


def _data(source: Any) -> Finding:
    """Look for the files of a data set, or for the server that has them."""
    by_hand = "Get it elsewhere and give its folder by data.root=, or take data=synthetic"
    root, url = getattr(source, "root", None), getattr(source, "url", None)
    if root and not Path(root).expanduser().is_dir():
        return InputError(f"{root}: no such folder. {by_hand}")
    SOURCES[source.name].state(source)  # raises where a table, or a column of it, is missing
    if root or url is None or any(cache_dir().glob(f"{source.name}-*/")):
        return f"{root} is there; -m reads it" if root else f"data={source.name} is there"
    fault = _unreachable(url)
    return EnvironmentFault(f"{url}: {fault}. {by_hand}") if fault else f"to download from {url}"


def _store(address: str, field: str) -> Finding:
    """Look whether a server answers, or whether the folder of a file can be written."""
    if address.startswith("sqlite:///"):
        fault = write_fault((Path.cwd() / address.removeprefix("sqlite:///")).parent)
    else:
        fault = _unreachable(address)
    refusal = f"cannot use {address}: {fault}. Choose another {field}"
    return EnvironmentFault(refusal) if fault else address


def _unreachable(address: str) -> str:
    """Return why a server cannot be reached; empty if it can be."""
    try:
        parts = urlsplit(address)
        if not parts.hostname:
            return "it names no server"
        if parts.scheme.startswith("http"):  # requests knows proxies
            requests.get(address, stream=True, timeout=_PATIENCE).raise_for_status()
        else:
            place = (parts.hostname, parts.port or _POSTGRESQL)
            socket.create_connection(place, timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        response = getattr(error, "response", None)
        return type(error).__name__ if response is None else f"status {response.status_code}"
    return ""


def _folder(folder: Path) -> Finding:
    """Check whether a folder can be written, and how much of its disk is free."""
    place = made_in(folder)
    free = shutil.disk_usage(place).free // 2**20
    if fault := write_fault(place):
        refusal = f"cannot write in {place}: {fault}. Choose another store= or hydra.run.dir="
        return EnvironmentFault(refusal)
    text = f"{free:,} MiB are free in {place}; a run needs about 10 MiB, LUDB 200 MiB"
    if free < 100:
        return EnvironmentFault(text)
    return UserWarning(text) if free < 1024 else text


main = hydra_command(_HELP, _examine)

if __name__ == "__main__":
    sys.exit(main())
