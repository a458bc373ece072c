"""Tables of a sweep, of a run, or of several runs: on a terminal, as files, and on a page."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from lvh.data.cohort import Cohort
from lvh.errors import InputError
from lvh.files import read_bytes
from lvh.reports import ecg_plot
from lvh.reports.external_validation import TABLES
from lvh.reports.leaderboard import (
    Comparison,
    Row,
    configuration_names,
    has_folds,
    ranked_rows,
    unranked_trials,
)
from lvh.reports.page import data_uri, write_page, write_table
from lvh.reports.study_figures import draw_all
from lvh.reports.terminal import console, say, show_facts, show_table
from lvh.reports.verdict import facts, headline, sentences
from lvh.search.results import StudyResult, Trial
from lvh.tracking.fold_store import store_of
from lvh.tracking.run_names import short_names, value_text
from lvh.tracking.run_record import load_run
from lvh.validation.metrics import NAMES, bootstrap_intervals

TrackedAt = Callable[[str, Path], str]
"""Returns the address of a run in MLflow, or the command that shows it, of its key and folder."""

_EXPLANATIONS = {
    "saliency.png": "Importance over time and lead, averaged over beats, with the mean beat",
    "importance.png": "Loss of average precision without leads, waves and inputs",
    "robustness.png": "Probability after changes of the signals, by label",
}
_LINKS = ("folder", "mlflow", "command")
_N_WORST = 4  # records that are drawn
_MAX_PICTURE_BYTES = 8 * 1024 * 1024
_FEW_FOLDS = 10
_OTHERS = 59  # letters of a row that the dimensions do not have
_MOST_ROWS = 50  # of the table on a terminal; the files have all
_STYLES = {"best": "bold", "failed": "red", "not told apart": None, "?": None}


def table(study: StudyResult, width: int = 80) -> Table:
    """Make the table of a sweep for a terminal, best first; below it, trials without a rank.

    `width` in letters decides whether each dimension has a column.
    """
    shown = _shown_leaderboard(study, ranked_rows(study), {}, digits=4)
    shown = shown.drop(columns=["rank", "reason"], errors="ignore")
    dimensions = list(short_names(study.dimensions).values())
    widths = [shown[name].map(len).max() for name in dimensions] if len(shown) else []
    needed = sum(map(max, zip(widths, map(len, dimensions), strict=False))) + 2 * len(widths)
    if needed > width - _OTHERS:
        shown = shown.drop(columns=dimensions)
        shown.insert(1, "configuration", shown.trial.map(configuration_names(study)))
        dimensions = ["configuration"]
    objective, n = study.objectives[0], len(study.complete)
    score = f"mean {objective.name} over folds" if has_folds(objective) else objective.name
    title = f"{n} configuration{'s' if n != 1 else ''} by {score}"
    shown_table = Table(title=escape(title), padding=(0, 1, 0, 0))
    for name in shown:
        side: Any = "left" if name in dimensions else "right"
        no_wrap = name not in ("configuration", "verdict")
        shown_table.add_column(escape(name), justify=side, overflow="fold", no_wrap=no_wrap)
    for row in shown.head(_MOST_ROWS).to_dict("records"):
        style = _STYLES.get(row["verdict"], "dim")
        shown_table.add_row(*(escape(str(cell)) for cell in row.values()), style=style)
    if len(shown) > _MOST_ROWS:
        shown_table.add_row("...", f"and {len(shown) - _MOST_ROWS} more", style="dim")
    return shown_table


def show_sweep(study: StudyResult) -> None:
    """Show the table of a sweep, or of runs, what it says, and where to read about it."""
    show_table(table(study, console().width))
    texts = facts(study)
    show_facts({**texts, "best": texts["best"].removeprefix("Best: "), "note": study.note})
    say("help: docs/sweeps.md says how to read this")
    is_open = any(row.comparison.verdict == "not told apart" for row in ranked_rows(study))
    if is_open and study.n_folds < _FEW_FOLDS:
        say("hint: cv=repeated has more folds, which can tell more configurations apart")


def write(
    study: StudyResult,
    folder: Path,
    runs: Mapping[int, Path] | None = None,
    *,
    tracked_at: TrackedAt | None = None,
    cohort: Cohort | str = "",
    explain: str = "",
) -> Path:
    """Write the report of a sweep; return the page, which needs none of the other files.

    `runs` are folders by trial, `cohort` has the records of the best run or says why there are none
    to draw, and `explain` is the command that explains it.
    """
    rows, runs = ranked_rows(study), runs or {}
    links = _links(study, runs, folder, tracked_at)
    names = [field.name for field in fields(Comparison)]
    comparisons = pd.DataFrame([asdict(row.comparison) for row in rows], columns=names)
    write_table(folder / "leaderboard.csv", leaderboard_table(study, rows))
    write_table(folder / "folds.csv", folds_table(study))
    write_table(folder / "comparisons.csv", comparisons.rename(columns={"number": "trial"}))
    first, *others = sentences(study)
    best = rows[0].trial if rows else None
    best_run = None if best is None else runs.get(best.number)
    external = {f"{name}.csv": best_run / f"{name}.csv" for name in TABLES} if best_run else {}
    return write_page(
        folder / "report.html",
        "study.html",
        figures=draw_all(study, rows, {number: link[-1] for number, link in links.items()}),
        title=study.title,
        about=study.name,
        note=study.note,
        verdict=headline(study, rows, first),
        sentences=others,
        leaderboard=_shown_leaderboard(study, rows, links),
        scores=pd.DataFrame() if best is None else _scores(study, best),
        external={name: pd.read_csv(path) for name, path in external.items() if path.is_file()},
        settings=_shared_settings(list(runs.values())),
        explanation=_explanation(best_run),
        explained=os.path.relpath(best_run / "explanation", folder) if best_run else "",
        explain=explain,
        worst=_worst(study, best, cohort, folder) if best and cohort else None,
        objective=study.objectives[0].name,
        label=study.label_name,
    )


def _links(
    study: StudyResult, runs: Mapping[int, Path], folder: Path, tracked_at: TrackedAt | None
) -> dict[int, tuple[str, str, str]]:
    """Return the folder of each trial, its place in MLflow, and the command that trains it."""
    keys, links = {trial.number: trial.run_key for trial in study.trials}, {}
    for number, run in runs.items():
        place = tracked_at(keys[number], run) if tracked_at and keys[number] else ""
        path = shlex.quote(str(run.absolute()))
        command = f"python -m lvh.run --config-path {path} --config-name config"
        links[number] = (os.path.relpath(run, folder), place, command)
    return links


def _shared_settings(runs: Sequence[Path]) -> pd.DataFrame:
    """Return the settings that all runs have, with one value, as their records say."""
    settings = list[dict[str, str]]()
    for run in runs:
        with suppress(InputError):  # it has no record, or a damaged one
            record = load_run(run / "run.json")
            params = {name: value_text(value, None) for name, value in record.params.items()}
            settings.append({"records": str(record.data.n), "label": record.data.label} | params)
    first = settings[0] if settings else {}
    rows = [item for item in first.items() if all(item in one.items() for one in settings)]
    return pd.DataFrame(rows, columns=["setting", "value"])


def _worst(
    study: StudyResult, best: Trial, cohort: Cohort | str, folder: Path
) -> str | list[tuple[str, str]]:
    """Draw the records whose scores are farthest from their labels, or say why none is drawn."""
    rows, label = study.predictions.get(best.number), study.label_name
    if isinstance(cohort, str):
        return cohort
    if rows is None or not cohort.leads or cohort.unit != "mV":
        return "it needs stored predictions, and signals in mV."
    table = pd.DataFrame({"label": rows.y_true, "score": rows.y_score}, index=rows.record)
    table = table.groupby(level=0, sort=False).mean()  # over repeats
    pictures = []
    for at, name in enumerate((table.label - table.score).abs().nlargest(_N_WORST).index, 1):
        says = "has" if table.label[name] else "does not have"
        title = f"Record {name} {says} {label}: P({label}) {table.score[name]:.3f}, out of fold"
        place = cohort.records.index(name)
        pictures.append(ecg_plot.draw_record(cohort, place, title, folder / f"worst_{at}.svg"))
    return pictures


def run_folders(study: StudyResult, store: str) -> dict[int, Path]:
    """Return the folders of the runs whose records are in the store."""
    root = store_of(study.name, store) / "runs"
    records = {trial.number: root / f"{trial.run_key}.json" for trial in study.trials}
    folders = {number: load_run(path).folder for number, path in records.items() if path.is_file()}
    return {number: Path(folder) for number, folder in folders.items() if folder}


def _explanation(run: Path | None) -> list[tuple[str, str]]:
    """Return pictures that explain a run as data URIs, with what they show."""
    folder = run / "explanation" if run else Path("none")
    return [
        (data_uri(read_bytes(folder / name, folder, _MAX_PICTURE_BYTES)), words)
        for name, words in _EXPLANATIONS.items()
        if run and (folder / name).is_file()
    ]


def leaderboard_table(study: StudyResult, rows: Sequence[Row]) -> pd.DataFrame:
    """Return all trials, those without a rank below the others and without a score."""
    values = [f"value_{objective.name}" for objective in study.objectives]
    ranked = {row.trial.number: (rank, row) for rank, row in enumerate(rows, 1)}
    lines = []
    for trial in (*(row.trial for row in rows), *unranked_trials(study)):
        line: dict[str, object] = {"trial": trial.number, "state": trial.state}
        for name in study.dimensions:  # numbers with every digit
            value = trial.params.get(name, "")  # it exists under other options
            line[name] = value if isinstance(value, float) else value_text(value)
        line |= zip(values, trial.values, strict=False)
        line["seconds"] = f"{sum(fold.seconds for fold in trial.folds):.3f}"
        line |= {"folds": len(trial.folds), "error": trial.error}
        if trial.number in ranked:
            rank, row = ranked[trial.number]
            accuracy = pd.Series(
                [fold.metrics.get("accuracy") for fold in trial.folds], dtype=float
            )
            line |= {"rank": rank, "mean": row.mean, "std": row.std, "accuracy": accuracy.mean()}
            line |= {"low": row.interval.low, "high": row.interval.high}
            line |= {"folds": row.n_folds, "verdict": row.comparison.verdict}
        lines.append(line)
    names = ("mean", "std", "low", "high", "folds", "accuracy", "seconds", "verdict", "error")
    columns = ["rank", "trial", "state", *study.dimensions, *values, *names]
    return pd.DataFrame(lines, columns=columns, dtype=object)


def folds_table(study: StudyResult) -> pd.DataFrame:
    """Return a row for each fold of each trial."""
    names = ["trial", "state", "repeat", "fold", *NAMES, "seconds", "n_train", "n_test"]
    lines = [
        {**fold.metrics, "trial": trial.number, "state": trial.state}
        | {"repeat": fold.repeat + 1, "fold": fold.fold + 1, "seconds": f"{fold.seconds:.3f}"}
        | {"n_train": fold.n_train, "n_test": fold.n_test}
        for trial in study.trials
        for fold in trial.folds
    ]
    return pd.DataFrame(lines, columns=names)


def _shown_leaderboard(
    study: StudyResult, rows: Sequence[Row], links: Mapping[int, tuple[str, ...]], digits: int = 6
) -> pd.DataFrame:
    """Return the leaderboard for a reader; the script of the page makes links of `_LINKS`."""
    frame, names = leaderboard_table(study, rows), [one.name for one in study.objectives]
    shown = frame[["rank", "trial"]].fillna("")
    for name, short in short_names(study.dimensions).items():
        shown[short] = [
            f"{one:.{digits}g}" if isinstance(one, float) else str(one) for one in frame[name]
        ]
    first = "seconds a fold" if names[0] == "seconds" else names[0]
    shown[first], shown["std"] = frame["mean"].map(_decimals), frame["std"].map(_decimals)
    shown["95 % interval"] = [
        "" if pd.isna(low) else f"{low:.2f} to {high:.2f}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]
    is_ranked, done = frame["rank"].notna(), frame["folds"].astype(str)
    shown["folds"] = done.where(is_ranked, done + f"/{study.n_folds}")
    for name in names[1:]:
        shown[name] = frame[f"value_{name}"].map(_decimals)
    if "seconds" not in names:
        shown["seconds"] = frame["seconds"].astype(float).map("{:.1f}".format).where(is_ranked, "")
    verdict = frame["verdict"].replace("not comparable", "?")
    shown["verdict"], shown["reason"] = verdict.where(is_ranked, frame["state"]), frame["error"]
    for at, name in enumerate(_LINKS):
        shown[name] = [links[one][at] if one in links else "" for one in frame["trial"]]
    empty = [name for name in ("reason", *_LINKS) if not shown[name].any()]
    return shown.drop(columns=empty)


def _decimals(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _scores(study: StudyResult, best: Trial) -> pd.DataFrame:
    """Return every score of the best configuration, as mean over folds and over all folds."""
    folds = pd.DataFrame([fold.metrics for fold in best.folds], columns=list(NAMES))
    shown = pd.DataFrame({"mean over folds": folds.mean(), "std": folds.std()})
    if rows := study.predictions.get(best.number):
        pooled = bootstrap_intervals(rows.y_true, rows.y_score, rows.subject, rows.threshold)
        intervals = {name: (one.estimate, one.low, one.high) for name, one in pooled.items()}
        shown[["pooled", "95 % from", "to"]] = pd.DataFrame(intervals).T
    for name, scores in best.baselines.items():
        shown[name] = pd.Series(scores)
    return shown.rename_axis("score").reset_index()
