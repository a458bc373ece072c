"""Where a delineation has a pattern of waves."""

import numpy as np
import numpy.typing as npt


def starts(symbols: str, pattern: str) -> npt.NDArray[np.int64]:
    """Return where `pattern`, such as `(N)(t)`, stands in `symbols`; it cannot overlap itself."""
    found = []
    at = symbols.find(pattern)
    while at >= 0:
        found.append(at)
        at = symbols.find(pattern, at + len(pattern))
    return np.array(found, dtype=np.int64)
