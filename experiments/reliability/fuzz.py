"""Count what comes out of damaged data sets.

    export LVH_LUDB_ROOT=FOLDER
    TMPDIR=/dev/shm nice -n 15 python experiments/reliability/fuzz.py

Writes results.csv beside this file, some rows for each thousands of cases, and the table of
README.md. What results.csv has already is not done again. Ends with 1 if a case came out wrong.
"""

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import append, put, read
from _common import table as markdown
from cases import Case, Record, case, records_in, write

HERE = Path(__file__).resolve().parent
RESULTS, README = HERE / "results.csv", HERE / "README.md"
MARK = "<!-- made by fuzz.py -->"
SEED = 0
CASES = {"mutation": 97_000, "hypothesis": 4_000}
CHUNK = {"mutation": 1000, "hypothesis": 250}
ALLOWED_SECONDS, ALLOWED_MB = 1.0, 200
GIVEN_UP = 10  # s: a case that still runs then counts as an error
COMPARED_EVERY = 50  # of the cohorts that come out: wfdb is slow
SUMS = {name: name for name in ("cases", "refused", "taken")}
SUMS |= {"compared": "compared with wfdb", "errors": "other exceptions"}
SUMS |= {"wrong": "wrong", "slow": "over 1 s"}


@dataclass(slots=True)
class Row:
    """Cases of one chunk in which files of one kind were damaged.

    Attributes:
        source: What drew the cases.
        seed: Of the draws.
        chunk: Which thousands.
        family: What was damaged.
        cases: How many.
        refused: Ended with InputError.
        taken: Gave a cohort.
        compared: Of these, those that were compared with wfdb.
        unknown: Of those compared, those that wfdb does not take.
        errors: Ended with any other exception, or not within ten seconds.
        wrong: Gave a cohort or a message that is wrong.
        slow: Took more than a second of processor time.
        seconds: Of processor time, the most.
        wall: Seconds by the clock, the most.
        mb: By which the process grew, the most.
    """

    source: str
    seed: int
    chunk: int
    family: str
    cases: int = 0
    refused: int = 0
    taken: int = 0
    compared: int = 0
    unknown: int = 0
    errors: int = 0
    wrong: int = 0
    slow: int = 0
    seconds: float = 0.0
    wall: float = 0.0
    mb: float = 0.0


def main() -> int:
    """Do the chunks that results.csv does not have; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--chunks", type=int, help="of each source, at most; for a look")
    arguments = parser.parse_args()
    done = {(row.source, row.seed, row.chunk) for row in rows()}
    left = [
        (source, SEED, chunk)
        for source in CASES
        for chunk in range(CASES[source] // CHUNK[source])[: arguments.chunks]
        if (source, SEED, chunk) not in done
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, context) as processes:
        try:
            for future in as_completed([processes.submit(chunk_rows, *one) for one in left]):
                found, told = future.result()
                append(RESULTS, map(asdict, found))
                print(f"{len(found)} rows of chunk {found[0].source} {found[0].chunk}", flush=True)
                for line in told:
                    print(line, flush=True)
        except BaseException:  # at once, not when all the others are done
            processes.shutdown(cancel_futures=True)
            raise
    found = rows()
    put(README, MARK, table(found))
    return int(any(row.errors or row.wrong or row.slow for row in found))


def rows() -> list[Row]:
    """Read results."""
    kinds = {field.name: field.type for field in fields(Row)}
    return [
        Row(**{name: kinds[name](value) for name, value in row.items()})  # type: ignore[operator]
        for row in read(RESULTS)
    ]


def table(found: Sequence[Row]) -> list[str]:
    """Sum the rows up for README.md."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in found:
        groups[row.source, row.family].append(row)
    lines = []
    for key, group in [*sorted(groups.items(), reverse=True), (("both", "all"), found)]:
        sums = (f"{sum(getattr(row, name) for row in group):,}" for name in SUMS)
        most = f"{max(row.seconds for row in group):.2f}", f"{max(row.mb for row in group):.0f}"
        lines.append((*key, *sums, *most))
    return markdown(["drawn by", "damaged", *SUMS.values(), "most s", "most MB"], lines)


@cache
def pool() -> tuple[Record, ...]:
    """Read the records that cases start from, once a process; and import all that a case needs."""
    import wfdb  # noqa: F401

    root = Path(os.environ["LVH_LUDB_ROOT"])
    return records_in(root, [str(at) for at in range(1, 201)])


def chunk_rows(source: str, seed: int, chunk: int) -> tuple[list[Row], list[str]]:
    """Do one chunk, in a process of its own."""
    signal.signal(signal.SIGALRM, _give_up)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        root = Path(folder) / "set"
        uncounted = Count("", 0, 0, root)
        for number in range(20):
            uncounted(case(pool(), -1, number), "")
        count = Count(source, seed, chunk, root)
        {"mutation": mutations, "hypothesis": by_hypothesis}[source](seed, chunk, count)
    return [count.rows[family] for family in sorted(count.rows)], count.told


def mutations(seed: int, chunk: int, count: Callable[[Case, str], None]) -> None:
    """Count the cases of one chunk."""
    for number in range(chunk * CHUNK["mutation"], (chunk + 1) * CHUNK["mutation"]):
        count(case(pool(), seed, number), str(number))


def by_hypothesis(seed: int, chunk: int, count: Callable[[Case, str], None]) -> None:
    """Count what Hypothesis draws."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from strategies import cases

    @seeded(seed * 1000 + chunk)
    @settings(
        max_examples=CHUNK["hypothesis"],
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(pool()[:20]))
    def draw(one: Case) -> None:
        count(one, f"{chunk}, {one.files}" if len(str(one.files)) < 2000 else str(chunk))

    draw()


class Count:
    """Runs cases one after another and counts what comes out."""

    def __init__(self, source: str, seed: int, chunk: int, root: Path) -> None:
        """Begin a chunk whose cases are written to `root`."""
        self.rows: dict[str, Row] = {}
        self.told: list[str] = []
        self._new = lambda family: Row(source, seed, chunk, family)
        self._root = root
        self._taken = 0

    def __call__(self, one: Case, name: str) -> None:
        """Do one case."""
        from judged import faults_by_oracle, faults_of_cohort, faults_of_refusal, read

        from lvh.errors import InputError

        row = self.rows.setdefault(one.family, self._new(one.family))
        row.cases += 1
        write(one.files, self._root)
        try:
            with measured(row):
                found = read(self._root)
        except (Exception, TimeoutError):
            row.errors += 1
            self.told.append(f"{one.kind} {name}: {traceback.format_exc()}")
            return
        if isinstance(found, InputError):
            row.refused += 1
            faults = faults_of_refusal(found, self._root)
        else:
            row.taken += 1
            self._taken += 1
            faults = faults_of_cohort(found, self._root)
            if self._taken % COMPARED_EVERY == 0:
                row.compared += 1
                differences = faults_by_oracle(found, self._root)
                unknown = [one for one in differences if one.startswith("wfdb refuses")]
                row.unknown += bool(unknown)
                self.told += [f"{one.kind} {name}: {told}" for told in unknown]
                faults += [one for one in differences if one not in unknown]
        if faults:
            row.wrong += 1
            self.told.append(f"{one.kind} {name}: {', '.join(faults)}")


@contextmanager
def measured(row: Row) -> Iterator[None]:
    """Measure for the greatest values of a row, within limits of memory and time."""
    (size, before), highest = memory(), peak()
    limit_memory(size + ALLOWED_MB * 2**20)
    signal.setitimer(signal.ITIMER_REAL, GIVEN_UP)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        signal.setitimer(signal.ITIMER_REAL, 0)
        limit_memory(resource.RLIM_INFINITY)
        row.slow += cpu > ALLOWED_SECONDS
        row.seconds, row.wall = round(max(row.seconds, cpu), 4), round(max(row.wall, wall), 4)
        if peak() > highest:  # else it grew less than a case before it
            row.mb = round(max(row.mb, (peak() - before) / 2**20), 1)


def limit_memory(size: int) -> None:
    """Bound the process to so many bytes of addresses: beyond them, MemoryError."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def memory() -> tuple[int, int]:
    """Return the bytes of addresses and of memory that the process has."""
    size, resident = Path("/proc/self/statm").read_text().split()[:2]
    return int(size) * resource.getpagesize(), int(resident) * resource.getpagesize()


def peak() -> int:
    """Return the most bytes of memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError(f"still running after {GIVEN_UP} s")


if __name__ == "__main__":
    sys.exit(main())
