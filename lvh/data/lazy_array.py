"""Arrays of many records that are read, and transformed, only when they are needed."""

import math
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]

LOADED_BYTES = 512 * 1024 * 1024
"""Signals that take more than this, as float32, stay on the disk."""
_CHUNK = 64  # records; 8 MB of PTB-XL at 500 Hz
_PREFETCHED = 2  # items

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True, eq=False)
class LazyArray:
    """An array of many records that need not fit into memory.

    Selecting records returns another such object and reads nothing; `read` returns the array.
    """

    positions: Positions  # of the selected records, shape (n_records,)
    record_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[Positions], Array]  # returns some records as a new array; in one thread

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (len(self), *self.record_shape)

    def __getitem__(self, key: int | slice | Array) -> Any:
        """Read one record, or select some by a slice, positions or a mask without reading."""
        if isinstance(key, (slice, np.ndarray)):
            return replace(self, positions=self.positions[key])
        return self.load(self.positions[[key]])[0]

    def __array__(self, *arguments: object, **named: object) -> Array:
        """Refuse an implicit conversion, which could fill the memory."""
        raise InputError(
            "data: expected fewer records for this command, which takes all of them into memory. "
            f"Received: {len(self)} records of shape {self.record_shape}"
        )

    def read(self) -> Array:
        """Return all records as one array."""
        return np.ascontiguousarray(self.load(self.positions))

    def map(
        self,
        function: Callable[[Array, Positions], Floats],
        record_shape: tuple[int, ...] | None = None,
    ) -> "LazyArray":
        """Return an array whose records pass through a function when they are read.

        It takes some records, and their positions in this array.
        """

        def load(positions: Positions) -> Array:
            return function(self.load(self.positions[positions]), positions)

        positions = np.arange(len(self))
        return LazyArray(positions, record_shape or self.record_shape, np.dtype(np.float32), load)


Inputs = Floats | LazyArray
"""Records in memory, or not."""


def read(records: Inputs) -> Floats:
    """Return records as an array; an array is returned as it is."""
    return records.read() if isinstance(records, LazyArray) else records


def blocks(records: Inputs) -> Iterator[Array]:
    """Yield the records in order: in blocks if they are not in memory, else all at once."""
    if isinstance(records, LazyArray):
        for start in range(0, len(records), _CHUNK):
            yield records[start : start + _CHUNK].read()
    else:
        yield records


def as_lazy_array(array: Array) -> LazyArray:
    """Return an array as a lazy one; memory of a mapped file is released after each read."""
    mapping: Any = array
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base

    def load(positions: Positions) -> Array:
        records = np.asarray(array[positions])  # a copy
        if isinstance(mapping, mmap.mmap):
            mapping.madvise(mmap.MADV_DONTNEED)  # they would count as this process's memory
        return records

    return LazyArray(np.arange(len(array)), array.shape[1:], array.dtype, load)


def loaded(records: LazyArray) -> Inputs:
    """Read records, unless they take more than `LOADED_BYTES`."""
    return records if 4 * math.prod(records.shape) > LOADED_BYTES else records.read()


def concatenate(first: Inputs, second: Inputs) -> Inputs:
    """Append records to others of the same shape."""
    if not (isinstance(first, LazyArray) or isinstance(second, LazyArray)):
        return np.concatenate([first, second])
    n_first = len(first)

    def load(positions: Positions) -> Array:
        records = np.empty((len(positions), *first.shape[1:]), np.float32)
        is_first = positions < n_first
        records[is_first] = read(first[positions[is_first]])
        records[~is_first] = read(second[positions[~is_first] - n_first])
        return records

    positions = np.arange(n_first + len(second))
    return LazyArray(positions, first.shape[1:], np.dtype(np.float32), load)


def prefetch(items: Iterable[_In], function: Callable[[_In], _Out]) -> Iterator[_Out]:
    """Yield a function's result of each item, in order; a second thread computes a few ahead."""
    pending: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for item in items:
            pending.append(thread.submit(function, item))
            if len(pending) > _PREFETCHED:
                yield pending.popleft().result()
        yield from (future.result() for future in pending)
