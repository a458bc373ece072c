"""The checks one after another, a line each. Up here nothing is imported that may be missing."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from lvh.cli.doctor import Finding
from lvh.errors import as_told, masked

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_CHECKS = {
    "backend": "installation",
    "data": "data",
    "tracking": "stores",
    "studies": "stores",
    "folds": "stores",
    "disk": "stores",
}
"""What is checked once the settings are known, and by which module here."""

_HELP = """\
Look for what would keep `python -m lvh.run` from running here: installation, backend, data,
tracking store, studies, finished folds, disk. Nothing is changed.

usage: python -m lvh.doctor [GROUP=OPTION ...] [FIELD=VALUE ...]

It takes what lvh.run takes; of what a sweep (-m) sweeps it takes the first value.

  python -m lvh.doctor data=synthetic
  python -m lvh.doctor data.root=FOLDER_OF_LUDB tracking.uri=http://127.0.0.1:5000

Each line is ok, a warning or a fault, and says what to do. Exit code: 0 without a fault, 2 if
what was typed or its data are at fault, else 3.
"""


def main(arguments: list[str] | None = None) -> int:
    """Print a line a check and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if {"--help", "-h"} & set(given):
        print(_HELP, end="")
        return 0
    faults = []
    try:
        for finding in _findings(given):
            print(_line(finding), flush=True)
            if finding.state == "fault":
                faults.append(finding.exit_code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return min(faults, default=0)


def _line(finding: Finding) -> str:
    told = f"{finding.told.rstrip('.')}. {finding.do}" if finding.do else finding.told
    return masked(f"{finding.state:<8} {finding.what:<9} {' '.join(told.split())}")


def _findings(arguments: list[str]) -> Iterator[Finding]:
    from lvh.cli.doctor import installation

    yield installation.python()
    yield from _guarded("packages", installation.packages)
    settings: list[RunSettings] = []

    def configuration() -> Iterator[Finding]:
        settings.append(_settings(arguments))
        yield Finding("settings", "ok", f"{settings[0].name} on data={settings[0].data.name}")

    yield from _guarded("settings", configuration)
    for what, module in _CHECKS.items() if settings else ():
        yield from _guarded(what, partial(_checked, module, what, settings[0]))


def _checked(module: str, what: str, settings: "RunSettings") -> Iterable[Finding]:
    check = getattr(importlib.import_module(f"lvh.cli.doctor.{module}"), what)
    found: Iterable[Finding] = check(settings)
    return found


def _guarded(what: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Make a finding of whatever goes wrong in a check."""
    try:
        yield from check()
    except ImportError as error:
        yield Finding(what, "fault", f"cannot be looked at: {error}", "Mend the packages first")
    except Exception as error:
        told = as_told(error)
        yield Finding(what, "fault", str(told), exit_code=2 if told.exit_code == 2 else 3)


def _settings(arguments: list[str]) -> "RunSettings":
    """Compose and check what was typed, as lvh.run does.

    Raises:
        InputError: Names the field, what was expected and what was received.
    """
    from lvh.config.command_line import read_arguments
    from lvh.config.composition import compose
    from lvh.config.sweep_space import one_point

    command, _ = read_arguments(arguments)
    return compose(one_point(command)).settings


if __name__ == "__main__":
    sys.exit(main())
