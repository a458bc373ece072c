"""What the numbers of settings may be; upper bounds are far above any useful value."""

from numbers import Integral
from typing import Annotated, Any

from pydantic import Field, Strict

from lvh.errors import InputError, excerpt

Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
Width = Annotated[int, Strict(), Field(ge=1, le=10_000)]
"""Units or filters of a layer."""
Samples = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=100)]
Processes = Annotated[int, Strict(), Field(ge=1, le=1000)]
"""Processes or threads."""
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, lt=1)]
"""Part of a whole, not all of it."""
Part = Annotated[float, Strict(), Field(gt=0, le=1)]
"""Part of a whole, or all of it, not nothing."""
SEEDS = 2**32
"""How many there are: as many as NumPy and scikit-learn take."""
Seed = Annotated[int, Strict(), Field(ge=0, lt=SEEDS)]


def checked_seed(seed: Any) -> int:
    """Return a seed, of any type of whole numbers; raise InputError for anything else."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < SEEDS:
        expected = f"seed: expected a whole number from 0 to {SEEDS - 1}"
        raise InputError(f"{expected}. Received: {excerpt(seed)}")
    return int(seed)
