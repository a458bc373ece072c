"""Measure what a process pays for the next trial of a study, while others do the same.

python experiments/speed/claims.py
python experiments/speed/claims.py --workers 16 --sizes 50 2000 --samplers grid

A claim is all that the study does for a trial but its training: looking for interrupted ones,
asking, choosing a point, writing the outcome. A fold is recorded, with a look at the race, while
the others claim (fold) and while they wait for the last trial (idle). The report is the result of
the study, its table and its page. Studies have 50, 500 or 2,000 finished trials of seven folds;
PostgreSQL is left out where it is not installed. Seconds are medians over processes and claims;
CPU seconds are those of the process, without a database server's. Rows of claims.csv with other
numbers of workers or other samplers stay.
"""

import argparse
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from threading import Barrier

import numpy as np
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages._rdb.models import BaseModel
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import put, read, table, write

from lvh.search import SearchSettings
from lvh.search.results import FoldScore, Outcome
from lvh.search.space import Choice, Space, StudyPlan
from lvh.search.storage import Storage
from lvh.search.study import OUTCOME, OpenTrial, Study, open_study, result_of
from lvh.validation.metrics import NAMES

NAME, CLAIMS, IDLE = "claims", 3, 5
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
MARK = "<!-- made by claims.py -->"
HEADER = (
    *"storage sampler workers finished first_cpu_s cpu_s wall_s fold_cpu_s fold_wall_s".split(),
)
HEADER += ("idle_wall_s", "report_cpu_s")
OUTCOME_OF_ALL = Outcome("complete", (0.5,), FOLDS, ("0" * 64,) * 7, {"age": {"ap": 0.3}}, "0" * 64)


def planned(storage: Storage, sampler: str) -> Study:
    """Make the study, or take it up with another sampler."""
    search = SearchSettings(sampler=sampler, n_trials=3000, race=True)
    plan = StudyPlan(SPACE, search, title="claims", note="", n_folds=7)
    return open_study(storage, NAME, plan, again=False)


def fill(study: Study, n_finished: int) -> None:
    """Add trials that are finished, at once: Optuna takes minutes to add 2,000."""
    tables, now = BaseModel.metadata.tables, datetime.now()
    dimensions = {name: one.values() or () for name, one in SPACE.dimensions.items()}
    texts = {
        name: distribution_to_json(CategoricalDistribution(dimensions[name])) for name in dimensions
    }
    own = {"study_id": study._study._study_id, "state": "COMPLETE"}
    own |= {"datetime_start": now, "datetime_complete": now}
    outcome = {"key": OUTCOME, "value_json": json.dumps(asdict(OUTCOME_OF_ALL))}
    numbers, trials = range(len(study.trials()), n_finished), tables["trials"]
    with study.storage.engine.begin() as connection:
        connection.execute(trials.insert(), [{"number": one, **own} for one in numbers])
        new = select(trials.c.number, trials.c.trial_id).where(trials.c.number >= numbers.start)
        ids = dict(tuple(row) for row in connection.execute(new))
        values = {"objective": 0, "value": 0.5, "value_type": "FINITE"}
        steps = {"intermediate_value": 0.5, "intermediate_value_type": "FINITE"}
        rows = {
            "trial_values": [values],
            "trial_user_attributes": [outcome],
            "trial_intermediate_values": [{"step": step, **steps} for step in range(7)],
        }
        for name, of_trial in rows.items():
            of_all = [{"trial_id": one, **row} for one in ids.values() for row in of_trial]
            connection.execute(tables[name].insert(), of_all)
        params = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": dimensions[name].index(value),
                "distribution_json": texts[name],
            }
            for number, trial_id in ids.items()
            for name, value in SPACE.at(number).items()
        ]
        connection.execute(tables["trial_params"].insert(), params)


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
    from lvh.reports import study_report

    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = result_of(Study(Storage(address), NAME), folder)
        study_report.table(result)
        study_report.write(result, Path(folder))
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


def measured(address: str, laps: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Return medians of the CPU and wall seconds of claims, of folds, and of the report."""
    claim, fold = (np.array([one[at : 2 * CLAIMS + 2 : 2] for one in laps]) for at in (0, 1))
    medians = [
        np.median(claim[:, 0, 0]),
        *np.median(claim[:, 1:], axis=(0, 1)),
        *np.median(fold, axis=(0, 1)) / len(FOLDS),
        laps[0][-1][1] / len(FOLDS),
        report(address),
    ]
    return tuple(f"{one:.3f}" for one in medians)


def main() -> None:
    """Do it, and write a row for every kind of storage, sampler and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--samplers", nargs="+", default=["grid", "tpe"])
    given = parser.parse_args()
    context, out = multiprocessing.get_context("spawn"), Path(__file__).with_name("claims.csv")
    again = {(str(given.workers), sampler) for sampler in given.samplers}
    rows = [row for row in read(out) if (row["workers"], row["sampler"]) not in again]
    with (
        storages() as addresses,
        context.Manager() as manager,
        context.Pool(given.workers) as pool,
    ):
        for (kind, address), size in itertools.product(addresses.items(), given.sizes):
            fill(planned(Storage(address), "grid"), size)
            for sampler in given.samplers:
                planned(Storage(address), sampler)
                together = manager.Barrier(given.workers)
                work = [(address, one, together) for one in range(given.workers)]
                laps = [np.array(one) for one in pool.starmap(claims, work, chunksize=1)]
                row = (kind, sampler, str(given.workers), str(size), *measured(address, laps))
                rows.append(dict(zip(HEADER, row, strict=True)))
                print(*row, flush=True)
                write(out, rows)
                put(out.with_name("README.md"), MARK, table(HEADER, (row.values() for row in rows)))


if __name__ == "__main__":
    main()
