"""The folder that ends a sweep: its table as files, its pictures, and one page with all."""

import base64
import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from lvh.evaluation.results import Plain
from lvh.files import read_bytes, write_text
from lvh.reports.explanation_pictures import PICTURES
from lvh.reports.study.leaderboard import Row, cells, columns, rows, title, unfinished
from lvh.reports.study.naming import configuration, short_names, shown
from lvh.reports.study.statistics import Comparison
from lvh.reports.study.study_figures import Picture, draw_all
from lvh.reports.study.verdict import sentences
from lvh.search.results import FoldScore, StudyResult, Trial
from lvh.validation.metrics import NAMES

_TEMPLATE = Path(__file__).with_name("study_page.html")
_MAX_PICTURE_BYTES = 8 * 1024 * 1024


def write(study: StudyResult, folder: Path, explanations: Path | None = None) -> Path:
    """Write everything that the sweep came to.

    Args:
        study: Finished or not.
        folder: Made if it is not there; `leaderboard.csv`, `folds.csv`, `comparisons.csv`, the
            pictures and `report.html` in it are replaced.
        explanations: Folder in which an explanation of the best configuration may lie.

    Returns:
        The page, which needs none of the other files.

    Raises:
        EnvironmentFault: The folder cannot be written.
    """
    ranked = rows(study)
    _write_leaderboard(study, ranked, folder / "leaderboard.csv")
    _write_folds(study, folder / "folds.csv")
    _write_comparisons(ranked, folder / "comparisons.csv")
    page = folder / "report.html"
    explained = _explained(study, explanations)
    write_text(page, _page(study, ranked, draw_all(study, folder), explained))
    return page


def _write_leaderboard(study: StudyResult, ranked: Sequence[Row], path: Path) -> None:
    """Write all trials, those without a rank below the others and without a score."""
    scores = ("mean", "std", "low", "high", "folds", "accuracy", "seconds", "verdict", "error")
    values = [f"value_{objective.name}" for objective in study.objectives]
    header = ("rank", "trial", "state", *study.dimensions, *values, *scores)
    blank = [""] * (len(values) + 4)
    lines: list[list[object]] = []
    for row in ranked:
        interval = (row.interval.low, row.interval.high)
        told = (row.mean, row.std, *interval, row.n_folds, row.accuracy, f"{row.seconds:.3f}")
        place = (row.rank, row.number, "complete", *_plain(study, row))
        lines.append([*place, *row.values, *told, row.verdict, ""])
    for trial in unfinished(study):
        place = ("", trial.number, trial.state, *_plain(study, trial))
        lines.append([*place, *blank, len(trial.folds), "", _seconds(trial.folds), "", trial.error])
    _write_csv(path, header, lines)


def _write_folds(study: StudyResult, path: Path) -> None:
    header = ("trial", "state", "repeat", "fold", *NAMES, "seconds", "n_train", "n_scored")
    lines = (
        [trial.number, trial.state, fold.repeat + 1, fold.fold + 1]
        + [fold.metrics.get(name, math.nan) for name in NAMES]
        + [f"{fold.seconds:.3f}", fold.n_train, fold.n_scored]
        for trial in study.trials
        for fold in trial.folds
    )
    _write_csv(path, header, lines)


def _write_comparisons(ranked: Sequence[Row], path: Path) -> None:
    header = ["trial", *[field.name for field in fields(Comparison)][1:]]
    lines = [astuple(row.comparison) for row in ranked if row.comparison is not None]
    _write_csv(path, header, lines)


def _plain(study: StudyResult, one: Row | Trial) -> list[object]:
    """Return the values of the dimensions, numbers with every digit."""
    values = [one.params.get(name) for name in study.dimensions]
    return [value if isinstance(value, float) else shown(value) for value in values]


def _seconds(folds: Sequence[FoldScore]) -> str:
    return f"{sum(fold.seconds for fold in folds):.3f}"


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_text(path, text.getvalue())


def _explained(study: StudyResult, root: Path | None) -> list[tuple[str, str]]:
    """Return the pictures of what the best configuration looks at, as data, and what they show."""
    run = study.complete[0].run_key if study.complete else ""
    if root is None or not run.isalnum():
        return []
    folder = root / run
    return [
        (_in_page(read_bytes(folder / name, folder, _MAX_PICTURE_BYTES)), shows)
        for name, shows in PICTURES.items()
        if (folder / name).is_file()
    ]


def _page(
    study: StudyResult,
    ranked: Sequence[Row],
    pictures: Sequence[Picture],
    explained: Sequence[tuple[str, str]],
) -> str:
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters["shown"] = shown
    made.filters["three"] = _three
    template = made.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    trials = {trial.number: trial for trial in study.trials}
    return template.render(
        study=study,
        sentences=sentences(study),
        table_title=title(study),
        names=list(short_names(study.dimensions).values()),
        columns=columns(study),
        ranked=[(row, _values(study, row), cells(study, row)) for row in ranked],
        compared=[
            (row.comparison, configuration(study, trials[row.number]))
            for row in ranked[1:]
            if row.comparison is not None
        ],
        unfinished=[(trial, _values(study, trial)) for trial in unfinished(study)],
        pictures=[(_in_page(picture.path.read_bytes()), picture.alt) for picture in pictures],
        explained=explained,
    )


def _values(study: StudyResult, one: Row | Trial) -> list[Plain]:
    return [one.params.get(name) for name in study.dimensions]


def _three(value: float) -> str:
    """Return three decimals; an undefined number is not written, a tiny one not as 0."""
    if math.isnan(value):
        return ""
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3f}"


def _in_page(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
