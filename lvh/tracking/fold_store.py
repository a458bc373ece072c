"""Finished folds, kept as files: what an interrupted run has done is never done again."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from lvh.errors import EnvironmentFault
from lvh.evaluation.cross_validation import FoldResult
from lvh.evaluation.results import OutOfFold
from lvh.features import FeatureSet
from lvh.files import made_in, write_fault, write_text
from lvh.models.training import History
from lvh.validation.metrics import THRESHOLD, score
from lvh.validation.splits import Split

_log = logging.getLogger(__name__)


class FoldStore:
    """A folder with one file a fold, named by the fold's key.

    Each file is written whole or not at all and holds the hash of its content: a damaged one
    is told and counts as absent.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder; it is made when the first fold is kept."""
        self._root = root

    def path(self, key: str) -> Path:
        """Return the file of a fold."""
        return self._root / key[:2] / f"{key}.json"

    def check(self) -> None:
        """Tell before a fold is trained, not after it, that it could not be kept.

        Raises:
            EnvironmentFault: The folder cannot be written.
        """
        fault = write_fault(made_in(self._root))
        if fault:
            raise EnvironmentFault(f"store: cannot write {self._root}: {fault}")

    def count(self) -> tuple[int, list[Path]]:
        """Return how many folds are kept, of any study, and which files are damaged."""
        files = [file for file in self._root.rglob("*.json") if file.parent.name == file.stem[:2]]
        damaged = [file for file in sorted(files) if _read(file) is None]
        return len(files) - len(damaged), damaged

    def keep(
        self, key: str, features: FeatureSet, result: FoldResult, settings: Mapping[str, Any]
    ) -> None:
        """Write a fold.

        Args:
            key: From `lvh.runs.cache_key.fold_key`.
            features: Names the records.
            result: Of the fold.
            settings: For a person who reads the file; the key contains them already.

        Raises:
            EnvironmentFault: The folder cannot be written or the disk is full.
        """
        scored = result.split.scored
        kept = _Kept(
            key=key,
            settings=dict(settings),
            repeat=result.split.repeat,
            fold=result.split.fold,
            record=tuple(features.records[i] for i in scored),
            subject=tuple(features.subjects[scored].tolist()),
            y_true=tuple(features.y[scored].tolist()),
            y_score=tuple(result.y_score.tolist()),
            history=result.history,
            seconds=result.seconds,
            threshold=result.threshold,
        )
        # repr of a float, which json writes, reads back to the same bits
        text = json.dumps(asdict(kept), sort_keys=True, ensure_ascii=False)
        write_text(self.path(key), json.dumps({"sha256": _digest(text)}) + "\n" + text + "\n")

    def recall(self, key: str, split: Split) -> FoldResult | None:
        """Return a fold that was kept, or None.

        Args:
            key: From `lvh.runs.cache_key.fold_key`.
            split: The fold's own.
        """
        kept = self._kept(key)
        if kept is None:
            return None
        if len(kept.y_score) != len(split.scored):
            self._tell_damaged(key)
            return None
        y_true = np.array(kept.y_true, dtype=np.int64)
        y_score = np.array(kept.y_score, dtype=np.float64)
        metrics = score(y_true, y_score, kept.threshold)
        return FoldResult(split, y_score, metrics, kept.history, kept.seconds, kept.threshold)

    def has(self, keys: list[str]) -> bool:
        """Return whether all of some folds are kept here."""
        return self.count_of(keys) == len(keys)

    def count_of(self, keys: list[str]) -> int:
        """Return how many of some folds are kept here."""
        return sum(self.path(key).is_file() for key in keys)

    def predictions(self, keys: list[str]) -> OutOfFold | None:
        """Return the out-of-fold predictions of some folds; None if one is not here."""
        folds = [one for one in map(self._kept, keys) if one is not None]
        if not keys or len(folds) < len(keys):
            return None
        return OutOfFold(
            record=np.concatenate([np.array(one.record, dtype=np.str_) for one in folds]),
            repeat=np.concatenate([np.full(len(one.record), one.repeat) for one in folds]),
            subject=np.concatenate([np.array(one.subject, dtype=np.str_) for one in folds]),
            y_true=np.concatenate([np.array(one.y_true, dtype=np.int64) for one in folds]),
            y_score=np.concatenate([np.array(one.y_score) for one in folds]),
            threshold=np.concatenate([np.full(len(one.record), one.threshold) for one in folds]),
        )

    def _kept(self, key: str) -> "_Kept | None":
        try:
            kept = _read(self.path(key))
        except FileNotFoundError:
            return None
        if kept is None:
            self._tell_damaged(key)
        return kept

    def _tell_damaged(self, key: str) -> None:
        _log.warning("%s: a finished fold is damaged; it is trained again", self.path(key))


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is in a file; `record`, `subject`, `y_true` and `y_score` are equally long."""

    key: str
    settings: dict[str, Any]
    repeat: int
    fold: int
    record: tuple[str, ...]
    subject: tuple[str, ...]
    y_true: tuple[Literal[0, 1], ...]
    y_score: tuple[float, ...]
    history: History
    seconds: float
    threshold: float = THRESHOLD


_FORMAT = TypeAdapter(_Kept)


def _read(path: Path) -> _Kept | None:
    """Read the fold that a file is named by; None if, for whatever reason, it cannot be used."""
    try:
        first, _, text = path.read_text("utf-8").partition("\n")
        text = text.removesuffix("\n")
        if json.loads(first)["sha256"] != _digest(text):
            return None
        kept = _FORMAT.validate_python(json.loads(text))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None
    n = len(kept.record)
    whole = n == len(kept.subject) == len(kept.y_true) == len(kept.y_score)
    return kept if whole and kept.key == path.stem else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
