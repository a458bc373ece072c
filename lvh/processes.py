"""Processes that end with the one that has started them, however that one ends."""

import os
import threading
import time

_POLL = 1.0  # s


def follow(parent: int) -> None:
    """End this process when its parent is gone.

    Args:
        parent: Process that has started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
