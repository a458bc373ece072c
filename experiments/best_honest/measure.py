"""Run what README.md compares, and make its table, its figure and the files anew.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/best_honest/measure.py
    python experiments/best_honest/measure.py --only svm average

Writes results.csv (every fold), scores.csv (means, deviations, intervals, baselines), models.png
and the table of README.md. What was trained before is not trained again: Ctrl-C loses a fold.
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
OUTPUTS = HERE.parents[1] / "outputs/best_honest"
MARK = "<!-- made by measure.py from scores.csv -->"
SHOWN = ("accuracy", "ap", "roc_auc", "recall_at_90")
_REPEATED = ("features=voltage", "cv=repeated")


class Run(NamedTuple):
    """What is run, and what it is for a person."""

    what: str
    overrides: tuple[str, ...]


RUNS = {
    "chosen": Run("chosen inside, 7 x 5", ("model=chosen", *_REPEATED)),
    "chosen_report": Run(
        "chosen inside, the original study's folds", ("model=chosen", "features=voltage")
    ),
    "svm": Run("RBF machine, C = 1, 7 x 5", ("model=svm", *_REPEATED)),
    "average": Run("three kinds averaged, 7 x 5", ("model=average", *_REPEATED)),
    "average_report": Run(
        "three kinds averaged, the original study's folds", ("model=average", "features=voltage")
    ),
    "average_morphology": Run(
        "three kinds averaged, more inputs, 7 x 5",
        ("experiment=best_honest",),
    ),
    "average_morphology_report": Run(
        "three kinds averaged, more inputs, the original study's folds",
        ("experiment=best_honest", "cv=kfold"),
    ),
    "chosen_morphology": Run(
        "chosen inside, more inputs, 7 x 5", ("experiment=best_honest", "model=chosen")
    ),
    "threshold": Run(
        "RBF machine, threshold for 90 % specificity chosen inside, 7 x 5",
        ("model=svm", *_REPEATED, "cv.threshold=specificity_90"),
    ),
    "two_branch": Run(
        "waveform and voltages, two branches, 7 x 5", ("model=two_branch", "cv=repeated")
    ),
}
BASELINES = {"age + sex": "age + sex, 7 x 5", "no skill": "no skill, 7 x 5"}


def main() -> None:
    """Run what is asked for and write all down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    for name in parser.parse_args().only:
        started = time.perf_counter()
        folder = OUTPUTS / name
        run(RUNS[name], folder)
        keep(HERE / "results.csv", name, folder / "folds.csv")
        keep(HERE / "scores.csv", name, folder / "scores.csv")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    if (OUTPUTS / "average_morphology/summary.png").exists():
        shutil.copy(OUTPUTS / "average_morphology/summary.png", HERE)
    scores = read(HERE / "scores.csv")
    draw(scores)
    write_table(scores)


def run(asked: Run, folder: Path) -> None:
    """Run the command that a user types."""
    command = [sys.executable, "-m", "lvh.run", *asked.overrides]
    command += ["tracking=off", f"hydra.run.dir={folder}", f"store={OUTPUTS / 'folds'}"]
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    root = os.environ.get("LVH_LUDB_ROOT")
    if root:
        command.append(f"data.root={Path(root).resolve()}")
    subprocess.run(command, check=True, cwd=OUTPUTS, stdout=subprocess.DEVNULL)


def keep(path: Path, name: str, source: Path) -> None:
    """Put the rows of a run in the place of its former ones, in the order of RUNS."""
    with source.open(newline="") as file:
        new = [{"run": name, **row} for row in csv.DictReader(file)]
    rows = [row for row in read(path) if row["run"] != name] + new
    order = list(RUNS)
    rows.sort(key=lambda row: order.index(row["run"]))  # stable: folds keep their order
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


def lines(scores: Sequence[dict[str, str]]) -> list[str]:
    """Make the table of README.md: means over folds, and pooled intervals of two."""
    of = {(row["run"], row["of"], row["metric"]): row for row in scores}
    shown = [(one.what, name, "model") for name, one in RUNS.items() if name != "threshold"]
    shown += [(what, "chosen", baseline) for baseline, what in BASELINES.items()]
    made = [
        "| | accuracy | ap | AUC | sensitivity at 90 % specificity | pooled accuracy | pooled ap |"
    ]
    made.append("|---|---|---|---|---|---|---|")
    for what, name, whose in shown:
        if (name, whose, "ap") not in of:
            continue
        means = [f"{float(of[name, whose, metric]['mean']):.3f}" for metric in SHOWN]
        pooled = [interval(of[name, whose, metric]) for metric in SHOWN[:2]]
        made.append(f"| {' | '.join([what, *means, *pooled])} |")
    return made


def interval(row: dict[str, str]) -> str:
    """Show an estimate with its 95 % interval."""
    estimate, low, high = (float(row[name]) for name in ("pooled", "low", "high"))
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def write_table(scores: Sequence[dict[str, str]]) -> None:
    """Put the table behind the mark, up to the next empty line but one."""
    path = HERE / "README.md"
    before, _, after = path.read_text().partition(MARK)
    rest = after.partition("\n\n")[2].partition("\n\n")[2]  # behind the former table
    path.write_text(f"{before}{MARK}\n\n" + "\n".join(lines(scores)) + f"\n\n{rest}")


def draw(scores: Sequence[dict[str, str]]) -> None:
    """Draw the pooled estimates of all runs with their intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of = {(row["run"], row["of"], row["metric"]): row for row in scores}
    shown = [(one.what, name, "model") for name, one in RUNS.items() if name != "threshold"]
    shown += [(what, "chosen", baseline) for baseline, what in BASELINES.items()]
    shown = [one for one in shown if (*one[1:], "ap") in of][::-1]
    figure = Figure(figsize=(11, 4.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for at, metric in enumerate(("accuracy", "ap"), start=1):
        ax = figure.add_subplot(1, 2, at)
        for height, (_, name, whose) in enumerate(shown):
            row = {key: float(of[name, whose, metric][key]) for key in ("pooled", "low", "high")}
            color = "#1f4e79" if whose == "model" else "#b5651d"
            ax.plot([row["low"], row["high"]], [height, height], color=color)
            ax.plot(row["pooled"], height, "o", color=color)
        ax.set(xlabel=f"pooled {metric}, 95 % interval", xlim=(0.4, 1.0))
        ax.set_yticks(range(len(shown)), [one[0] for one in shown] if at == 1 else [])
    figure.savefig(HERE / "models.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
