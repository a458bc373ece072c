"""What the user may type next, as a line at the end of a command's output."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from lvh.config.plugins.loading import loaded
from lvh.errors import masked
from lvh.reports.progress import say
from lvh.tracking import TrackingSettings, resolved_uri

_OF_PLUGINS = ("explain", "export", "predict", "serve")
"""Commands that need the code of a run or a model."""


def say_next(name: str, *arguments: str | Path, **options: str | Path | None) -> None:
    """Suggest a command of lvh: a line that a shell takes as it is. See `typed`."""
    plugins = loaded() if name in _OF_PLUGINS and "--plugin" not in arguments else []
    code = [word for one in plugins for word in ("--plugin", Path(one) if os.sep in one else one)]
    say(f"next: {typed(name, *arguments, *code, **options)}", wraps=False)


def typed(name: str, *arguments: str | Path, **options: str | Path | None) -> str:
    """Return a command line of lvh that begins as the user began this one: `lvh NAME` or else.

    An option that is None is left out.
    """
    program = sys.argv[0]
    if program.endswith(".py"):  # python -m lvh.run
        start = f"{_callable(sys.executable)} -m lvh.{name}"
    elif program.startswith("python -m lvh"):
        start = f"{_callable(sys.executable)} -m lvh {name}"
    else:
        path, _, subcommand = program.rpartition(" ")
        start = f"{_callable(path) if subcommand and '/' in path else 'lvh'} {name}"
    words = [*arguments]
    for flag, value in options.items():
        words += [] if value is None else [f"--{flag}", value]
    shown = [str(_near(one)) if isinstance(one, Path) else one for one in words]
    return shlex.join([*shlex.split(start), *shown])


def _callable(program: str) -> str:
    """Return the name of a program where a shell finds this one by it, else its path."""
    path = Path(program).absolute()
    for name in (path.name, "python") if path.name.startswith("python") else (path.name,):
        if Path(shutil.which(name) or "").absolute().parent == path.parent:
            return name
    return shlex.quote(str(_near(path)))


def _near(path: Path) -> Path:
    """Return a path as seen from here, where it is below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def say_where(tracking: TrackingSettings, page: str) -> None:
    """Say how to see a page of the MLflow UI, given below the server's address."""
    if tracking.uri and tracking.uri.startswith("http"):
        say(f"compare: {masked(tracking.uri).rstrip('/')}/{page}", wraps=False)
        return
    uri = masked(resolved_uri(tracking)) if tracking.uri else None
    say(f"compare: {typed('ui', uri=uri)}, then http://127.0.0.1:5000/{page}", wraps=False)
