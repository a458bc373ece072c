"""The tables of a sweep: on a terminal, as files, and on one page with its pictures."""

import math
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.files import read_bytes
from lvh.reports.figures import save_pictures
from lvh.reports.page import PageTable, data_uri, write_csv, write_page
from lvh.reports.study.leaderboard import (
    Comparison,
    Row,
    configuration_names,
    has_folds,
    ranked_rows,
    short_names,
    unranked_trials,
    value_text,
)
from lvh.reports.study.study_figures import pictures
from lvh.reports.study.verdict import sentences
from lvh.search.results import StudyResult, Trial
from lvh.validation.metrics import NAMES

EXPLANATIONS = Path("outputs/explanations")
"""Where explanations of tracked runs lie, each in a folder with the identity of its run."""
_EXPLANATION_PICTURES = {
    "saliency.png": "Importance over time and lead, averaged over beats, with the mean beat",
    "importance.png": "Loss of average precision without leads, waves and inputs",
}
_MAX_PICTURE_BYTES = 8 * 1024 * 1024
_NOT_TOLD_APART = (
    "Not told apart: these folds do not show whether the configuration is worse than the best; "
    "that does not mean that it is as good."
)
_ROOM = 21  # columns that a terminal of 80 leaves for the dimensions
_TOGETHER = "configuration"
_MOST_ROWS = 50  # of the table on a terminal; the files have all


def table(study: StudyResult) -> Table:
    """Make the table of a sweep for a terminal, best first; below it, trials without a rank."""
    rows, unranked = ranked_rows(study), unranked_trials(study)
    legend = _NOT_TOLD_APART if any(row.verdict == "not told apart" for row in rows) else ""
    made = Table(
        title=escape(_title(study)),
        title_justify="left",
        caption=escape("\n".join(filter(None, (legend, study.note)))),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    names, columns = configuration_names(study), _columns(study)
    dimensions = _terminal_dimensions(study)
    made.add_column("trial", justify="right", no_wrap=True)
    for name in dimensions:
        is_wide = name == _TOGETHER
        made.add_column(
            escape(name), overflow="fold", no_wrap=not is_wide, min_width=len(name) * is_wide
        )
    for column in columns:
        made.add_column(column, justify="right", no_wrap=column != "verdict")

    def add(trial: Trial, cells: Sequence[str], style: str | None) -> None:
        place = _values(study, trial, 4)
        if dimensions == [_TOGETHER]:
            place = [names[trial.number]]
        made.add_row(str(trial.number), *map(escape, place), *cells, style=style)

    for row in rows[:_MOST_ROWS]:
        add(row.trial, _cells(study, row), {"best": "bold", "worse": "dim"}.get(row.verdict))
    made.add_section()
    for trial in unranked[:_MOST_ROWS]:
        known = {"folds": f"{len(trial.folds)}/{study.n_folds}", "verdict": trial.state}
        style = "red" if trial.state == "failed" else "dim"
        add(trial, [known.get(column, "") for column in columns], style)
    more = max(0, len(rows) - _MOST_ROWS) + max(0, len(unranked) - _MOST_ROWS)
    if more:
        made.add_row("...", f"and {more} more", style="dim")
    return made


def write(study: StudyResult, folder: Path, explanation: Path | None = None) -> Path:
    """Write the report of a sweep.

    Args:
        study: Finished or not.
        folder: Made if it is not there; `leaderboard.csv`, `folds.csv`, `comparisons.csv`, the
            pictures and `report.html` in it are replaced.
        explanation: Folder in which an explanation of the best configuration may lie.

    Returns:
        The page, which needs none of the other files.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    rows = ranked_rows(study)
    _write_leaderboard(study, rows, folder / "leaderboard.csv")
    _write_folds(study, folder / "folds.csv")
    header = ["trial", *[field.name for field in fields(Comparison)][1:]]
    comparisons = [astuple(row.comparison) for row in rows if row.comparison is not None]
    write_csv(folder / "comparisons.csv", header, comparisons)
    return write_page(
        folder / "report.html",
        "study/study_report.html",
        title=study.title,
        about=f"Sweep {study.name}",
        note=study.note,
        sentences=sentences(study),
        leaderboard=_leaderboard(study, rows),
        comparisons=_comparisons(study, rows),
        unranked=_unranked(study),
        pictures=save_pictures(pictures(study), folder),
        explanation=_pictures(explanation),
        objective=study.objectives[0].name,
    )


def _title(study: StudyResult) -> str:
    objective = study.objectives[0]
    over = " over folds" if has_folds(objective) else ""
    return f"{len(study.complete)} configurations by mean {objective.name}{over}"


def _columns(study: StudyResult) -> list[str]:
    """Return the names of the columns that follow the swept dimensions."""
    first, *others = [one.name for one in study.objectives]
    seconds = [] if "seconds" in (first, *others) else ["seconds"]
    first = "seconds a fold" if first == "seconds" else first
    return [first, "std", "95 % interval", "folds", *others, *seconds, "verdict"]


def _cells(study: StudyResult, row: Row) -> list[str]:
    """Return the text of those columns for a complete configuration."""
    seconds = [] if "seconds" in [one.name for one in study.objectives] else [f"{row.seconds:.1f}"]
    low, high = row.interval.low, row.interval.high
    return [
        _decimals(row.mean),
        _decimals(row.std),
        "" if math.isnan(low) else f"{low:.2f} to {high:.2f}",
        str(row.n_folds),
        *map(_decimals, row.trial.values[1:]),
        *seconds,
        "?" if row.verdict == "not comparable" else row.verdict,
    ]


def _decimals(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _chance(value: float) -> str:
    return "< 0.001" if 0 < value < 0.001 else _decimals(value)


def _values(study: StudyResult, trial: Trial, digits: int = 6) -> list[str]:
    return [value_text(trial.params.get(name), digits) for name in study.dimensions]


def _terminal_dimensions(study: StudyResult) -> list[str]:
    """Return a column a dimension; one for all where they are too wide."""
    names = list(short_names(study.dimensions).values())
    values = [_values(study, trial, 4) for trial in study.trials]
    widths = [max(map(len, column)) for column in zip(names, *values, strict=True)]
    return [_TOGETHER] if sum(widths) + 2 * (len(widths) - 1) > _ROOM else names


def _write_leaderboard(study: StudyResult, rows: Sequence[Row], path: Path) -> None:
    """Write all trials, those without a rank below the others and without a score."""
    values = [f"value_{objective.name}" for objective in study.objectives]
    names = ("mean", "std", "low", "high", "folds", "accuracy", "seconds", "verdict", "error")
    header = ("rank", "trial", "state", *study.dimensions, *values, *names)
    blank = [""] * (len(values) + 4)

    def place(trial: Trial) -> list[object]:
        """Return the values of the dimensions, numbers with every digit."""
        own = [trial.params.get(name) for name in study.dimensions]
        return [value if isinstance(value, float) else value_text(value) for value in own]

    lines: list[list[object]] = []
    for row in rows:
        scores = (row.mean, row.std, row.interval.low, row.interval.high, row.n_folds, row.accuracy)
        start = (row.rank, row.trial.number, "complete", *place(row.trial), *row.trial.values)
        lines.append([*start, *scores, f"{row.seconds:.3f}", row.verdict, ""])
    for trial in unranked_trials(study):
        seconds = sum(fold.seconds for fold in trial.folds)
        start = ("", trial.number, trial.state, *place(trial), *blank, len(trial.folds), "")
        lines.append([*start, f"{seconds:.3f}", "", trial.error])
    write_csv(path, header, lines)


def _write_folds(study: StudyResult, path: Path) -> None:
    header = ("trial", "state", "repeat", "fold", *NAMES, "seconds", "n_train", "n_test")
    lines = []
    for trial in study.trials:
        for fold in trial.folds:
            scores = [fold.metrics.get(name, math.nan) for name in NAMES]
            end = (f"{fold.seconds:.3f}", fold.n_train, fold.n_test)
            lines.append((trial.number, trial.state, fold.repeat + 1, fold.fold + 1, *scores, *end))
    write_csv(path, header, lines)


def _leaderboard(study: StudyResult, rows: Sequence[Row]) -> PageTable:
    dimensions = list(short_names(study.dimensions).values())
    return PageTable(
        columns=["rank", "trial", *dimensions, *_columns(study)],
        rows=[
            [row.rank, row.trial.number, *_values(study, row.trial), *_cells(study, row)]
            for row in rows
        ],
        caption=_title(study),
        text=range(2, 2 + len(dimensions)),
        classes=[row.verdict if row.verdict in ("best", "worse") else "" for row in rows],
    )


def _comparisons(study: StudyResult, rows: Sequence[Row]) -> PageTable:
    """Make the table of the paired differences; it is empty for fewer than two configurations."""
    names = configuration_names(study)
    columns = ("trial", "configuration", "difference", "95 % from", "to", "folds", "p", "p (Holm)")
    lines, classes = [], []
    for one in [row.comparison for row in rows[1:] if row.comparison is not None]:
        difference = map(_decimals, (one.difference, one.low, one.high))
        chances = map(_chance, (one.p, one.p_holm, one.worse, one.equivalent, one.better))
        lines.append((one.number, names[one.number], *difference, one.n_folds, *chances))
        classes.append("worse" if one.verdict == "worse" else "")
    return PageTable(
        columns=(*columns, "P(worse)", "P(equivalent)", "P(better)"),
        rows=lines,
        caption="Differences to the best configuration on the folds that both have",
        text=(1,),
        classes=classes,
    )


def _unranked(study: StudyResult) -> PageTable:
    dimensions = list(short_names(study.dimensions).values())
    lines = []
    for trial in unranked_trials(study):
        done = f"{len(trial.folds)} of {study.n_folds}"
        lines.append((trial.number, trial.state, *_values(study, trial), done, trial.error))
    return PageTable(
        columns=["trial", "state", *dimensions, "folds done", "reason"],
        rows=lines,
        text=(*range(1, 2 + len(dimensions)), 3 + len(dimensions)),
    )


def _pictures(folder: Path | None) -> list[tuple[str, str]]:
    """Return pictures that explain the best configuration as data URIs, with what they show."""
    if folder is None:
        return []
    return [
        (data_uri(read_bytes(folder / name, folder, _MAX_PICTURE_BYTES)), shows)
        for name, shows in _EXPLANATION_PICTURES.items()
        if (folder / name).is_file()
    ]
