"""Checkpoints: where trainings stand, so that more epochs continue from fewer.

A checkpoint lies next to its fold of fewer epochs in the fold store; without it, the fold is
trained from its first epoch.
"""

import io
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from lvh.files import written_whole
from lvh.models.training import Checkpoint, History
from lvh.validation.splits import Split

_HISTORY = TypeAdapter(History)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoldCheckpoints:
    """Where the trainings of the folds of one configuration stand.

    Attributes:
        root: Folder of the fold store.
        starts: Keys of the folds of fewer epochs, by repeat and fold; may be empty.
        ends: Keys of the folds that are trained; empty where nothing continues from them.
    """

    root: Path
    starts: Mapping[tuple[int, int], str]
    ends: Mapping[tuple[int, int], str]

    def load(self, split: Split) -> Checkpoint | None:
        """Return where the training of a fold stands; None where that is not known."""
        path = self._path(self.starts.get(split.number, ""))
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                facts = json.loads(str(stored["about"]))
                arrays = [stored[f"arr_{number}"] for number in range(len(stored.files) - 1)]
            n, history = facts["n_variables"], _HISTORY.validate_python(facts["history"])
            return Checkpoint(arrays[:n], arrays[n:], facts["random"], history, facts["seconds"])
        except FileNotFoundError:
            return None
        except Exception:  # a zip archive may be damaged in many ways
            _log.warning("%s: a checkpoint is damaged; its fold is trained from the start", path)
            return None

    def save(self, split: Split, checkpoint: Checkpoint) -> None:
        """Write where the training of a fold stands."""
        facts = {
            "random": checkpoint.random,
            "history": asdict(checkpoint.history),
            "seconds": checkpoint.seconds,
            "n_variables": len(checkpoint.variables),
        }
        arrays = [*checkpoint.variables, *checkpoint.optimizer]
        path = self._path(self.ends[split.number])
        with written_whole(path) as partial, partial.open("wb") as file:
            np.savez(file, *arrays, allow_pickle=False, about=np.array(json.dumps(facts)))

    def discard(self, keys: Mapping[tuple[int, int], str]) -> None:
        """Delete the files of some folds, from which nothing continues any more."""
        for key in keys.values():
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"
