"""Fiducials of a whole cohort, found once and kept in the cache."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat
from multiprocessing import current_process, get_context

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lvh.data.cache import Arrays, cache_dir, cached_arrays
from lvh.data.cohort import Cohort, Delineation, fingerprint
from lvh.data.delineation import Lead, joined, leads_of, library, version
from lvh.data.lazy_array import read
from lvh.data.processes import follow
from lvh.errors import EnvironmentFault

_CONTENT = ("symbols", "samples", "offsets")
_BLOCK = 64  # records that wait for a process at once
_ALONE = 8  # records that are done before another process would have begun


def with_found(cohort: Cohort) -> Cohort:
    """Return a cohort with the fiducials that `lvh.data.delineation` finds in place of its own.

    They are kept under a name that changes with the records, with the code that finds them and
    with the libraries it calls. All cores take part; a terminal shows how far it is.

    Raises:
        InputError: The records are too long or of a sampling frequency that is not read.
        EnvironmentFault: A process that took part was killed.
    """
    path = cache_dir() / "delineations" / f"{fingerprint(cohort.fingerprint, version())[:16]}.npz"
    arrays = cached_arrays(path, lambda: _arrays(cohort), _digest)
    symbols, samples, offsets = (arrays[name] for name in _CONTENT)
    waves = Delineation(symbols, samples, offsets, len(cohort.leads), "found")
    return replace(
        cohort,
        delineation=waves,
        fingerprint=fingerprint(cohort.fingerprint, waves.origin, *_ordered(arrays)),
        note="; ".join(filter(None, [cohort.note, f"fiducials found by {library()}"])),
    )


def _arrays(cohort: Cohort) -> Arrays:
    with Progress(
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(f"fiducials of {cohort.name}", total=len(cohort.records))
        found = []
        with _each(cohort) as records:
            for leads in records:
                found.append(leads)
                bar.advance(task)
    waves = joined(found)
    return {name: getattr(waves, name) for name in _CONTENT}


@contextmanager
def _each(cohort: Cohort) -> Iterator[Iterator[list[Lead]]]:
    """Give the leads of each record, in order."""
    n, n_processes = len(cohort.records), len(os.sched_getaffinity(0))
    # a process of a sweep begins no others: its cores have their work
    if n < _ALONE or n_processes < 2 or current_process().name != "MainProcess":
        yield (leads_of(cohort.signals[at], cohort.fs) for at in range(n))
        return
    # spawned: a fork after TensorFlow has begun may never end
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _begin, (os.getpid(),))
    try:
        yield (
            leads
            for start in range(0, n, _BLOCK)
            for leads in pool.map(
                *(leads_of, read(cohort.signals[start : start + _BLOCK]), repeat(cohort.fs))
            )
        )
    except BrokenProcessPool:
        raise EnvironmentFault(
            f"{cohort.name}: a process that was finding fiducials ended: killed for memory, "
            "perhaps; or it could not begin, as below a script without __name__ == '__main__'"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this
    follow(parent)


def _digest(arrays: Arrays) -> str:
    return fingerprint(*_ordered(arrays))


def _ordered(arrays: Arrays) -> list[object]:
    return [arrays[name] for name in _CONTENT]
