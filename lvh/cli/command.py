"""How a command ends: well, with a plain line, or by a signal."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lvh.errors import EnvironmentFault, LvhError, as_lvh_error, masked, printable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def ended(
    body: Callable[[], object], explained: Callable[[Exception], LvhError] = as_lvh_error
) -> int:
    """Run what a command does; an error ends it with one line, and a traceback on request.

    Args:
        body: Returns nothing, or an exit code.
        explained: Makes an error with an exit code of any other.

    Returns:
        The exit code of the process.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with _signals_raised():
            _check_directory()
            code = body()
            return code if isinstance(code, int) else 0
    except Interrupted as interruption:
        return _print_error(str(interruption), interruption.exit_code)
    except Exception as error:
        if wants_traceback:
            print(masked(traceback.format_exc()), file=sys.stderr, end="")
        shown = explained(error)
        return _print_error(str(shown), shown.exit_code)


def _check_directory() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise EnvironmentFault(
            f"the working directory: expected one that exists ({error.strerror}). "
            "Change to another directory"
        ) from None


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise Interrupted for the first signal; leave those behind it alone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread only
        return
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    restores = True
    try:
        yield
    except Interrupted:
        restores = False  # further signals stay ignored: the exit still writes records
        raise
    finally:
        for number, handler in before.items() if restores else ():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:  # once is enough
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(number)


def _print_error(message: str, exit_code: int) -> int:
    print(f"lvh: {printable(masked(message))}", file=sys.stderr)
    return exit_code
