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


class TrackingFault(EnvironmentFault):
    """The tracking store failed; what was trained is kept."""
