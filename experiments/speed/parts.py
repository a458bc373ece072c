"""A benchmark's parts: things measured in turn, again and again."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rows import Row


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Attributes:
        name: Of it.
        expected: SourceMetadata how long a measurement takes, s, until one is done.
        measure: From the number of the repeat, from 1, to rows.
        once: Measured in the first repeat only.
    """

    name: str
    expected: float
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


@dataclass
class Progress:
    """Measures parts and says how long the rest will take.

    Attributes:
        parts: All that will be measured.
        repeats: How often.
    """

    parts: Iterable[Part]
    repeats: int
    _left: list[tuple[str, str]] = field(default_factory=list)
    _expected: dict[tuple[str, str], float] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _gone: float = 0.0
    _foreseen: float = 0.0

    def __post_init__(self) -> None:
        """Plan everything."""
        for part in self.parts:
            for case in part.cases:
                self._expected[part.name, case.name] = case.expected
                times = 1 if case.once else self.repeats
                self._left += [(part.name, case.name)] * times

    def measure(self, part: Part) -> list[Row]:
        """Measure one part."""
        rows: list[Row] = []
        for repeat in range(1, self.repeats + 1):
            # there and back, so that a machine that slows down does so for all of them
            for case in part.cases if repeat % 2 else reversed(part.cases):
                if not (case.once and repeat > 1):
                    rows += self._measured(part, case, repeat)
        return [*rows, *part.compared(rows)]

    def _measured(self, part: Part, case: Case, repeat: int) -> list[Row]:
        started = time.perf_counter()
        rows = case.measure(repeat)
        seconds = time.perf_counter() - started
        key = part.name, case.name
        self._foreseen += case.expected
        self._gone += seconds
        self._expected[key] = seconds
        self._left.remove(key)
        self._seen.add(key)
        # what was not measured yet is as much slower than foreseen as what was
        scale = self._gone / self._foreseen
        left = sum(self._expected[one] * (1 if one in self._seen else scale) for one in self._left)
        shown = "; ".join(f"{one.what} {one.value:.4g} {one.unit}".strip() for one in rows[:3])
        print(
            f"{part.name}, {case.name}, {repeat} of {self.repeats}: {shown}; "
            f"about {left / 60:.0f} min left",
            flush=True,
        )
        return rows
