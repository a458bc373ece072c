"""The result of a finished run, read from the files of its folder; the data are not needed."""

import re
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary
from lvh.models.training import History
from lvh.tracking import TrackingSettings
from lvh.tracking.run_dir import LOSSES
from lvh.tracking.run_record import RunRecord, load_run
from lvh.validation.metrics import (
    NAMES,
    Interval,
    Metrics,
    bootstrap_intervals,
    mean_and_std,
    score,
)
from lvh.validation.splits import Split

_FILES = ("run.json", "splits.csv", "predictions.csv", "folds.csv", "history.csv", "scores.csv")


def read_result(run: str | Path, uri: str | None = None) -> CVResult:
    """Return the result of a finished run, by its folder or its ID in a tracking store."""
    with ExitStack() as stack:
        folder = Path(run)
        if re.fullmatch("[0-9a-f]{32}", str(run)):
            from lvh.tracking.run_lookup import files_of

            folder = stack.enter_context(files_of(str(run), TrackingSettings(uri=uri)))
        result, record = read_folder(folder)
    if leakage := record.tags.get("leakage"):
        warnings.warn(f"{run}: not honest: {leakage}", stacklevel=3)
    return result


def read_folder(folder: Path) -> tuple[CVResult, RunRecord]:
    """Return the result of a finished run, and its record, from the files of its folder."""
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise InputError(
            "run: expected the folder of a finished run, or the 32 digits of a tracked one. "
            f"Received: {folder}, without {' '.join(missing)}"
        )
    record = load_run(folder / "run.json")
    try:
        return _read(folder, dict(record.p_values)), record
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: expected a run. Received: damaged files ({error})") from error


def _read(folder: Path, p_values: dict[str, float]) -> CVResult:
    names = ("splits", "predictions", "folds", "scores", "history")
    tables = {name: _table(folder / f"{name}.csv") for name in names}
    parts, scores = tables["splits"], tables["scores"]
    records = parts.drop_duplicates("record").set_index("record")
    folds = tuple(_fold(row, tables, records.index) for row in tables["folds"].to_dict("records"))
    pairs = [[fold.split.repeat + 1, fold.split.fold + 1] for fold in folds]
    predicted, known = (
        tables[name][["repeat", "fold"]].astype(int).drop_duplicates().to_numpy().tolist()
        for name in ("predictions", "splits")
    )
    if pairs != predicted or sorted(pairs) != sorted(known):
        raise ValueError("folds.csv, predictions.csv and splits.csv have different folds")
    summaries = {str(of): _summary(own.set_index("metric")) for of, own in scores.groupby("of")}
    null = _table(folder / "null.csv") if (folder / "null.csv").is_file() else pd.DataFrame()
    result = CVResult(
        folds=folds,
        scores=summaries.pop("model"),
        baselines={str(of): summaries[of] for of in scores.of.unique() if of != "model"},
        null=tuple(null.drop(columns="shuffle", errors="ignore").to_dict("records")),
        p_values=p_values,
        records=tuple(records.index),
        subjects=records.subject.to_numpy(np.str_),
        y_true=tables["predictions"].y_true.astype(np.int64).to_numpy(),
    )
    return _with_newer_scores(result, set(scores.metric))


def _fold(row: dict[str, Any], tables: dict[str, pd.DataFrame], records: pd.Index) -> FoldResult:
    """Return a fold, scored by its predictions: the files of old runs lack newer scores."""
    repeat, number = int(row["repeat"]), int(row["fold"])
    own, predictions, history = (
        table[(table.repeat == repeat) & (table.fold == number)]
        for table in (tables["splits"], tables["predictions"], tables["history"])
    )
    named = {part: own.record[own.part == part] for part in ("train", "validation", "test")}
    if predictions.empty or [*named["test"]] != [*predictions.record]:
        raise ValueError("predictions.csv has other records than splits.csv")
    y_true, y_score = predictions.y_true, predictions.y_score
    if not (y_true.isin([0, 1]).all() and y_score.between(0, 1).all()):
        raise ValueError("predictions.csv has labels or scores that are none")
    scores, threshold = y_score.to_numpy(np.float64), float(row["threshold"])
    return FoldResult(
        split=Split(
            repeat - 1,
            number - 1,
            **{part: records.get_indexer(of).astype(np.int64) for part, of in named.items()},
        ),
        y_score=scores,
        metrics=score(y_true.to_numpy(np.int64), scores, threshold),
        history=History(
            **{name: tuple(history[name].dropna().tolist()) for name in LOSSES},
            kept_epoch=int(row["kept_epoch"]),
            chosen=str(row["chosen"]),
        ),
        seconds=float(row["seconds"]),
        threshold=threshold,
    )


def _with_newer_scores(result: CVResult, known: set[str]) -> CVResult:
    """Add scores that are newer than the run, of its predictions; baselines have none: NaN."""
    if known >= set(NAMES):
        return result
    mean, std = mean_and_std([fold.metrics for fold in result.folds])
    thresholds = [np.full(len(fold.y_score), fold.threshold) for fold in result.folds]
    pooled = bootstrap_intervals(
        result.y_true, result.y_score, result.subjects[result.test], np.concatenate(thresholds)
    )
    before = {name: of for name, of in result.scores.pooled.items() if name in known}
    return replace(result, scores=Summary(mean, std, pooled | before))


def _table(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a record may be called NA
    for name in set(table) - {"record", "subject", "part", "of", "metric", "chosen"}:
        table[name] = [float(text or "nan") for text in table[name]]  # pandas rounds
    return table


def _summary(rows: pd.DataFrame) -> Summary:
    """Return scores over all folds; NaN for one that is newer than the run."""
    rows = rows.reindex(list(NAMES))
    mean, std = (Metrics(**rows[of].to_dict()) for of in ("mean", "std"))
    pooled = {one.Index: Interval(one.pooled, one.low, one.high) for one in rows.itertuples()}
    return Summary(mean, std, pooled)
