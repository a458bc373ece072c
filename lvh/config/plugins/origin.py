"""The code of a user that something comes from, and errors that name it."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lvh.errors import InputError, LvhError


@dataclass(frozen=True, slots=True)
class Origin:
    """What some code is for, such as `model=lda: lda`, and the module that it is in."""

    what: str
    module: str

    @property
    def name(self) -> str:
        """Name of the option."""
        return self.what.partition(":")[0].rpartition("=")[2]

    def refused(self, expected: str, received: object) -> InputError:
        """Return the error for a result that cannot be used."""
        return InputError(f"{self.what}: {expected}. Received: {received}")

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Turn an error of the code into an LvhError of one line that names the line of code."""
        try:
            yield
        except LvhError:
            raise
        except (Exception, SystemExit) as error:  # an exit code of 0 would be no result
            text = next(iter(str(error).strip().splitlines()), "")
            if isinstance(error, SyntaxError):
                text, place = str(error.msg), f" ({error.filename}:{error.lineno})"
            else:
                top, place = self.module.partition(".")[0], ""
                for frame, line in traceback.walk_tb(error.__traceback__):
                    if str(frame.f_globals.get("__name__")).partition(".")[0] == top:
                        place = f" ({frame.f_code.co_filename}:{line})"
            raise LvhError(f"{self.what}: {type(error).__name__}: {text}{place}") from error


def named(what: str, code: Any) -> str:
    """Return what some code is for, with its own name."""
    return f"{what}: {getattr(code, '__name__', type(code).__name__)}"
