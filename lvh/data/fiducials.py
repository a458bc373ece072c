"""Fiducials of a whole cohort, found by `lvh.data.delineation` once and kept in the cache."""

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import current_process

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from lvh.data.cache import Arrays, cache_dir, load_or_build
from lvh.data.cohort import Cohort, Delineation, LeadWaves, fingerprint
from lvh.data.delineation import VERSION, delineate_record, library
from lvh.errors import EnvironmentFault

_CONTENT = ("symbols", "samples", "offsets")
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
            f"{cohort.name}: a process that was finding fiducials was killed, perhaps for memory"
        ) from None
    delineation = Delineation.from_leads(leads, len(cohort.leads), "found")
    return {name: getattr(delineation, name) for name in _CONTENT}


def _each_record(cohort: Cohort) -> Iterator[list[LeadWaves]]:
    """Yield the waves of each record's leads, in order."""
    n_records = len(cohort.records)
    # a process of a sweep starts no others: its cores are in use
    is_alone = n_records < _MIN_PARALLEL or current_process().name != "MainProcess"
    parallel = Parallel(n_jobs=1 if is_alone else -1, return_as="generator")
    records: Iterator[list[LeadWaves]] = parallel(
        delayed(delineate_record)(cohort.signals[at], cohort.fs) for at in range(n_records)
    )
    return records
