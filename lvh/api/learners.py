"""What Python may train: a model of ours by name, a classifier of scikit-learn, a Keras builder."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, fields
from functools import partial
from typing import Any, Protocol

import numpy as np

from lvh.api.code_identity import identity
from lvh.config.messages import suggestion
from lvh.config.run_settings import parsed
from lvh.data.lazy_array import read
from lvh.errors import InputError, LvhError, excerpt
from lvh.features import FeatureSet
from lvh.models import MODEL_ALIASES, MODELS, Estimator
from lvh.models.backends import NO_BACKEND, check_installed, cores, start
from lvh.models.trainers import EstimatorTrainer, make_trainer
from lvh.models.training import Trainer, TrainSettings

Train = TrainSettings | Mapping[str, Any] | None


class Learner(Protocol):
    """Something to train.

    Attributes:
        name: Short, for titles.
        parameters: Names of what `with_params` can change.
        kind: Of the inputs that it needs; None for any.
        is_given: Whether inputs are handed on as a person gave them, missing values too.
        has_epochs: Whether it is trained in epochs.
        has_probabilities: Whether its scores are probabilities, which `loss` and `brier` need.
    """

    name: str
    parameters: tuple[str, ...]
    kind: str | None
    is_given: bool
    has_epochs: bool
    has_probabilities: bool

    def with_params(self, params: Mapping[str, Any]) -> "Learner":
        """Return the same with other parameters."""

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return its trainer for some inputs; fs in Hz."""

    def identity(self) -> str:
        """Return a text that only learners with the same results share."""


def learner_of(estimator: Any, train: Train = None) -> Learner:
    """Return the learner that a person means.

    Args:
        estimator: A name in `lvh.models.MODELS` or the settings of one; a classifier with
            scikit-learn's interface; or a function from an input shape to a Keras model.
        train: How a network is trained.

    Raises:
        InputError: It is none of these, or has no use for `train`.
    """
    network = parsed("train", _plain(train), TrainSettings)
    if isinstance(estimator, str):
        name = MODEL_ALIASES.get(estimator, estimator)
        if name not in MODELS:
            raise InputError(
                f"estimator: expected one of {', '.join(MODELS)}{suggestion(name, MODELS)}. "
                f"Received: {excerpt(estimator)}"
            )
        return NamedLearner(_checked(name, MODELS[name].settings()), network, train is not None)
    for name, entry in MODELS.items():
        if type(estimator) is entry.settings:
            return NamedLearner(_checked(name, estimator), network, train is not None)
    if not isinstance(estimator, type) and hasattr(estimator, "fit"):
        if type(estimator).__module__.startswith("keras."):
            raise InputError(
                "estimator: expected a function that builds the Keras model, since every fold "
                f"begins with a new one. Received: {type(estimator).__name__}, a built model"
            )
        if train is not None:
            raise InputError(
                f"train: expected None, for {type(estimator).__name__} has its own parameters. "
                f"Received: {excerpt(train)}"
            )
        return GivenLearner(estimator)
    if callable(estimator) and not isinstance(estimator, type):
        return BuilderLearner(estimator, network)
    raise InputError(
        "estimator: expected a name, its settings, a classifier (an object, not its class) or a "
        f"function that builds a Keras model. Received: {excerpt(estimator)}"
    )


def check_scores(learner: Learner, names: Iterable[str]) -> None:
    """Refuse scores of probabilities for a learner that has none.

    Raises:
        InputError: It has a `decision_function` only.
    """
    for name in names:
        if not learner.has_probabilities and name.rpartition("_")[2] in ("loss", "brier"):
            raise InputError(
                f"{name}: needs probabilities, which {learner.name} has none of. Choose another "
                "score, or put it into scikit-learn's CalibratedClassifierCV"
            )


def backend_in_use() -> str:
    """Return the backend of Keras in this process: TensorFlow unless another was started."""
    keras = sys.modules.get("keras")
    return "tensorflow" if keras is None else str(keras.backend.backend())


class NamedLearner:
    """A model of ours; `train.` begins the names of the settings of a training."""

    kind: str | None
    is_given = False
    has_probabilities = True

    def __init__(self, settings: Any, train: TrainSettings, has_train: bool = False) -> None:
        """Take checked settings of the model and of the training."""
        entry = MODELS[settings.name]
        self.name, self.kind = str(settings.name), entry.inputs
        self.has_epochs = not isinstance(entry, Estimator)
        if has_train and not self.has_epochs:
            raise InputError(f"train: expected None, for {self.name} is fitted in one go")
        self.settings, self._train = settings, train
        self.parameters = tuple(one.name for one in fields(settings) if one.name != "name")
        if self.has_epochs:
            self.parameters += tuple(f"train.{one.name}" for one in fields(train))

    def with_params(self, params: Mapping[str, Any]) -> "NamedLearner":
        """Return the model with other settings, which are checked."""
        changes = {name: value for name, value in params.items() if "." not in name}
        of_train = {name.removeprefix("train."): params[name] for name in {*params} - {*changes}}
        train = parsed("train", asdict(self._train) | of_train, TrainSettings)
        return NamedLearner(_checked(self.name, self.settings, changes), train, bool(of_train))

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return what `lvh run` trains with."""
        entry = MODELS[self.name]
        backend = NO_BACKEND
        if not isinstance(entry, Estimator):
            backend = backend_in_use()
            check_installed(backend)
            entry.check(self.settings, features.input_shape)
        elif entry.form is not None and "male" not in features.names:
            raise InputError(
                f"estimator: {self.name} needs a cohort and features={entry.form}. "
                f"Received: inputs {excerpt(', '.join(features.names))}"
            )
        return make_trainer(
            self.settings,
            self._train,
            backend=backend,
            input_shape=features.input_shape,
            names=features.names,
            fs=fs,
        )

    def identity(self) -> str:
        """Return the settings."""
        train = asdict(self._train) if self.has_epochs else None
        return repr((self.name, asdict(self.settings), train, self.has_epochs and backend_in_use()))


class GivenLearner:
    """A classifier of a person, copied for each fold.

    Where its `random_state` is None, or that of a part of it, the seed of the fold is used.
    """

    kind: str | None = None
    is_given = True
    has_epochs = False

    def __init__(self, estimator: Any) -> None:
        """Take the classifier, which is not changed."""
        if not hasattr(estimator, "predict_proba") and not hasattr(estimator, "decision_function"):
            raise InputError(
                "estimator: expected a classifier with predict_proba or decision_function. "
                f"Received: {excerpt(estimator)}"
            )
        self._estimator = estimator
        self.has_probabilities = hasattr(estimator, "predict_proba")
        self.name = type(estimator).__name__
        self.parameters = tuple(self._params())
        for part in (estimator, *self._params().values()):
            if type(part).__name__ == "FrozenEstimator":
                raise InputError(
                    "estimator: expected parts that are fitted in each fold; a frozen one may know "
                    f"test records. Received: {excerpt(part)}"
                )

    def with_params(self, params: Mapping[str, Any]) -> "GivenLearner":
        """Return a copy with other parameters, by scikit-learn's `set_params`."""
        copy = _copy(self._estimator)
        try:
            copy.set_params(**{name: _copy(value) for name, value in params.items()})
        except (TypeError, ValueError) as error:
            raise InputError(f"space: {error}") from error
        return GivenLearner(copy)

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return what copies and fits it."""

        def inputs(X: Any) -> Any:
            return read(X)

        return EstimatorTrainer(self._new, cores(), inputs=inputs)

    def identity(self) -> str:
        """Return its class with the code, and its parameters."""
        return identity(self._estimator)

    def _params(self) -> dict[str, Any]:
        return self._estimator.get_params() if hasattr(self._estimator, "get_params") else {}

    def _new(self, random_state: int, subjects: Any) -> "_Scorer":
        copy, params = _copy(self._estimator), self._params()
        unset = [
            name
            for name, value in params.items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]
        if unset:
            copy.set_params(**dict.fromkeys(unset, random_state))
        return _Scorer(copy)


class _Scorer:
    """A classifier, whose scores are from 0 to 1."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def fit(self, X: Any, y: Any) -> "_Scorer":
        """Fit it."""
        self._estimator.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return its probabilities, or its margins in the logistic function."""
        if not hasattr(self._estimator, "predict_proba"):
            from scipy.special import expit  # type: ignore[import-untyped]

            margin = np.asarray(self._estimator.decision_function(X), np.float64)
            scores = np.column_stack([expit(-margin), expit(margin)])
        else:
            scores = np.asarray(self._estimator.predict_proba(X))
        if scores.shape != (len(X), 2):
            raise LvhError(
                f"estimator: expected scores of shape {(len(X), 2)}. Received: {scores.shape}"
            )
        return scores


class BuilderLearner:
    """A function that builds a Keras model from the shape of one input; more arguments by name."""

    kind: str | None = None
    is_given = False
    has_epochs = True
    has_probabilities = True

    def __init__(
        self, build: Any, train: TrainSettings, params: Mapping[str, Any] | None = None
    ) -> None:
        """Take the function, how its models are trained, and arguments by name."""
        self._build, self._train, self._own = build, train, dict(params or {})
        self.name = str(getattr(build, "__name__", type(build).__name__))
        shape, *others = inspect.signature(build).parameters or [""]
        if not shape:
            raise InputError(
                "estimator: expected a function that takes the shape of one input. "
                f"Received: {self.name}, which takes nothing"
            )
        self.parameters = (*others, *(f"train.{one.name}" for one in fields(train)))
        unused = {"augment": train.augment.is_on, "precision": train.precision != "float32"}
        unused["side_by_side"] = train.side_by_side is not None
        for field, is_set in unused.items():
            if is_set:
                raise InputError(
                    f"train.{field}: expected the default with a function that builds a model. "
                    f"Received: {excerpt(getattr(train, field))}"
                )

    def with_params(self, params: Mapping[str, Any]) -> "BuilderLearner":
        """Return it with other arguments."""
        own = {name: value for name, value in params.items() if not name.startswith("train.")}
        of_train = {name.removeprefix("train."): params[name] for name in {*params} - {*own}}
        train = parsed("train", asdict(self._train) | of_train, TrainSettings)
        return BuilderLearner(self._build, train, self._own | own)

    def trainer(self, features: FeatureSet, fs: float) -> Trainer:
        """Return what builds and fits it for each fold."""
        from lvh.models.keras_builder import BuilderTrainer

        start(backend_in_use(), self._train.threads, cores())
        return BuilderTrainer(partial(self._build, **self._own), self._train)

    def identity(self) -> str:
        """Return its code, its arguments and the settings of the training."""
        own = identity((self._build, self._own))
        return repr((own, asdict(self._train), backend_in_use()))


def _copy(value: Any) -> Any:
    """Copy as scikit-learn does: parameters, and nothing that was fitted."""
    from sklearn.base import clone

    return clone(value) if hasattr(value, "get_params") else deepcopy(value)


def _checked(name: str, settings: Any, changes: Mapping[str, Any] | None = None) -> Any:
    node = {**asdict(settings), "name": name, **(changes or {})}
    return parsed("model", node, MODELS[name].settings)


def _plain(train: Train) -> dict[str, Any]:
    if train is not None and not isinstance(train, (Mapping, TrainSettings)):
        raise InputError(f"train: expected TrainSettings or a mapping. Received: {excerpt(train)}")
    given = asdict(train) if isinstance(train, TrainSettings) else dict(train or {})
    return asdict(TrainSettings()) | given
