"""Race again and again on recorded fold scores, and compare with training every fold.

    nice -n 19 python experiments/racing/simulate.py

Reads the tables of record.py; writes results.csv, races.png and the tables of README.md beside
this file. The rule, its level and the burn-in were chosen on generated scores alone (part
`choice` of results.csv); the recorded ones (part `report`) only say what the choice is worth.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from race import BURN_IN, Rule, race
from scipy.special import stdtr, stdtrit

from lvh.search.racing import LEVEL, beaten

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by simulate.py -->"
FOLDS_A_REPEAT = 7
TESTED_TO_TRAINED = 1 / (FOLDS_A_REPEAT - 1)
GRID = 12
NOT_CONFIGURATION = ("repeat", "fold", "ap", "accuracy", "roc_auc", "seconds")
LEVELS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
BURN_INS = (2, 3, 5)
REGIMES = ("null", "close", "middle", "wide", "unequal noise", "alike", "bad half")


@dataclass(frozen=True, slots=True)
class Table:
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


@dataclass(frozen=True, slots=True)
class Setting:
    """What is raced, and by which rule."""

    part: str
    table: str
    metric: str
    order: str
    folds: int
    rule: str
    burn_in: int
    level: float


@dataclass(frozen=True, slots=True)
class Found:
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


Results = dict[Setting, Found]


def main() -> None:
    """Simulate, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamplings", type=int, default=500, help="of recorded scores")
    parser.add_argument("--generated", type=int, default=200, help="tables of each regime")
    given = parser.parse_args()
    resamplings = {"choice": given.generated, "report": given.resamplings}
    tables = {name: recorded(name) for name in ("dnn", "cnn", "spread", "mixed")}
    results: Results = {}
    for setting in [*choice_settings(), *report_settings(tables)]:
        found = simulate(setting, resamplings[setting.part])
        results[setting] = found
        print(*astuple(setting), *(f"{value:.4f}" for value in astuple(found)), flush=True)
    write_csv(results, resamplings)
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
            given = ("report", name, "ap", "breadth", folds)
            for burn_in in BURN_INS:
                yield Setting(*given, "lvh", burn_in, LEVEL)
            if folds == 10:
                continue
            for level in LEVELS:
                if level != LEVEL:
                    yield Setting(*given, "lvh", BURN_IN, level)
            if folds == 35:
                continue
            for rule in RULES:
                if rule != "lvh":
                    yield Setting(*given, rule, BURN_IN, LEVEL)
            yield Setting("report", name, "ap", "in turn", folds, "lvh", BURN_IN, LEVEL)
            for metric in ("accuracy", "roc_auc"):
                given = ("report", name, metric, "breadth", folds)
                yield Setting(*given, "lvh", BURN_IN, LEVEL)


def recorded(name: str, metric: str = "ap") -> Table:
    """Read a table of record.py; `mixed` is dnn and spread together, recorded alike."""
    if name == "mixed":
        first, second = read("dnn", metric), read("spread", metric)
        new = [key for key in second if key not in first]
        return table_of(first | {key: second[key] for key in new})
    return table_of(read(name, metric))


def read(name: str, metric: str) -> dict[tuple[str, ...], list[tuple[int, float, float]]]:
    """Return repeat, score and seconds of each fold, by configuration."""
    rows: dict[tuple[str, ...], list[tuple[int, float, float]]] = {}
    with (HERE / f"scores_{name}.csv").open() as file:
        for row in csv.DictReader(file):
            # sorted by name: dnn and spread must give one configuration one key
            key = tuple(row[column] for column in sorted(row) if column not in NOT_CONFIGURATION)
            value = (int(row["repeat"]), float(row[metric]), float(row["seconds"]))
            rows.setdefault(key, []).append(value)
    return rows


def table_of(rows: dict[tuple[str, ...], list[tuple[int, float, float]]]) -> Table:
    """Turn rows into arrays; the first fold's surplus of seconds is tracing."""
    values = np.array(list(rows.values()))
    seconds = values[:, :, 2]
    median = np.median(seconds, axis=1)
    setup = np.maximum(seconds[:, 0] - median, 0)
    return Table(values[:, :, 1], values[0, :, 0].astype(np.int64), setup, median)


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
        rows.append(astuple(raced(setting, drawn)))
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


def write_csv(results: Results, resamplings: dict[str, int]) -> None:
    """Write everything."""
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [field.name for of in (Setting, Found) for field in fields(of)]
        writer.writerow((*names, "resamplings"))
        for setting, found in results.items():
            numbers = (f"{value:.5f}" for value in asdict(found).values())
            writer.writerow((*astuple(setting), *numbers, resamplings[setting.part]))


def write_readme(results: Results) -> None:
    """Put the tables into the README, behind the mark."""
    default = {"rule": "lvh", "order": "breadth", "metric": "ap"}
    default |= {"burn_in": BURN_IN, "level": LEVEL}
    tables = (
        ("The defaults", ("folds", "table"), default),
        ("Levels, mean over tables", ("folds", "level"), without(default, "level")),
        ("Burn-in, mean over tables", ("folds", "burn_in"), without(default, "burn_in")),
        ("Rules, mean over tables", ("folds", "rule"), without(default, "rule")),
        ("Other scores, mean over tables", ("folds", "metric"), without(default, "metric")),
        ("Trial after trial, mean over tables", ("folds", "order"), without(default, "order")),
    )
    lines = []
    for title, keys, given in tables:
        lines += ["", f"{title}.", "", *heading(*keys, *OUTCOMES)]
        lines += mean_rows(results, keys, given)
    columns = ("same winner, worst", "loss in SE, worst", "folds run, mean")
    lines += ["", "Choice: generated scores, burn-in 3, over the seven regimes.", ""]
    lines += [*heading("folds", "rule", "level", *columns), *choice_rows(results)]
    readme = HERE / "README.md"
    head = readme.read_text().partition(MARK)[0]
    readme.write_text(head + MARK + "\n" + "\n".join(lines) + "\n")


OUTCOMES = (
    "folds run",
    "in seconds",
    "same winner",
    "not told apart",
    "of the grid",
    "loss",
    "loss in SE",
)


def without(given: dict[str, object], key: str) -> dict[str, object]:
    """Return the dictionary without one of its keys."""
    return {name: value for name, value in given.items() if name != key}


def mean_rows(results: Results, keys: tuple[str, ...], given: dict[str, object]) -> list[str]:
    """Average the results that share `keys`, among those reported with the given settings.

    Folds for which one value only was tried are left out, as nothing is compared there.
    """
    groups: dict[tuple[object, ...], list[tuple[float, ...]]] = {}
    for setting, found in results.items():
        fields_ = asdict(setting)
        if setting.part == "report" and all(fields_[key] == value for key, value in given.items()):
            groups.setdefault(tuple(fields_[key] for key in keys), []).append(astuple(found))
    tried = [key[0] for key in groups]
    # numbers in their order; names stay in that of the settings
    order = sorted(groups, key=lambda key: [0 if isinstance(part, str) else part for part in key])
    return [
        row(*key, *outcomes(Found(*np.mean(groups[key], axis=0).tolist())))
        for key in order
        if tried.count(key[0]) > 1
    ]


def outcomes(found: Found) -> tuple[str, ...]:
    """Format what races came to, in the order of OUTCOMES."""
    costs = (found.share, found.share_seconds)
    shares = (*costs, found.same, found.not_told, found.alike)
    return (*map(percent, shares), f"{found.loss:.4f}", f"{found.loss_se:.2f}")


def choice_rows(results: Results) -> list[str]:
    """Return the worst outcome over regimes of every rule."""
    groups: dict[tuple[int, str, float], list[Found]] = {}
    for setting, found in results.items():
        if setting.part == "choice" and setting.burn_in == BURN_IN:
            groups.setdefault((setting.folds, setting.rule, setting.level), []).append(found)
    return [
        row(
            *key,
            percent(min(one.same for one in found)),
            f"{max(one.loss_se for one in found):.2f}",
            percent(float(np.mean([one.share for one in found]))),
        )
        for key, found in groups.items()
    ]


def heading(*names: str) -> list[str]:
    """Return the two lines that open a table."""
    return [row(*names), "|" + "---|" * len(names)]


def row(*cells: object) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def percent(share: float) -> str:
    """Format a share."""
    return f"{100 * share:.0f} %"


def draw(results: Results) -> None:
    """Draw the trade-off between training and outcome, and one race."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    for ax, folds in zip(axes[0], (7, 21, 35), strict=True):
        draw_levels(ax, results, folds)
    draw_loss(axes[1, 0], results, 21)
    draw_rules(axes[1, 1], results, 21)
    draw_race(axes[1, 2])
    figure.savefig(HERE / "races.png", dpi=100)


COLOURS = {"dnn": "#1f4e79", "cnn": "#b5651d", "spread": "#4c8c4a", "mixed": "#7b4b94"}


def curve(results: Results, table: str, folds: int) -> list[tuple[Setting, Found]]:
    """Return the results over all levels, from the strictest on."""
    found = [
        (setting, found)
        for setting, found in results.items()
        if (setting.part, setting.table, setting.folds) == ("report", table, folds)
        and (setting.metric, setting.order, setting.rule) == ("ap", "breadth", "lvh")
        and setting.burn_in == BURN_IN
    ]
    return sorted(found, key=lambda item: item[0].level)


def draw_levels(ax, results: Results, folds: int) -> None:
    """Draw the share of kept winners against the share of training."""
    for table, colour in COLOURS.items():
        points = curve(results, table, folds)
        x = [100 * found.share for _, found in points]
        y = [100 * found.same for _, found in points]
        if points:
            ax.plot(x, y, ".-", color=colour, label=table)
        for (setting, _), *at in zip(points, x, y, strict=True):
            if setting.level == LEVEL:
                ax.plot(*at, "o", color=colour, markersize=9)
    finish(ax, f"{folds} folds: same winner, %", "folds run, %")
    ax.axhline(95, color="grey", linewidth=0.8, linestyle=":")
    ax.axvline(100 / 3, color="grey", linewidth=0.8, linestyle=":")
    ax.set(xlim=(0, 102), ylim=(-4, 104))


def draw_loss(ax, results: Results, folds: int) -> None:
    """Draw the mean loss against the share of training."""
    for table, colour in COLOURS.items():
        points = curve(results, table, folds)
        if points:
            x = [100 * found.share for _, found in points]
            ax.plot(x, [found.loss for _, found in points], ".-", color=colour, label=table)
    finish(ax, f"{folds} folds: mean loss in AP", "folds run, %")
    ax.set(xlim=(0, 102))


def draw_rules(ax, results: Results, folds: int) -> None:
    """Draw every rule at its level .05."""
    markers = dict(zip(RULES, "sDv^ox", strict=True))
    for setting, found in results.items():
        asked = (setting.part, setting.metric, setting.order) == ("report", "ap", "breadth")
        if asked and (setting.folds, setting.burn_in, setting.level) == (folds, BURN_IN, LEVEL):
            label = setting.rule if setting.table == "dnn" else None
            at = (100 * found.share, 100 * found.same)
            ax.plot(*at, markers[setting.rule], color=COLOURS[setting.table], label=label)
    finish(ax, f"{folds} folds: rules at level .05, same winner, %", "folds run, %")
    ax.set(xlim=(0, 102), ylim=(-4, 104))


def draw_race(ax) -> None:
    """Draw one race: how long each configuration ran, the best of all folds at the top."""
    drawn = resampled(np.random.default_rng(0), recorded("mixed"), 21)
    found = race(drawn.scores, maximize=True)
    order = np.argsort(drawn.scores.mean(axis=1))
    means = drawn.scores.mean(axis=1)[order]
    colours = ["#b5651d" if trial == found.winner else "#9db7d1" for trial in order]
    ax.barh(np.arange(len(order)), found.folds_run[order], color=colours)
    ax.set_yticks(np.arange(len(order)), [f"{mean:.3f}" for mean in means])
    ax.set(title="one race (mixed, 21 folds)", xlabel="folds run")
    ax.set_ylabel("AP over all 21 folds")


def finish(ax, title: str, xlabel: str) -> None:
    """Name what is drawn."""
    ax.set(title=title, xlabel=xlabel)
    ax.legend(fontsize=8)
    ax.grid(alpha=0.3)


if __name__ == "__main__":
    main()
