"""The errors a user may see; each carries the exit code of the process."""


class LvhError(Exception):
    """The root of every error this package raises on purpose.

    The message is one or two plain lines that name the file, field or override,
    say what was expected and what was received.
    """

    exit_code = 1


class InputError(LvhError):
    """Bad input or configuration: the user can mend it."""

    exit_code = 2


class EnvironmentFault(LvhError):
    """The disk, network or a server failed; the input was fine."""

    exit_code = 3


def as_told(error: Exception) -> LvhError:
    """Return an error of ours as it is, and any other as a fault in one line."""
    if isinstance(error, LvhError):
        return error
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return LvhError(f"unexpected {type(error).__name__}: {reason} (HYDRA_FULL_ERROR=1 shows where)")


class TrackingFault(EnvironmentFault):
    """The tracking store failed; what was trained is kept."""
