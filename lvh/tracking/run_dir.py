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

Table = tuple[Sequence[str], Iterable[Sequence[object]]]
"""The names of columns, and rows."""
STUDY = "study.txt"
"""File in the folder of a sweep that names its study."""
_OUTPUTS = Path("outputs")
_VERSIONED = ("numpy", "scikit-learn", "neurokit2", "hydra-core", "mlflow")
LOSSES = ("loss", "accuracy", "validation_loss", "validation_accuracy")


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


def git_commit() -> str:
    """Return the commit of the source, marked if it was changed, or `none` outside git."""
    folder = Path(lvh.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return "none"
    describe = "git describe --always --abbrev=40 --exclude=* --dirty=-changed".split()
    try:
        return subprocess.check_output(describe, cwd=folder, text=True, timeout=10).strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def versions(backend: str, threads: int) -> dict[str, str]:
    """Return what may change a result to its last bit, apart from the settings."""
    libraries = (*distributions(backend), *_VERSIONED)
    return {
        "backend": backend,
        "threads": str(threads),
        "lvh": lvh.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: own for name in libraries if (own := version(name))},
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
    write_text(folder / "config.yaml", config)
    write_text(folder / "versions.json", json.dumps(versions, indent=2) + "\n")
    _write(folder, {"splits.csv": (("repeat", "fold", "record", "subject", "part"), rows)})


def write_after(folder: Path, features: "FeatureSet", result: CVResult) -> None:
    """Write the results: predictions, scores by fold and over folds, and histories."""
    predictions, folds, history = [], [], []
    for fold, decided in [(fold, fold.y_pred) for fold in result.folds]:
        at, losses = (fold.split.repeat + 1, fold.split.fold + 1), fold.history
        for i, y_score, y_pred in zip(fold.split.test, fold.y_score, decided, strict=True):
            record = (features.records[i], features.subjects[i], features.y[i])
            predictions.append((*at, *record, float(y_score), int(y_pred)))
        epochs = (len(losses.loss), losses.kept_epoch)
        seconds = f"{fold.seconds:.3f}"
        folds.append((*at, *astuple(fold.metrics), fold.threshold, *epochs, seconds, losses.chosen))
        curves = zip_longest(*(getattr(losses, name) for name in LOSSES))
        history += [(*at, epoch, *values) for epoch, values in enumerate(curves, start=1)]
    scores = [
        (of, name, getattr(one.mean, name), getattr(one.std, name), *astuple(one.pooled[name]))
        for of, one in {"model": result.scores, **result.baselines}.items()
        for name in NAMES
    ]
    at_fold = ("repeat", "fold")
    of_record = (*at_fold, "record", "subject", "y_true", "y_score", "y_pred")
    of_fold = (*at_fold, *NAMES, "threshold", "epochs", "kept_epoch", "seconds", "chosen")
    of_score = ("of", "metric", "mean", "std", "pooled", "low", "high")
    tables: dict[str, Table] = {
        "predictions.csv": (of_record, predictions),
        "folds.csv": (of_fold, folds),
        "scores.csv": (of_score, scores),
        "history.csv": ((*at_fold, "epoch", *LOSSES), history),
    }
    if result.null:
        names = tuple(result.p_values)
        shuffles = [(number, *map(means.get, names)) for number, means in enumerate(result.null, 1)]
        tables["null.csv"] = ("shuffle", *names), shuffles
    _write(folder, tables)


def _write(folder: Path, tables: Mapping[str, Table]) -> None:
    for name, (header, rows) in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        write_text(folder / name, text.getvalue())
