"""Explain what README.md compares, and make its table, its figures and the files again.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/explanations/measure.py
    python experiments/explanations/measure.py --only svm resnet

Writes results.csv (every loss), scores.csv, the figures and the table of README.md.
Runs that were finished before are not trained again, but explained again.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/explanations_experiment"
MARK = "<!-- losses, made by measure.py -->"
FILES = {
    "importance.csv": "results.csv",
    "scores.csv": "scores.csv",
}


class Run(NamedTuple):
    """What is run and explained, and what it is for a person."""

    what: str
    overrides: tuple[str, ...]
    pictures: tuple[str, ...]
    explain: tuple[str, ...] = ()


RUNS = {
    "svm": Run("RBF machine on voltages", ("model=svm", "features=voltage"), ("importance",)),
    "dnn": Run("the default network on ntp", (), ("importance",)),
    "resnet": Run(
        "residual network on beats, 30 epochs",
        ("model=resnet", "train.epochs=30", "cv.folds=4"),
        ("saliency",),
    ),
    "cnn": Run(
        "convolutional network, 12 epochs",
        (
            *("model=cnn", "stride=125", "train.epochs=12", "cv.folds=4"),
            *("features.scaling=none", "model.bn_momentum=0.9"),
        ),
        ("saliency",),
        ("--folds", "2", "--stride", "80"),
    ),
}
KINDS = {
    "lead": "leads",
    "wave": "waves",
    "lead_inputs": "leads",
    "wave_inputs": "waves",
    "criterion": "criteria",
    "criterion_inputs": "criteria",
    "group": "groups",
}


def main() -> None:
    """Run and explain what is asked for, and write all down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    for name in parser.parse_args().only:
        started = time.perf_counter()
        folder = OUTPUTS / name
        run(RUNS[name], folder)
        made = folder / "explanation"
        for source, to in FILES.items():
            keep(HERE / to, name, made / source)
        for picture in RUNS[name].pictures:
            shutil.copy(made / f"{picture}.png", HERE / f"{name}_{picture}.png")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    put(MARK, losses(read(HERE / "results.csv"), read(HERE / "scores.csv")))


def run(asked: Run, folder: Path) -> None:
    """Run the two commands that a user types."""
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lvh.run", *asked.overrides, "tracking=off"]
    command += [f"hydra.run.dir={folder}", f"store={OUTPUTS / 'folds'}"]
    root = os.environ.get("LVH_LUDB_ROOT")
    if root:
        command.append(f"data.root={Path(root).resolve()}")
    explain = [sys.executable, "-m", "lvh.explain", str(folder), *asked.explain]
    for one in (command, explain):
        subprocess.run(one, check=True, cwd=OUTPUTS, stdout=subprocess.DEVNULL)


def keep(path: Path, name: str, source: Path) -> None:
    """Put the rows of a run in the place of its former ones, in the order of RUNS."""
    new = [{"run": name, **row} for row in read(source)]
    rows = [row for row in read(path) if row["run"] != name] + new
    order = list(RUNS)
    rows.sort(key=lambda row: order.index(row["run"]))  # stable: the rest keeps its order
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, new[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    """Read a table; none is empty."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def losses(results: Sequence[dict[str, str]], scores: Sequence[dict[str, str]]) -> list[str]:
    """Make the table of what each model loses most by."""
    pooled = {(row["run"], row["of"]): row for row in scores if row["metric"] == "ap"}
    columns = ("leads", "waves", "criteria", "groups")
    made = [f"| | pooled ap | age + sex | {' | '.join(columns)} |", "|---|---|---|---|---|---|---|"]
    for name, one in RUNS.items():
        if (name, "model") not in pooled:
            continue
        cells = [interval(pooled[name, "model"], "pooled", "")]
        cells.append(f"{float(pooled[name, 'age + sex']['pooled']):.3f}")
        for column in columns:
            rows = [
                row for row in results if row["run"] == name and KINDS.get(row["kind"]) == column
            ]
            rows.sort(key=lambda row: -float(row["ap_drop"]))
            largest = [f"{row['name']} {interval(row, 'ap_drop', 'ap_drop_')}" for row in rows[:3]]
            cells.append("; ".join(largest) or "none")
        made.append(f"| {' | '.join([one.what, *cells])} |")
    return made


def interval(row: dict[str, str], name: str, prefix: str) -> str:
    """Show an estimate with its 95 % interval."""
    estimate, low, high = (float(row[one]) for one in (name, f"{prefix}low", f"{prefix}high"))
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def put(mark: str, table: Sequence[str]) -> None:
    """Put a table behind its mark, up to the next empty line but one."""
    path = HERE / "README.md"
    before, _, after = path.read_text().partition(mark)
    rest = after.partition("\n\n")[2].partition("\n\n")[2]  # behind the former table
    path.write_text(f"{before}{mark}\n\n" + "\n".join(table) + f"\n\n{rest}")


if __name__ == "__main__":
    main()
