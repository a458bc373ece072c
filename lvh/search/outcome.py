"""What a trial keeps of its folds."""

from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from lvh.evaluation.results import FoldScore

LEAKAGE = "leakage"
"""Attribute of a trial that was trained under a protocol that leaks."""


def store_of(study: str, root: str) -> Path:
    """Return the folder of a study's folds: that of all, unless the study was begun anew."""
    return Path(root) / study if "." in study else Path(root)


def stores(root: str) -> list[Path]:
    """Return the folders that may have a run's folds: that of all, then those begun anew.

    Whose folds have one key are the same, whichever of them has them.
    """
    found = [one for one in Path(root).glob("*.*") if one.is_dir()]
    return [Path(root), *sorted(found, key=lambda one: one.stat().st_mtime, reverse=True)]


def folds_of(trial: FrozenTrial) -> list[FoldScore]:
    """Return a trial's folds in the order in which they were run."""
    return [FoldScore(**{k: v for k, v in one.items() if k != "key"}) for one in _folds(trial)]


def fold_keys(trial: FrozenTrial) -> list[str]:
    """Return the keys of a trial's folds in the store."""
    return [one["key"] for one in _folds(trial)]


def _folds(trial: FrozenTrial) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while (one := trial.user_attrs.get(f"fold {len(found)}")) is not None:
        found.append(one)
    return found
