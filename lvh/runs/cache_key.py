"""What a result depends on, as one key: equal keys, equal results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.validation.splits import Protocol, Split, before

RESULTS_VERSION = 3
"""Raised by hand when a change of the code changes the scores that equal settings give.

Folds in a store that were made under another number are trained again.
"""


def deciding(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that decide what a fold comes to, apart from data and split."""
    groups = {"features": settings.features, "model": settings.model}
    if settings.is_network:
        # threads, and on a GPU the folds that are trained at once, may change the last digits of
        # a fold; a run that continues with fewer is still the same run
        groups["train"] = replace(settings.train, threads=None, side_by_side=None)
    alone = {"seed": settings.seed, "backend": settings.backend}
    if settings.cv.threshold != "fixed":
        alone["threshold"] = settings.cv.threshold
    groups["protocol"] = settings.cv.protocol
    return {name: asdict(group) for name, group in groups.items()} | alone


def fold_keys(
    decisions: Mapping[str, Any], data: str, splits: Sequence[Split]
) -> dict[tuple[int, int], str]:
    """Return the keys of all folds of a cross-validation, by repeat and fold.

    A key does not contain how many folds or repeats there are: a fold is the same in a longer
    cross-validation.
    """
    return {split.number: _key(decisions, data, split, splits) for split in splits}


def fold_key(settings: RunSettings, data: str, split: Split, among: Sequence[Split] = ()) -> str:
    """Return the key of one fold of those `among`."""
    return _key(deciding(settings), data, split, among)


def _key(decisions: Mapping[str, Any], data: str, split: Split, among: Sequence[Split]) -> str:
    carried = before(split, among, Protocol(**decisions["protocol"]))
    records = [part for one in (split, *carried) for part in (one.train, one.validation, one.test)]
    return fingerprint(RESULTS_VERSION, data, decisions, split.number, *records)


def run_key(settings: RunSettings, data: str, splits: Sequence[Split]) -> str:
    """Return the key of a whole cross-validation: that of all its folds, and of its test."""
    keys = fold_keys(deciding(settings), data, splits).values()
    return run_key_of(keys, settings.cv.permutations)


def run_key_of(keys: Iterable[str], permutations: int) -> str:
    """Return the key of a cross-validation from the keys of its folds."""
    return fingerprint(list(keys), *((permutations,) if permutations else ()))
