"""Measure what a process pays for the next trial of a study, beside seven others.

python experiments/speed/claims.py

A claim is all that the study does for a trial but its training: looking for interrupted ones,
asking, choosing a point, writing the outcome. A fold is recorded, with a look at the race, while
the others claim (fold) and while they wait for the last trial (idle). The report is the result of
the study, its table and its page. Studies have 50, 500 or 2,000 finished trials of seven folds;
PostgreSQL is left out where it is not installed. Seconds are medians over processes and claims;
CPU seconds are those of the process, without a database server's.
"""

import argparse
import itertools
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import optuna
from optuna.trial import create_trial
from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import append

from lvh.reports.study_report import table, write
from lvh.search import SearchSettings
from lvh.search.plan import StudyPlan
from lvh.search.results import FoldScore, Outcome
from lvh.search.space import Choice, Space
from lvh.search.storage import Storage
from lvh.search.study import OUTCOME, OpenTrial, Study, open_study, result_of
from lvh.validation.metrics import NAMES

NAME, WORKERS, CLAIMS, IDLE = "claims", 8, 3, 5
SPACE = Space(
    {
        "seed": Choice(tuple(map(str, range(100)))),
        "train.learning_rate": Choice(
            tuple(f"{rate:.4f}" for rate in np.linspace(0.001, 0.03, 30))
        ),
    }
)
FOLDS = tuple(
    FoldScore(0, fold, dict.fromkeys(NAMES, 1 / 3), 1.0, 171, 29, "0" * 16) for fold in range(7)
)
LAST = SearchSettings(n_trials=1)
SAMPLERS = ("grid", "tpe")
HEADER = (*"storage sampler finished first_cpu_s cpu_s wall_s fold_cpu_s fold_wall_s".split(),)
HEADER += ("idle_wall_s", "report_cpu_s")
OUTCOME_OF_ALL = Outcome("complete", (0.5,), FOLDS, ("0" * 64,) * 7, {"age": {"ap": 0.3}}, "0" * 64)


def planned(storage: Storage, sampler: str) -> Study:
    """Make the study, or take it up with another sampler."""
    search = SearchSettings(sampler=sampler, n_trials=3000, race=True)
    plan = StudyPlan(SPACE, search, title="claims", note="", n_folds=7)
    return open_study(storage, NAME, plan, again=False)


def fill(study: Study, n_finished: int) -> None:
    """Add trials that are finished, without waiting for the disk."""

    def hurry(connection: Any, _: object) -> None:
        is_file = isinstance(connection, sqlite3.Connection)
        connection.execute("pragma synchronous=off" if is_file else "set synchronous_commit to off")
        connection.commit()

    study.storage.optuna.engine.dispose()
    event.listen(study.storage.optuna.engine, "connect", hurry)
    distributions = {
        name: optuna.distributions.CategoricalDistribution(dimension.values() or ())
        for name, dimension in SPACE.dimensions.items()
    }
    study._study.add_trials(
        [
            create_trial(
                params=SPACE.at(number),
                distributions=distributions,
                value=0.5,
                user_attrs={OUTCOME: asdict(OUTCOME_OF_ALL)},
                intermediate_values=dict.fromkeys(range(7), 0.5),
            )
            for number in range(len(study.trials()), n_finished)
        ]
    )


def claims(address: str, worker: int, together: Barrier) -> list[list[list[float]]]:
    """Claim trials and record their folds; return CPU and wall seconds of each, in turn."""
    study = Study(Storage(address), NAME)
    laps: list[tuple[float, float]] = []

    def train(trial: OpenTrial) -> Outcome:
        laps.append((time.process_time(), time.perf_counter()))
        if len(laps) > 2 * CLAIMS + 2:
            study.plan = replace(study.plan, search=LAST)  # this process takes no further one
            if worker:
                return OUTCOME_OF_ALL
            time.sleep(IDLE)  # by then the others wait
            laps[-1] = (time.process_time(), time.perf_counter())
        for _ in FOLDS:
            trial.report(0.5)
        laps.append((time.process_time(), time.perf_counter()))
        return OUTCOME_OF_ALL

    together.wait()
    laps.append((time.process_time(), time.perf_counter()))
    study.optimize(train, worker=worker)
    return np.diff(np.array(laps), axis=0).tolist()


def report(address: str) -> float:
    """Return the CPU seconds of a report of the study, with its page."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = result_of(Study(Storage(address), NAME), folder)
        table(result)
        write(result, Path(folder))
    return time.process_time() - started


@contextmanager
def storages() -> Iterator[dict[str, str]]:
    """Give the addresses of empty databases."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from servers import Postgres, postgres_programs

    with tempfile.TemporaryDirectory() as folder:
        addresses = {"sqlite": f"sqlite:///{folder}/studies.db"}
        programs = postgres_programs()
        if programs is None:
            yield addresses
            return
        server = Postgres(programs)
        try:
            server.start()
            yield {**addresses, "postgresql": server.new_database()}
        finally:
            server.remove()


def main() -> None:
    """Do it, and write a row for every kind of storage, sampler and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 500, 2000])
    given = parser.parse_args()
    context, out = multiprocessing.get_context("spawn"), Path(__file__).with_name("claims.csv")
    out.unlink(missing_ok=True)
    with (
        storages() as addresses,
        context.Manager() as manager,
        context.Pool(WORKERS) as pool,
    ):
        for (kind, address), size in itertools.product(addresses.items(), given.sizes):
            fill(planned(Storage(address), "grid"), size)
            for sampler in SAMPLERS:
                planned(Storage(address), sampler)
                together = manager.Barrier(WORKERS)
                work = [(address, one, together) for one in range(WORKERS)]
                laps = [np.array(one) for one in pool.starmap(claims, work, chunksize=1)]
                by_kind = [
                    np.array([one[at : 2 * CLAIMS + 2 : 2] for one in laps]) for at in (0, 1)
                ]
                medians = [
                    np.median(by_kind[0][:, 0, 0]),
                    *np.median(by_kind[0][:, 1:], axis=(0, 1)),
                    *np.median(by_kind[1], axis=(0, 1)) / len(FOLDS),
                    laps[0][-1][1] / len(FOLDS),
                    min(report(address) for _ in range(2)),  # the first one imports
                ]
                row = (kind, sampler, size, *(f"{one:.3f}" for one in medians))
                append(out, [dict(zip(HEADER, row, strict=True))])
                print(*row, flush=True)


if __name__ == "__main__":
    main()
