"""The result of a finished run, read from the files of its folder; the data are not needed."""

import re
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary
from lvh.models.training import History
from lvh.tracking import TrackingSettings
from lvh.tracking.run_record import RunRecord, load_run
from lvh.validation.metrics import NAMES, Interval, Metrics
from lvh.validation.splits import Split

_FILES = ("run.json", "splits.csv", "predictions.csv", "folds.csv", "history.csv", "scores.csv")


def read_result(run: str | Path, uri: str | None = None) -> CVResult:
    """Return the result of a run by its folder or its ID in a tracking store.

    Raises:
        InputError: There is no such run, or it is not finished.
    """
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
    """Return the result of a finished run, and its record, from the files of its folder.

    Raises:
        InputError: A file is missing or damaged.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            "run: expected the folder of a finished run, or the 32 digits of a tracked one. "
            f"Received: {folder}, without {' '.join(missing)}"
        )
    record = load_run(folder / "run.json")
    try:
        return _read(folder, dict(record.p_values)), record
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder}: expected the files of a run. Received: damaged ones ({error})"
        ) from error


def _read(folder: Path, p_values: dict[str, float]) -> CVResult:
    parts = _texts(folder / "splits.csv")
    predictions = _texts(folder / "predictions.csv")
    folds, scores = (_numbers(folder / f"{name}.csv") for name in ("folds", "scores"))
    history = _numbers(folder / "history.csv")
    records = tuple(dict.fromkeys(parts.record))
    place = pd.Series(range(len(records)), index=list(records))
    results, labels = [], []
    for row in folds.to_dict("records"):
        number = (int(row["repeat"]), int(row["fold"]))
        own = parts[_is(parts, number)]
        train, validation = (
            place[own.record[own.part == part]].to_numpy(np.int64)
            for part in ("train", "validation")
        )
        of_test = predictions[_is(predictions, number)]
        test = place[of_test.record].to_numpy(np.int64)
        labels.append(of_test.y_true.astype(np.int64).to_numpy())
        results.append(
            FoldResult(
                split=Split(number[0] - 1, number[1] - 1, train, validation, test),
                y_score=of_test.y_score.map(float).to_numpy(np.float64),
                metrics=Metrics(*(float(row[name]) for name in NAMES)),
                history=_history(history[_is(history, number)], row),
                seconds=float(row["seconds"]),
                threshold=float(row["threshold"]),
            )
        )
    summaries = {str(of): _summary(own.set_index("metric")) for of, own in scores.groupby("of")}
    null = _numbers(folder / "null.csv") if (folder / "null.csv").is_file() else pd.DataFrame()
    return CVResult(
        folds=tuple(results),
        scores=summaries.pop("model"),
        baselines={str(of): summaries[of] for of in scores.of.unique() if of != "model"},
        null=tuple(null.drop(columns="shuffle", errors="ignore").to_dict("records")),
        p_values=p_values,
        records=records,
        subjects=parts.drop_duplicates("record").subject.to_numpy(np.str_),
        y_true=np.concatenate(labels),
    )


def _texts(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)  # a record may be called NA


def _numbers(path: Path) -> pd.DataFrame:
    table = _texts(path)
    for name in set(table) - {"of", "metric", "chosen"}:
        table[name] = [float(text or "nan") for text in table[name]]  # pandas rounds
    return table


def _is(table: pd.DataFrame, number: tuple[int, int]) -> pd.Series:
    return (table.repeat.astype(int) == number[0]) & (table.fold.astype(int) == number[1])


def _history(epochs: pd.DataFrame, row: dict[str, Any]) -> History:
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    curves = {name: tuple(map(float, epochs[name].dropna())) for name in names}
    return History(**curves, kept_epoch=int(row["kept_epoch"]), chosen=str(row["chosen"]))


def _summary(rows: pd.DataFrame) -> Summary:
    mean, std = (Metrics(*(float(rows.loc[name, of]) for name in NAMES)) for of in ("mean", "std"))
    ends = ("pooled", "low", "high")
    pooled = {name: Interval(*(float(rows.loc[name, end]) for end in ends)) for name in NAMES}
    return Summary(mean, std, pooled)
