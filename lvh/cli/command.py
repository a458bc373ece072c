"""Shared parts of commands: their exit codes, and options that several of them have."""

import argparse
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

from rich.console import Console

from lvh.config.plugins import load as load_plugins
from lvh.errors import InputError, LvhError, RenamedWarning, as_lvh_error, masked, printable
from lvh.reports.terminal import say
from lvh.tracking import TrackingSettings

DEFAULT_MODEL = "models:/lvh@champion"
"""The model that `lvh export` registers, and that other commands take, by default."""
EXPERIMENT = "lvh"


Arguments = Mapping[str, Mapping[str, Any]]
"""The arguments of a command, by name, each with its options of argparse."""

STORAGE: Arguments = {"--storage": {"help": "as search.storage of the sweep (default: studies.db)"}}
TRACKING: Arguments = {
    "--uri": {"help": "as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db here)"},
    "--experiment": {
        "default": EXPERIMENT,
        "help": "as tracking.experiment",
    },
}
PLUGIN: Arguments = {
    "--plugin": {
        "action": "append",
        "default": [],
        "metavar": "FILE.py",
        "help": "code of the run's own model, features or source, or a module; may be repeated",
    },
}
RUN: Arguments = {
    "run": {"nargs": "?", "help": "folder or ID of a run (default: the latest sweep's best)"},
    "--study": {"help": "sweep whose best run is taken (default: the latest)"},
    **STORAGE,
    **PLUGIN,
    **TRACKING,
}
"""A run: by its folder, by its ID, or as the best of a sweep."""
MODEL: Arguments = {
    "--model": {"default": DEFAULT_MODEL, "help": "folder, or address in MLflow"},
    **PLUGIN,
    **TRACKING,
}
"""A model, as `model_folder` takes it."""


class Interrupted(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def exit_code_of(
    body: Callable[[], object], explained: Callable[[Exception], LvhError] = as_lvh_error
) -> int:
    """Run the body of a command and return its exit code; an error ends it with one line.

    `explained` turns any error into one that has an exit code.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with _signals_raised():
            Path.cwd()  # raises where it was deleted
            code = body()
            return code if isinstance(code, int) else 0
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (Exception, Interrupted) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, Interrupted):
            cause = cause.__context__  # a library may raise another error in its place
        if cause is not None:
            return print_error(str(cause), cause.exit_code)
        if wants_traceback:
            print(masked(traceback.format_exc()), file=sys.stderr, end="")
        fault = explained(cast(Exception, error))
        return print_error(str(fault), fault.exit_code)


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise Interrupted for a signal, so that what was finished is recorded."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # Python allows signals there alone
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` makes a process ignore SIGHUP; it shall go on doing so
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_error(message: str, exit_code: int) -> int:
    """Print an error as one line, without passwords, and return the exit code."""
    say(f"lvh: {printable(message)}", style="red", on=Console(stderr=True))
    return exit_code


def say_help(text: str) -> None:
    """Print a text, on a terminal broken at words; a line that shows a command stays whole."""
    for line in text.rstrip().split("\n"):
        indent = len(line) - len(line.lstrip())
        is_command = line.startswith(("  lvh ", "  python "))
        say(line, wraps=not is_command, indent=" " * indent)


def _show_renamed(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Print the warning of an old name as an error is printed, without a place in the code."""
    if issubclass(category, RenamedWarning):
        print_error(str(message), 0)
    else:
        _show_warning(message, category, *place)


_show_warning, warnings.showwarning = warnings.showwarning, _show_renamed  # type: ignore[assignment]


def command(
    name: str, description: str, arguments: Arguments, body: Callable[[argparse.Namespace], object]
) -> Callable[..., int]:
    """Return the entry point of a command; argparse reads its arguments by `main.parser`."""
    parser = argparse.ArgumentParser(prog=f"lvh {name}", description=description)
    for argument, given in arguments.items():
        shown = " (default: %(default)s)" if given.get("default") else ""
        parser.add_argument(argument, **{**given, "help": given.get("help", "") + shown})

    def main(typed: list[str] | None = None) -> int:
        options = parser.parse_args(typed)

        def run() -> object:
            load_plugins(getattr(options, "plugin", []))
            return body(options)

        return exit_code_of(run)

    main.parser = parser  # type: ignore[attr-defined]
    return main


def hydra_command(help_text: str, body: Callable[[list[str]], object]) -> Callable[..., int]:
    """Return the entry of a command whose arguments are Hydra's overrides."""

    def main(arguments: list[str] | None = None) -> int:
        typed = sys.argv[1:] if arguments is None else arguments
        if {"-h", "--help"} & set(typed):
            say_help(help_text)
            return 0
        return exit_code_of(lambda: body(typed))

    return main


def tracking_of(options: argparse.Namespace) -> TrackingSettings:
    """Return the store that the options of `TRACKING` name."""
    uri = options.uri or os.environ.get("MLFLOW_TRACKING_URI") or None
    return TrackingSettings("mlflow", uri, options.experiment)


@contextmanager
def model_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the folder of a model: a local one, or one that is downloaded from a registry."""
    if ":/" not in options.model:
        yield Path(options.model)
        return
    from lvh.inference.mlflow_model import fetch

    with fetch(options.model, tracking_of(options)) as folder:
        yield folder


def check_folder(field: str, folder: Path, own: str) -> None:
    """Refuse a folder that holds files, but not `own`: all of its files would be tracked."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / own).exists():
        raise InputError(f"{field}: expected a new folder, or one of its own. Received: {folder}")


def between(low: float, high: float, kind: type = float) -> Callable[[str], float]:
    """Return a type of argparse for numbers in a range."""

    def number(text: str) -> float:
        value: float = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}. Received: {text}")
        return value

    number.__name__ = "number"
    return number


PORT = between(1, 2**16 - 1, int)
