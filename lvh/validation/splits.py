"""Splits: which records of a fold train, which stop the training, which are scored."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.data.array_checks import checked_labels, checked_subjects
from lvh.errors import InputError, excerpt
from lvh.validation.bounds import Share
from lvh.validation.metrics import Labels, Subjects

Indices = npt.NDArray[np.int64]
Parts = tuple[Indices, Indices]
"""Positions of the training records, and of the others."""
Threshold = Literal["fixed", "specificity_90"]
_ONE_FOLD = ("holdout", "external")


@dataclass(frozen=True)
class CvSettings:
    """How records are split.

    Attributes:
        scheme: `kfold` (shuffled), `stratified` (k folds with equal prevalence), `holdout` (one
            split), or `external` (one: all records of another source are scored).
        folds: Number of folds, of `kfold` and `stratified`.
        repeats: How often the whole scheme is repeated, each time with the next random state.
        random_state: Seed of the splits, apart from the seed of the models.
        test_size: Share of subjects that `holdout` scores.
        validation: Share of the training subjects that stop the training early; never scored.
        weights: `fresh`: every fold trains a new model. `carried`: one model, and its optimizer,
            is trained on from fold to fold of a repeat, as by calling Keras's `fit` again.
        epoch: `last`: the weights after the training, or those that `cv.validation` chose.
            `best_on_scored`: the weights of the epoch with the highest accuracy on the test
            records, the first of equals; with carried weights the next fold continues from there.
        allow_leakage: Train so that test records decide something of the model that scores them;
            the result never has a rank.
        permutations: Shuffles of the labels that a result is tested against; 0 for no test.
        threshold: Above which a score is predicted positive: `fixed`, .5; or `specificity_90`,
            chosen in each fold by `lvh.validation.inner_splits`.
        recalibrate: Of `external`: `large` judges also scores recalibrated in the large.
        refits: Of `external`: resamples of the training subjects, each with a new model; 0
            resamples only the test subjects.
    """

    scheme: Literal["kfold", "stratified", "holdout", "external"] = "kfold"
    folds: Annotated[int, Strict(), Field(ge=2)] = 7
    repeats: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1
    random_state: Annotated[int, Strict(), Field(ge=0, lt=2**31)] = 123
    test_size: Annotated[float, Strict(), Field(gt=0, lt=1)] = 0.2
    validation: Share = 0.0
    weights: Literal["fresh", "carried"] = "fresh"
    epoch: Literal["last", "best_on_scored"] = "last"
    allow_leakage: Annotated[bool, Strict()] = False
    permutations: Annotated[int, Strict(), Field(ge=0, le=100_000)] = 0
    threshold: Threshold = "fixed"
    recalibrate: Literal["none", "large"] = "none"
    refits: Annotated[int, Strict(), Field(ge=0, le=100_000)] = 0

    @cached_property
    def leakage(self) -> str:
        """How test records change the model that scores them; empty if they do not."""
        carried = ["carried weights"] if self.weights == "carried" else []
        best = ["best epoch on the test fold"] if self.epoch == "best_on_scored" else []
        return ", ".join(carried + best)

    @property
    def protocol(self) -> str:
        """A short name of what test records may decide."""
        words = [word for word in (self.weights, self.epoch) if word not in ("fresh", "last")]
        return "-".join(words) or "honest"


HONEST = CvSettings()


@dataclass(frozen=True, slots=True)
class Split:
    """One fold: positions of records; no subject is in two parts. Numbers count from 0.

    Validation records only stop the training, or choose a threshold.
    """

    repeat: int
    fold: int
    train: Indices
    validation: Indices
    test: Indices

    number = property(
        attrgetter("repeat", "fold"), doc="Repeat and fold, which no two folds of a run share."
    )


def splits(y: Labels, subjects: Subjects, settings: CvSettings) -> tuple[Split, ...]:
    """Split records into folds by subject, with scikit-learn's splitters.

    Labels and the subject of each record have the shape (n_records,). A subject counts as positive
    if any of its records is. Raises InputError for too few subjects or classes, or a share that
    leaves none to train on.

    >>> import numpy as np
    >>> y, subjects = np.tile([0, 1], 6), np.arange(12).astype(str)
    >>> folds = lvh.splits(y, subjects, lvh.settings("cv.folds=3").cv)
    >>> sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(12))
    True
    """
    y = checked_labels(y, np.size(y))
    subject_of, positive = by_subject(y, checked_subjects(subjects, len(y), "subjects"))
    _check_enough(y, positive, settings)
    folds = []
    for repeat in range(settings.repeats):
        state = settings.random_state + repeat
        for fold, (learned, scored) in enumerate(_subject_splits(positive, settings, state)):
            draw = state
            if settings.scheme != "holdout":
                # each fold its own: one draw would stop every training on the same few subjects
                draw = int(np.random.SeedSequence([state, fold]).generate_state(1)[0])
            parts = (*_set_aside(learned, settings, draw), scored)
            train, validation, test = (np.flatnonzero(np.isin(subject_of, one)) for one in parts)
            _check_training_part(fold + 1, y[train], "cv=stratified")
            folds.append(Split(repeat, fold, train, validation, test))
    return tuple(folds)


def external_split(y: Labels, subjects: Subjects, n_own: int, settings: CvSettings) -> Split:
    """Learn from the first `n_own` records, and score the others, of another source.

    InputError where either part has one class only.
    """
    check_both_classes("data: expected both classes", y[:n_own])
    check_both_classes("external: expected both classes", y[n_own:])
    own, scored = np.arange(n_own), np.arange(n_own, len(y))
    subject_of, positive = by_subject(y[own], subjects[own])
    parts = _set_aside(np.arange(len(positive)), settings, settings.random_state)
    train, validation = (own[np.isin(subject_of, part)] for part in parts)
    check_both_classes("data: expected both classes", y[train])
    return Split(0, 0, train, validation, scored)


def given_splits(cv: Any, y: Labels, subjects: Subjects, groups: Any) -> tuple[Split, ...]:
    """Return the splits of a splitter, such as `StratifiedGroupKFold(5)`, or of pairs of positions.

    A record that is tested a second time begins the next repeat. `groups` are the subjects as a
    user gave them, whose order a splitter may use; None for none. Raises InputError for no folds, a
    subject in both parts of a fold, or a training part of one class.
    """
    try:
        is_splitter = hasattr(cv, "split") and not isinstance(cv, str)
        parts = cv.split(np.zeros((len(y), 1)), y, groups) if is_splitter else cv
        pairs = [(np.asarray(train), np.asarray(test)) for train, test in parts]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cv: expected pairs of train and test positions. Received: {excerpt(cv)} ({error})"
        ) from error
    folds = list[Split]()
    repeat, fold, tested = 0, 0, set[int]()
    for number, (train, test) in enumerate(pairs, start=1):
        for part in (train, test):
            is_flat = part.ndim == 1 and len(part) > 0 and part.dtype.kind in "iu"
            if not (is_flat and len(part) == len({*part} & {*range(len(y))})):
                raise InputError(
                    f"cv: expected different positions from 0 to {len(y) - 1} in both parts of "
                    f"fold {number}. Received: {excerpt(part)}"
                )
        shared = np.intersect1d(subjects[train], subjects[test])
        if len(shared):
            raise InputError(
                f"cv: expected every subject in one part of fold {number}. Received: subject "
                f"{shared[0]} in both; a splitter that knows groups keeps subjects whole"
            )
        _check_training_part(number, y[train], "A stratified splitter")
        if tested.intersection(test.tolist()):
            repeat, fold, tested = repeat + 1, 0, set()
        tested.update(test.tolist())
        train, test = train.astype(np.int64), test.astype(np.int64)
        folds.append(Split(repeat, fold, train, train[:0], test))
        fold += 1
    if not folds:
        raise InputError("cv: expected one fold or more. Received: none")
    return tuple(folds)


def by_subject(y: Labels, subjects: Subjects) -> tuple[Indices, Indices]:
    """Number subjects by their first record: return that of each record, and who is positive."""
    _, first, member = np.unique(subjects, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # of a subject, by its first record
    subject_of = rank[member]
    positive = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(positive, subject_of, y)
    return subject_of, positive


def check_protocol(settings: CvSettings) -> None:
    """Raise InputError for a protocol that leaks and is not asked for, or that has no meaning."""
    for field, honest, why in (
        ("weights", "fresh", "folds after the first score records that trained their model"),
        ("epoch", "last", "the test records choose the weights that score them"),
    ):
        received = getattr(settings, field)
        if received != honest and not settings.allow_leakage:
            raise InputError(
                f"cv.{field}: expected {honest}, or cv.allow_leakage=true for a run that is never "
                f"ranked. Received: {received}, which leaks: {why}"
            )
    is_carried, has_one_fold = settings.weights == "carried", settings.scheme in _ONE_FOLD
    for field, expected, is_wrong in (
        ("threshold", "fixed", settings.threshold != "fixed" and settings.leakage),
        ("weights", "fresh with one fold", is_carried and has_one_fold),
        ("validation", "0", settings.validation > 0 and settings.epoch == "best_on_scored"),
    ):
        if is_wrong:
            raise InputError(
                f"cv.{field}: expected {expected} under a protocol that leaks. "
                f"Received: {getattr(settings, field)}, {settings.leakage}"
            )


def _subject_splits(positive: Indices, settings: CvSettings, state: int) -> Iterable[Parts]:
    """Yield the subjects that train and those that are scored."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if settings.scheme == "holdout":
        return [_drawn(positive, settings.test_size, state, "test_size")]
    splitter = KFold if settings.scheme == "kfold" else StratifiedKFold
    folds = splitter(settings.folds, shuffle=True, random_state=state)
    return folds.split(positive, positive)  # type: ignore[no-any-return]


def _set_aside(learned: Indices, settings: CvSettings, state: int) -> Parts:
    if settings.validation == 0:
        return learned, learned[:0]
    train, validation = _drawn(learned, settings.validation, state, "validation")
    return learned[np.sort(train)], learned[np.sort(validation)]


def _drawn(subjects: Indices, share: float, state: int, field: str) -> Parts:
    """Draw a share of subjects; return the positions of the others, and of those drawn."""
    from sklearn.model_selection import ShuffleSplit

    try:
        others, drawn = next(ShuffleSplit(1, test_size=share, random_state=state).split(subjects))
    except ValueError:
        raise InputError(
            f"cv.{field}: expected a share that leaves subjects to train on. "
            f"Received: {share:g} of {len(subjects)} subjects"
        ) from None
    return others, drawn


def _check_enough(y: Labels, positive: Indices, settings: CvSettings) -> None:
    check_both_classes("labels: expected both classes", y)
    counts = {"positive": positive.sum(), "negative": (1 - positive).sum()}
    what, n = min(counts.items(), key=lambda item: item[1])
    if settings.scheme != "holdout" and n < settings.folds:
        raise InputError(
            f"cv.folds: expected at most the number of {what} subjects. "
            f"Received: {settings.folds} folds, {n} {what} subjects"
        )


def _check_training_part(number: int, y: Labels, remedy: str) -> None:
    expected = f"cv: expected both classes in the training part of fold {number}"
    check_both_classes(expected, y, f". {remedy} spreads them")


def check_both_classes(expected: str, y: Labels, remedy: str = "") -> None:
    """Raise InputError, which begins with what is expected, where all labels are the same."""
    if y.sum() in (0, len(y)):
        raise InputError(
            f"{expected}. Received: {len(y)} records, {y.sum()} of them positive{remedy}"
        )
