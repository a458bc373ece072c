"""Splits that a user gives: a splitter of scikit-learn, or pairs of train and test positions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lvh.errors import InputError, excerpt
from lvh.validation.splits import Split, check_both_classes


def given_splits(
    cv: Any, y: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_], groups: Any
) -> tuple[Split, ...]:
    """Return the splits of a splitter, such as `StratifiedGroupKFold(5)`, or of pairs.

    A record that is tested a second time begins the next repeat. `groups` are the subjects as a
    user gave them, whose order a splitter may use; None for none.

    InputError where there are no folds, a subject is in both parts of a fold, or the training part
    of a fold has one class only.
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
            if not (is_flat and {*part} <= {*range(len(y))} and len(part) == len({*part})):
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
        classes = f"cv: expected both classes in the training part of fold {number}"
        check_both_classes(classes, y[train], ". A stratified splitter spreads them")
        if tested & {*test.tolist()}:
            repeat, fold, tested = repeat + 1, 0, set()
        tested |= {*test.tolist()}
        train, test = train.astype(np.int64), test.astype(np.int64)
        folds.append(Split(repeat, fold, train, train[:0], test))
        fold += 1
    if not folds:
        raise InputError("cv: expected one fold or more. Received: none")
    return tuple(folds)
