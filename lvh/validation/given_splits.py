"""Splits that a person gives: a splitter of scikit-learn, or pairs of train and test positions."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError, excerpt
from lvh.validation.splits import Indices, Split, check_both_classes

Pair = tuple[Any, Any]


def given_splits(
    cv: Any, y: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_], groups: Any
) -> tuple[Split, ...]:
    """Return the splits of a splitter, such as `StratifiedGroupKFold(5)`, or of pairs.

    A record that is tested a second time begins the next repeat.

    Args:
        cv: An object with scikit-learn's `split(X, y, groups)`, or pairs of positions.
        y: Labels, shape (n_records,).
        subjects: Subject of each record, shape (n_records,).
        groups: The same as a person gave them, whose order a splitter may use; None for none.

    Raises:
        InputError: There are no folds, a subject is in both parts of a fold, or the training part
            of a fold has one class only.
    """
    folds = list[Split]()
    repeat, fold, tested = 0, 0, set[int]()
    for number, pair in enumerate(_pairs(cv, y, groups), start=1):
        train, test = (_positions(part, len(y), number) for part in pair)
        shared = np.intersect1d(subjects[train], subjects[test])
        if len(shared):
            raise InputError(
                f"cv: expected every subject in one part of fold {number}. Received: subject "
                f"{shared[0]} in both; a splitter that knows groups keeps subjects whole"
            )
        check_both_classes(
            f"cv: expected both classes in the training part of fold {number}",
            y[train],
            ". A stratified splitter spreads them",
        )
        if tested & set(test.tolist()):
            repeat, fold, tested = repeat + 1, 0, set()
        tested |= set(test.tolist())
        folds.append(Split(repeat, fold, train, train[:0], test))
        fold += 1
    if not folds:
        raise InputError("cv: expected one fold or more. Received: none")
    return tuple(folds)


def _pairs(cv: Any, y: npt.NDArray[np.int64], groups: Any) -> list[Pair]:
    try:
        parts: Iterable[Any] = cv
        if hasattr(cv, "split"):
            parts = cv.split(np.zeros((len(y), 1)), y, groups)
        pairs = [tuple(pair) for pair in parts]
    except (TypeError, ValueError) as error:
        raise InputError(f"cv: {error}. Received: {excerpt(cv)}") from error
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"cv: expected pairs of train and test positions. Received: {excerpt(cv)}")
    return pairs


def _positions(part: Any, n: int, number: int) -> Indices:
    positions = np.asarray(part)
    if not (
        positions.ndim == 1
        and len(positions)
        and positions.dtype.kind in "iu"
        and 0 <= positions.min() <= positions.max() < n
        and len(np.unique(positions)) == len(positions)
    ):
        raise InputError(
            f"cv: expected different positions from 0 to {n - 1} in both parts of fold {number}. "
            f"Received: {excerpt(part)}"
        )
    return positions.astype(np.int64)
