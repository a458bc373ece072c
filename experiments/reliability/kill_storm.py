"""Kill a sweep with -9 again and again, restart it each time, and look at what it comes to.

python experiments/reliability/kill_storm.py --kills 50
"""

import argparse
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import append, read, start

SWEEP = (
    *("-m", "data=synthetic", "data.records=42", "cv.folds=3", "train.side_by_side=1"),
    *("model.units=[8,4,2]", "train.epochs=200", "train.learning_rate=0.001,0.003,0.01"),
)
N_TRIALS, N_FOLDS = 3, 3
LONGEST = 600  # s; a command that takes longer hangs
_ENDS = {".csv": b"\n", ".json": b"\n", ".yaml": b"\n"}
_ENDS |= {".png": b"IEND\xaeB`\x82", ".html": b"</html>"}


@dataclass
class Kill:
    """One kill, and what was found after it.

    Attributes:
        kill: From 1.
        round: Of the sweep that was killed, from 1; a new one begins when one has ended.
        seconds: From the start of the command.
        whom: `main` process, or its whole `group`.
        phase: What the command had shown last.
        folds: That are kept after it.
        trials: That are finished after it.
        open_runs: In the tracking store.
        leftovers: Hidden files that a writer had not yet given their name.
        faults: What must not be; empty.
    """

    kill: int
    round: int
    seconds: float
    whom: str
    phase: str = ""
    folds: int = 0
    trials: int = 0
    open_runs: int = 0
    leftovers: int = 0
    faults: str = ""


@dataclass
class Place:
    """Where a sweep is run, and what has been seen of its folds: each is to be written once."""

    folder: Path
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def folds(self) -> list[Path]:
        """Kept folds."""
        return sorted(self.folder.glob("outputs/folds/??/[!.]*.json"))

    @property
    def leftovers(self) -> list[Path]:
        """Files that were being written."""
        return [path for path in self.folder.rglob(".*") if path.is_file()]

    def query(self, database: str, statement: str) -> list[tuple]:
        """Ask a database, if it is there."""
        path = self.folder / database
        if not path.exists():
            return []
        with closing(sqlite3.connect(path, timeout=60)) as store:
            return store.execute(statement).fetchall()

    def statuses(self) -> Counter[tuple[str, str]]:
        """Count tracked runs by level and status."""
        statement = """select value, status from runs join tags using (run_uuid)
            where key = 'level' and lifecycle_stage = 'active'"""
        return Counter(self.query("mlflow.db", statement))

    def faults(self) -> Iterator[str]:
        """Say what must not be, however often the sweep was killed."""
        for path in self.folds:
            written = path.stat().st_ino, path.stat().st_mtime_ns
            if self.seen.setdefault(path.name, written) != written:
                yield f"fold {path.name[:8]} was written again"
        for path in self.folder.rglob("outputs/**/*.*"):
            if path.is_file() and not path.name.startswith(".") and _is_torn(path):
                yield f"{path.relative_to(self.folder)} is torn"
        for database in ("studies.db", "mlflow.db"):
            if self.query(database, "pragma integrity_check") not in ([], [("ok",)]):
                yield f"{database} is damaged"

    def table(self) -> dict[str, list[dict[str, str]]]:
        """Return the latest tables, without what is measured."""
        report = sorted(self.folder.glob("outputs/*/*/report/leaderboard.csv"))[-1].parent
        return {name: _rows(report / name) for name in ("leaderboard.csv", "folds.csv")}


def begun(place: Place, number: int) -> subprocess.Popen:
    """Start the command, in a group of its own; what it shows goes to a file."""
    return start(place.folder, f"{number}.log", *SWEEP, start_new_session=True)


def undisturbed(place: Place) -> float:
    """Run a sweep that nobody disturbs and return its seconds."""
    started = time.perf_counter()
    code = begun(place, 0).wait(LONGEST)
    if code or (faults := list(after_the_end(place))):
        raise RuntimeError(f"expected an undisturbed sweep to end well: {code or faults}")
    return time.perf_counter() - started


def after_the_end(place: Place) -> Iterator[str]:
    """Say what must not be once a sweep has ended."""
    yield from place.faults()
    expected = Counter(
        {
            ("sweep", "FINISHED"): 1,
            ("configuration", "FINISHED"): N_TRIALS,
            ("fold", "FINISHED"): N_TRIALS * N_FOLDS,
        }
    )
    if (found := place.statuses()) != expected:
        yield f"runs are {dict(found)}"
    if len(place.folds) != N_TRIALS * N_FOLDS:
        yield f"{len(place.folds)} folds are kept"


def storm(folder: Path, n_kills: int, seed: int) -> Iterator[Kill]:
    """Kill, look, restart; and yield each kill.

    Args:
        folder: For the sweeps.
        n_kills: How many.
        seed: Of the moments and of who is killed.

    Raises:
        RuntimeError: A sweep did not end as the undisturbed one.
    """
    whole = Place(folder / "whole")
    seconds = undisturbed(whole)
    draws = np.random.default_rng(seed)
    done = 0
    # a machine that was busy when the undisturbed sweep ran lets many end before their shot
    for number in range(1, 10 * n_kills):
        place, started = Place(folder / f"round-{number}"), 0
        while done < n_kills:
            started += 1
            process = begun(place, started)
            moment = float(draws.uniform(0, seconds))
            try:
                _check_end(place, whole, process.wait(moment), started)
                break
            except subprocess.TimeoutExpired:
                whom = "main" if draws.random() < 0.5 else "group"
                (os.kill if whom == "main" else os.killpg)(process.pid, signal.SIGKILL)
                process.wait()
                done += 1
                killed = Kill(done, number, round(moment, 2), whom)
                _look(place, killed)
                yield killed
        else:
            _check_end(place, whole, begun(place, started + 1).wait(LONGEST), started + 1)
            return


def _look(place: Place, kill: Kill) -> None:
    log = max(place.folder.glob("*.log"), key=lambda path: int(path.stem))
    kill.phase = _phase(log.read_text())
    kill.folds, kill.leftovers = len(place.folds), len(place.leftovers)
    ended = "select count(*) from trials where state in ('COMPLETE', 'PRUNED', 'FAIL')"
    kill.trials = sum(row[0] for row in place.query("studies.db", ended)) if _has(place) else 0
    found = place.statuses()
    kill.open_runs = sum(found[one] for one in found if one[1] in ("RUNNING", "SCHEDULED"))
    kill.faults = "; ".join(place.faults())


def _has(place: Place) -> bool:
    """Whether the study's tables are made."""
    return bool(place.query("studies.db", "select 1 from sqlite_master where name = 'trials'"))


def _phase(shown: str) -> str:
    if "folds trained now" in shown:
        return "shown"
    if "study " not in shown:
        return "start"
    folds = re.findall(r"^fold (\d) of", shown, re.MULTILINE)
    concluded = re.findall(r"^trial (\d).*: ap ", shown, re.MULTILINE)
    return f"{len(concluded)} trials and {len(folds)} folds" if folds or concluded else "begun"


def _check_end(place: Place, whole: Place, code: int, number: int) -> None:
    faults = list(after_the_end(place))
    if code:
        faults.append(f"it ended with {code}: {(place.folder / f'{number}.log').read_text()}")
    elif place.table() != whole.table():
        faults.append("its table is another one")
    if faults:
        raise RuntimeError(f"{place.folder}: {'; '.join(faults)}")


def _is_torn(path: Path) -> bool:
    content = path.read_bytes()
    if path.suffix == ".json" and path.parent.name == path.stem[:2]:
        first, _, text = content.partition(b"\n")
        digest = hashlib.sha256(text.removesuffix(b"\n")).hexdigest()
        return first != json.dumps({"sha256": digest}).encode()
    return not content.endswith(_ENDS.get(path.suffix, b""))


def _rows(path: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in read(path)]


def main() -> None:
    """Do it, and write a row a kill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept afterwards; a temporary one by default")
    given = parser.parse_args()
    out = Path(__file__).with_name("kill_storm.csv")
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for kill in storm(given.folder or Path(temporary), given.kills, given.seed):
            append(out, [asdict(kill)])
            print(*asdict(kill).values(), flush=True)


if __name__ == "__main__":
    main()
