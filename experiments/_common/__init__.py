"""What the experiments share: rows of CSV files, tables of README.md, figures, commands.

A script puts `experiments/` into `sys.path`, so that it runs by its path from any folder.
"""

import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lvh.files import write_text, written_whole

END = "<!-- end -->"
BLUE, ORANGE = "#1f4e79", "#b5651d"


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; a file that is not there has none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, whole or not at all; the first has the names of the columns."""
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows at the end of a CSV file, which is made if it is not there."""
    with path.open("a", newline="") as file:
        for row in rows:
            writer = csv.DictWriter(file, row.keys(), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerow(row)


def keep(path: Path, run: str, rows: Iterable[Mapping[str, str]], order: Iterable[str]) -> None:
    """Put the rows of a run in the place of its former ones; runs are in the order given."""
    new = [{"run": run, **row} for row in rows]
    every, place = [row for row in read(path) if row["run"] != run] + new, list(order)
    write(path, sorted(every, key=lambda row: place.index(row["run"])))


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (header, *rows)]
    return [lines[0], "|" + "---|" * len(header), *lines[1:]]


def put(path: Path, mark: str, lines: Iterable[str]) -> None:
    """Put lines behind a mark of a page, in place of what is there up to `END` or the end."""
    before, _, rest = path.read_text().partition(mark)
    _, end, after = rest.partition(END)
    after = f"\n{end}{after}" if end else ""
    write_text(path, "\n".join([before + mark, "", *lines, after]))


def interval(row: Mapping[str, Any], of: str = "pooled", ends: str = "") -> str:
    """Write an estimate with its 95 % interval."""
    estimate, low, high = (float(row[name]) for name in (of, f"{ends}low", f"{ends}high"))
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def figure(width: float, height: float, dpi: int = 100) -> Any:
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def ludb() -> list[str]:
    """Return the override that names the folder of LUDB, if a variable has it."""
    root = os.environ.get("LVH_LUDB_ROOT")
    return [f"data.root={Path(root).resolve()}"] if root else []


def lvh(module: str, *arguments: str, folder: Path) -> None:
    """Run a command of lvh in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"lvh.{module}", *arguments]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def start(folder: Path, log: str, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
    """Start `python -m lvh.run` in a folder, which is made; what it shows goes to a file there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log).open("w") as out:
        command = [sys.executable, "-m", "lvh.run", *arguments]
        return subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, **how)
