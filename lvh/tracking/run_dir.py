"""The folder of a run: everything needed to check or redo it, as plain files."""

import csv
import importlib.metadata
import io
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from itertools import zip_longest
from pathlib import Path

import lvh
from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.files import write_text
from lvh.models.backends import distributions
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
    """Return what may influence a result, to its last bit, apart from the settings.

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
    parts = ("train", "validation", "test")
    rows = (
        (split.repeat + 1, split.fold + 1, features.records[i], features.subjects[i], part)
        for split in splits
        for part in parts
        for i in getattr(split, part)
    )
    table = _csv(("repeat", "fold", "record", "subject", "part"), rows)
    write_text(folder / "config.yaml", config)
    write_text(folder / "versions.json", json.dumps(versions, indent=2) + "\n")
    write_text(folder / "splits.csv", table)


def write_after(folder: Path, features: FeatureSet, result: CVResult) -> None:
    """Write what came out: predictions, scores by fold and over folds, and histories."""
    folds, losses = result.folds, ("loss", "accuracy", "validation_loss", "validation_accuracy")
    tables = {
        "predictions.csv": _csv(
            ("repeat", "fold", "record", "subject", "y_true", "y_score", "y_pred"),
            (
                (
                    *(fold.split.repeat + 1, fold.split.fold + 1),
                    *(features.records[i], features.subjects[i], features.y[i]),
                    *(repr(float(y_score)), int(y_score > fold.threshold)),
                )
                for fold in folds
                for i, y_score in zip(fold.split.test, fold.y_score, strict=True)
            ),
        ),
        "folds.csv": _csv(
            ("repeat", "fold", *NAMES, "threshold", "epochs", "kept_epoch", "seconds", "chosen"),
            (
                (
                    *(fold.split.repeat + 1, fold.split.fold + 1),
                    *astuple(fold.metrics),
                    *(fold.threshold, len(fold.history.loss), fold.history.kept_epoch),
                    *(f"{fold.seconds:.3f}", fold.history.chosen),
                )
                for fold in folds
            ),
        ),
        "scores.csv": _csv(
            ("of", "metric", "mean", "std", "pooled", "low", "high"),
            (
                (
                    *(of, name, getattr(one.mean, name), getattr(one.std, name)),
                    *astuple(one.pooled[name]),
                )
                for of, one in {"model": result.summary, **result.baselines}.items()
                for name in NAMES
            ),
        ),
        "history.csv": _csv(
            ("repeat", "fold", "epoch", *losses),
            (
                (fold.split.repeat + 1, fold.split.fold + 1, epoch, *values)
                for fold in folds
                for epoch, values in enumerate(
                    zip_longest(*(getattr(fold.history, name) for name in losses)), start=1
                )
            ),
        ),
    }
    if result.null:
        names = tuple(result.p_values)
        rows = ((number, *map(one.get, names)) for number, one in enumerate(result.null, 1))
        tables["null.csv"] = _csv(("shuffle", *names), rows)
    for name, text in tables.items():
        write_text(folder / name, text)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
