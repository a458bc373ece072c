"""The folder of a run: all that is needed to check or redo it, written and read as plain files."""

import csv
import io
import json
import os
import platform
import re
import subprocess
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import astuple, replace
from itertools import chain, zip_longest
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lvh
from lvh.errors import InputError
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary
from lvh.files import write_texts
from lvh.models.backends import distributions, version
from lvh.models.training import History
from lvh.tracking import TrackingSettings
from lvh.tracking.run_record import RunRecord, load_run
from lvh.validation.metrics import (
    NAMES,
    Interval,
    Metrics,
    mean_and_std,
    pooled_intervals,
    score,
)
from lvh.validation.splits import Split

if TYPE_CHECKING:
    import pandas as pd

    from lvh.features import FeatureSet

STUDY = "study.txt"
"""File in the folder of a sweep that names its study."""
_OUTPUTS = Path("outputs")
_VERSIONED = ("numpy", "scikit-learn", "neurokit2", "hydra-core", "mlflow")
_FOLD, _RECORD = ("repeat", "fold"), ("record", "subject")
_LOSSES = ("loss", "accuracy", "validation_loss", "validation_accuracy")
_OF_SOME = (
    *("null.csv", "external.csv", "net_benefit.csv", "subgroups.csv"),
    *("explanation/*.csv", "explanation/*.png"),
)
"""Files that not every run has."""
_TABLES = ("splits", "predictions", "folds", "history", "scores")


def link_latest(folder: Path) -> None:
    """Make `outputs/latest` lead to a folder below `outputs`, if `latest` is a link or absent."""
    latest, temporary = _OUTPUTS / "latest", _OUTPUTS / f".latest-{os.getpid()}"
    target = os.path.relpath(folder.resolve(), _OUTPUTS.resolve())
    if target.startswith("..") or (os.path.lexists(latest) and not latest.is_symlink()):
        return
    with suppress(OSError):
        _OUTPUTS.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(latest)


def study_in(folder: Path) -> str:
    """Return the name of the study of a sweep's folder; empty for any other path."""
    path = folder / STUDY
    return path.read_text("utf-8").strip() if path.is_file() else ""


def versions(backend: str, threads: int) -> dict[str, str]:
    """Return what may change a result to its last bit, apart from the settings."""
    libraries = (*distributions(backend), *_VERSIONED)
    return {
        "backend": backend,
        "threads": str(threads),
        "lvh": lvh.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: own for name in libraries if (own := version(name))},
    }


def _git_commit() -> str:
    """Return the commit of the source, marked if it was changed, or `none` outside git."""
    folder = Path(lvh.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return "none"
    describe = "git describe --always --abbrev=40 --exclude=* --dirty=-changed".split()
    try:
        return subprocess.check_output(describe, cwd=folder, text=True, timeout=10).strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def forget_another(folder: Path, key: str) -> None:
    """Delete what a run with another key has left in a folder, and this one may not write again."""
    with suppress(InputError):  # there was none, or its record is damaged
        if load_run(folder / "run.json").key != key:
            for path in chain.from_iterable(map(folder.glob, _OF_SOME)):
                path.unlink()


def write_before(
    folder: Path,
    config: str,
    versions: Mapping[str, str],
    features: "FeatureSet",
    splits: Sequence[Split],
) -> None:
    """Write what is known before training: configuration, versions and splits."""
    rows = (
        (split.repeat + 1, split.fold + 1, features.records[i], features.subjects[i], part)
        for split in splits
        for part in ("train", "validation", "test")
        for i in getattr(split, part)
    )
    texts = {"config.yaml": config, "versions.json": json.dumps(versions, indent=2) + "\n"}
    texts["splits.csv"] = _csv((*_FOLD, *_RECORD, "part"), rows)
    write_texts(folder, texts)


def write_after(folder: Path, features: "FeatureSet", result: CVResult) -> None:
    """Write the results: predictions, scores by fold and over folds, and histories."""
    predictions, folds, history = [], [], []
    for fold in result.folds:
        at, losses = (fold.split.repeat + 1, fold.split.fold + 1), fold.history
        for i, y_score, y_pred in zip(fold.split.test, fold.y_score, fold.y_pred, strict=True):
            record = (features.records[i], features.subjects[i], features.y[i])
            predictions.append((*at, *record, float(y_score), int(y_pred)))
        epochs = (len(losses.loss), losses.kept_epoch)
        seconds = f"{fold.seconds:.3f}"
        folds.append((*at, *astuple(fold.metrics), fold.threshold, *epochs, seconds, losses.chosen))
        curves = zip_longest(*attrgetter(*_LOSSES)(losses))
        for epoch, values in enumerate(curves, start=1):
            history.append((*at, epoch, *values))
    scores = [
        (of, name, getattr(one.mean, name), getattr(one.std, name), *astuple(one.pooled[name]))
        for of, one in {"model": result.scores, **result.baselines}.items()
        for name in NAMES
    ]
    of_fold = ("threshold", "epochs", "kept_epoch", "seconds", "chosen")
    texts = {
        "predictions.csv": _csv((*_FOLD, *_RECORD, "y_true", "y_score", "y_pred"), predictions),
        "folds.csv": _csv((*_FOLD, *NAMES, *of_fold), folds),
        "scores.csv": _csv(("of", "metric", "mean", "std", "pooled", "low", "high"), scores),
        "history.csv": _csv((*_FOLD, "epoch", *_LOSSES), history),
    }
    if result.null:
        names = tuple(result.p_values)
        shuffles = [(number, *map(means.get, names)) for number, means in enumerate(result.null, 1)]
        texts["null.csv"] = _csv(("shuffle", *names), shuffles)
    write_texts(folder, texts)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def read_result(run: str | Path, uri: str | None = None) -> CVResult:
    """Return the result of a finished run, by its folder or its ID in a tracking store."""
    with ExitStack() as stack:
        folder = Path(run)
        if re.fullmatch("[0-9a-f]{32}", str(run)):
            from lvh.tracking.mlflow_store import files_of

            folder = stack.enter_context(files_of(str(run), TrackingSettings(uri=uri)))
        result, record = read_folder(folder)
    if leakage := record.tags.get("leakage"):
        warnings.warn(f"{run}: not honest: {leakage}", stacklevel=3)
    return result


def read_folder(folder: Path) -> tuple[CVResult, RunRecord]:
    """Return the result of a finished run, and its record, from the files of its folder."""
    files = ("run.json", *(f"{name}.csv" for name in _TABLES))
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise InputError(
            "run: expected the folder of a finished run, or the 32 digits of a tracked one. "
            f"Received: {folder}, without {' '.join(missing)}"
        )
    record = load_run(folder / "run.json")
    try:
        return _read(folder, record.p_values), record
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: expected a run. Received: damaged files ({error})") from error


def _read(folder: Path, p_values: Mapping[str, float]) -> CVResult:
    tables = {name: _table(folder / f"{name}.csv") for name in _TABLES}
    parts, scores = tables["splits"], tables["scores"]
    records = parts.drop_duplicates("record").set_index("record")
    folds = tuple(_fold(row, tables, records.index) for row in tables["folds"].to_dict("records"))
    pairs = [[fold.split.repeat + 1, fold.split.fold + 1] for fold in folds]
    predicted, known = (
        tables[name][[*_FOLD]].astype(int).drop_duplicates().to_numpy().tolist()
        for name in ("predictions", "splits")
    )
    if pairs != predicted or sorted(pairs) != sorted(known):
        raise ValueError("folds.csv, predictions.csv and splits.csv have different folds")
    summaries = {
        str(of): _summary(scores[scores.of == of].set_index("metric")) for of in scores.of.unique()
    }
    null = _table(folder / "null.csv") if (folder / "null.csv").is_file() else None
    result = CVResult(
        folds=folds,
        scores=summaries.pop("model"),
        baselines=summaries,
        null=() if null is None else tuple(null.drop(columns="shuffle").to_dict("records")),
        p_values=dict(p_values),
        records=tuple(records.index),
        subjects=records.subject.to_numpy(np.str_),
        y_true=tables["predictions"].y_true.astype(np.int64).to_numpy(),
    )
    return _with_newer_scores(result, set(scores.metric))


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a record may be called NA
    for name in set(table) - {*_RECORD, "part", "of", "metric", "chosen"}:
        table[name] = [float(text or "nan") for text in table[name]]  # pandas rounds
    return table


def _fold(
    row: dict[str, Any], tables: Mapping[str, "pd.DataFrame"], records: "pd.Index"
) -> FoldResult:
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
    parts = {part: records.get_indexer(of).astype(np.int64) for part, of in named.items()}
    scores, threshold = y_score.to_numpy(np.float64), float(row["threshold"])
    return FoldResult(
        split=Split(repeat - 1, number - 1, **parts),
        y_score=scores,
        metrics=score(y_true.to_numpy(np.int64), scores, threshold),
        history=History(
            **{name: tuple(history[name].dropna().tolist()) for name in _LOSSES},
            kept_epoch=int(row["kept_epoch"]),
            chosen=str(row["chosen"]),
        ),
        seconds=float(row["seconds"]),
        threshold=threshold,
    )


def _summary(rows: "pd.DataFrame") -> Summary:
    """Return scores over all folds; NaN for one that is newer than the run."""
    rows = rows.reindex(list(NAMES))
    mean, std = (Metrics(**rows[of].to_dict()) for of in ("mean", "std"))
    pooled = {one.Index: Interval(one.pooled, one.low, one.high) for one in rows.itertuples()}
    return Summary(mean, std, pooled)


def _with_newer_scores(result: CVResult, known: set[str]) -> CVResult:
    """Add scores that are newer than the run, from its predictions; those of baselines are NaN."""
    if known >= set(NAMES):
        return result
    mean, std = mean_and_std([fold.metrics for fold in result.folds])
    sizes = [len(fold.y_score) for fold in result.folds]
    thresholds = np.repeat([fold.threshold for fold in result.folds], sizes)
    subjects = result.subjects[result.test]
    pooled = pooled_intervals(result.y_true, result.y_score, subjects, thresholds, sizes)
    before = {name: of for name, of in result.scores.pooled.items() if name in known}
    return replace(result, scores=Summary(mean, std, pooled | before))
