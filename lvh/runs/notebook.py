"""An experiment from Python, for a notebook: the same as the command, without its files."""

from collections.abc import Callable
from functools import partial

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.errors import InputError
from lvh.evaluation import cross_validation as evaluation
from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.runs.run import ExperimentData, baselines_of, load_data, new_trainer

__all__ = ["cross_validate", "load_data", "settings"]


def settings(*overrides: str) -> RunSettings:
    """Return the settings that `python -m lvh.run OVERRIDES` would have.

    Args:
        *overrides: Such as `data=synthetic` or `model.C=3`.

    >>> lvh.settings("data=synthetic", "model=svm", "features=voltage", "model.C=3").model.C
    3.0
    """
    return settings_of(*overrides)


def cross_validate(
    settings: RunSettings,
    data: ExperimentData,
    on_fold: Callable[[FoldResult], object] | None = None,
) -> CVResult:
    """Train and score every fold, and the baselines; nothing is written or tracked.

    The scores are those of the command with the same settings. `on_fold` is called with each fold
    when it is done.
    """
    if settings.cv.permutations:
        raise InputError(
            "cv.permutations: expected 0 here; python -m lvh.run makes the test, and stores what "
            f"is done. Received: {settings.cv.permutations}"
        )
    return evaluation.cross_validate(
        data.features,
        data.splits,
        partial(new_trainer, settings, data.features, data.cohort.fs),
        seed=settings.seed,
        callbacks=[] if on_fold is None else [_OnFold(on_fold)],
        protocol=settings.cv.protocol,
        threshold=settings.cv.threshold,
        baselines=partial(baselines_of, data, settings.cv.threshold),
    )


class _OnFold(evaluation.Callback):
    def __init__(self, call: Callable[[FoldResult], object]) -> None:
        self._call = call

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Call a function with each fold."""
        self._call(fold)
