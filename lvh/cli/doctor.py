"""`lvh doctor`: find what would stop a run here, and say what to do."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from lvh.cli.command import hydra_command
from lvh.errors import EnvironmentFault, as_lvh_error
from lvh.files import made_in, write_fault
from lvh.reports.terminal import say

if TYPE_CHECKING:
    from lvh.config.command_line import CommandLine
    from lvh.config.run_settings import RunSettings

_MAIN = ("keras", "mlflow", "numpy", "optuna", "scikit-learn", "tensorflow")
_PATIENCE = 5  # s
_STYLES = {"ok": None, "warning": "yellow", "fault": "bold red"}
_DOWNLOADS = "the first run downloads it from"
_POSTGRESQL = 5432  # its port
_HELP = """\
Check whether `lvh run` can run here. Nothing is changed.

usage: lvh doctor [GROUP=OPTION ...] [FIELD=VALUE ...]

The arguments are those of lvh run. Of a sweep (-m), the data are read and every point is checked,
as the sweep itself does before it trains.

  lvh doctor data=synthetic
  lvh doctor data.root=FOLDER_OF_LUDB tracking.uri=http://127.0.0.1:5000
  lvh doctor -m data=synthetic model=cnn kernel=250,400 stride=50,125

Each line is ok, a warning or a fault, and says what to do. Exit code: 0 without a fault, 2 for a
fault of the arguments or the data, else 3.
"""


class Finding(NamedTuple):
    """The result of a check: what is wrong or else what is found, and the exit code of a fault."""

    check: str
    fault: str
    found: str = ""
    exit_code: int = 3


def _examine(arguments: list[str]) -> int:
    codes = []
    for check, fault, found, exit_code in _findings(arguments):
        state = "ok" if not fault else "fault" if exit_code else "warning"
        text = f"{state:<8} {check:<9} {' '.join((fault or found).split())}"
        say(text, style=_STYLES[state], indent=" " * 19)
        codes += [exit_code] if state == "fault" else []
    return min(codes, default=0)


def _findings(arguments: list[str]) -> Iterator[Finding]:
    from lvh.cli.run import MULTIRUN
    from lvh.config.command_line import read_arguments
    from lvh.config.composition import compose, recipe_params
    from lvh.config.sweep_space import one_point
    from lvh.models.backends import check_installed

    yield from _versions()
    try:
        command, flags = read_arguments(arguments)
        is_sweep = bool({*flags} & {*MULTIRUN})
        if is_sweep:
            command = command.with_recipe(recipe_params(one_point(command).load().hydra))
        settings = compose(one_point(command)).settings
    except Exception as error:
        refusal = as_lvh_error(error)
        yield Finding("settings", str(refusal), exit_code=2 if refusal.exit_code == 2 else 3)
        return
    yield Finding("settings", "", settings.name)
    try:
        check_installed(settings.backend)
        yield Finding("backend", "", settings.backend)
    except EnvironmentFault as fault:
        yield Finding("backend", str(fault))
    data = [_data(source) for source in (settings.data, settings.external) if source is not None]
    yield from data
    if is_sweep and not any(one.fault or one.found.startswith(_DOWNLOADS) for one in data):
        yield _points(command)
    if settings.tracking.name == "off":
        yield Finding("tracking", "", "tracking=off: results stay in outputs/")
    else:
        yield _store("tracking", settings.tracking.uri or "sqlite:///mlflow.db", "tracking.uri")
    yield _store("studies", settings.search.storage or "sqlite:///studies.db", "search.storage")
    yield from _folders(settings)


def _versions() -> Iterator[Finding]:
    """Compare versions with those that lvh requires."""
    from packaging.requirements import Requirement

    from lvh.models.backends import version as version_of

    fits = (3, 11) <= sys.version_info[:2] < (3, 14)  # as in pyproject.toml
    version = f"{platform.python_version()} on {platform.platform()}. Expected: 3.11 to 3.13"
    yield Finding("python", "" if fits else version, version)
    versions = []
    for required in map(Requirement, importlib.metadata.requires("lvh") or []):
        if required.marker is not None and not required.marker.evaluate({"extra": ""}):
            continue  # an optional one
        version = version_of(required.name) or "none"
        if version == "none" or not required.specifier.contains(version, prereleases=True):
            expected = f"{required.name}{required.specifier}"
            message = f"expected {expected}. Received: {version}. pip install '{expected}'"
            yield Finding("packages", message)
        versions.append(f"{required.name} {version}")
    main = [one for one in versions if one.startswith(_MAIN)]
    yield Finding("packages", "", f"{', '.join(main)} and {len(versions) - len(main)} more")


def _data(source: Any) -> Finding:
    """Look for the files of a data set, or for the server that has them."""
    from lvh.data.cache import cache_dir

    by_hand = "Download it elsewhere and give its folder by data.root=, or data=synthetic"
    root, url = getattr(source, "root", None), getattr(source, "url", None)
    if root:
        fault = f"{root}: expected the folder of the data. {by_hand}"
        is_there = Path(root).expanduser().is_dir()
        return Finding("data", "" if is_there else fault, f"{root} is there", 2)
    if url is None or any(cache_dir().glob(f"{source.name}-*/")):
        return Finding("data", "", f"data={source.name} needs no download")
    fault = _unreachable(url)
    refusal = f"the first run would download {url}: {fault}. {by_hand}" if fault else ""
    return Finding("data", refusal, f"{_DOWNLOADS} {url}")


def _points(command: "CommandLine") -> Finding:
    """Check every point of a sweep."""
    from lvh.config.sweep_space import space_of
    from lvh.runs.points import SweepPoints

    try:
        points = SweepPoints(command, space_of(command))
        checked = points.check()
    except Exception as error:
        refusal = as_lvh_error(error)
        return Finding("points", str(refusal), exit_code=2 if refusal.exit_code == 2 else 3)
    return Finding("points", "", f"{points.plan.title}: {checked} can run")


def _store(check: str, address: str, field: str) -> Finding:
    """Look whether a server answers, or whether the folder of a file can be written."""
    if address.startswith("sqlite:///"):
        fault = write_fault((Path.cwd() / address.removeprefix("sqlite:///")).parent)
    else:
        fault = _unreachable(address)
    refusal = f"cannot use {address}: {fault}. Choose another {field}" if fault else ""
    return Finding(check, refusal, address)


def _unreachable(address: str) -> str:
    """Return why a server cannot be reached; empty if it can be."""
    import requests

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


def _folders(settings: "RunSettings") -> Iterator[Finding]:
    """Check that folders can be written, and the room on their disks."""
    from lvh.data.cache import cache_dir

    store, tmp = Path(settings.store).absolute(), Path(os.environ.get("TMPDIR") or "/tmp")
    disks: dict[int, list[Path]] = {}
    for folder in dict.fromkeys(map(made_in, (Path.cwd() / "outputs", store, cache_dir(), tmp))):
        if fault := write_fault(folder):
            remedy = "Work in another folder, or choose another one by store= or hydra.run.dir="
            yield Finding("folders", f"cannot write in {folder}: {fault}. {remedy}")
        else:
            disks.setdefault(folder.stat().st_dev, []).append(folder)
    for folders in disks.values():
        free = shutil.disk_usage(folders[0]).free // 2**20
        listed = ", ".join(map(str, folders))
        text = f"{free:,} MiB are free in {listed}; a run needs about 10 MiB, LUDB 200 MiB"
        yield Finding("folders", text if free < 1024 else "", text, 3 if free < 100 else 0)


main = hydra_command(_HELP, _examine)

if __name__ == "__main__":
    sys.exit(main())
