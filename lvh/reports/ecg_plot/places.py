"""Where pictures go: known, free and writable before anything is computed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lvh.errors import EnvironmentFault, InputError
from lvh.files import write_fault

SUFFIXES = (".pdf", ".svg", ".png")
_OF_A_FOLDER = ".pdf"  # printed true to scale by any viewer


def places(given: str, names: Sequence[str]) -> list[Path]:
    """Return the picture's path for each record.

    Args:
        given: A file for one record, whose suffix says the format; or a folder that is there, for
            any number of them, in which each has a PDF of its own name.
        names: Of the records.

    Raises:
        InputError: Neither, a picture is there already, or two would be the same.
        EnvironmentFault: The folder cannot be written.
    """
    path = Path(given)
    if given and path.is_dir():
        found = [path / f"{name}{_OF_A_FOLDER}" for name in names]
    elif path.suffix.lower() in SUFFIXES and len(names) == 1:
        found = [path]
    else:
        expected = "a folder that is there"
        if len(names) == 1:
            expected = f"a file that ends in {', '.join(SUFFIXES)}, or {expected}"
        raise InputError(f"--picture: expected {expected}. Received: {given!r:.200}")
    twice = [one for one, count in Counter(found).items() if count > 1]
    if twice:
        raise InputError(
            f"--picture: expected records of distinct names. Received: two for {str(twice[0])!r}"
        )
    folder = found[0].parent
    if not folder.is_dir():
        raise InputError(f"--picture: expected a folder that is there. Received: {str(folder)!r}")
    there = [one for one in found if one.exists() or one.is_symlink()]
    if there:
        raise InputError(
            f"--picture: expected a file that is not there yet. Received: {str(there[0])!r}"
        )
    if fault := write_fault(folder):
        raise EnvironmentFault(f"--picture: cannot write into {folder}: {fault}")
    return found
