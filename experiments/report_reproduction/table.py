"""The tables and the picture of README.md, from results.csv.

python experiments/report_reproduction/table.py
"""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rows import EXPERIMENTS, HERE, PROTOCOLS, RESULTS, Row, read

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import BLUE, ORANGE, figure, put, save, table

MARK = "<!-- made by table.py from results.csv -->"
PICTURE = "protocols.png"
_COHORTS = {"ludb": "LUDB", "null": "null cohort"}
_COLORS = (BLUE, ORANGE, "#6b8e23", "#8b1a1a")
_NOT_RUN = "not run yet"
_COLUMNS = 2  # of panels in the picture


def main() -> None:
    """Make them anew."""
    write_readme(read(RESULTS))


def write_readme(rows: Sequence[Row]) -> None:
    """Put the tables behind the mark; what is before it stays."""
    lines = [
        f"![Accuracy of each fold under each protocol]({PICTURE})",
        "",
        "**Accuracy**, mean over folds: median over seeds (lowest to highest, number of seeds).",
        "",
        *scores(rows),
        "",
        "**Fold by fold**, median over seeds.",
        "",
        *fold_by_fold(rows),
        "",
        "**The momentum of batch normalization**, honest protocol.",
        "",
        *momentum(rows),
    ]
    draw(rows)
    put(HERE / "README.md", MARK, lines)


def scores(rows: Sequence[Row]) -> list[str]:
    """Compare protocols, an experiment, cohort and number of epochs a line."""
    lines = []
    for name, experiment in EXPERIMENTS.items():
        printed = "" if experiment.printed is None else f"{experiment.printed:.3f}"
        for cohort, epochs in places(rows, name):
            cells = [
                "no fold before it"
                if experiment.is_holdout and protocol.startswith("carried")
                else spread(chosen(rows, name, protocol, cohort, epochs))
                for protocol in PROTOCOLS
            ]
            shown = printed if cohort == "ludb" else ""
            lines.append((experiment.what, _COHORTS[cohort], epochs, shown, *cells))
    return table(("experiment", "records", "epochs", "printed", *PROTOCOLS), lines)


def fold_by_fold(rows: Sequence[Row]) -> list[str]:
    """Show the folds of each cross-validation on LUDB, below those of the original study."""
    lines: list[tuple[object, ...]] = []
    for name, experiment in EXPERIMENTS.items():
        if experiment.is_holdout:
            continue
        if experiment.folds:
            printed = ["." if one is None else f"{one:.3f}" for one in experiment.folds]
            lines.append((experiment.what, "", "the original study", *printed))
        for cohort, epochs in places(rows, name):
            for protocol in PROTOCOLS:
                some = chosen(rows, name, protocol, cohort, epochs)
                if some and cohort == "ludb":
                    lines.append((experiment.what, epochs, protocol, *map(number, medians(some))))
    return table(("experiment", "epochs", "protocol", *range(1, 8)), lines)


def momentum(rows: Sequence[Row]) -> list[str]:
    """Show what the momentum does to honest scores."""
    names = {"dnn": ".99 (Keras's)", "dnn_bn_0.9": ".9"}
    lines = []
    for cohort in _COHORTS:
        of_both = {epochs for name in names for at, epochs in places(rows, name) if at == cohort}
        for epochs in sorted(of_both):
            cells = [spread(chosen(rows, name, "honest", cohort, epochs)) for name in names]
            lines.append((_COHORTS[cohort], epochs, *cells))
    return table(("records", "epochs", *names.values()), lines)


def draw(rows: Sequence[Row]) -> None:
    """Draw the folds of what was cross-validated on LUDB, beside what the original study prints."""
    shown = [
        (name, max(epochs for cohort, epochs in places(rows, name) if cohort == "ludb"))
        for name, one in EXPERIMENTS.items()
        if not one.is_holdout
        and any((row.key.experiment, row.key.cohort) == (name, "ludb") for row in rows)
    ]
    columns = min(len(shown), _COLUMNS) or 1
    lines = -(-len(shown) // columns)
    picture = figure(5.2 * columns, 3.8 * max(1, lines))
    for at, (name, epochs) in enumerate(shown, start=1):
        ax = picture.add_subplot(lines, columns, at)
        for protocol, color in zip(PROTOCOLS, _COLORS, strict=True):
            some = chosen(rows, name, protocol, "ludb", epochs)
            if some:
                folds = medians(some)
                ax.plot(range(1, len(folds) + 1), folds, "o-", color=color, label=protocol)
        printed = EXPERIMENTS[name].folds
        known = [(fold, one) for fold, one in enumerate(printed, start=1) if one is not None]
        if known:
            ax.plot(*zip(*known, strict=True), "k*", label="the original study")
        ax.set(xlabel="fold", ylabel="accuracy", ylim=(0.4, 1.02))
        ax.set_title(f"{EXPERIMENTS[name].what}, {epochs} epochs, LUDB", fontsize=10)
    named = {
        label: handle
        for ax in picture.axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    picture.legend(named.values(), named, loc="outside lower center", ncols=len(named) or 1)
    save(picture, HERE / PICTURE)


def places(rows: Sequence[Row], name: str) -> list[tuple[str, int]]:
    """Return the cohorts and epochs of an experiment; what it would be on LUDB, if none."""
    found = {(row.key.cohort, row.key.epochs) for row in rows if row.key.experiment == name}
    return sorted(found or {("ludb", EXPERIMENTS[name].epochs[0])})


def chosen(rows: Sequence[Row], name: str, protocol: str, cohort: str, epochs: int) -> list[Row]:
    """Return the seeds of one thing."""
    wanted = (name, protocol, cohort, epochs)
    keys = ((row, row.key) for row in rows)
    return [
        row for row, key in keys if (key.experiment, key.protocol, key.cohort, key.epochs) == wanted
    ]


def medians(rows: Sequence[Row]) -> list[float]:
    """Return the median over seeds of each fold."""
    return [statistics.median(folds) for folds in zip(*(row.folds for row in rows), strict=True)]


def spread(rows: Sequence[Row]) -> str:
    """Show the median over seeds with its extremes."""
    if not rows:
        return _NOT_RUN
    means = [row.mean for row in rows]
    if len(means) == 1:
        return f"{number(means[0])} (one seed)"
    ends = f"{number(min(means))} to {number(max(means))}"
    return f"{number(statistics.median(means))} ({ends}, {len(means)})"


def number(value: float) -> str:
    """Show three decimals."""
    return f"{value:.3f}"


if __name__ == "__main__":
    main()
