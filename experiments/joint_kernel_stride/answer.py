"""Draw the joint answer from the leaderboards of finished sweeps.

    python experiments/joint_kernel_stride/answer.py millivolts=outputs/latest/report ...

Copies the leaderboard of each sweep to leaderboard_NAME.csv beside this file, and draws all that
are there as answer.png: a heat map of kernel by stride each, with the mean AP of a cell, its 95 %
interval and whether the folds can tell it apart from the best.
"""

import shutil
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

HERE = Path(__file__).resolve().parent
TITLES = {
    "minmax": "Input of the 2021 study: min-max of aVL V1 V5 V6, LUDB",
    "millivolts": "Millivolts of all leads, LUDB",
    "ptbxl": "Millivolts of all leads, part of PTB-XL",
}
RANGE = (0.5, 0.95)  # of AP, the same colours in all maps
MARKS = {"best": "best", "worse": "worse", "not told apart": ""}


def draw(axes: Axes, table: pd.DataFrame, title: str) -> AxesImage:
    """Draw one heat map."""
    table = table[table["state"] == "complete"]
    grid = table.pivot_table("mean", "kernel", "stride")
    image = axes.imshow(grid, cmap="viridis", vmin=RANGE[0], vmax=RANGE[1], aspect="auto")
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.set_yticks(range(len(grid.index)), grid.index)
    axes.set_xlabel("stride, samples at 500 Hz")
    axes.set_ylabel("kernel, samples")
    for row in table.itertuples():
        at = grid.columns.get_loc(row.stride), grid.index.get_loc(row.kernel)
        mark = MARKS.get(row.verdict, "")
        text = f"{row.mean:.3f} {mark}\n[{row.low:.2f}, {row.high:.2f}]"
        colour = "white" if row.mean < sum(RANGE) / 2 else "black"
        axes.text(*at, text, ha="center", va="center", fontsize=8, color=colour)
    return image


def main() -> None:
    """Copy the leaderboards that are given, and draw all that are there."""
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        shutil.copyfile(Path(folder) / "leaderboard.csv", HERE / f"leaderboard_{name}.csv")
    files = [HERE / f"leaderboard_{name}.csv" for name in TITLES]
    files = [file for file in files if file.exists()]
    figure, all_axes = plt.subplots(
        1, len(files), figsize=(5.2 * len(files), 3.6), layout="constrained", squeeze=False
    )
    for axes, file in zip(all_axes[0], files, strict=True):
        table = pd.read_csv(file)
        name = file.stem.removeprefix("leaderboard_")
        n_folds = int(table["folds"].max())
        image = draw(axes, table, f"{TITLES[name]}, {n_folds} folds")
    figure.colorbar(image, ax=all_axes, label="mean AP over folds", shrink=0.9)
    figure.savefig(HERE / "answer.png", dpi=120)


if __name__ == "__main__":
    main()
