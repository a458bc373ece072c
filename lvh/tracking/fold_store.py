"""The fold store: one file for each finished fold, from which everything else is derived."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter

from lvh.errors import EnvironmentFault, as_lvh_error
from lvh.evaluation.cv_result import FoldResult
from lvh.evaluation.results import OutOfFold
from lvh.files import write_fault, write_text
from lvh.models.training import History
from lvh.validation.metrics import THRESHOLD, Metrics, score
from lvh.validation.splits import Split

if TYPE_CHECKING:
    from lvh.features import FeatureSet

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFold:
    """A fold as its file holds it; `settings` are for a user who reads it, the key has them too."""

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
    setup_seconds: float = 0.0

    @property
    def metrics(self) -> Metrics:
        """Scores of the fold."""
        y_true = np.array(self.y_true, dtype=np.int64)
        return score(y_true, np.array(self.y_score, dtype=np.float64), self.threshold)


class FoldStore:
    """A folder with one file for each fold, named by its key from `lvh.runs.cache_key`.

    Each file holds the hash of its content: a damaged one is warned of and counts as absent.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder; `check` or the first fold makes it."""
        self._root = root

    def path(self, key: str) -> Path:
        """Return the file of a fold."""
        return self._root / key[:2] / f"{key}.json"

    def check(self) -> None:
        """Find out before a training, not after it, that no fold could be written."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            known = as_lvh_error(error)
            raise type(known)(f"store: {known}") from None
        if fault := write_fault(self._root):
            raise EnvironmentFault(f"store: cannot write {self._root}: {fault}")

    def save(
        self, key: str, features: "FeatureSet", fold: FoldResult, settings: Mapping[str, Any]
    ) -> None:
        """Write a fold; its features name the records."""
        test = fold.split.test
        stored = StoredFold(
            key=key,
            settings=dict(settings),
            repeat=fold.split.repeat,
            fold=fold.split.fold,
            record=tuple(features.records[i] for i in test),
            subject=tuple(features.subjects[test].tolist()),
            y_true=tuple(features.y[test].tolist()),
            y_score=tuple(fold.y_score.tolist()),
            history=fold.history,
            seconds=fold.seconds,
            threshold=fold.threshold,
            setup_seconds=fold.setup_seconds,
        )
        # repr of a float, which json writes, reads back to the same bits
        text = json.dumps(asdict(stored), sort_keys=True, ensure_ascii=False)
        write_text(self.path(key), f"{_head(text)}\n{text}\n")

    def read(self, key: str) -> StoredFold | None:
        """Return a stored fold; None where there is none, or none that can be used."""
        path = self.path(key)
        try:
            head, _, text = path.read_text("utf-8").removesuffix("\n").partition("\n")
            stored = _FORMAT.validate_python(json.loads(text))
            if head == _head(text) and stored.key == key:
                return stored
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            pass
        _log.warning("%s: a finished fold is damaged; it is trained again", path)
        return None

    def load(self, key: str, split: Split) -> FoldResult | None:
        """Return the stored fold of a split as a result; None where there is none."""
        stored = self.read(key)
        if stored is None:
            return None
        return FoldResult(
            split=split,
            y_score=np.array(stored.y_score, dtype=np.float64),
            metrics=stored.metrics,
            history=stored.history,
            seconds=stored.seconds,
            threshold=stored.threshold,
            setup_seconds=stored.setup_seconds,
        )

    def count_of(self, keys: Sequence[str]) -> int:
        """Return how many of some folds are stored."""
        return sum(self.path(key).is_file() for key in keys)

    def predictions(self, keys: Sequence[str]) -> OutOfFold | None:
        """Return the out-of-fold predictions of some folds; None if one is not stored."""
        folds = [fold for key in keys if (fold := self.read(key)) is not None]
        if not keys or len(folds) < len(keys):
            return None
        sizes = [len(fold.record) for fold in folds]
        return OutOfFold(
            record=np.concatenate([np.array(fold.record, np.str_) for fold in folds]),
            repeat=np.repeat([fold.repeat for fold in folds], sizes),
            subject=np.concatenate([np.array(fold.subject, np.str_) for fold in folds]),
            y_true=np.concatenate([np.array(fold.y_true, np.int64) for fold in folds]),
            y_score=np.concatenate([np.array(fold.y_score, np.float64) for fold in folds]),
            threshold=np.repeat([fold.threshold for fold in folds], sizes),
            losses=tuple((fold.history.loss, fold.history.validation_loss) for fold in folds),
            sizes=tuple(sizes),
        )


_FORMAT = TypeAdapter(StoredFold)


def _head(text: str) -> str:
    """Return the first line of a file, by which damage is noticed."""
    return json.dumps({"sha256": sha256(text.encode()).hexdigest()})


def is_separate(study: str) -> bool:
    """Return whether a study was begun by `resume=false`: it has folds of its own."""
    return "." in study


def store_of(study: str, root: str) -> Path:
    """Return the folder of a study's folds: that of all, unless the study is separate."""
    return Path(root) / study if is_separate(study) else Path(root)


def stores(root: str) -> list[Path]:
    """Return the folders that may have a run's folds: that of all, then the separate ones."""
    separate = [path for path in Path(root).glob("*.*") if path.is_dir()]
    return [Path(root), *sorted(separate, key=lambda path: path.stat().st_mtime, reverse=True)]
