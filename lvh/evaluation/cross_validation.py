"""Cross-validation: the loop over folds, what a model may see of each, and callbacks."""

import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from lvh.data.lazy_array import Inputs
from lvh.errors import LvhError
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary, baseline_summaries, summarize
from lvh.features import FeatureSet, fill_missing
from lvh.files import written_whole
from lvh.models.training import Checkpoint, FitJob, History, Trainer
from lvh.validation.inner_splits import choose_threshold, held_out
from lvh.validation.metrics import THRESHOLD, Floats, score
from lvh.validation.splits import HONEST, CvSettings, Split

OnEpoch = Callable[[Split, int], None]
"""Takes a fold and how many epochs of it are done."""
_HISTORY = TypeAdapter(History)
_log = logging.getLogger(__name__)


class StopCrossValidation(Exception):
    """Raised by a callback's `on_fold`, with the reason: no further fold is trained."""


class Callback:
    """Follows a cross-validation; subclasses override the events that they need."""

    def on_start(self, splits: Sequence[Split], known: int) -> None:
        """Called once, before any training, with all folds and how many of them are known."""

    def on_epoch(self, split: Split, epoch: int) -> None:
        """Called after each epoch of a fold; `epoch` counts from 1."""

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Called after each fold, in their order; a known one was trained earlier."""


@dataclass(frozen=True, slots=True)
class FoldCheckpoints:
    """Checkpoints of the folds of one configuration, from which a later stage continues.

    A checkpoint lies next to its fold in the fold store (`root`). By repeat and fold, `starts` are
    the keys of the stage before, from which training continues, and `ends` those under which
    checkpoints are saved; either may be empty. A fold without a checkpoint starts at epoch 1.
    """

    root: Path
    starts: Mapping[tuple[int, int], str]
    ends: Mapping[tuple[int, int], str]

    def load(self, split: Split) -> Checkpoint | None:
        """Return the checkpoint that a fold continues from; None if it has none."""
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
        """Save the checkpoint of a fold."""
        facts = {
            "random": checkpoint.random,
            "history": asdict(checkpoint.history),
            "seconds": checkpoint.seconds,
            "n_variables": len(checkpoint.variables),
        }
        arrays = [*checkpoint.variables, *checkpoint.optimizer]
        path = self._path(self.ends[split.number])
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, *arrays, allow_pickle=False, about=np.array(json.dumps(facts)))

    def discard(self, keys: Mapping[tuple[int, int], str]) -> None:
        """Delete the checkpoints of some folds, from which nothing continues any more."""
        for key in keys.values():
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"


def cross_validate(
    features: FeatureSet,
    splits: Sequence[Split],
    trainer: Callable[[], Trainer],
    *,
    seed: int,
    known: Mapping[tuple[int, int], FoldResult] | None = None,
    callbacks: Sequence[Callback] = (),
    cv: CvSettings = HONEST,
    check_after: int | None = None,
    baselines: Callable[[], Mapping[str, Summary]] | None = None,
    checkpoints: FoldCheckpoints | None = None,
) -> CVResult:
    """Train and score every fold that is not known yet, and summarize all of them.

    `splits` are those of `lvh.validation.splits.splits` on the same records, in any order; `known`
    are the folds that an earlier run has trained, by repeat and fold: where weights are carried,
    all of a repeat or none. `trainer` is called only if a fold has to be trained. A callback may
    stop the run after `check_after` folds by StopCrossValidation: they are then trained one by one.
    `cv` says what test records may decide, and how a threshold is chosen. `baselines` returns
    `baseline_summaries` on the same folds; None computes them. Trainings continue from
    `checkpoints`, and store their ends there. Raises LvhError where a training failed.
    """
    known, done = known or {}, list[FoldResult]()
    n_known = sum(split.number in known for split in splits)
    for callback in callbacks:
        callback.on_start(splits, n_known)
    for is_known, group in groupby(splits, key=lambda split: split.number in known):
        folds: Iterable[FoldResult]
        if is_known:
            folds = [known[split.number] for split in group]
        else:
            folds = train_folds(
                features,
                list(group),
                trainer(),
                seed=seed,
                cv=cv,
                on_epoch=[callback.on_epoch for callback in callbacks],
                first_group=None if check_after is None else max(check_after - len(done), 1),
                checkpoints=checkpoints,
            )
        for fold in folds:
            done.append(fold)
            for callback in callbacks:
                callback.on_fold(fold, is_known)
    if baselines is None:
        ordered = sorted(splits, key=lambda split: split.number)
        baselines = partial(baseline_summaries, features, ordered, cv.threshold)
    return summarize(features, done, baselines())


def train_folds(
    features: FeatureSet,
    splits: Sequence[Split],
    trainer: Trainer,
    *,
    seed: int,
    cv: CvSettings = HONEST,
    on_epoch: Sequence[OnEpoch] = (),
    first_group: int | None = None,
    checkpoints: FoldCheckpoints | None = None,
) -> Iterator[FoldResult]:
    """Train and score folds in their order, side by side as far as the trainer can.

    The test records of a fold decide nothing in it, unless `cv` says so: missing values are
    filled, the model is trained and, where asked, stopped without them. Each fold starts from a
    seed that is made of `seed`, repeat and fold. `on_epoch` is called with 0 for models that only
    choose a threshold. `first_group` folds may be trained before the caller has seen the first;
    after these, folds are trained one by one. What is not named here is as in `cross_validate`.
    """
    is_carried = cv.weights == "carried"
    for before, split in zip([None, *splits], splits, strict=False):
        expected = (split.repeat, split.fold - 1)
        if is_carried and split.fold and (before is None or before.number != expected):
            raise ValueError(f"expected the fold before {split.number} to be trained first")
    group = _Group(features, trainer, seed, cv, tuple(on_epoch), checkpoints)
    sizes, starts = [len(split.train) for split in splits], [0]
    while starts[-1] < len(splits):
        start = starts[-1]
        limit = None if first_group is None else max(first_group - start, 1)
        starts.append(start + trainer.max_parallel(sizes[start:][: 1 if is_carried else limit]))
    for start, end in pairwise(starts):
        yield from group.train(splits[start:end])


@dataclass(frozen=True, slots=True)
class _Group:
    """How folds are trained side by side; the fields are the arguments of `train_folds`."""

    features: FeatureSet
    trainer: Trainer
    seed: int
    cv: CvSettings
    on_epoch: tuple[OnEpoch, ...]
    checkpoints: FoldCheckpoints | None

    def train(self, splits: Sequence[Split]) -> Iterator[FoldResult]:
        """Train and score a group of folds."""
        trainer, y = self.trainer, self.features.y
        started, setup_before = time.perf_counter(), trainer.setup_seconds
        pairs = [
            fit_job(self.features, split, fold_seed(self.seed, split), self.cv) for split in splits
        ]
        jobs, spent = self._with_starts([job for job, _ in pairs], splits)
        thresholds, validates = [THRESHOLD] * len(splits), len(splits[0].validation) > 0
        if self.cv.threshold != "fixed" and not validates:
            # before the folds' own trainings: after these the trainer scores with their models
            thresholds = [self._inner_threshold(split) for split in splits]
        histories = trainer.fit(jobs, lambda at, epoch: self._report(splits[at], epoch))
        y_scores = self._predict([test for _, test in pairs])
        if self.cv.threshold != "fixed" and validates:
            of_validation = trainer.predict([job.X_validation for job in jobs])
            thresholds = [
                choose_threshold(held_out(split, y, self.features.subjects), y, [own])
                for split, own in zip(splits, of_validation, strict=True)
            ]
        setup = trainer.setup_seconds - setup_before
        seconds = (time.perf_counter() - started - setup + spent) / len(splits)
        if self.checkpoints is not None and self.checkpoints.ends:
            for split, end in zip(splits, trainer.checkpoints(), strict=True):
                self.checkpoints.save(split, replace(end, seconds=seconds))
        parts = zip(splits, y_scores, thresholds, histories, strict=True)
        for split, y_score, threshold, history in parts:
            yield FoldResult(
                split=split,
                y_score=y_score,
                metrics=score(y[split.test], y_score, threshold),
                history=history,
                seconds=seconds,
                threshold=threshold,
                setup_seconds=setup / len(splits),
            )

    def _predict(self, inputs: Sequence[Inputs]) -> list[Floats]:
        y_scores = self.trainer.predict(inputs)
        if not np.isfinite(np.concatenate(y_scores)).all():
            raise LvhError(
                "expected finite scores. Received: others. A lower train.learning_rate may help"
            )
        return y_scores

    def _report(self, split: Split, epoch: int) -> None:
        for call in self.on_epoch:
            call(split, epoch)

    def _with_starts(
        self, jobs: list[FitJob], splits: Sequence[Split]
    ) -> tuple[list[FitJob], float]:
        """Let jobs continue where all of them can; return also the seconds of before."""
        if self.checkpoints is None:
            return jobs, 0.0
        jobs = [replace(job, keep_checkpoint=bool(self.checkpoints.ends)) for job in jobs]
        starts = [start for split in splits if (start := self.checkpoints.load(split))]
        if len(starts) < len(jobs):  # networks side by side have the same number of epochs
            return jobs, 0.0
        jobs = [replace(job, start=start) for job, start in zip(jobs, starts, strict=True)]
        return jobs, sum(start.seconds for start in starts)

    def _inner_threshold(self, split: Split) -> float:
        """Choose a threshold by folds inside the training part of a fold."""
        y, trainer = self.features.y, self.trainer
        parts = held_out(split, y, self.features.subjects)
        pairs = [
            fit_job(self.features, part, fold_seed(self.seed, split, number))
            for number, part in enumerate(parts, start=1)
        ]
        y_scores: list[Floats] = []
        while len(y_scores) < len(pairs):
            rest = pairs[len(y_scores) :]
            group = rest[: trainer.max_parallel([len(job.y) for job, _ in rest])]
            trainer.fit([job for job, _ in group], lambda at, epoch: self._report(split, 0))
            y_scores += self._predict([test for _, test in group])
        return choose_threshold(parts, y, y_scores)


def fit_job(
    features: FeatureSet, split: Split, seed: np.random.SeedSequence, cv: CvSettings = HONEST
) -> tuple[FitJob, Inputs]:
    """Return what a fold is trained with, and the inputs of the records that it scores."""
    X, y = features.X, features.y
    parts: tuple[Inputs, ...] = (X[split.train], X[split.validation], X[split.test])
    if features.kind != "signal":  # a signal lacks no value
        parts = fill_missing(features.fill, *parts)
    train, validation, test = parts
    chooses_epoch = cv.epoch == "best_on_scored"
    job = FitJob(
        X=train,
        y=y[split.train],
        subjects=features.subjects[split.train],
        X_validation=test if chooses_epoch else validation,
        y_validation=y[split.test if chooses_epoch else split.validation],
        seed=seed,
        warm_start=cv.weights == "carried" and split.fold > 0,
        keep_most_accurate=chooses_epoch,
    )
    return job, test


def fold_seed(seed: int, split: Split, *inner: int) -> np.random.SeedSequence:
    """Return the seed of a fold's model, or of one inside its training part, from 1."""
    return np.random.SeedSequence([seed, split.repeat, split.fold, *inner])
