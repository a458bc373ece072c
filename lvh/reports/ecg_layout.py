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

_N_ROWS = len(ROWS) + 1
_SPIKE_S = 0.006  # what is beyond a height for a shorter time takes no room: pacing, artifacts
_MARGIN = 3.0  # between the traces of two rows


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of one lead on the page.

    Attributes:
        lead: Lower case.
        row: From the top; the rhythm strip is the last.
        left: Where its first sample lies.
        first: Index of that sample.
        end: Index after its last one.
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


def baselines(traces: list[tuple[Cell, Floats]], fs: float) -> Floats:
    """Return where 0 mV of each row lies, shape (4,), on lines of the grid.

    Rows are evenly spaced unless two would overlap where there is room elsewhere. Where there is
    none, those overlap that need most.

    Args:
        traces: Each with its voltages in mV.
        fs: Hz.
    """
    n_spike = max(1, round(_SPIKE_S * fs))
    top, bottom = np.zeros((2, _N_ROWS, len(ROWS[0])))
    for cell, mv in traces:
        at = ((cell.x(np.arange(cell.first, cell.end), fs) - TRACE_LEFT) / MM_PER_S) // COLUMN_S
        for column in range(len(ROWS[0])):
            own = np.sort(mv[at == column]) * MM_PER_MV
            if len(own) > n_spike:
                top[cell.row, column] = own[-n_spike]
                bottom[cell.row, column] = -own[n_spike - 1]
    between = (bottom[:-1] + top[1:]).max(axis=1)  # of the same column
    needed = np.array([top[0].max(), *between, bottom[-1].max()]) + _MARGIN
    return np.asarray(GRID[1] + GRID[3] - np.rint(np.cumsum(_gaps(needed))[:-1]))


def _gaps(needed: Floats) -> Floats:
    """Return the gaps from the upper edge over each row's baseline to the lower edge.

    Either every gap is at least what is needed and as even as that allows, or, where there is too
    little height, the widest gaps are cut to one width.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    height = GRID[3]
    even = np.array([0.5, *[1.0] * (_N_ROWS - 1), 0.5]) * height / _N_ROWS
    if needed.sum() >= height:
        width = brentq(lambda width: np.minimum(needed, width).sum() - height, 0, needed.max())
        return np.asarray(np.minimum(needed, width))
    share = brentq(lambda share: np.maximum(needed, share * even).sum() - height, 0, 1)
    return np.asarray(np.maximum(needed, share * even))
