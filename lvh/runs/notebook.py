"""An experiment from Python, as a notebook needs it: what a command does, without its files."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.errors import InputError
from lvh.runs.evaluate import Prepared, baselines, learner, prepare

if TYPE_CHECKING:
    from lvh.evaluation.cross_validation import CVResult, FoldResult

__all__ = ["cross_validate", "prepare", "settings"]


def settings(*overrides: str) -> RunSettings:
    """Return the settings that `python -m lvh.run OVERRIDES` would have.

    Args:
        *overrides: Such as `data=synthetic` or `model.C=3`.

    Raises:
        InputError: Names the field, what was expected and what was received.
    """
    return settings_of(*overrides)


def cross_validate(
    settings: RunSettings,
    prepared: Prepared,
    on_fold: "Callable[[FoldResult], object] | None" = None,
) -> "CVResult":
    """Train and score every fold, and the baselines beside; nothing is written or tracked.

    The scores are those of the command with the same settings.

    Args:
        settings: From `settings`.
        prepared: From `prepare`, of the same settings.
        on_fold: Called with each fold when it is done.

    Raises:
        InputError: A permutation test is asked for, which the command alone makes.
        LvhError: A training failed.
    """
    from lvh.evaluation.cross_validation import conclude, fold_results

    if settings.cv.permutations:
        raise InputError(
            "cv.permutations: expected 0 here; python -m lvh.run makes the test, and keeps what "
            f"is done. Received: {settings.cv.permutations}"
        )
    features, cohort = prepared.features, prepared.cohort
    done: list[FoldResult] = []
    for fold in fold_results(
        *(features, prepared.splits, lambda: learner(settings, features, cohort.fs)),
        *(settings.seed, lambda split: None, lambda split, epoch: None),
        protocol=settings.cv.protocol,
        threshold=settings.cv.threshold,
    ):
        done.append(fold)
        if on_fold is not None:
            on_fold(fold)
    return conclude(features, done, baselines(prepared, settings.cv.threshold))
