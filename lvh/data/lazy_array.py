"""Records that are read, and made what a model takes, only when their turn comes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]

_PIECE = 64  # records; of PTB-XL at 500 Hz 8 MB
_AHEAD = 2  # what is made while something else is used

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """An array of many records that need not fit into memory.

    A part of it is another such object, and costs nothing; `read` makes the array.

    Attributes:
        positions: Which of the records that `make` knows, in this order, shape (n_records,).
        record_shape: Shape of one record's part.
        dtype: Of the array.
        make: Takes positions and returns the records there, shape (n, *record_shape), as an array
            of their own. What it makes of one does not depend on the others; it is called by one
            thread at a time.
    """

    positions: Positions
    record_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[Positions], Array]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (len(self), *self.record_shape)

    @property
    def ndim(self) -> int:
        """Number of its dimensions."""
        return len(self.shape)

    @overload
    def __getitem__(self, key: int) -> Array: ...

    @overload
    def __getitem__(self, key: slice | Array) -> "Unread": ...

    def __getitem__(self, key: int | slice | Array) -> "Array | Unread":
        """Read one record, or choose some by a slice, positions or a mask, without reading."""
        if isinstance(key, (slice, np.ndarray)):
            return replace(self, positions=self.positions[key])
        record: Array = self.make(self.positions[[key]])[0]
        return record

    def __array__(self, *arguments: object, **named: object) -> Array:
        """Refuse: what takes an array unawares would fill the memory.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "data: expected fewer records for what was asked, which takes all of them into memory. "
            f"Received: {len(self)} records of shape {self.record_shape}"
        )

    def read(self) -> Array:
        """Return all records as one array."""
        return np.ascontiguousarray(self.make(self.positions))

    def pieces(self) -> Iterator[Array]:
        """Yield the records in order, some at a time."""
        for start in range(0, len(self), _PIECE):
            yield self[start : start + _PIECE].read()

    def changed(
        self,
        change: Callable[[Array, Positions], Floats],
        record_shape: tuple[int, ...] | None = None,
    ) -> "Unread":
        """Return what a function makes of the records, once they are read.

        Args:
            change: Takes some records, and their positions in this array.
            record_shape: Of what it returns, where it differs.
        """

        def make(at: Positions) -> Array:
            return change(self.make(self.positions[at]), at)

        shape = self.record_shape if record_shape is None else record_shape
        return Unread(np.arange(len(self)), shape, np.dtype(np.float32), make)


Inputs = Floats | Unread
"""Records in memory, or not."""


def read(records: Inputs) -> Floats:
    """Return records as an array; one that is an array already stays as it is."""
    return records.read() if isinstance(records, Unread) else records


def concatenated(first: Inputs, second: Inputs) -> Inputs:
    """Put records behind others, of the same shape."""
    if not (isinstance(first, Unread) or isinstance(second, Unread)):
        return np.concatenate([first, second])
    n = len(first)

    def make(at: Positions) -> Array:
        found = np.empty((len(at), *first.shape[1:]), np.float32)
        is_first = at < n
        found[is_first] = read(first[at[is_first]])
        found[~is_first] = read(second[at[~is_first] - n])
        return found

    every = np.arange(n + len(second))
    return Unread(every, tuple(first.shape[1:]), np.dtype(np.float32), make)


def made_ahead(items: Iterable[_In], make: Callable[[_In], _Out]) -> Iterator[_Out]:
    """Yield what is made of each item, in order; another thread makes the next ones meanwhile.

    Args:
        items: Few are asked for before their turn.
        make: Is called by that thread alone, once an item and in their order.
    """
    waiting: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for item in items:
            waiting.append(thread.submit(make, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
