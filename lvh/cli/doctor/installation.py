"""Python, the packages and the backend."""

import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import lvh
from lvh.cli.doctor import Finding

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_PYTHON = (3, 11), (3, 14)  # from the first to before the second, as in pyproject.toml
_PATIENCE = 300  # s; the first import after an installation reads gigabytes


def python() -> Finding:
    """Check the version of Python."""
    first, end = _PYTHON
    found = f"{platform.python_version()} on {platform.platform()}"
    if first <= sys.version_info[:2] < end:
        return Finding("python", "ok", found)
    do = f"Make an environment with Python 3.{first[1]} to 3.{end[1] - 1}"
    return Finding("python", "fault", found, do)


def packages() -> Iterator[Finding]:
    """Check the versions of the packages against what this version of lvh asks for."""
    from packaging.requirements import Requirement

    fitting = []
    for text, is_optional in _required():
        asked = Requirement(text)
        try:
            version = importlib.metadata.version(asked.name)
        except importlib.metadata.PackageNotFoundError:
            if not is_optional:
                yield Finding("packages", "fault", f"{asked.name} is missing", _install(text))
            continue
        if asked.specifier.contains(version, prereleases=True):
            fitting.append(f"{asked.name} {version}")
        else:
            wrong = f"{asked.name}{asked.specifier} is asked for. Received: {version}"
            yield Finding("packages", "warning" if is_optional else "fault", wrong, _install(text))
    yield Finding("packages", "ok", f"lvh {lvh.__version__}, {', '.join(fitting)}")


def backend(settings: "RunSettings") -> Iterator[Finding]:
    """Train a tiny model on the backend, in a process of its own: native code may end one."""
    from lvh.models.backends import NO_BACKEND, check_installed, cores

    name = settings.backend
    if name == NO_BACKEND:
        yield Finding("backend", "ok", f"model={settings.model.name} needs none")
        return
    check_installed(name)
    command = [sys.executable, "-m", "lvh.cli.doctor.computation", name]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, env=variables
        )
    except subprocess.TimeoutExpired:
        told = f"{name} has not trained a tiny model in {_PATIENCE} s"
        yield Finding("backend", "fault", told, _another(name))
        return
    if done.returncode == 0:
        where = done.stdout.strip().rpartition("\n")[2]
        yield Finding("backend", "ok", f"{name} computes on {where}; {cores()} processor cores")
    else:
        yield Finding("backend", "fault", f"{name} {_end(done)}", _another(name))


def _end(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode < 0:
        number = signal.Signals(-done.returncode)
        why = ", which this processor cannot run" if number == signal.SIGILL else ""
        return f"was ended by {number.name}{why}"
    return f"fails: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"


def _another(name: str) -> str:
    return f"Install it anew (pip install --force-reinstall {name}), or choose another backend="


def _install(text: str) -> str:
    return f"pip install '{text}', or the versions of requirements.lock: make env"


def _required() -> list[tuple[str, bool]]:
    """Return what is asked for, and whether it is optional.

    A checkout says so itself; what was installed from it may be older.
    """
    source = Path(lvh.__file__).resolve().parent.parent / "pyproject.toml"
    if source.is_file():
        project = tomllib.loads(source.read_text("utf-8"))["project"]
        extras = [one for some in project["optional-dependencies"].values() for one in some]
        return [
            *((one, False) for one in project["dependencies"]),
            *((one, True) for one in extras),
        ]
    listed = importlib.metadata.requires("lvh") or []
    return [(one.partition(";")[0].strip(), "extra ==" in one) for one in listed]
