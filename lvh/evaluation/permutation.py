"""Permutation test: how often do shuffled labels score as well as the real ones?

Labels are shuffled, folds are made of them by the same settings, and everything is trained and
scored on these. With b of n shuffles that score as well or better, p = (b + 1) / (n + 1): Ojala and
Garriga, Permutation Tests for Studying Classifier Performance, JMLR 11, 2010, test 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from lvh.data.array_checks import EXTERNAL
from lvh.errors import InputError
from lvh.evaluation.cross_validation import train_folds
from lvh.features import FeatureSet
from lvh.files import write_text
from lvh.models.training import Trainer
from lvh.validation.metrics import Labels, Metrics, Subjects, mean_and_std
from lvh.validation.splits import HONEST, CvSettings, Split

Scores = Mapping[str, float]
MakeFolds = Callable[[Labels], Sequence[Split]]
"""Returns the folds of labels; raises InputError where the settings allow none."""

SCORES = ("accuracy", "ap", "roc_auc")
"""Scores that are tested, by their means over the folds."""

WAY = "folds of the shuffled labels"
"""Part of the key of stored shuffles: scores of another way are not read."""

_DRAWS = 1000  # of one shuffle, before its folds are given up
_FORMAT = TypeAdapter(list[dict[str, float]])


def load_null(path: Path) -> list[Scores]:
    """Return the scores of finished shuffles in a file; none if it is damaged."""
    try:
        return list(_FORMAT.validate_json(path.read_bytes()))
    except (OSError, ValueError):
        return []


def save_null(path: Path, scores: Sequence[Scores]) -> None:
    """Write the scores of finished shuffles, from which a later process continues."""
    write_text(path, _FORMAT.dump_json([dict(means) for means in scores]).decode())


def null_scores(
    features: FeatureSet,
    make_folds: MakeFolds,
    trainer: Trainer,
    *,
    seed: int,
    number: int,
    cv: CvSettings = HONEST,
) -> Scores:
    """Cross-validate on the shuffled labels of a number; return the mean of each of `SCORES`.

    Labels stay in their own source. A shuffle without folds (one class in a training part) is
    drawn again; InputError if no draw has any.
    """
    sources = np.array([record.startswith(EXTERNAL) for record in features.records])
    for draw in range(_DRAWS):
        seeds = [seed, number, draw] if draw else [seed, number]
        y = shuffled(features.y, features.subjects, seeds, sources)
        with suppress(InputError):
            splits = make_folds(y)
            break
    else:
        splits = make_folds(y)  # raises
    folds = train_folds(replace(features, y=y), splits, trainer, seed=seed, cv=cv)
    mean, _ = mean_and_std([fold.metrics for fold in folds])
    return {name: getattr(mean, name) for name in SCORES}


def shuffled(
    y: Labels, subjects: Subjects, seeds: Sequence[int], sources: npt.NDArray[np.bool_]
) -> Labels:
    """Shuffle labels among subjects of a source with as many records; a subject's stay together."""
    _, member = np.unique(subjects, return_inverse=True)
    counts = np.bincount(member)
    order = np.argsort(member, kind="stable")
    places = np.split(order, np.cumsum(counts)[:-1])
    generator = np.random.default_rng(seeds)
    result = y.copy()
    kinds = 2 * counts + sources[[own[0] for own in places]]
    for kind in np.unique(kinds):
        alike = np.array([places[at] for at in np.flatnonzero(kinds == kind)])
        result[alike] = y[alike[generator.permutation(len(alike))]]
    return result


def p_values(observed: Metrics, null: Sequence[Scores]) -> dict[str, float]:
    """Return p of each of `SCORES` that is defined; a shuffle without a score counts as good."""
    values = {name: getattr(observed, name) for name in SCORES}
    worse = {
        name: sum(means[name] < value for means in null)
        for name, value in values.items()
        if not math.isnan(value)
    }
    return {name: (len(null) - n + 1) / (len(null) + 1) for name, n in worse.items()}
