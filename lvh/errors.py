"""The errors a user may see; each carries the exit code of the process, and no password."""

import errno
import re
import shutil
import textwrap
import warnings
from functools import cache, partial

_SECRET = re.compile(
    # up to the last @: a password may have an @ that is not written as %40
    r"(://[^:/@\s]*:)\S+(?=@)"
    r"|(\b\w*(?:password|passwd|pwd|secret|token|api_?key)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_LONGEST = 120  # characters of a value that a message shows

masked = partial(_SECRET.sub, lambda match: f"{match[1] or match[2]}***")
"""Hides the password of every address in a text."""


def printable(text: str) -> str:
    """Return a text without the control characters that a terminal obeys; its lines stay."""
    return "".join(
        one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text
    )


def at_words(line: str, indent: str = "") -> str:
    """Return a line broken at words for the terminal; `indent` begins every line but the first."""
    return textwrap.fill(
        line,
        shutil.get_terminal_size().columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def excerpt(value: object) -> str:
    """Return a value as a message shows it, cut short."""
    text = masked(repr(value))  # before the cut: half an address hides no password
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class LvhError(Exception):
    """The root of every error this package raises on purpose.

    The message is one or two plain lines that name the file, field or override, and say what was
    expected and what was received. It never shows the password of an address, on a terminal, in a
    store or on a page.

    >>> try:
    ...     lvh.settings("cv.folds=1")
    ... except lvh.LvhError as error:
    ...     print(error.exit_code, error)
    2 cv.folds: ...
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        """Take the message."""
        super().__init__(masked(message))


class InputError(LvhError):
    """Bad input or configuration, which the user can correct.

    >>> lvh.settings("model=vgg")
    Traceback (most recent call last):
    lvh.errors.InputError: model=vgg: expected one of ...
    """

    exit_code = 2


class EnvironmentFault(LvhError):
    """The disk, network or a server failed; the input was fine."""

    exit_code = 3


def as_lvh_error(error: Exception) -> LvhError:
    """Return an LvhError as it is, and any other error as an LvhError of one line."""
    if isinstance(error, LvhError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        received = excerpt(error.filename)
        return InputError(f"expected names that a file system takes. Received: {received}")
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return EnvironmentFault("the working directory was deleted. Change to one that exists")
    if isinstance(error, OSError) and error.filename is not None:
        return EnvironmentFault(f"cannot use {excerpt(error.filename)}: {error.strerror}")
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return LvhError(f"unexpected {type(error).__name__}: {reason} (HYDRA_FULL_ERROR=1 shows where)")


class TrackingFault(EnvironmentFault):
    """The tracking store failed; what was trained is stored."""


class RenamedWarning(FutureWarning):
    """An old name was used; the message says the new one."""


@cache  # once a process
def warn_renamed(old: str, new: str) -> None:
    """Warn that an old name still works, and say the new one."""
    text = f"{old} is called {new} now. The old name still works; a later version will refuse it"
    warnings.warn(text, RenamedWarning, stacklevel=3)
