"""Shared parts of commands: their exit codes, and options that several of them have."""

import argparse
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from lvh.config.plugins.loading import load as load_plugins
from lvh.errors import InputError, LvhError, RenamedWarning, as_lvh_error, masked, printable
from lvh.reports.terminal import say
from lvh.tracking import TrackingSettings

DEFAULT_MODEL = "models:/lvh@champion"
"""The model that `lvh export` registers, and that other commands take, by default."""
EXPERIMENT = "lvh"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    except Interrupted as interruption:
        return print_error(str(interruption), interruption.exit_code)
    except BrokenPipeError:  # what reads the output has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if before := _interruption(error):  # a library's `except` made an error of it
            return print_error(str(before), before.exit_code)
        if wants_traceback:
            print(masked(traceback.format_exc()), file=sys.stderr, end="")
        fault = explained(error)
        return print_error(str(fault), fault.exit_code)


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise Interrupted for a signal, so that what was finished is recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread only
        return
    # a command that `nohup` starts ignores the end of its terminal, and still does
    is_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = _SIGNALS[:2] if is_nohup else _SIGNALS
    before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _interruption(error: BaseException | None) -> Interrupted | None:
    """Return the interruption that an error is, or that was handled when it was raised."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error


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
    prog: str,
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    body: Callable[[argparse.Namespace], object],
) -> Callable[..., int]:
    """Return the entry of a command whose arguments argparse reads."""

    def main(arguments: list[str] | None = None) -> int:
        parser = argparse.ArgumentParser(prog=prog, description=description)
        add_arguments(parser)
        options = parser.parse_args(arguments)

        def run() -> object:
            load_plugins(getattr(options, "plugin", []))
            return body(options)

        return exit_code_of(run)

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


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a run: by folder, by ID, or as the best of a sweep."""
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run, or ID of a tracked one (default: the latest sweep's best)",
    )
    parser.add_argument("--study", help="sweep whose best run is taken (default: the latest)")
    parser.add_argument("--storage", help="as search.storage of the sweep (default: studies.db)")
    add_plugin(parser)
    add_tracking(parser)


def add_plugin(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the code of own models and features."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="code of the run's own model, features or source, or a module; may be repeated",
    )


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a store of MLflow and an experiment in it."""
    parser.add_argument(
        "--uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or None,
        help="as tracking.uri (default: MLFLOW_TRACKING_URI, or mlflow.db in this directory)",
    )
    parser.add_argument(
        "--experiment", default=EXPERIMENT, help="as tracking.experiment (default: %(default)s)"
    )


def tracking_of(options: argparse.Namespace) -> TrackingSettings:
    """Return the store that `add_tracking` names."""
    return TrackingSettings("mlflow", options.uri, options.experiment)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a model, as `model_folder` takes it."""
    text = "folder, or address in MLflow (default: %(default)s)"
    parser.add_argument("--model", default=DEFAULT_MODEL, help=text)
    add_plugin(parser)
    add_tracking(parser)


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
