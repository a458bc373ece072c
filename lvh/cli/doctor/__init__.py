"""`python -m lvh.doctor`: what would keep a command from running here, and what to do about it.

It changes nothing on disk.
"""

from typing import Literal, NamedTuple

__all__ = ["Finding", "State"]

State = Literal["ok", "warning", "fault"]


class Finding(NamedTuple):
    """What one check came to.

    Attributes:
        what: Was looked at.
        state: A `warning` costs something, such as training a fold again; a `fault` the run.
        told: What was found.
        do: What to do about it.
        exit_code: Of a fault: 2 for what was typed or its data, 3 for what surrounds them.
    """

    what: str
    state: State
    told: str
    do: str = ""
    exit_code: int = 3
