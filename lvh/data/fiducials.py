"""Fiducials of a whole cohort, found by `lvh.data.delineation` once and kept in the cache."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import repeat
from multiprocessing import current_process, get_context, parent_process

from rich.console import Console
from rich.progress import track

from lvh.data.cache import Arrays, cache_dir, load_or_build
from lvh.data.cohort import Cohort, Delineation, LeadWaves, fingerprint
from lvh.data.delineation import VERSION, delineate_record, library
from lvh.data.lazy_array import read
from lvh.errors import EnvironmentFault

_CONTENT = ("symbols", "samples", "offsets")
_BLOCK = 64  # records that are read at once
_MIN_PARALLEL = 8  # records; fewer are done before another process has started


def with_fiducials(cohort: Cohort) -> Cohort:
    """Return a cohort whose delineation is the one that `lvh.data.delineation` finds.

    It is cached under a name that changes with the records, with the version of the method and
    with its library. All cores take part; a terminal shows the progress.

    Raises:
        InputError: The records are too long, or of a sampling frequency that is not read.
        EnvironmentFault: A process that took part was killed.
    """
    key = fingerprint(cohort.fingerprint, VERSION, library())[:16]
    path = cache_dir() / "delineations" / f"{key}.npz"
    arrays = load_or_build(path, lambda: _delineate(cohort))
    symbols, samples, offsets = content = [arrays[name] for name in _CONTENT]
    delineation = Delineation(symbols, samples, offsets, len(cohort.leads), "found")
    return replace(
        cohort,
        delineation=delineation,
        fingerprint=fingerprint(cohort.fingerprint, delineation.origin, *content),
        note="; ".join(filter(None, [cohort.note, f"fiducials found by {library()}"])),
    )


def _delineate(cohort: Cohort) -> Arrays:
    n_records = len(cohort.records)
    try:
        records = track(
            _each_record(cohort),
            f"fiducials of {cohort.name}",
            total=n_records,
            console=Console(stderr=True),
            transient=True,
        )
        leads = [lead for record in records for lead in record]
    except BrokenProcessPool:
        raise EnvironmentFault(
            f"{cohort.name}: a process that was finding fiducials ended: killed for memory, "
            "perhaps; or it could not start, as below a script without __name__ == '__main__'"
        ) from None
    delineation = Delineation.from_leads(leads, len(cohort.leads), "found")
    return {name: getattr(delineation, name) for name in _CONTENT}


def _each_record(cohort: Cohort) -> Iterator[list[LeadWaves]]:
    """Yield the waves of each record's leads, in order."""
    n_records, n_processes = len(cohort.records), len(os.sched_getaffinity(0))
    # a process of a sweep starts no others: its cores are in use
    if n_records < _MIN_PARALLEL or n_processes < 2 or current_process().name != "MainProcess":
        for at in range(n_records):
            yield delineate_record(cohort.signals[at], cohort.fs)
        return
    # spawned: a fork of TensorFlow's threads may hang
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _end_with_parent)
    try:
        for start in range(0, n_records, _BLOCK):
            signals = read(cohort.signals[start : start + _BLOCK])
            yield from pool.map(delineate_record, signals, repeat(cohort.fs))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """Make a worker ignore Ctrl-C, which its parent handles, and exit when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
