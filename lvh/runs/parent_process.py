"""Processes that end with the one that has started them, however that one ends."""

import os
import signal
import threading
import time

_POLL = 1.0  # s


def follow(parent: int, *, group: bool = False) -> None:
    """End this process when its parent is gone.

    Args:
        parent: Process that has started this one.
        group: End this process's whole group, which it must lead.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        if group:
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
