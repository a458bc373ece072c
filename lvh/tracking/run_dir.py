"""The folder of a run: everything needed to check or redo it, as plain files."""

import csv
import io
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import lvh
from lvh.evaluation.cv_result import CVResult
from lvh.files import write_text
from lvh.models.backends import distributions, version
from lvh.validation.metrics import NAMES
from lvh.validation.splits import Split

if TYPE_CHECKING:
    from lvh.features import FeatureSet

STUDY = "study.txt"
"""File in the folder of a sweep that names its study."""
_OUTPUTS = Path("outputs")
_VERSIONED = ("numpy", "scikit-learn", "neurokit2", "hydra-core", "mlflow")
_LOSSES = ("loss", "accuracy", "validation_loss", "validation_accuracy")


def link_latest(folder: Path) -> None:
    """Make `outputs/latest` lead to the folder of a run or sweep below `outputs`, at once.

    Nothing happens for another folder, where no link can be made, and where `latest` is no link.
    """
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


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def versions(backend: str, threads: int) -> dict[str, str]:
    """Return what may change a result to its last bit, apart from the settings."""
    libraries = (*distributions(backend), *_VERSIONED)
    found = dict(zip(libraries, map(version, libraries), strict=True))
    return {
        "backend": backend,
        "threads": str(threads),
        "lvh": lvh.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: own for name, own in found.items() if own},
    }


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
    splits_table = _csv(("repeat", "fold", "record", "subject", "part"), rows)
    write_text(folder / "config.yaml", config)
    write_text(folder / "versions.json", json.dumps(versions, indent=2) + "\n")
    write_text(folder / "splits.csv", splits_table)


def write_after(folder: Path, features: "FeatureSet", result: CVResult) -> None:
    """Write the results: predictions, scores by fold and over folds, and histories."""
    predictions, folds, history = [], [], []
    for fold in result.folds:
        at, losses = (fold.split.repeat + 1, fold.split.fold + 1), fold.history
        for i, y_score in zip(fold.split.test, fold.y_score, strict=True):
            record = (features.records[i], features.subjects[i], features.y[i])
            predictions.append((*at, *record, repr(float(y_score)), int(y_score > fold.threshold)))
        epochs = (len(losses.loss), losses.kept_epoch)
        seconds = f"{fold.seconds:.3f}"
        folds.append((*at, *astuple(fold.metrics), fold.threshold, *epochs, seconds, losses.chosen))
        curves = zip_longest(*(getattr(losses, name) for name in _LOSSES))
        history += [(*at, epoch, *values) for epoch, values in enumerate(curves, start=1)]
    scores = [
        (of, name, getattr(one.mean, name), getattr(one.std, name), *astuple(one.pooled[name]))
        for of, one in {"model": result.scores, **result.baselines}.items()
        for name in NAMES
    ]
    of_record = ("record", "subject", "y_true", "y_score", "y_pred")
    of_fold = ("threshold", "epochs", "kept_epoch", "seconds", "chosen")
    of_score = ("of", "metric", "mean", "std", "pooled", "low", "high")
    tables = {
        "predictions.csv": _csv(("repeat", "fold", *of_record), predictions),
        "folds.csv": _csv(("repeat", "fold", *NAMES, *of_fold), folds),
        "scores.csv": _csv(of_score, scores),
        "history.csv": _csv(("repeat", "fold", "epoch", *_LOSSES), history),
    }
    if result.null:
        names = tuple(result.p_values)
        shuffles = ((number, *map(means.get, names)) for number, means in enumerate(result.null, 1))
        tables["null.csv"] = _csv(("shuffle", *names), shuffles)
    for name, text in tables.items():
        write_text(folder / name, text)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
