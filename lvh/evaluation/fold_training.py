"""Training of folds: what a model may see of each, its threshold, its scores."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol as Interface

import numpy as np

from lvh.data.lazy_array import Inputs
from lvh.errors import LvhError
from lvh.evaluation.cv_result import FoldResult
from lvh.features import FeatureSet, fill_missing
from lvh.models.training import Checkpoint, FitJob, Trainer
from lvh.validation.metrics import THRESHOLD, Floats, score
from lvh.validation.splits import HONEST, Protocol, Split, Threshold
from lvh.validation.thresholds import choose, held_out


class Checkpoints(Interface):
    """Where the trainings of folds are kept, so that more epochs continue from fewer."""

    @property
    def keeps(self) -> bool:
        """Whether something continues from the ends of these trainings."""

    def load(self, split: Split) -> Checkpoint | None:
        """Return where the training of a fold stands, if that is known."""

    def save(self, split: Split, checkpoint: Checkpoint) -> None:
        """Keep where the training of a fold stands at its end."""


OnEpoch = Callable[[Split, int], None]
"""Takes a fold and how many epochs of it are done."""


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
    checkpoints: Checkpoints | None = None,
) -> Iterator[FoldResult]:
    """Train and score folds in their order, side by side as far as the trainer can.

    The test records of a fold decide nothing in it: missing values are filled, the model is
    trained and, where asked, stopped without them. Under another protocol than the honest one
    they decide what the protocol says.

    Args:
        features: Inputs and labels.
        splits: The folds; where weights are carried, those of a repeat in their own order.
        trainer: Starts each fold from a seed that is made of `seed`, repeat and fold.
        seed: Of the models.
        protocol: See `cross_validate`.
        threshold: See `cross_validate`.
        on_epoch: Follow the training. Models that only choose a threshold count as epoch 0.
        first_group: How many folds may be trained before the caller has seen the first; after
            these, folds are trained one by one. None: as many as the trainer can.
        checkpoints: Where the trainings continue, and where their ends are kept.
    """
    done, limit = 0, first_group
    while done < len(splits):
        rest = splits[done : None if limit is None else done + limit]
        group = rest[: trainer.max_parallel([len(split.train) for split in rest])]
        if protocol.weights == "carried":
            group = rest[:1]
            if group[0].fold and (not done or group[0].number != _next_of(splits[done - 1])):
                raise ValueError(f"expected the fold before {group[0].number} to be trained first")
        yield from _train(
            features,
            group,
            trainer,
            seed=seed,
            protocol=protocol,
            threshold=threshold,
            on_epoch=on_epoch,
            checkpoints=checkpoints,
        )
        done += len(group)
        if limit is not None:
            limit = max(limit - len(group), 1)


def _train(
    features: FeatureSet,
    splits: Sequence[Split],
    trainer: Trainer,
    *,
    seed: int,
    protocol: Protocol,
    threshold: Threshold,
    on_epoch: Sequence[OnEpoch],
    checkpoints: Checkpoints | None,
) -> list[FoldResult]:
    """Train and score a group of folds side by side."""
    started, setup_before = time.perf_counter(), trainer.setup_seconds
    y, subjects = features.y, features.subjects
    prepared = [fit_job(features, split, fold_seed(seed, split), protocol) for split in splits]
    jobs, test_inputs = [job for job, _ in prepared], [test for _, test in prepared]
    spent = 0.0
    if checkpoints is not None:
        jobs = [replace(job, keep_checkpoint=checkpoints.keeps) for job in jobs]
        starts = [checkpoints.load(split) for split in splits]
        if all(starts):  # networks side by side have the same number of epochs
            jobs = [replace(job, start=at) for job, at in zip(jobs, starts, strict=True)]
            spent = sum(start.seconds for start in starts if start is not None)

    def report(at: int, epoch: int) -> None:
        for call in on_epoch:
            call(splits[at], epoch)

    thresholds = [THRESHOLD] * len(splits)
    validates = len(splits[0].validation) > 0
    if threshold != "fixed" and not validates:
        # before the folds' own trainings: after these the trainer scores with the folds' models
        thresholds = [
            _inner_threshold(features, split, trainer, seed=seed, on_epoch=on_epoch)
            for split in splits
        ]
    histories = trainer.fit(jobs, report)
    y_scores = trainer.predict(test_inputs)
    if threshold != "fixed" and validates:
        of_validation = trainer.predict([job.X_validation for job in jobs])
        parts = [held_out(split, y, subjects) for split in splits]
        thresholds = [choose(one, y, [own]) for one, own in zip(parts, of_validation, strict=True)]
    for split, y_score in zip(splits, y_scores, strict=True):
        _check_finite(split, y_score)
    setup = trainer.setup_seconds - setup_before
    seconds = (time.perf_counter() - started - setup + spent) / len(splits)
    if checkpoints is not None and checkpoints.keeps:
        for split, end in zip(splits, trainer.checkpoints(), strict=True):
            checkpoints.save(split, replace(end, seconds=seconds))
    return [
        FoldResult(
            split=split,
            y_score=y_score,
            metrics=score(y[split.test], y_score, own_threshold),
            history=history,
            seconds=seconds,
            threshold=own_threshold,
            setup_seconds=setup / len(splits),
        )
        for split, y_score, history, own_threshold in zip(
            splits, y_scores, histories, thresholds, strict=True
        )
    ]


def _inner_threshold(
    features: FeatureSet, split: Split, trainer: Trainer, *, seed: int, on_epoch: Sequence[OnEpoch]
) -> float:
    """Choose a threshold by folds inside the training part of a fold."""
    parts = held_out(split, features.y, features.subjects)
    prepared = [
        fit_job(features, part, fold_seed(seed, split, number), HONEST)
        for number, part in enumerate(parts, start=1)
    ]

    def report(at: int, epoch: int) -> None:
        for call in on_epoch:
            call(split, 0)

    y_scores: list[Floats] = []
    while len(y_scores) < len(prepared):
        rest = prepared[len(y_scores) :]
        group = rest[: trainer.max_parallel([len(job.y) for job, _ in rest])]
        trainer.fit([job for job, _ in group], report)
        y_scores += trainer.predict([test for _, test in group])
    for part, y_score in zip(parts, y_scores, strict=True):
        _check_finite(part, y_score)
    return choose(parts, features.y, y_scores)


def fit_job(
    features: FeatureSet,
    split: Split,
    seed: np.random.SeedSequence,
    protocol: Protocol = HONEST,
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


def _next_of(split: Split) -> tuple[int, int]:
    return split.repeat, split.fold + 1


def _check_finite(split: Split, y_score: Floats) -> None:
    n_bad = int((~np.isfinite(y_score)).sum())
    if n_bad:
        raise LvhError(
            f"fold {split.fold + 1}: expected finite scores. Received: {n_bad} of {len(y_score)} "
            "that are not. A lower train.learning_rate may help"
        )
