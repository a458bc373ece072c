"""The folder of a run: everything needed to check or redo it, as plain files."""

import csv
import importlib.metadata
import io
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import lvh
from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.files import write_text
from lvh.models.backends import distributions
from lvh.models.training import History
from lvh.validation.metrics import NAMES
from lvh.validation.splits import Split

_VERSIONED = ("numpy", "scikit-learn", "neurokit2", "hydra-core", "mlflow")


def git_commit() -> str:
    """Return the commit of the source, marked if it was changed, or `none` outside git."""
    folder = Path(lvh.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return "none"
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("-changed" if _git(folder, "status", "--porcelain", "lvh", "conf") else "")
    except (OSError, subprocess.SubprocessError):
        return "none"


def versions(backend: str, threads: int) -> dict[str, str]:
    """Return what may influence a result, to its last bit, beside the settings.

    Args:
        backend: That trains.
        threads: That it has.
    """
    return {
        "backend": backend,
        "threads": str(threads),
        "lvh": lvh.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{
            name: importlib.metadata.version(name)
            for name in (*distributions(backend), *_VERSIONED)
        },
    }


def write_before(
    folder: Path,
    config: str,
    versions: Mapping[str, str],
    features: FeatureSet,
    splits: Sequence[Split],
) -> None:
    """Write what is known before training: configuration, versions and splits.

    Args:
        folder: Made if it is not there.
        config: Resolved configuration as YAML.
        versions: From `versions`.
        features: Names the records.
        splits: As they will be trained.
    """
    write_text(folder / "config.yaml", config)
    write_text(folder / "versions.json", json.dumps(versions, indent=2) + "\n")
    parts = ("train", "validation", "scored")
    rows = (
        (split.repeat + 1, split.fold + 1, features.records[i], features.subjects[i], part)
        for split in splits
        for part in parts
        for i in getattr(split, part)
    )
    _write_csv(folder / "splits.csv", ("repeat", "fold", "record", "subject", "part"), rows)


def write_after(folder: Path, features: FeatureSet, result: CVResult) -> None:
    """Write what came out: predictions, scores by fold and over folds, and histories."""
    _write_csv(
        folder / "predictions.csv",
        ("repeat", "fold", "record", "subject", "y_true", "y_score", "y_pred"),
        (
            (
                fold.split.repeat + 1,
                fold.split.fold + 1,
                features.records[i],
                features.subjects[i],
                features.y[i],
                repr(float(y_score)),
                int(y_pred),
            )
            for fold in result.folds
            for i, y_score, y_pred in zip(fold.split.scored, fold.y_score, fold.y_pred, strict=True)
        ),
    )
    _write_csv(
        folder / "folds.csv",
        ("repeat", "fold", *NAMES, "threshold", "epochs", "kept_epoch", "seconds", "chosen"),
        (
            (
                fold.split.repeat + 1,
                fold.split.fold + 1,
                *astuple(fold.metrics),
                fold.threshold,
                len(fold.history.loss),
                fold.history.kept_epoch,
                f"{fold.seconds:.3f}",
                fold.history.chosen,
            )
            for fold in result.folds
        ),
    )
    _write_csv(
        folder / "scores.csv",
        ("of", "metric", "mean", "std", "pooled", "low", "high"),
        (
            (of, name, getattr(one.mean, name), getattr(one.std, name), *astuple(one.pooled[name]))
            for of, one in {"model": result.summary, **result.baselines}.items()
            for name in NAMES
        ),
    )
    _write_csv(
        folder / "history.csv",
        ("repeat", "fold", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"),
        (
            (fold.split.repeat + 1, fold.split.fold + 1, epoch + 1, *_epoch(fold.history, epoch))
            for fold in result.folds
            for epoch in range(len(fold.history.loss))
        ),
    )
    if result.null:
        names = tuple(result.p_values)
        rows = (
            (number, *(one[name] for name in names)) for number, one in enumerate(result.null, 1)
        )
        _write_csv(folder / "null.csv", ("shuffle", *names), rows)


def _epoch(history: History, epoch: int) -> tuple[float | None, ...]:
    columns = (
        history.loss,
        history.accuracy,
        history.validation_loss,
        history.validation_accuracy,
    )
    return tuple(column[epoch] if column else None for column in columns)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
