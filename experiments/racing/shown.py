"""The tables of README.md and the picture of what `simulate.py` has found."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from race import BURN_IN, race
from rules import RULES
from tables import HERE, Found, recorded, resampled

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import BLUE, ORANGE, figure, put, save
from _common import table as markdown

from lvh.search.racing import LEVEL

MARK = "<!-- made by simulate.py -->"
OUTCOMES = (
    "folds run",
    "in seconds",
    "same winner",
    "not told apart",
    "of the grid",
    "loss",
    "loss in SE",
)
DEFAULT = {"rule": "lvh", "order": "breadth", "metric": "ap", "burn_in": BURN_IN, "level": LEVEL}
TABLES = {
    "The defaults": "table",
    "Levels, mean over tables": "level",
    "Burn-in, mean over tables": "burn_in",
    "Rules, mean over tables": "rule",
    "Other scores, mean over tables": "metric",
    "Trial after trial, mean over tables": "order",
}


def write_readme(results: pd.DataFrame) -> None:
    """Put the tables into the README, behind the mark."""
    lines = []
    for title, key in TABLES.items():
        header = ["folds", key, *OUTCOMES]
        lines += [f"{title}.", "", *markdown(header, mean_rows(results, key)), ""]
    columns = ["folds", "rule", "level", "same winner, worst", "loss in SE, worst"]
    lines += ["Choice: generated scores, burn-in 3, over the seven regimes.", ""]
    lines += markdown([*columns, "folds run, mean"], choice_rows(results))
    put(HERE / "README.md", MARK, lines)


def reported(results: pd.DataFrame, **given: Any) -> pd.DataFrame:
    """Return what was reported with the default settings, or those given; None is any."""
    wanted = {"part": "report", **DEFAULT, **given}
    for name, value in wanted.items():
        results = results if value is None else results[results[name] == value]
    return results


def mean_rows(results: pd.DataFrame, key: str) -> list[tuple[object, ...]]:
    """Average the results over tables, of every number of folds and value of a setting.

    Folds for which one value only was tried are left out, as nothing is compared there.
    """
    own = reported(results, **{key: None})
    numbers = ["folds", *({key} & {"level", "burn_in"})]  # names stay in the order of the settings
    own = own.sort_values(numbers, kind="stable")
    means = own.groupby(["folds", key], sort=False)[[*Found._fields]].mean()
    means = means[means.groupby("folds").transform("size") > 1]
    return [(*at, *outcomes(Found(*row))) for at, *row in means.itertuples()]


def outcomes(found: Found) -> tuple[str, ...]:
    """Format what races came to, in the order of OUTCOMES."""
    shares = (found.share, found.share_seconds, found.same, found.not_told, found.alike)
    return (*map(percent, shares), f"{found.loss:.4f}", f"{found.loss_se:.2f}")


def choice_rows(results: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return the worst outcome over regimes of every rule."""
    own = results[(results["part"] == "choice") & (results["burn_in"] == BURN_IN)]
    groups = own.groupby(["folds", "rule", "level"], sort=False)
    worst = groups.agg({"same": "min", "loss_se": "max", "share": "mean"})
    return [
        (*key, percent(same), f"{loss:.2f}", percent(share))
        for key, same, loss, share in worst.itertuples()
    ]


def percent(share: float) -> str:
    """Format a share."""
    return f"{100 * share:.0f} %"


COLOURS = {"dnn": BLUE, "cnn": ORANGE, "spread": "#4c8c4a", "mixed": "#7b4b94"}


def draw(results: pd.DataFrame) -> None:
    """Draw the trade-off between training and outcome, and one race."""
    picture = figure(13, 8)
    axes = picture.subplots(2, 3)
    for ax, folds in zip(axes[0], (7, 21, 35), strict=True):
        draw_levels(ax, reported(results, folds=folds, level=None))
        finish(ax, f"{folds} folds: same winner, %")
    at_21 = reported(results, folds=21, level=None)
    for table, of in curves(at_21):
        axes[1, 0].plot(100 * of["share"], of["loss"], ".-", color=COLOURS[table], label=table)
    finish(axes[1, 0], "21 folds: mean loss in AP")
    draw_rules(axes[1, 1], reported(results, folds=21, rule=None))
    draw_race(axes[1, 2])
    save(picture, HERE / "races.png")


def curves(results: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each table with its results over all levels, from the strictest on."""
    for table in COLOURS:
        of = results[results["table"] == table].sort_values("level", kind="stable")
        if len(of):
            yield table, of


def draw_levels(ax: Any, results: pd.DataFrame) -> None:
    """Draw the share of kept winners against the share of training."""
    for table, of in curves(results):
        x, y, colour = 100 * of["share"], 100 * of["same"], COLOURS[table]
        ax.plot(x, y, ".-", color=colour, label=table)
        default = of["level"] == LEVEL
        ax.plot(x[default], y[default], "o", color=colour, markersize=9)
    ax.axhline(95, color="grey", linewidth=0.8, linestyle=":")
    ax.axvline(100 / 3, color="grey", linewidth=0.8, linestyle=":")
    ax.set_ylim(-4, 104)


def draw_rules(ax: Any, results: pd.DataFrame) -> None:
    """Draw every rule at its level .05."""
    markers = dict(zip(RULES, "sDv^ox", strict=True))
    for one in results.itertuples():
        label = one.rule if one.table == "dnn" else None
        at = (100 * one.share, 100 * one.same)
        ax.plot(*at, markers[one.rule], color=COLOURS[one.table], label=label)
    finish(ax, "21 folds: rules at level .05, same winner, %")
    ax.set_ylim(-4, 104)


def draw_race(ax: Any) -> None:
    """Draw one race: how long each configuration ran, the best of all folds at the top."""
    drawn = resampled(np.random.default_rng(0), recorded("mixed"), 21)
    found = race(drawn.scores, maximize=True)
    order = np.argsort(drawn.scores.mean(axis=1))
    means = drawn.scores.mean(axis=1)[order]
    colours = [ORANGE if trial == found.winner else "#9db7d1" for trial in order]
    ax.barh(np.arange(len(order)), found.folds_run[order], color=colours)
    ax.set_yticks(np.arange(len(order)), [f"{mean:.3f}" for mean in means])
    ax.set(title="one race (mixed, 21 folds)", xlabel="folds run")
    ax.set_ylabel("AP over all 21 folds")


def finish(ax: Any, title: str) -> None:
    """Name what is drawn."""
    ax.set(title=title, xlabel="folds run, %", xlim=(0, 102))
    ax.legend(fontsize=8)
    ax.grid(alpha=0.3)
