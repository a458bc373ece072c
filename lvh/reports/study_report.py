"""The tables of a sweep, of a run, and of runs side by side: on a terminal, as files, on a page."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lvh.files import read_bytes
from lvh.reports.leaderboard import (
    Row,
    configuration_names,
    has_folds,
    ranked_rows,
    short_names,
    unranked_trials,
    value_text,
)
from lvh.reports.page import data_uri, write_page, write_table
from lvh.reports.study_figures import draw_all
from lvh.reports.verdict import sentences
from lvh.search.results import StudyResult, Trial, store_of
from lvh.tracking.run_record import load_run
from lvh.validation.metrics import NAMES, bootstrap_intervals

_NOT_TOLD_APART = (
    "Not told apart: these folds do not show whether the configuration is worse than the best; "
    "that does not mean that it is as good."
)
_EXPLANATIONS = {
    "saliency.png": "Importance over time and lead, averaged over beats, with the mean beat",
    "importance.png": "Loss of average precision without leads, waves and inputs",
}
_MAX_PICTURE_BYTES = 8 * 1024 * 1024
_ROOM = 21  # columns that a terminal of 80 leaves for the dimensions
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
    places, columns = _terminal_places(study), _columns(study)
    made.add_column("trial", justify="right", no_wrap=True)
    for name in places:
        is_wide = name == "configuration"
        made.add_column(
            escape(name), overflow="fold", no_wrap=not is_wide, min_width=len(name) * is_wide
        )
    for column in columns:
        made.add_column(column, justify="right", no_wrap=column != "verdict")

    def add(trial: Trial, cells: Mapping[str, str], style: str | None) -> None:
        place = [escape(column[trial.number]) for column in places.values()]
        cells_of_row = [cells.get(column, "") for column in columns]
        made.add_row(str(trial.number), *place, *cells_of_row, style=style)

    for row in rows[:_MOST_ROWS]:
        add(row.trial, _cells(study, row), {"best": "bold", "worse": "dim"}.get(row.verdict))
    made.add_section()
    for trial in unranked[:_MOST_ROWS]:
        known = {"folds": f"{len(trial.folds)}/{study.n_folds}", "verdict": trial.state}
        add(trial, known, "red" if trial.state == "failed" else "dim")
    more = max(0, len(rows) - _MOST_ROWS) + max(0, len(unranked) - _MOST_ROWS)
    if more:
        made.add_row("...", f"and {more} more", style="dim")
    return made


def write(study: StudyResult, folder: Path, store: str | Path | None = None) -> Path:
    """Write the report of a sweep.

    Args:
        study: Finished or not.
        folder: Made if it is not there; `leaderboard.csv`, `folds.csv`, `comparisons.csv` and
            `report.html` in it are replaced.
        store: Folder of the finished folds, whose records say where each run's own folder is;
            None without.

    Returns:
        The page, which needs none of the other files.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    folders = {} if store is None else _run_folders(study, store_of(study.name, str(store)))
    return write_report(study, folder, folders)


def write_report(study: StudyResult, folder: Path, run_folders: Mapping[int, Path]) -> Path:
    """Write the report as `write` does, with the folder of each trial's run, by its number."""
    rows = ranked_rows(study)
    links = {
        number: (os.path.relpath(own, folder), _command(own)) for number, own in run_folders.items()
    }
    write_table(folder / "leaderboard.csv", _leaderboard(study, rows))
    write_table(folder / "folds.csv", _folds(study))
    comparisons = pd.DataFrame([asdict(row.comparison) for row in rows])
    write_table(folder / "comparisons.csv", comparisons.rename(columns={"number": "trial"}))
    best = run_folders.get(rows[0].trial.number) if rows else None
    verdict, *others = sentences(study)
    return write_page(
        folder / "report.html",
        "study.html",
        figures=draw_all(study, rows, {number: one for number, (_, one) in links.items()}),
        title=study.title,
        about=f"Study {study.name}",
        note=study.note,
        verdict=verdict,
        sentences=others,
        leaderboard=_shown_leaderboard(study, rows, links),
        scores=_scores(study, rows[0].trial) if rows else pd.DataFrame(),
        comparisons=_shown_comparisons(study, rows),
        explanation=_explanation(best) if best else [],
        objective=study.objectives[0].name,
    )


def _run_folders(study: StudyResult, store: Path) -> dict[int, Path]:
    """Return the folders of the runs whose records are in the store."""
    folders = {}
    for trial in study.trials:
        record = store / "runs" / f"{trial.run_key}.json"
        if trial.run_key and record.is_file() and (folder := load_run(record).folder):
            folders[trial.number] = Path(folder)
    return folders


def _command(folder: Path) -> str:
    path = shlex.quote(str(folder.absolute()))
    return f"python -m lvh.run --config-path {path} --config-name config"


def _explanation(folder: Path) -> list[tuple[str, str]]:
    """Return pictures that explain the best configuration as data URIs, with what they show."""
    return [
        (data_uri(read_bytes(folder / "explanation" / name, folder, _MAX_PICTURE_BYTES)), shows)
        for name, shows in _EXPLANATIONS.items()
        if (folder / "explanation" / name).is_file()
    ]


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


def _cells(study: StudyResult, row: Row) -> dict[str, str]:
    """Return the text of those columns for a complete configuration."""
    low, high = row.interval.low, row.interval.high
    others = [one.name for one in study.objectives[1:]]
    return {
        "seconds": f"{row.seconds:.1f}",
        _columns(study)[0]: _decimals(row.mean),
        "std": _decimals(row.std),
        "95 % interval": "" if math.isnan(low) else f"{low:.2f} to {high:.2f}",
        "folds": str(row.n_folds),
        **dict(zip(others, map(_decimals, row.trial.values[1:]), strict=True)),
        "verdict": "?" if row.verdict == "not comparable" else row.verdict,
    }


def _decimals(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _values(study: StudyResult, trial: Trial, digits: int = 6) -> dict[str, str]:
    names = short_names(study.dimensions)
    return {
        names[name]: value_text(trial.params.get(name), digits) for name in study.dimensions
    }


def _terminal_places(study: StudyResult) -> dict[str, dict[int, str]]:
    """Return a column a dimension, by trial; one for all where they are too wide."""
    columns: dict[str, dict[int, str]] = {}
    for trial in study.trials:
        for name, text in _values(study, trial, 4).items():
            columns.setdefault(name, {})[trial.number] = text
    widths = [2 + max(len(name), *map(len, own.values())) for name, own in columns.items()]
    return {"configuration": configuration_names(study)} if sum(widths) - 2 > _ROOM else columns


def _leaderboard(study: StudyResult, rows: Sequence[Row]) -> pd.DataFrame:
    """Return all trials, those without a rank below the others and without a score."""
    lines = []
    for row in rows:
        scores = {"mean": row.mean, "std": row.std, "low": row.interval.low}
        scores |= {"high": row.interval.high, "folds": row.n_folds, "accuracy": row.accuracy}
        lines.append((row.trial, row.rank, scores, row.verdict))
    lines += [(one, "", {"folds": len(one.folds)}, "") for one in unranked_trials(study)]
    values = [f"value_{objective.name}" for objective in study.objectives]
    names = ("mean", "std", "low", "high", "folds", "accuracy", "seconds", "verdict", "error")
    header = ["rank", "trial", "state", *study.dimensions, *values, *names]
    return pd.DataFrame(
        [
            {
                "rank": rank,
                "trial": trial.number,
                "state": trial.state,
                **{name: _exact(trial, name) for name in study.dimensions},
                **dict(zip(values, trial.values, strict=False)),
                **scores,
                "seconds": f"{sum(fold.seconds for fold in trial.folds):.3f}",
                "verdict": verdict,
                "error": trial.error,
            }
            for trial, rank, scores, verdict in lines
        ],
        columns=header,
        dtype=object,
    )


def _exact(trial: Trial, name: str) -> object:
    """Return the value of a dimension, a number with every digit."""
    value = trial.params.get(name)
    return value if isinstance(value, float) else value_text(value)


def _folds(study: StudyResult) -> pd.DataFrame:
    names = ("trial", "state", "repeat", "fold", *NAMES, "seconds", "n_train", "n_test")
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "repeat": fold.repeat + 1,
                "fold": fold.fold + 1,
                **fold.metrics,
                "seconds": f"{fold.seconds:.3f}",
                "n_train": fold.n_train,
                "n_test": fold.n_test,
            }
            for trial in study.trials
            for fold in trial.folds
        ],
        columns=list(names),
    )


def _shown_leaderboard(
    study: StudyResult, rows: Sequence[Row], links: Mapping[int, tuple[str, str]]
) -> pd.DataFrame:
    """Return the leaderboard for a reader: a script makes links of its last two columns."""
    known = [(row.trial, {"rank": row.rank, **_cells(study, row)}) for row in rows]
    for trial in unranked_trials(study):
        done = f"{len(trial.folds)}/{study.n_folds}"
        known.append((trial, {"folds": done, "verdict": trial.state, "reason": trial.error}))
    lines = []
    for trial, cells in known:
        folder, command = links.get(trial.number, ("", ""))
        own = {"trial": trial.number, **_values(study, trial), **cells}
        lines.append({**own, "folder": folder, "command": command})
    dimensions = short_names(study.dimensions).values()
    names = ["rank", "trial", *dimensions, *_columns(study), "reason", "folder", "command"]
    table = pd.DataFrame(lines, columns=names, dtype=object).fillna("")
    return table.drop(columns=[name for name in names[-3:] if not any(table[name])])


def _scores(study: StudyResult, best: Trial) -> pd.DataFrame:
    """Return every score of the best configuration, as mean over folds and over all folds."""
    folds = pd.DataFrame([fold.metrics for fold in best.folds], columns=list(NAMES))
    table = pd.DataFrame({"mean over folds": folds.mean(), "std": folds.std()})
    if found := study.predictions.get(best.number):
        pooled = bootstrap_intervals(
            found.y_true, found.y_score, found.subject, threshold=found.threshold
        )
        intervals = {name: (one.estimate, one.low, one.high) for name, one in pooled.items()}
        table[["pooled", "95 % from", "to"]] = pd.DataFrame(intervals).T
    for name, scores in best.baselines.items():
        table[name] = pd.Series(scores)
    return table.rename_axis("score").reset_index()


def _shown_comparisons(study: StudyResult, rows: Sequence[Row]) -> pd.DataFrame:
    """Return the table of the paired differences; it is empty for fewer than two configurations."""
    names = configuration_names(study)
    lines = [
        {
            "trial": one.number,
            "configuration": names[one.number],
            "difference": one.difference,
            "95 % from": one.low,
            "to": one.high,
            "folds": one.n_folds,
            "p": one.p,
            "p (Holm)": one.p_holm,
            "P(worse)": one.worse,
            "P(equivalent)": one.equivalent,
            "P(better)": one.better,
        }
        for one in (row.comparison for row in rows[1:])
        if one.n_folds
    ]
    return pd.DataFrame(lines)
