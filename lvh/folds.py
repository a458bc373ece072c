"""Which records train, which stop the training, which are scored."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.errors import InputError

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CvSettings:
    """How records are split.

    Attributes:
        scheme: `kfold` (shuffled), `stratified` (k folds with equal prevalence) or
            `holdout` (one split).
        folds: Number of folds; not used by `holdout`.
        repeats: How often the whole scheme is repeated, each time with the next random state.
        random_state: Seed of the splits, apart from the seed of the models.
        test_size: Share of subjects that `holdout` scores; not used by the others.
        validation: Share of the training subjects set aside to stop the training early and
            to draw its validation curve; 0 for none. They are never scored.
    """

    scheme: Literal["kfold", "stratified", "holdout"]
    folds: Annotated[int, Strict(), Field(ge=2)]
    repeats: Annotated[int, Strict(), Field(ge=1, le=1000)]
    random_state: Annotated[int, Strict(), Field(ge=0, lt=2**31)]
    test_size: Annotated[float, Strict(), Field(gt=0, lt=1)]
    validation: Annotated[float, Strict(), Field(ge=0, lt=1)]


@dataclass(frozen=True, slots=True)
class Split:
    """One fold: positions of records that are disjoint in record and in subject.

    Attributes:
        repeat: Which repetition, from 0.
        fold: Which fold of it, from 0.
        train: Records the model learns from.
        validation: Records that only stop its training; often empty.
        scored: Records it is scored on.
    """

    repeat: int
    fold: int
    train: Indices
    validation: Indices
    scored: Indices


def splits(
    y: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_], settings: CvSettings
) -> tuple[Split, ...]:
    """Split records into folds by subject.

    Subjects, in the order of their first record, are what is split; with one record each
    this is scikit-learn's own split of the records. A subject counts as positive if any of
    its records is.

    Args:
        y: Labels, shape (n_records,).
        subjects: Subject of each record, shape (n_records,).
        settings: See `CvSettings`.

    Raises:
        InputError: One class only, in all or in the training part of a fold, fewer
            subjects (of either class) than folds, or a share that leaves none to train on.
    """
    _, first, member = np.unique(subjects, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # of a subject, by its first record
    subject_of = rank[member]
    positive = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(positive, subject_of, y)
    _check_enough(y, positive, settings)

    def records(chosen: Indices) -> Indices:
        return np.nonzero(np.isin(subject_of, chosen))[0]

    found = []
    for repeat in range(settings.repeats):
        state = settings.random_state + repeat
        for fold, (learned, scored) in enumerate(_subject_splits(positive, settings, state)):
            # each fold draws its own: one draw would stop every training on the same few subjects
            draw = state if settings.scheme == "holdout" else _state(state, fold)
            train, validation = _set_aside(learned, settings, draw)
            split = Split(repeat, fold, records(train), records(validation), records(scored))
            _check_both_classes(y, split)
            found.append(split)
    return tuple(found)


def _state(state: int, fold: int) -> int:
    return int(np.random.SeedSequence([state, fold]).generate_state(1)[0])


def _subject_splits(
    positive: Indices, settings: CvSettings, state: int
) -> Iterator[tuple[Indices, Indices]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    if settings.scheme == "holdout":
        yield _drawn(len(positive), settings.test_size, state, "test_size")
        return
    if settings.scheme == "stratified":
        splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=state)
    else:
        splitter = KFold(settings.folds, shuffle=True, random_state=state)
    yield from splitter.split(np.zeros(len(positive)), positive)


def _set_aside(learned: Indices, settings: CvSettings, state: int) -> tuple[Indices, Indices]:
    if settings.validation == 0:
        return learned, learned[:0]
    train, validation = _drawn(len(learned), settings.validation, state, "validation")
    return learned[np.sort(train)], learned[np.sort(validation)]


def _drawn(n: int, share: float, state: int, field: str) -> tuple[Indices, Indices]:
    """Draw a share of n subjects; return the others, and those drawn."""
    from sklearn.model_selection import ShuffleSplit

    if math.ceil(share * n) >= n:
        raise InputError(
            f"cv.{field}: expected a share that leaves subjects to train on. "
            f"Received: {share:g} of {n} subjects"
        )
    splitter = ShuffleSplit(1, test_size=share, random_state=state)
    others, drawn = next(splitter.split(np.zeros(n)))
    return others, drawn


def _check_enough(y: npt.NDArray[np.int64], positive: Indices, settings: CvSettings) -> None:
    if len(np.unique(y)) < 2:
        raise InputError(
            f"labels: expected both classes. Received: {len(y)} records, "
            f"{int(y.sum())} of them positive"
        )
    if settings.scheme == "holdout":
        return
    counts = {
        "subjects": len(positive),
        "positive subjects": int(positive.sum()),
        "negative subjects": int((1 - positive).sum()),
    }
    for what, count in counts.items():
        if count < settings.folds:
            raise InputError(
                f"cv.folds: expected at most the number of {what}. "
                f"Received: {settings.folds} folds, {count} {what}"
            )


def _check_both_classes(y: npt.NDArray[np.int64], split: Split) -> None:
    positive = int(y[split.train].sum())
    if positive in (0, len(split.train)):
        raise InputError(
            f"cv: expected both classes in the training part of fold {split.fold + 1}. Received: "
            f"{len(split.train)} records, {positive} of them positive. cv=stratified spreads them"
        )
