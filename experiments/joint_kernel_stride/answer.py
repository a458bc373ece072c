"""Draw the joint answer from finished sweeps, and say what their folds can tell.

    python experiments/joint_kernel_stride/answer.py millivolts=outputs/latest ...

Takes the folder of each sweep, from the directory that the sweep was started in. Writes beside this
file: leaderboard_NAME.csv, folds_NAME.csv and comparisons_NAME.csv, the sweep's own; factors.csv,
the difference that a kernel or a stride makes on average over the other; answer.csv, the best pair
next to what knows nothing, age + sex and a logistic regression on voltages, and how far the
regression is ahead of the pair, fold by fold; answer.png, a heat map a grid: the mean AP of a cell,
its 95 % interval and whether the folds can tell it apart from the best. The free search is drawn as
points, those that were stopped without a score.
"""

import math
import shutil
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from itertools import combinations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

import lvh
from lvh.reports.leaderboard import without_selection_bias
from lvh.validation.comparison import corrected_interval, corrected_t, holm

HERE = Path(__file__).resolve().parent
TITLES = {
    "minmax": "Input of the 2021 study: min-max of aVL V1 V5 V6, LUDB",
    "millivolts": "Millivolts of all leads, LUDB",
    "ptbxl": "Millivolts of all leads, part of PTB-XL",
    "free": "Any kernel and stride, millivolts of all leads, LUDB",
}
DIMENSIONS = {"model.kernel_size": "kernel", "model.strides": "stride"}  # of the free search
STRIDES = (5, 10, 25, 50, 125, 250)  # marked on its axis
RANGE = (0.5, 0.95)  # of AP, the same colours in all maps
MARKS = {"best": "best", "worse": "worse", "not told apart": ""}
LOGISTIC = ("model=logistic", "features=voltage", "cv=stratified")
DATA = {"ptbxl": ("data=ptbxl", "data.fs=500", "data.delineation=found")}


def leaderboard(name: str) -> pd.DataFrame:
    """Return the leaderboard of a sweep."""
    return pd.read_csv(HERE / f"leaderboard_{name}.csv").rename(columns=DIMENSIONS)


def scatter(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the points of the free search: filled if trained to the end, else hollow."""
    complete = table["state"] == "complete"
    done, stopped = table[complete], table[~complete]
    colours = {"c": done["mean"], "cmap": "viridis", "vmin": RANGE[0], "vmax": RANGE[1]}
    hollow = {"s": 18, "facecolors": "none", "edgecolors": "grey"}
    axes.scatter(stopped["stride"], stopped["kernel"], label="stopped early", **hollow)
    axes.scatter(done["stride"], done["kernel"], s=60, edgecolors="black", **colours)
    axes.set_xscale("log")
    axes.set_xticks(STRIDES, STRIDES)
    axes.minorticks_off()
    axes.legend(loc="upper right", fontsize=8)
    for row in done.itertuples():
        place = {"textcoords": "offset points", "xytext": (7, -3), "fontsize": 8}
        text = f"{row.mean:.3f} [{row.low:.2f}, {row.high:.2f}] {MARKS[row.verdict]}"
        axes.annotate(text, (row.stride, row.kernel), **place)


def draw(axes: Axes, table: pd.DataFrame) -> AxesImage:
    """Draw one heat map."""
    grid = table.pivot_table("mean", "kernel", "stride")
    image = axes.imshow(grid, cmap="viridis", vmin=RANGE[0], vmax=RANGE[1], aspect="auto")
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.set_yticks(range(len(grid.index)), grid.index)
    for row in table.itertuples():
        at = grid.columns.get_loc(row.stride), grid.index.get_loc(row.kernel)
        mark = MARKS.get(row.verdict, "")
        text = f"{row.mean:.3f} {mark}\n[{row.low:.2f}, {row.high:.2f}]"
        colour = "white" if row.mean < sum(RANGE) / 2 else "black"
        axes.text(*at, text, ha="center", va="center", fontsize=8, color=colour)
    return image


def folds_of(name: str) -> pd.DataFrame:
    """Return the fold scores of a sweep."""
    return pd.read_csv(HERE / f"folds_{name}.csv")


def of_factors(name: str) -> pd.DataFrame:
    """Compare the levels of each factor: means over the other factor, paired by fold."""
    folds = folds_of(name)
    points = leaderboard(name)[["trial", "kernel", "stride"]]
    share = float((folds["n_test"] / folds["n_train"]).mean())
    scores = folds.merge(points, on="trial")
    means = {
        factor: scores.pivot_table("ap", ["repeat", "fold"], factor)
        for factor in ("kernel", "stride")
    }
    return compared(name, means, share)


def of_inputs() -> pd.DataFrame:
    """Compare the two inputs on LUDB: means over all pairs, paired by fold."""
    folds = {name: folds_of(name) for name in ("millivolts", "minmax")}
    share = float((folds["minmax"]["n_test"] / folds["minmax"]["n_train"]).mean())
    means = {name: of.groupby(["repeat", "fold"])["ap"].mean() for name, of in folds.items()}
    return compared("both", {"input": pd.DataFrame(means)}, share)


def compared(name: str, scores: dict[str, pd.DataFrame], share: float) -> pd.DataFrame:
    """Compare the columns of each factor pair by pair, their rows are folds."""
    rows = []
    for factor, means in scores.items():
        for first, second in combinations(means.columns, 2):
            differences = (means[first] - means[second]).to_numpy()
            gain = corrected_interval(differences, share)
            p = corrected_t(differences, share)[1]
            rows.append((name, factor, first, second, gain.estimate, gain.low, gain.high, p))
    columns = ["sweep", "factor", "first", "second", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm(table["p"].tolist()))


def of_best(name: str, folder: Path) -> dict[str, object]:
    """Return the scores of the best pair of a sweep, and of what it is compared with."""
    study = lvh.load_study(None, (folder / "study.txt").read_text().strip(), "outputs/folds")
    best, corrected = study.complete[0], without_selection_bias(study)
    if isinstance(corrected, str):
        raise SystemExit(f"{name}: {corrected}")
    settings = lvh.settings(*LOGISTIC, *DATA.get(name, ()))
    result = lvh.cross_validate(settings, lvh.load_data(settings))
    logistic, ours = result.scores, folds_of(name)
    pairs = result.to_frame().merge(ours[ours["trial"] == best.number], on=["repeat", "fold"])
    share = float((pairs["n_test_x"] / pairs["n_train_x"]).mean())
    gain = corrected_interval((pairs["ap_x"] - pairs["ap_y"]).to_numpy(), share)
    pair = {DIMENSIONS.get(of, of): value for of, value in best.params.items()}
    row: dict[str, object] = {"sweep": name, **pair, "mean": best.values[0]}
    row |= {"pooled": corrected.naive, "corrected": corrected.estimate.estimate}
    row |= {"corrected_low": corrected.estimate.low}
    row |= {"corrected_high": corrected.estimate.high}
    row |= {
        of.replace(" + ", "_").replace(" ", "_"): scores["ap"]
        for of, scores in best.baselines.items()
    }
    row |= {"logistic": logistic.mean.ap, "logistic_pooled": logistic.pooled["ap"].estimate}
    return row | {"gain": gain.estimate, "gain_low": gain.low, "gain_high": gain.high}


def main() -> None:
    """Copy the tables of the sweeps that are given, and draw all that are there."""
    path = HERE / "answer.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        for table in ("leaderboard", "folds", "comparisons"):
            shutil.copyfile(Path(folder) / "report" / f"{table}.csv", HERE / f"{table}_{name}.csv")
        rows = [row for row in rows if row["sweep"] != name] + [of_best(name, Path(folder))]
    order = list(TITLES)
    rows.sort(key=lambda row: order.index(str(row["sweep"])))
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
    names = [name for name in TITLES if (HERE / f"leaderboard_{name}.csv").exists()]
    factors = [of_factors(name) for name in names if name != "free"]
    if {"millivolts", "minmax"} <= {*names}:
        factors.append(of_inputs())
    pd.concat(factors).to_csv(HERE / "factors.csv", index=False, float_format="%.4f")
    n_rows = math.ceil(len(names) / 2)
    figure, all_axes = plt.subplots(
        n_rows, 2, figsize=(10.4, 3.6 * n_rows), layout="constrained", squeeze=False
    )
    for axes in all_axes.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(all_axes.flat, names, strict=False):
        table = leaderboard(name)
        axes.set_title(f"{TITLES[name]}, {table['folds'].max()} folds", fontsize=10)
        axes.set_xlabel("stride, samples at 500 Hz")
        axes.set_ylabel("kernel, samples")
        if name == "free":
            scatter(axes, table)
        else:
            image = draw(axes, table[table["state"] == "complete"])
    figure.colorbar(image, ax=all_axes, label="mean AP over folds", shrink=0.9)
    figure.savefig(HERE / "answer.png", dpi=120)


if __name__ == "__main__":
    main()
