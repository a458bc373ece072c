"""Run what README.md compares, and make its table, its figure and the files again.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/best_honest/measure.py
    python experiments/best_honest/measure.py --only svm average

Writes results.csv (every fold), scores.csv (means, deviations, intervals, baselines), models.png
and the table of README.md. What was trained before is not trained again: Ctrl-C loses a fold.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import BLUE, ORANGE, figure, interval, keep, ludb, lvh, put, read, save, table

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/best_honest"
MARK = "<!-- made by measure.py from scores.csv -->"
SHOWN = ("accuracy", "ap", "roc_auc", "recall_at_90")
RUNS = {
    "chosen": ("chosen inside, 7 x 5", "model=nested_selection features=voltage cv=repeated"),
    "chosen_report": (
        "chosen inside, the original study's folds",
        "model=nested_selection features=voltage",
    ),
    "svm": ("RBF machine, C = 1, 7 x 5", "model=svm features=voltage cv=repeated"),
    "average": ("three kinds averaged, 7 x 5", "model=voting features=voltage cv=repeated"),
    "average_report": (
        "three kinds averaged, the original study's folds",
        "model=voting features=voltage",
    ),
    "average_morphology": ("three kinds averaged, more inputs, 7 x 5", "experiment=best_honest"),
    "average_morphology_report": (
        "three kinds averaged, more inputs, the original study's folds",
        "experiment=best_honest cv=kfold",
    ),
    "chosen_morphology": (
        "chosen inside, more inputs, 7 x 5",
        "experiment=best_honest model=nested_selection",
    ),
    "threshold": (
        "RBF machine, threshold for 90 % specificity chosen inside, 7 x 5",
        "model=svm features=voltage cv=repeated cv.threshold=specificity_90",
    ),
    "two_branch": (
        "waveform and voltages, two branches, 7 x 5",
        "model=two_branch cv=repeated",
    ),
}
"""What a run is for a person, and what is typed."""
LINES = [(what, name, "model") for name, (what, _) in RUNS.items() if name != "threshold"]
LINES += [(f"{baseline}, 7 x 5", "chosen", baseline) for baseline in ("age + sex", "no skill")]


def main() -> None:
    """Run what is asked for and write all down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    for name in parser.parse_args().only:
        started, folder = time.perf_counter(), OUTPUTS / name
        places = (f"hydra.run.dir={folder}", f"store={OUTPUTS / 'folds'}", *ludb())
        lvh("run", *RUNS[name][1].split(), "tracking=off", *places, folder=OUTPUTS)
        keep(HERE / "results.csv", name, read(folder / "folds.csv"), RUNS)
        keep(HERE / "scores.csv", name, read(folder / "scores.csv"), RUNS)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    if (OUTPUTS / "average_morphology/summary.png").exists():
        shutil.copy(OUTPUTS / "average_morphology/summary.png", HERE)
    show()


def show() -> None:
    """Make the table, means over folds and two pooled intervals, and draw the latter."""
    of = {(row["run"], row["of"], row["metric"]): row for row in read(HERE / "scores.csv")}
    shown = [line for line in LINES if (*line[1:], "ap") in of]
    rows = []
    for what, *key in shown:
        means = [f"{float(of[*key, metric]['mean']):.3f}" for metric in SHOWN]
        rows.append([what, *means, *(interval(of[*key, metric]) for metric in SHOWN[:2])])
    columns = "|accuracy|ap|AUC|sensitivity at 90 % specificity|pooled accuracy|pooled ap"
    put(HERE / "README.md", MARK, table(columns.split("|"), rows))
    picture = figure(11, 4.6)
    for ax, metric in zip(picture.subplots(1, 2), SHOWN, strict=False):
        for height, (_, *key) in enumerate(shown[::-1]):
            ends = [float(of[*key, metric][end]) for end in ("low", "high")]
            color = BLUE if key[1] == "model" else ORANGE
            ax.plot(ends, [height, height], color=color)
            ax.plot(float(of[*key, metric]["pooled"]), height, "o", color=color)
        ax.set(xlabel=f"pooled {metric}, 95 % interval", xlim=(0.4, 1.0))
        names = [line[0] for line in shown[::-1]] if metric == "accuracy" else []
        ax.set_yticks(range(len(shown)), names)
    save(picture, HERE / "models.png")


if __name__ == "__main__":
    main()
