"""The report of a sweep, of a run, or of several runs: on a terminal, as files, and as a page."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lvh.config.plugins import loaded
from lvh.data.cohort import Cohort
from lvh.errors import InputError
from lvh.reports.external_validation import TABLES
from lvh.reports.leaderboard import (
    comparisons,
    configuration_names,
    decimals,
    facts,
    folds_table,
    headline,
    interval_texts,
    leaderboard,
    parameter_columns,
)
from lvh.reports.page import data_uri, write_page, write_table
from lvh.reports.terminal import say, show_facts, show_table
from lvh.search.results import StudyResult, Trial
from lvh.tracking.fold_store import store_of
from lvh.tracking.run_names import short_names, value_text
from lvh.tracking.run_record import load_run
from lvh.validation.metrics import NAMES

TrackedAt = Callable[[str, Path], str]
"""Returns the address of a run in MLflow, or the command that shows it, of its key and folder."""

_EXPLANATIONS = {
    "saliency.png": "Importance over time and lead, averaged over beats, with the mean beat",
    "importance.png": "Loss of average precision without a part of the inputs",
    "robustness.png": "Probability after changes of the signals, by label",
}
_N_WORST = 4  # records that are drawn
_FEW_FOLDS = 10
_COLUMNS = (
    *("rank", "trial", "std", "95 % interval", "folds", "seconds", "verdict", "reason"),
    *("configuration", "folder", "mlflow", "command"),
)
_MOST_COLUMNS = 3  # of dimensions on a terminal; more of them share one column
_MOST_ROWS = 50  # of the table on a terminal; the files have all
_STYLES = {"best": "bold", "failed": "red", "not told apart": None, "?": None}


def table(study: StudyResult, board: pd.DataFrame | None = None) -> Table:
    """Make the table of a sweep for a terminal, best first; below it, trials without a rank."""
    board = leaderboard(study) if board is None else board
    shown = _shown(study, board, digits=4).drop(columns=["rank", "reason"], errors="ignore")
    dimensions = [*_dimensions(study).values()]
    if len(dimensions) > _MOST_COLUMNS:
        shown = shown.drop(columns=dimensions)
        shown.insert(1, "configuration", shown.trial.map(configuration_names(study)))
        dimensions = ["configuration"]
    n, objective = len(study.complete), study.objectives[0].name
    score = f"mean {objective} over folds" if board.folds[:n].any() else objective
    title = f"{n} configuration{'s' if n != 1 else ''} by {score}"
    made = Table(title=Text(title), padding=(0, 1, 0, 0))
    for name in shown:
        side: Any = "left" if name in dimensions else "right"
        no_wrap = name not in ("configuration", "verdict")
        made.add_column(escape(name), justify=side, overflow="fold", no_wrap=no_wrap)
    for row in shown.head(_MOST_ROWS).to_dict("records"):
        cells = [escape(str(cell)) for cell in row.values()]
        made.add_row(*cells, style=_STYLES.get(row["verdict"], "dim"))
    if len(shown) > _MOST_ROWS:
        made.add_row("...", f"and {len(shown) - _MOST_ROWS} more", style="dim")
    return made


def show_sweep(study: StudyResult) -> None:
    """Show the table of a sweep, or of runs, what it says, and where to read about it."""
    board = leaderboard(study)
    show_table(table(study, board))
    texts = facts(study, board)
    show_facts({**texts, "best": texts["best"].removeprefix("Best: "), "note": study.note})
    say("help: docs/sweeps.md says how to read this")
    if "not told apart" in {*board.verdict} and study.n_folds < _FEW_FOLDS:
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
    from lvh.reports.study_figures import draw_all  # plotly takes long

    runs, pairs = runs or {}, comparisons(study)
    board, links = leaderboard(study, pairs), _links(study, runs, folder, tracked_at)
    write_table(folder / "leaderboard.csv", board)
    write_table(folder / "folds.csv", folds_table(study))
    write_table(folder / "comparisons.csv", pairs.reset_index())
    first, *others = facts(study, board).values()
    best = next(iter(study.complete), None)
    of_best = runs.get(best.number) if best else None
    return write_page(
        folder / "report.html",
        "study.html",
        figures=draw_all(study, links.command.to_dict()),
        title=study.title,
        about=study.name,
        note=study.note,
        verdict=headline(study, board, first),
        sentences=others,
        leaderboard=_shown(study, board, links),
        scores=_scores(study, best) if best else pd.DataFrame(),
        settings=_shared_settings(list(runs.values())),
        worst=_worst(study, best, cohort, folder) if best and cohort else None,
        explain=explain,
        objective=study.objectives[0].name,
        label=study.label_name,
        **_best_run_content(of_best, folder),
    )


def _best_run_content(run: Path | None, folder: Path) -> dict[str, object]:
    """Return tables and pictures of the best run, and the link to its explanation."""
    if run is None:
        return {"external": {}, "explanation": [], "explained": ""}
    tables = {name: run / name for name in (f"{one}.csv" for one in TABLES)}
    pictures = {run / "explanation" / name: words for name, words in _EXPLANATIONS.items()}
    return {
        "external": {name: pd.read_csv(path) for name, path in tables.items() if path.is_file()},
        "explanation": [
            (data_uri(path.read_bytes()), words)
            for path, words in pictures.items()
            if path.is_file()
        ],
        "explained": os.path.relpath(run / "explanation", folder),
    }


def _links(
    study: StudyResult, runs: Mapping[int, Path], folder: Path, tracked_at: TrackedAt | None
) -> pd.DataFrame:
    """Return, by trial, the folder of its run, its place in MLflow, and the command for it."""
    keys = {trial.number: trial.run_key for trial in study.trials}
    links, plugins = {}, [f"--plugin {shlex.quote(code)} " for code in loaded()]
    for number, run in runs.items():
        place = tracked_at(keys[number], run) if tracked_at and keys[number] else ""
        path = shlex.quote(str(run.absolute()))
        command = f"python -m lvh.run {''.join(plugins)}--config-path {path} --config-name config"
        links[number] = (os.path.relpath(run, folder), place, command)
    return pd.DataFrame.from_dict(links, "index", columns=["folder", "mlflow", "command"])


def _shared_settings(runs: Sequence[Path]) -> pd.DataFrame:
    """Return the settings that all runs have, with one value, as their records say."""
    settings = []
    for run in runs:
        with suppress(InputError):  # it has no record, or a damaged one
            record = load_run(run / "run.json")
            params = {name: value_text(value, None) for name, value in record.params.items()}
            settings.append({"records": str(record.data.n), "label": record.data.label} | params)
    frame = pd.DataFrame(settings, dtype=object)
    shared = frame.loc[:, frame.notna().all() & (frame.nunique() == 1)].head(1)
    return shared.melt(var_name="setting")


def _worst(
    study: StudyResult, best: Trial, cohort: Cohort | str, folder: Path
) -> str | list[tuple[str, str]]:
    """Draw the records whose scores are farthest from their labels, or say why none is drawn."""
    from lvh.reports.ecg_plot import draw_record  # matplotlib takes a second

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
        pictures.append(draw_record(cohort, place, title, folder / f"worst_{at}.svg"))
    return pictures


def run_folders(study: StudyResult, store: str) -> dict[int, Path]:
    """Return the folders of the runs whose records are in the store."""
    root = store_of(study.name, store) / "runs"
    records = {trial.number: root / f"{trial.run_key}.json" for trial in study.trials}
    folders = {number: load_run(path).folder for number, path in records.items() if path.is_file()}
    return {number: Path(folder) for number, folder in folders.items() if folder}


def _dimensions(study: StudyResult) -> dict[str, str]:
    """Return the column of each dimension in the leaderboard, and its name for a reader."""
    taken = (*_COLUMNS, *(objective.name for objective in study.objectives))
    shown = short_names(study.dimensions, taken).values()
    return dict(zip(parameter_columns(study).values(), shown, strict=True))


def _shown(
    study: StudyResult, board: pd.DataFrame, links: pd.DataFrame | None = None, digits: int = 6
) -> pd.DataFrame:
    """Return the leaderboard for a reader; the script of the page makes links of `links`."""
    first, *others = [objective.name for objective in study.objectives]
    is_ranked, shown = board["rank"].notna(), board[["rank", "trial"]].fillna("")
    for column, short in _dimensions(study).items():
        shown[short] = [
            f"{one:.{digits}g}" if isinstance(one, float) else str(one) for one in board[column]
        ]
    scores = {first if first != "seconds" else "seconds a fold": board["mean"], "std": board["std"]}
    for name, column in scores.items():
        shown[name] = decimals(column)
    shown["95 % interval"] = interval_texts(board)
    done = board.folds.astype(str)
    shown["folds"] = done.where(is_ranked, done + f"/{study.n_folds}")
    for name in others:
        shown[name] = decimals(board[f"value_{name}"])
    if "seconds" not in (first, *others):
        shown["seconds"] = decimals(board.seconds.where(is_ranked), 1)
    verdict = board.verdict.replace("not comparable", "?")
    shown["verdict"], shown["reason"] = verdict.where(is_ranked, board.state), board.error
    if links is not None:
        shown = shown.join(links, on="trial").fillna("")
    optional = ["reason", *(links if links is not None else ())]
    return shown.drop(columns=[name for name in optional if not shown[name].any()])


def _scores(study: StudyResult, best: Trial) -> pd.DataFrame:
    """Return every score of the best configuration, as mean over folds and over all folds."""
    folds = pd.DataFrame([fold.metrics for fold in best.folds], columns=list(NAMES))
    shown = pd.DataFrame({"mean over folds": folds.mean(), "std": folds.std()})
    if rows := study.predictions.get(best.number):
        intervals = {name: astuple(one) for name, one in rows.pooled().items()}
        shown[["pooled", "95 % from", "to"]] = pd.DataFrame(intervals).T
    for name, scores in best.baselines.items():
        shown[name] = pd.Series(scores)
    return shown.rename_axis("score").reset_index()
