"""Imports made quicker: what no one needs is hidden, and garbage is looked for seldom."""

import gc
import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager


@contextmanager
def hidden(packages: Set[str]) -> Iterator[None]:
    """Make installed packages look missing, but for those that are imported already.

    For libraries that import what they find for half a second or more, and do not need it for
    what is asked of them here. Not while another thread imports.
    """
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def collect_seldom() -> None:
    """Have Python look for garbage in cycles less often than it does by default.

    The libraries make millions of objects that stay, and every full look at them costs a tenth of
    a second or more: a second in all, of a default run.
    """
    gc.set_threshold(20_000, 10, 10)
