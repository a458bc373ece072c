"""What the numbers of settings may be; upper bounds are far above any useful value."""

from typing import Annotated

from pydantic import Field, Strict

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
