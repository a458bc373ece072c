"""What Python may train: a model by its name, a classifier of scikit-learn, a Keras builder."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import NoneType
from typing import Any

import numpy as np

from lvh.config.groups import defaults
from lvh.config.messages import suggestion
from lvh.config.plugins.checks import classifier_entry, network_entry
from lvh.config.plugins.loading import Origin, load_installed, named
from lvh.config.run_settings import parsed
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet
from lvh.models import MODELS, Architecture, Estimator, current_name
from lvh.models.backends import NO_BACKEND, check_installed
from lvh.models.training import Trainer, TrainSettings, make_trainer
from lvh.validation.metrics import SCALES

Train = TrainSettings | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Learner:
    """Something to train: an entry of a registry, or one like it, and its settings."""

    name: str
    entry: Architecture | Estimator
    settings: Any
    train: TrainSettings
    backend: str | None = None
    has_probabilities: bool = True

    @property
    def is_network(self) -> bool:
        """Whether it is trained in epochs."""
        return not isinstance(self.entry, Estimator)

    @property
    def is_given(self) -> bool:
        """Whether it gets inputs as a user gave them, with missing values and texts."""
        return isinstance(self.entry, Estimator) and self.entry.is_given

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return what trains it, as `lvh run` does; fs in Hz."""
        entry, backend = self.entry, NO_BACKEND
        if not isinstance(entry, Estimator):
            keras = sys.modules.get("keras")
            in_use = "tensorflow" if keras is None else str(keras.backend.backend())
            backend = self.backend or in_use
            check_installed(backend)
            entry.check(self.settings, features.input_shape)
        return make_trainer(
            entry, self.settings, train=self.train, backend=backend, features=features, fs=fs
        )


def learner_of(
    estimator: Any, train: Train = None, params: Mapping[str, Any] | None = None
) -> Learner:
    """Return what a user wants to train; see `lvh.cross_validate`.

    `params` are changes: settings of a model of lvh, parameters of a classifier, further arguments
    of a function; settings of the training begin with `train.`.
    """
    load_installed()
    if train is not None and not isinstance(train, (Mapping, TrainSettings)):
        raise InputError(f"train: expected TrainSettings or a mapping. Received: {excerpt(train)}")
    given = asdict(train) if isinstance(train, TrainSettings) else dict(train or {})
    own = dict(params or {})
    for name in [one for one in own if one.startswith("train.")]:
        given[name.removeprefix("train.")] = own.pop(name)
    network = parsed("train", {**asdict(TrainSettings()), **given}, TrainSettings)
    is_ours = any(type(estimator) is entry.settings for entry in MODELS.values())
    if is_ours or (isinstance(estimator, str) and current_name(estimator) in MODELS):
        name = estimator.name if is_ours else current_name(estimator)
        usual = asdict(estimator) if is_ours else defaults(MODELS[name].settings)
        settings: Any = parsed("model", {**usual, "name": name, **own}, MODELS[name].settings)
        learner = Learner(name, MODELS[name], settings, network)
    elif inspect.isroutine(estimator) or isinstance(estimator, partial):
        learner = _of_builder(estimator, network, own)
    elif hasattr(estimator, "get_params") and not isinstance(estimator, type):
        learner = _of_classifier(estimator, network, own)
    else:
        raise InputError(
            "estimator: expected a name, its settings, a classifier of scikit-learn's kind (an "
            "object, not its class) or a function that builds a Keras model"
            f"{suggestion(str(estimator), MODELS)}. Names are {', '.join(MODELS)}. "
            f"Received: {excerpt(estimator)}"
        )
    if not learner.is_network and (given or train is not None):
        raise InputError(f"train: expected None, for {learner.name} has no epochs")
    return learner


def _of_classifier(estimator: Any, train: TrainSettings, params: dict[str, Any]) -> Learner:
    from sklearn.base import clone

    model = clone(estimator)
    try:  # of what is no estimator it is a deep copy
        model.set_params(**{name: clone(value, safe=False) for name, value in params.items()})
    except (TypeError, ValueError) as error:
        raise InputError(f"space: {error}") from error
    name, has_probabilities = type(estimator).__name__, hasattr(model, "predict_proba")
    origin = Origin(named("estimator", type(estimator)), type(estimator).__module__)
    entry = classifier_entry(origin, NoneType, lambda **_: clone(model), is_given=True)
    entry.build(None, (), 0, np.zeros(0, np.str_))  # raises what can be known before a training
    return Learner(name, entry, None, train, has_probabilities=has_probabilities)


def _of_builder(build: Any, train: TrainSettings, params: dict[str, Any]) -> Learner:
    origin = Origin(named("estimator", build), str(getattr(build, "__module__", "")))
    try:
        inspect.signature(build).bind((), **params)
    except TypeError as error:
        names = ", ".join(["the shape of one input", *params])
        raise origin.refused(f"expected a function that takes {names}", error) from None
    entry = network_entry(
        origin, NoneType, lambda settings, input_shape: build(input_shape, **params), None
    )
    return Learner(origin.what.partition(": ")[2], entry, None, train)


def check_scores(learner: Learner, names: Iterable[str]) -> None:
    """Refuse scores that need probabilities where the learner has none."""
    for name in names if not learner.has_probabilities else ():
        scale = SCALES.get(name.removeprefix("pooled_").removeprefix("std_"))
        if scale is not None and scale.needs_probabilities:
            raise InputError(
                f"{name}: needs probabilities, which {learner.name} has none of. Choose another "
                "score, or put it into scikit-learn's CalibratedClassifierCV"
            )
