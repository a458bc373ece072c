"""What a result depends on, as one key: equal keys, equal results."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import lvh
from lvh.models.backends import distributions
from lvh.data.cohort import fingerprint
from lvh.config.run_settings import RunSettings
from lvh.validation.splits import Split, before
from lvh.models.training import TrainSettings

_DECIDING = (
    *(
        "cohort",
        "unread",
        "criteria",
        "folds",
        "inner",
        "threshold",
        "augment",
        "backends",
        "training",
        "estimators",
    ),
    *("metrics", "crossval"),
    *("delineation", "sources", "features", "models"),
)
"""The rooms whose code a fold's result depends on."""

_LIBRARIES = ("numpy", "scikit-learn")
"""Those of every backend, beside its own."""


@lru_cache
def code_version(backend: str) -> str:
    """Hash the code and the libraries that decide a result.

    How results are tracked, shown or searched for does not count.

    Args:
        backend: Whose libraries count.
    """
    package = Path(lvh.__file__).parent
    files = [
        file
        for room in _DECIDING
        for file in (package / f"{room}.py", *sorted((package / room).rglob("*.py")))
        if file.is_file()
    ]
    sources = [(file.relative_to(package).as_posix(), file.read_text("utf-8")) for file in files]
    libraries = (*distributions(backend), *_LIBRARIES)
    return fingerprint(sources, [importlib.metadata.version(name) for name in libraries])


def fold_key(settings: RunSettings, data: str, split: Split, among: Sequence[Split] = ()) -> str:
    """Return the key of one fold.

    It does not contain how many folds or repeats there are: a fold is the same in a longer
    cross-validation.

    Args:
        settings: Of the run; its tracking, threads and the like decide nothing.
        data: Fingerprint of the cohort.
        split: Which records have which part.
        among: All folds; where weights are carried, those before it decide it too.
    """
    carried = before(split, among, settings.cv.protocol)
    return fingerprint(
        code_version(settings.backend),
        data,
        deciding(settings),
        (split.repeat, split.fold),
        split.train,
        split.validation,
        split.scored,
        *(part for one in carried for part in (one.train, one.validation, one.scored)),
    )


def run_key(settings: RunSettings, data: str, splits: tuple[Split, ...]) -> str:
    """Return the key of a whole cross-validation: that of all its folds, and of its test."""
    keys = [fold_key(settings, data, split, splits) for split in splits]
    tested = (settings.cv.permutations,) if settings.cv.permutations else ()
    return fingerprint(keys, *tested)


def deciding(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that decide what a fold comes to, beside data and split."""
    groups = {"features": settings.features, "model": settings.model}
    if settings.is_network:
        groups["train"] = _deciding(settings.train)
    alone = {"seed": settings.seed, "backend": settings.backend}
    if settings.cv.threshold != "fixed":
        alone["threshold"] = settings.cv.threshold
    groups["protocol"] = settings.cv.protocol
    return {name: asdict(group) for name, group in groups.items()} | alone


def _deciding(train: TrainSettings) -> TrainSettings:
    # threads, and on a GPU the folds beside it, may change the last digits of a fold; a run that
    # goes on with fewer is still the same run
    return replace(train, threads=None, side_by_side=None)
