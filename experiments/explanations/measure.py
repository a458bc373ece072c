"""Explain what README.md compares, and make its table, its figures and the files again.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/explanations/measure.py
    python experiments/explanations/measure.py --only svm resnet

Writes results.csv (every loss), scores.csv, the figures and the table of README.md.
Runs that were finished before are not trained again, but explained again.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import interval, keep, ludb, lvh, put, read, table

HERE = Path(__file__).resolve().parent
OUTPUTS = HERE.parents[1] / "outputs/explanations_experiment"
MARK = "<!-- losses, made by measure.py -->"
RUNS = {
    "svm": ("RBF machine on voltages", "model=svm features=voltage", "importance", ""),
    "dnn": ("the default network on ntp", "", "importance", ""),
    "resnet": (
        "residual network on beats, 30 epochs",
        "model=resnet train.epochs=30 cv.folds=4",
        "saliency",
        "",
    ),
    "cnn": (
        "convolutional network, 12 epochs",
        "model=cnn stride=125 train.epochs=12 cv.folds=4 features.scaling=none "
        "model.bn_momentum=0.9",
        "saliency",
        "--folds 2",
    ),
}
"""What a run is for a person, what is typed, its picture, and options of `lvh explain`."""
COLUMNS = {
    "leads": ("lead", "lead_inputs"),
    "waves": ("wave", "wave_inputs"),
    "criteria": ("criterion", "criterion_inputs"),
    "groups": ("group",),
}


def main() -> None:
    """Run and explain what is asked for, and write all down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    for name in parser.parse_args().only:
        started, folder = time.perf_counter(), OUTPUTS / name
        _, overrides, picture, options = RUNS[name]
        places = (f"hydra.run.dir={folder}", f"store={OUTPUTS / 'folds'}", *ludb())
        lvh("run", *overrides.split(), "tracking=off", *places, folder=OUTPUTS)
        lvh("explain", str(folder), *options.split(), folder=OUTPUTS)
        made = folder / "explanation"
        keep(HERE / "results.csv", name, read(made / "importance.csv"), RUNS)
        keep(HERE / "scores.csv", name, read(made / "scores.csv"), RUNS)
        shutil.copy(made / f"{picture}.png", HERE / f"{name}_{picture}.png")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    show()


def show() -> None:
    """Make the table of what each model loses most by."""
    results, rows = read(HERE / "results.csv"), []
    scores = [row for row in read(HERE / "scores.csv") if row["metric"] == "ap"]
    pooled = {(row["run"], row["of"]): row for row in scores}
    for name, (what, *_) in RUNS.items():
        if (name, "model") not in pooled:
            continue
        cells = [interval(pooled[name, "model"])]
        cells.append(f"{float(pooled[name, 'age + sex']['pooled']):.3f}")
        for kinds in COLUMNS.values():
            own = [row for row in results if row["run"] == name and row["kind"] in kinds]
            own.sort(key=lambda row: -float(row["ap_drop"]))
            largest = [f"{row['name']} {interval(row, 'ap_drop', 'ap_drop_')}" for row in own[:3]]
            cells.append("; ".join(largest) or "none")
        rows.append([what, *cells])
    put(HERE / "README.md", MARK, table(["", "pooled ap", "age + sex", *COLUMNS], rows))


if __name__ == "__main__":
    main()
