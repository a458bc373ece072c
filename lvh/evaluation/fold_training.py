"""Training of folds: what a model may see of each, its threshold, its scores."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lvh.data.lazy_array import Inputs
from lvh.errors import LvhError
from lvh.evaluation.checkpoints import FoldCheckpoints
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet, fill_missing
from lvh.models.training import FitJob, Trainer
from lvh.validation.metrics import THRESHOLD, Floats, score
from lvh.validation.splits import HONEST, Protocol, Split, Threshold
from lvh.validation.thresholds import choose, held_out

OnEpoch = Callable[[Split, int], None]
"""Takes a fold and how many epochs of it are done."""
_NOT_FINITE = "expected finite scores. Received: others. A lower train.learning_rate may help"


def train_folds(
    features: FeatureSet,
    splits: Sequence[Split],
    trainer: Trainer,
    *,
    seed: int,
    protocol: Protocol = HONEST,
    threshold: Threshold = "fixed",
    on_epoch: Sequence[OnEpoch] = (),
    first_group: int | None = None,
    checkpoints: FoldCheckpoints | None = None,
) -> Iterator[FoldResult]:
    """Train and score folds in their order, side by side as far as the trainer can.

    The test records of a fold decide nothing in it, unless `protocol` says so: missing values are
    filled, the model is trained and, where asked, stopped without them. Each fold starts from a
    seed that is made of `seed`, repeat and fold. `on_epoch` is called with 0 for models that only
    choose a threshold. `first_group` folds may be trained before the caller has seen the first;
    after these, folds are trained one by one. What is not named here is as in `cross_validate`.
    """
    is_carried = protocol.weights == "carried"
    for before, split in zip([None, *splits], splits, strict=False):
        expected = (split.repeat, split.fold - 1)
        if is_carried and split.fold and (before is None or before.number != expected):
            raise ValueError(f"expected the fold before {split.number} to be trained first")
    way = _Way(features, trainer, seed, protocol, threshold, tuple(on_epoch), checkpoints)
    sizes, ends = [len(split.train) for split in splits], [0]
    while (done := ends[-1]) < len(splits):
        limit = None if first_group is None else max(first_group - done, 1)
        ends.append(done + trainer.max_parallel(sizes[done:][: 1 if is_carried else limit]))
    for start, end in pairwise(ends):
        yield from way.train(splits[start:end])


@dataclass(frozen=True, slots=True)
class _Way:
    features: FeatureSet
    trainer: Trainer
    seed: int
    protocol: Protocol
    threshold: Threshold
    on_epoch: tuple[OnEpoch, ...]
    checkpoints: FoldCheckpoints | None

    def train(self, splits: Sequence[Split]) -> list[FoldResult]:
        """Train and score a group of folds side by side."""
        trainer, y = self.trainer, self.features.y
        started, setup_before = time.perf_counter(), trainer.setup_seconds
        pairs = [
            fit_job(self.features, split, fold_seed(self.seed, split), self.protocol)
            for split in splits
        ]
        tests = [test for _, test in pairs]
        jobs, spent = self._with_starts([job for job, _ in pairs], splits)
        thresholds, validates = [THRESHOLD] * len(splits), len(splits[0].validation) > 0
        if self.threshold != "fixed" and not validates:
            # before the folds' own trainings: after these the trainer scores with their models
            thresholds = [self._inner_threshold(split) for split in splits]
        histories = trainer.fit(jobs, lambda at, epoch: self._report(splits[at], epoch))
        y_scores = trainer.predict(tests)
        if self.threshold != "fixed" and validates:
            of_validation = trainer.predict([job.X_validation for job in jobs])
            for number, split in enumerate(splits):
                parts = held_out(split, y, self.features.subjects)
                thresholds[number] = choose(parts, y, of_validation[number : number + 1])
        if not np.isfinite(np.concatenate(y_scores)).all():
            raise LvhError(_NOT_FINITE)
        setup = trainer.setup_seconds - setup_before
        seconds = (time.perf_counter() - started - setup + spent) / len(splits)
        if self.checkpoints is not None and self.checkpoints.ends:
            for split, end in zip(splits, trainer.checkpoints(), strict=True):
                self.checkpoints.save(split, replace(end, seconds=seconds))
        results = []
        for number, split in enumerate(splits):
            fold = FoldResult(
                split=split,
                y_score=y_scores[number],
                metrics=score(y[split.test], y_scores[number], thresholds[number]),
                history=histories[number],
                seconds=seconds,
                threshold=thresholds[number],
                setup_seconds=setup / len(splits),
            )
            results.append(fold)
        return results

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
            y_scores += trainer.predict([test for _, test in group])
        if not np.isfinite(np.concatenate(y_scores)).all():
            raise LvhError(_NOT_FINITE)
        return choose(parts, y, y_scores)


def fit_job(
    features: FeatureSet, split: Split, seed: np.random.SeedSequence, protocol: Protocol = HONEST
) -> tuple[FitJob, Inputs]:
    """Return what a fold is trained with, and the inputs of the records that it scores."""
    X, y = features.X, features.y
    parts: tuple[Inputs, ...] = (X[split.train], X[split.validation], X[split.test])
    if features.kind != "signal":  # a signal lacks no value
        parts = fill_missing(features.fill, *parts)
    train, validation, test = parts
    chooses_epoch = protocol.epoch == "best_on_scored"
    job = FitJob(
        X=train,
        y=y[split.train],
        subjects=features.subjects[split.train],
        X_validation=test if chooses_epoch else validation,
        y_validation=y[split.test if chooses_epoch else split.validation],
        seed=seed,
        warm_start=protocol.weights == "carried" and split.fold > 0,
        keep_most_accurate=chooses_epoch,
    )
    return job, test


def fold_seed(seed: int, split: Split, *inner: int) -> np.random.SeedSequence:
    """Return the seed of a fold's model, or of one inside its training part, from 1."""
    return np.random.SeedSequence([seed, split.repeat, split.fold, *inner])
