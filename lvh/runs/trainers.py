"""What trains a model as the settings say: the trainer, its program and its threads."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from lvh.config.run_settings import RunSettings
from lvh.features import FeatureSet
from lvh.models import MODELS, Estimator
from lvh.models.backends import cores, new_program, start, threads_of

if TYPE_CHECKING:
    from lvh.models.backends import Program
    from lvh.models.training import Learner

_PROGRAMS = 16  # compiled models that stay in memory


def automatic_threads(settings: RunSettings) -> int:
    """Return how many threads a process has if the settings give no number.

    Steps on tabular inputs are too small to share: handing the parts to threads takes longer than
    they do.
    """
    return 1 if MODELS[settings.model.name].inputs == "tabular" else cores()


def threads(settings: RunSettings) -> int:
    """Return how many threads the trainings of this process have."""
    asked, automatic = settings.train.threads, automatic_threads(settings)
    if settings.is_network:
        return threads_of(settings.backend, asked, automatic)
    return asked or automatic


def new_trainer(settings: RunSettings, features: FeatureSet, fs: float) -> "Learner":
    """Return what trains and scores as the settings say; the backend is started at need.

    Args:
        settings: Of the run.
        features: What it learns from.
        fs: Sampling frequency of the records, Hz.
    """
    model = MODELS[settings.model.name]
    if isinstance(model, Estimator):
        from lvh.models.estimators import EstimatorLearner

        build = partial(model.build, settings.model, features.names)
        return EstimatorLearner(build, threads(settings))
    from lvh.models.training import KerasLearner

    train, l2 = settings.train, getattr(settings.model, "l2", None)
    shared = settings.model if l2 is None else replace(settings.model, l2=0.0)
    start(settings.backend, train.threads, automatic_threads(settings))
    program = _program(
        model.build,
        shared,
        features.input_shape,
        batch_size=train.batch_size,
        precision=train.precision,
        side_by_side=train.side_by_side,
    )
    return KerasLearner(program, train, l2, fs)


@lru_cache(maxsize=_PROGRAMS)
def _program(
    build: Callable[[Any, tuple[int, ...]], Any],
    model: Any,
    input_shape: tuple[int, ...],
    *,
    batch_size: int,
    precision: str,
    side_by_side: int | None,
) -> "Program":
    """Build and compile a model; every fold, and every configuration of its shape, shares it."""
    return new_program(lambda: build(model, input_shape), batch_size, precision, side_by_side)
