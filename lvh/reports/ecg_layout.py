"""Where everything of a 12-lead ECG lies on a page of A4 landscape; all lengths in mm."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lvh.data.cohort import LEADS

Floats = npt.NDArray[np.float64]

PAGE = (297.0, 210.0)  # A4 landscape: width, height
MM_PER_S = 25.0
MM_PER_MV = 10.0
GRID = (13.5, 13.0, 270.0, 160.0)  # left, bottom, width, height: whole squares of 5 mm
TRACE_LEFT = GRID[0] + 15.0  # the calibration pulse stands before it
ROWS = (("i", "avr", "v1", "v4"), ("ii", "avl", "v2", "v5"), ("iii", "avf", "v3", "v6"))
RHYTHM = "ii"
COLUMN_S = 2.5  # a lead
STRIP_S = 10.0  # the rhythm strip

_SPIKES = 0.002  # of the samples of a cell, at either end
_MARGIN = 12.0  # mm between the traces of two rows


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of one lead on the page: samples `first` to `end` (exclusive), from `left` on.

    Rows count from the top; the rhythm strip is the last.
    """

    lead: str
    row: int
    left: float
    first: int
    end: int

    def x(self, samples: npt.ArrayLike, fs: float) -> Floats:
        """Return where samples of the record lie."""
        return self.left + (np.asarray(samples) - self.first) * (MM_PER_S / fs)

    @property
    def column(self) -> int:
        """Position of the lead in the order of `lvh.data.cohort.LEADS`."""
        return LEADS.index(self.lead)

    @property
    def name(self) -> str:
        """Name of the cell in an SVG file."""
        return "rhythm" if self.row == len(ROWS) else self.lead


def cells(n_samples: int, fs: float) -> list[Cell]:
    """Lay out a record: three rows of four leads, and the rhythm strip.

    Every column shows the 2.5 s that follow those of the column before, as the strip below does.
    Where a record ends before, the last columns show its last 2.5 s.
    """
    width = round(COLUMN_S * fs)
    placed = []
    for row, leads in enumerate(ROWS):
        for column, lead in enumerate(leads):
            first = min(round(column * COLUMN_S * fs), max(0, n_samples - width))
            left = TRACE_LEFT + column * COLUMN_S * MM_PER_S
            placed.append(Cell(lead, row, left, first, min(n_samples, first + width)))
    strip = Cell(RHYTHM, len(ROWS), TRACE_LEFT, 0, min(n_samples, round(STRIP_S * fs)))
    return [*placed, strip]


def baselines(traces: list[tuple[Cell, Floats]]) -> Floats:
    """Return where 0 mV of each row lies, shape (4,), on lines of the grid.

    The height of the grid is shared in proportion to what the traces need: rows of equal voltages
    are evenly spaced, and high voltages get more room.

    Args:
        traces: Each with its voltages in mV.
    """
    top, bottom = np.zeros((2, len(ROWS) + 1))
    for cell, mv in traces:
        # what is beyond a height for a few ms takes no room: pacing, artifacts
        low, high = np.quantile(mv, [_SPIKES, 1 - _SPIKES]) * MM_PER_MV
        top[cell.row] = max(top[cell.row], high)
        bottom[cell.row] = max(bottom[cell.row], -low)
    needed = np.array([top[0], *(bottom[:-1] + top[1:]), bottom[-1]]) + _MARGIN
    gaps = GRID[3] * needed / needed.sum()
    return np.asarray(GRID[1] + GRID[3] - np.rint(np.cumsum(gaps)[:-1]))
