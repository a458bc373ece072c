"""`lvh doctor`: find what would stop a run here, and say what to do."""

import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from packaging.requirements import Requirement

from lvh.cli.command import hydra_command
from lvh.cli.run import MULTIRUN
from lvh.config.command_line import read_arguments
from lvh.config.composition import compose, recipe_params
from lvh.config.sweep_space import one_point, space_of
from lvh.data.cache import cache_dir
from lvh.errors import as_lvh_error
from lvh.files import made_in, write_fault
from lvh.models.backends import check_installed, version
from lvh.reports.terminal import say
from lvh.runs.points import SweepPoints

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

Finding = tuple[str, str, str, int]
"""A check, what is wrong (or nothing), what is found, and the exit code of a fault (0: warning)."""


def _examine(arguments: list[str]) -> int:
    codes = []
    for check, fault, found, exit_code in _findings(arguments):
        state = "ok" if not fault else "fault" if exit_code else "warning"
        text = f"{state:<8} {check:<9} {' '.join((fault or found).split())}"
        say(text, style=_STYLES[state], indent=" " * 19)
        codes += [exit_code] if state == "fault" else []
    return min(codes, default=0)


def _findings(arguments: list[str]) -> Iterator[Finding]:
    yield "python", "", f"{platform.python_version()} on {platform.platform()}", 3
    yield "packages", _unmet(), ", ".join(f"{one} {version(one)}" for one in _MAIN), 3
    check = "settings"
    try:
        command, flags = read_arguments(arguments)
        is_sweep = bool({*flags} & {*MULTIRUN})
        if is_sweep:
            command = command.with_recipe(recipe_params(one_point(command).load().hydra))
        settings = compose(one_point(command)).settings
        yield check, "", settings.name, 3
        check = "backend"
        check_installed(settings.backend)
        yield check, "", settings.backend, 3
        check = "data"
        sources = [one for one in (settings.data, settings.external) if one is not None]
        data = [_data(source) for source in sources]
        yield from data
        if is_sweep and not any(fault or "download" in found for _, fault, found, _ in data):
            check = "points"
            points = SweepPoints(command, space_of(command))
            checked = points.check()
            yield check, "", f"{points.plan.title}: {checked} can run", 3
    except Exception as error:
        refusal = as_lvh_error(error)
        yield check, str(refusal), "", 2 if refusal.exit_code == 2 else 3
        if check == "settings":
            return
    if settings.tracking.name == "off":
        yield "tracking", "", "tracking=off: results stay in outputs/", 3
    else:
        yield _store("tracking", settings.tracking.uri or "sqlite:///mlflow.db", "tracking.uri")
    yield _store("studies", settings.search.storage or "sqlite:///studies.db", "search.storage")
    yield from _folders(Path(settings.store).absolute())


def _unmet() -> str:
    """Return which packages are missing or of a version that lvh does not take."""
    unmet = []
    for required in map(Requirement, requires("lvh") or []):
        own = version(required.name) or "none"
        is_optional = required.marker is not None and not required.marker.evaluate({"extra": ""})
        if not is_optional and (own == "none" or not required.specifier.contains(own, True)):
            expected = f"{required.name}{required.specifier}"
            unmet.append(f"expected {expected}. Received: {own}. pip install '{expected}'")
    return "; ".join(unmet)


def _data(source: Any) -> Finding:
    """Look for the files of a data set, or for the server that has them."""
    by_hand = "Get it elsewhere and give its folder by data.root=, or take data=synthetic"
    root, url = getattr(source, "root", None), getattr(source, "url", None)
    if root:
        fault = "" if Path(root).expanduser().is_dir() else f"{root}: no such folder. {by_hand}"
        return "data", fault, f"{root} is there", 2
    if url is None or any(cache_dir().glob(f"{source.name}-*/")):
        return "data", "", f"data={source.name} is there", 3
    fault = _unreachable(url)
    return "data", f"{url}: {fault}. {by_hand}" if fault else "", f"to download from {url}", 3


def _store(check: str, address: str, field: str) -> Finding:
    """Look whether a server answers, or whether the folder of a file can be written."""
    if address.startswith("sqlite:///"):
        fault = write_fault((Path.cwd() / address.removeprefix("sqlite:///")).parent)
    else:
        fault = _unreachable(address)
    refusal = f"cannot use {address}: {fault}. Choose another {field}" if fault else ""
    return check, refusal, address, 3


def _unreachable(address: str) -> str:
    """Return why a server cannot be reached; empty if it can be."""
    parts = urlsplit(address)
    try:
        if parts.scheme.startswith("http"):  # requests knows proxies
            requests.get(address, stream=True, timeout=_PATIENCE).raise_for_status()
        else:
            place = (parts.hostname or "", parts.port or _POSTGRESQL)
            socket.create_connection(place, timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        response = getattr(error, "response", None)
        return type(error).__name__ if response is None else f"status {response.status_code}"
    return ""


def _folders(store: Path) -> Iterator[Finding]:
    """Check that folders can be written, and the room on their disks."""
    for folder in (Path.cwd() / "outputs", store, cache_dir(), Path(tempfile.gettempdir())):
        place = made_in(folder)
        fault, free = write_fault(place), shutil.disk_usage(place).free // 2**20
        text = f"{free:,} MiB are free in {place}; a run needs about 10 MiB, LUDB 200 MiB"
        if fault:
            refusal = f"cannot write in {place}: {fault}. Choose another store= or hydra.run.dir="
            yield "folders", refusal, "", 3
        else:
            yield "folders", text if free < 1024 else "", text, 3 if free < 100 else 0


main = hydra_command(_HELP, _examine)

if __name__ == "__main__":
    sys.exit(main())
