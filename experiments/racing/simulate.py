"""Race again and again on recorded fold scores, and compare with training every fold.

    nice -n 19 python experiments/racing/simulate.py

Reads the tables of record.py; writes results.csv, races.png and the tables of README.md beside
this file. The rule, its level and the burn-in were chosen on generated scores alone (part
`choice` of results.csv); the recorded ones (part `report`) only say what the choice is worth.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from race import BURN_IN, Rule, race
from scipy.special import stdtr, stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import BLUE, ORANGE, figure, put, save
from _common import table as markdown

from lvh.search.racing import LEVEL, beaten

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by simulate.py -->"
FOLDS_A_REPEAT = 7
TESTED_TO_TRAINED = 1 / (FOLDS_A_REPEAT - 1)
GRID = 12
CONFIGURATION = ["learning_rate", "l2", "units", "missing_p", "kernel", "stride"]
LEVELS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
BURN_INS = (2, 3, 5)
REGIMES = ("null", "close", "middle", "wide", "unequal noise", "alike", "bad half")


class Table(NamedTuple):
    """Scores of some configurations in some folds, and what the folds cost.

    Attributes:
        scores: Shape (n_configurations, n_folds).
        repeat: Repetition of each fold, shape (n_folds,).
        setup: Seconds that a configuration costs before its first fold.
        fold_seconds: Median seconds of its folds.
    """

    scores: Floats
    repeat: npt.NDArray[np.int64]
    setup: Floats
    fold_seconds: Floats


class Setting(NamedTuple):
    """What is raced, and by which rule."""

    part: str
    table: str
    metric: str
    order: str
    folds: int
    rule: str
    burn_in: int
    level: float


class Found(NamedTuple):
    """Means over resamplings.

    Attributes:
        share: Folds run, of all folds.
        share_seconds: The same in seconds of training and tracing.
        same: The winner of the full table won.
        not_told: It or one that a corrected t-test cannot tell from it.
        not_told_plain: The same by a t-test without the correction, which tells more.
        alike: Share of the grid that the corrected test cannot tell from the winner.
        loss: Score of the full table's winner less that of the race's.
        loss_se: The same in standard errors of a difference over all folds.
    """

    share: float
    share_seconds: float
    same: float
    not_told: float
    not_told_plain: float
    alike: float
    loss: float
    loss_se: float


def main() -> None:
    """Simulate, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamplings", type=int, default=500, help="of recorded scores")
    parser.add_argument("--generated", type=int, default=200, help="tables of each regime")
    given = parser.parse_args()
    resamplings = {"choice": given.generated, "report": given.resamplings}
    tables = {name: recorded(name) for name in ("dnn", "cnn", "spread", "mixed")}
    rows = []
    for setting in [*choice_settings(), *report_settings(tables)]:
        found = simulate(setting, resamplings[setting.part])
        print(*setting, *(f"{value:.4f}" for value in found), flush=True)
        counted = {"resamplings": resamplings[setting.part]}
        rows.append(setting._asdict() | found._asdict() | counted)
    results = pd.DataFrame(rows)
    results[[*Found._fields]] = results[[*Found._fields]].map("{:.5f}".format)
    results.to_csv(HERE / "results.csv", index=False)
    show()


def show() -> None:
    """Make the tables and the picture from results.csv."""
    results = pd.read_csv(HERE / "results.csv", keep_default_na=False)
    write_readme(results)
    draw(results)


def choice_settings() -> Iterator[Setting]:
    """Return what is compared on generated scores."""
    compared = [(rule, LEVEL) for rule in RULES if rule != "lvh"]
    compared += [("lvh", level) for level in (0.02, LEVEL, 0.1, 0.2)]
    for folds, burn_in in ((7, 2), (7, 3), (21, 3), (35, 3), (35, 5)):
        for regime, (rule, level) in itertools.product(REGIMES, compared):
            yield Setting("choice", regime, "", "breadth", folds, rule, burn_in, level)


def report_settings(tables: dict[str, Table]) -> Iterator[Setting]:
    """Return what is reported on recorded scores."""
    for name, table in tables.items():
        for folds in (7, 10, 21, 35):
            if folds > len(table.repeat):
                continue
            usual = Setting("report", name, "ap", "breadth", folds, "lvh", BURN_IN, LEVEL)
            yield from (usual._replace(burn_in=burn_in) for burn_in in BURN_INS)
            if folds == 10:
                continue
            yield from (usual._replace(level=level) for level in LEVELS if level != LEVEL)
            if folds == 35:
                continue
            yield from (usual._replace(rule=rule) for rule in RULES if rule != "lvh")
            yield usual._replace(order="in turn")
            yield from (usual._replace(metric=metric) for metric in ("accuracy", "roc_auc"))


def recorded(name: str, metric: str = "ap") -> Table:
    """Read a table of record.py; `mixed` is dnn and spread together, recorded alike.

    The surplus of seconds of a configuration's first fold is tracing.
    """
    names = ("dnn", "spread") if name == "mixed" else (name,)
    folds = pd.concat([pd.read_csv(HERE / f"scores_{one}.csv") for one in names])
    keys = [column for column in CONFIGURATION if column in folds]
    folds = folds.drop_duplicates([*keys, "repeat", "fold"])
    groups = [group for _, group in folds.groupby(keys, sort=False)]
    seconds = np.array([group["seconds"] for group in groups])
    median = np.median(seconds, axis=1)
    scores = np.array([group[metric] for group in groups])
    setup = np.maximum(seconds[:, 0] - median, 0)
    return Table(scores, groups[0]["repeat"].to_numpy(), setup, median)


def simulate(setting: Setting, resamplings: int) -> Found:
    """Race on many resamplings; the same ones whatever the rule, burn-in and level."""
    seed = [sum(setting.table.encode()), setting.folds]
    generator = np.random.default_rng(seed)
    table = None if setting.part == "choice" else recorded(setting.table, setting.metric)
    rows = []
    for _ in range(resamplings):
        if table is None:
            drawn = generated(generator, setting.table, setting.folds)
        else:
            drawn = resampled(generator, table, setting.folds)
        rows.append(raced(setting, drawn))
    return Found(*np.mean(rows, axis=0).tolist())


def resampled(generator: np.random.Generator, table: Table, n_folds: int) -> Table:
    """Draw a grid and folds, in random order; whole repetitions where that is possible."""
    configurations = generator.permutation(len(table.scores))[:GRID]
    folds = np.arange(len(table.repeat))
    if n_folds % FOLDS_A_REPEAT == 0:
        repeats = generator.permutation(table.repeat.max() + 1)[: n_folds // FOLDS_A_REPEAT]
        folds = folds[np.isin(table.repeat, repeats)]
    folds = generator.permutation(folds)[:n_folds]
    return Table(
        table.scores[np.ix_(configurations, folds)],
        table.repeat[folds],
        table.setup[configurations],
        table.fold_seconds[configurations],
    )


def generated(generator: np.random.Generator, regime: str, n_folds: int) -> Table:
    """Generate scores, in units of their noise."""
    spread = {"null": 0.0, "middle": 1.0, "wide": 3.0}.get(regime, 0.5)
    effects = generator.normal(0, spread, (GRID, 1))
    noise = generator.normal(size=(GRID, n_folds))
    half = GRID // 2
    if regime == "unequal noise":
        # t with 5 degrees of freedom has a variance of 5 / 3
        noise = generator.standard_t(5, noise.shape) * np.sqrt(3 / 5)
        noise *= generator.uniform(0.3, 2, (GRID, 1))
    elif regime == "alike":  # four by four, much of the noise is common
        common = np.repeat(generator.normal(size=(GRID // 4, n_folds)), 4, axis=0)
        noise = np.sqrt(0.8) * common + np.sqrt(0.2) * noise
    elif regime == "bad half":
        effects[:half] -= generator.uniform(3, 10, (half, 1))
        noise[:half] *= 3
    scores = effects + generator.normal(0, 2, n_folds) + noise
    ones = np.ones(GRID)
    return Table(scores, np.zeros(n_folds, dtype=np.int64), 0 * ones, ones)


def raced(setting: Setting, drawn: Table) -> Found:
    """Race once and compare with the full table."""
    winner, folds_run = played(setting, drawn.scores)
    n = setting.folds
    means = drawn.scores.mean(axis=1)
    best = int(np.argmax(means))
    behind = drawn.scores[best] - drawn.scores
    corrected = p_values(behind, 1 / n + TESTED_TO_TRAINED)
    residuals = drawn.scores - means[:, None] - drawn.scores.mean(axis=0) + drawn.scores.mean()
    variance = (residuals**2).sum() / ((GRID - 1) * (n - 1))
    loss = means[best] - means[winner]
    full = drawn.setup + n * drawn.fold_seconds
    return Found(
        share=folds_run.mean() / n,
        share_seconds=(drawn.setup + folds_run * drawn.fold_seconds).sum() / full.sum(),
        same=float(winner == best),
        not_told=float(corrected[winner] >= 0.05),
        not_told_plain=float(p_values(behind, 1 / n)[winner] >= 0.05),
        alike=float(np.mean(corrected >= 0.05)),
        loss=loss,
        loss_se=loss / np.sqrt(2 * variance / n),
    )


def p_values(behind: Floats, factor: float) -> Floats:
    """Return two-sided p of paired t-tests over folds, 1 where nothing differs.

    Args:
        behind: Differences, shape (n_configurations, n_folds).
        factor: Of their variance: 1 / n, or 1 / n and the share of records tested to those
            trained on (Nadeau and Bengio, Inference for the Generalization Error, 2003).
    """
    n = behind.shape[1]
    mean, width = behind.mean(axis=1), behind.std(axis=1, ddof=1) * np.sqrt(factor)
    t = np.divide(np.abs(mean), width, out=np.zeros_like(mean), where=width > 0)
    return 2 * stdtr(n - 1, -t)


def played(setting: Setting, scores: Floats) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the race's winner and the folds that each configuration ran."""
    given = {"maximize": True, "burn_in": setting.burn_in, "level": setting.level}
    if setting.order == "breadth":
        found = race(scores, rule=RULES[setting.rule], **given)
        return found.winner, found.folds_run
    # one after the other, as one worker does that finishes a trial before it starts the next
    n_trials, n_folds = scores.shape
    known = np.full_like(scores, np.nan)
    kept: list[int] = []
    folds_run = np.full(n_trials, n_folds)
    for trial in range(n_trials):
        rows = [*kept, trial]
        for at in range(n_folds):
            known[trial, at] = scores[trial, at]
            if beaten(known[rows], **given)[-1]:
                folds_run[trial] = at + 1
                break
        else:
            kept.append(trial)
    return max(kept, key=lambda trial: scores[trial].mean()), folds_run


def own_variance(correction: float) -> Rule:
    """Make a rule of paired t-tests, each on its own differences."""

    def rule(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
        behind, k = behind_leader(scores)
        width = behind.std(axis=1, ddof=1) * np.sqrt(1 / k + correction)
        mean = behind.mean(axis=1)
        return (mean > 0) & (mean > stdtrit(k - 1, 1 - level) * width)

    return rule


def pooled(*, rivals: bool) -> Rule:
    """Make a rule of an analysis of variance, as tune_race_anova, with t for its normal."""

    def rule(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
        behind, k = behind_leader(scores)
        m = len(behind)
        means = behind.mean(axis=1)
        residuals = behind - means[:, None] - behind.mean(axis=0) + behind.mean()
        freedom = (m - 1) * (k - 1)
        width = np.sqrt(2 * (residuals**2).sum() / freedom / k)
        tail = level / (m - 1) if rivals else level / 2
        return (means > 0) & (means > stdtrit(freedom, 1 - tail) * width)

    return rule


def cut(scores: Floats, *, maximize: bool, burn_in: int, level: float) -> Flags:
    """Stop all but the leader of the burn-in: the least that any race trains."""
    behind, _ = behind_leader(scores)
    leads = np.zeros(len(behind), dtype=np.bool_)
    leads[np.argmin(behind.mean(axis=1))] = True
    return ~leads


def behind_leader(scores: Floats) -> tuple[Floats, int]:
    """Return how far all are behind the leader in each fold that is done, and their number."""
    k = int(np.isfinite(scores[0]).sum())
    known = scores[:, :k]
    return known[np.argmax(known.mean(axis=1))] - known, k


RULES: dict[str, Rule] = {
    "paired t": own_variance(0),
    "corrected t": own_variance(TESTED_TO_TRAINED),
    "anova": pooled(rivals=False),
    "anova, Bonferroni": pooled(rivals=True),
    "lvh": beaten,
    "cut": cut,
}


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


if __name__ == "__main__":
    main()
