"""A benchmark's parts: things measured in turn, again and again."""

from collections.abc import Callable
from dataclasses import dataclass

from rows import Row


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Attributes:
        name: Of it.
        measure: From the number of the repeat, from 1, to rows.
        once: Measured in the first repeat only.
    """

    name: str
    measure: Callable[[int], list[Row]]
    once: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Things that are compared, so they take turns.

    Attributes:
        name: Of it.
        cases: What is compared.
        compared: From all rows to ratios.
    """

    name: str
    cases: list[Case]
    compared: Callable[[list[Row]], list[Row]] = lambda rows: []

    def measured(self, repeats: int) -> list[Row]:
        """Measure all cases, each as often as asked."""
        rows: list[Row] = []
        for repeat in range(1, repeats + 1):
            # there and back, so that a machine that slows down does so for all of them
            for case in self.cases if repeat % 2 else reversed(self.cases):
                if not (case.once and repeat > 1):
                    rows += (own := case.measure(repeat))
                    shown = "; ".join(f"{one.what} {one.value:.4g} {one.unit}" for one in own[:3])
                    print(f"{self.name}, {case.name}, {repeat} of {repeats}: {shown}", flush=True)
        return [*rows, *self.compared(rows)]
