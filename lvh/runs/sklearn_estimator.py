"""The models of lvh as estimators of scikit-learn, for its pipelines and searches."""

from dataclasses import fields, make_dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from lvh.config.groups import suggestion
from lvh.errors import InputError, LvhError, excerpt
from lvh.evaluation.cross_validation import fit_job
from lvh.models import MODELS, Estimator, current_name
from lvh.models.training import TrainSettings
from lvh.runs.python_inputs import Learner, fitting, from_arrays, learner_of
from lvh.validation.metrics import THRESHOLD
from lvh.validation.splits import Split

_TRAIN = ("epochs", "batch_size", "learning_rate")
"""Settings of a training that are parameters of a network; all folds of a search have them."""


def estimator(name: str, **params: Any) -> Any:
    """Return a model as an estimator of scikit-learn.

    Its parameters are the settings of the model, `random_state`, and of a network `epochs`,
    `batch_size` and `learning_rate`. It takes X of shape (n_records, n_inputs), or of `cnn` and
    `resnet` (n_records, n_samples, n_leads), and labels of two classes. `fit(X, y, groups=...)`
    keeps subjects whole in folds inside of it, such as those that calibrate `svm`.

    Args:
        name: In `lvh.models.MODELS`; not one that needs a cohort, as `criteria` does.
        **params: Of the estimator.

    Raises:
        InputError: There is no such model or parameter. A wrong value is refused by `fit`, as in
            scikit-learn, with a ValueError.

    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> y = np.tile([0, 1], 40)
    >>> X = y[:, None] + np.random.default_rng(0).normal(size=(80, 3))
    >>> cross_val_score(lvh.estimator("svm", C=3.0), X, y, cv=4).shape
    (4,)
    """
    name = current_name(name)
    entry = MODELS.get(name)
    known = [one for one, of in MODELS.items() if of.inputs != "mixed" and one != "criteria"]
    if entry is None or name not in known:
        raise InputError(
            f"name: expected one of {', '.join(known)}{suggestion(str(name), known)}. "
            f"Received: {excerpt(name)}"
        )
    made = _class_of(name, entry.settings)
    own = [one.name for one in fields(made)]
    for unknown in params.keys() - {*own}:
        raise InputError(
            f"{unknown}: no such parameter of {name}{suggestion(unknown, own)}. Expected some of "
            f"{', '.join(own)}"
        )
    return made(**params)


class _Named(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model of lvh; `_class_of` gives it a name and parameters.

    Attributes:
        classes_: Both labels, sorted.
        model_: The classifier, or the weights of a network.
    """

    _model: str

    def fit(self, X: Any, y: Any, groups: Any = None) -> "_Named":
        """Fit it to inputs and labels of two classes; records of a group stay together inside."""
        X, y = validate_data(self, X, y, allow_nd=self._is_signal, dtype="numeric")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}. Received: {len(self.classes_)} class or classes"
            )
        subjects = np.arange(len(y)) if groups is None else np.asarray(groups)
        seed = check_random_state(self.random_state).randint(2**31)
        everything, nothing = np.arange(len(y)), np.arange(0)
        try:
            learner = self._learner()
            features = fitting(learner, from_arrays(X, labels, subjects))
            split = Split(0, 0, train=everything, validation=nothing, test=nothing)
            job, _ = fit_job(features, split, np.random.SeedSequence(seed))
            trainer = learner.trainer(features, 1.0)
            trainer.fit([job], lambda at, epoch: None)
            (self.model_,) = trainer.state()
        except LvhError as error:
            raise ValueError(str(error)) from error
        self._built_by = learner.settings, features.input_shape
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of both classes, shape (n_records, 2)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=self._is_signal, dtype="numeric")
        if not self._is_network:
            return np.asarray(self.model_.predict_proba(X.astype(np.float64)))
        entry: Any = MODELS[self._model]
        settings, input_shape = self._built_by  # parameters may be others since the fit
        network = entry.build(settings, input_shape)
        for variable, value in zip(network.variables, self.model_, strict=True):
            variable.assign(value)
        y_score = np.asarray(network.predict(X.astype(np.float32), verbose=0), np.float64)
        return np.column_stack([1 - y_score[:, 0], y_score[:, 0]])

    def predict(self, X: Any) -> Any:
        """Return the class of each record: the second where its probability is above .5."""
        is_second = self.predict_proba(X)[:, 1] > THRESHOLD
        return self.classes_[is_second.astype(int)]

    def __sklearn_tags__(self) -> Any:
        """Say that it takes two classes, and of a network that inputs are not flat."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.non_deterministic = self._is_network
        tags.input_tags.three_d_array = self._is_signal
        tags.input_tags.two_d_array = not self._is_signal
        return tags

    @property
    def _is_network(self) -> bool:
        return not isinstance(MODELS[self._model], Estimator)

    @property
    def _is_signal(self) -> bool:
        return MODELS[self._model].inputs == "signal"

    def _learner(self) -> Learner:
        params = self.get_params(deep=False)
        params |= {f"train.{one}": params.pop(one) for one in _TRAIN if self._is_network}
        params.pop("random_state")
        return learner_of(self._model, params=params)


@cache
def _class_of(name: str, settings: type) -> Any:
    """Return the class of a model, whose parameters have the defaults of its settings."""
    defaults = {one.name: one.default for one in fields(settings) if one.name != "name"}
    if not isinstance(MODELS[name], Estimator):
        defaults |= {one: getattr(TrainSettings(), one) for one in _TRAIN}
    about = f"The model `{name}` of lvh; see `lvh.estimator`."
    return make_dataclass(
        _title(name),
        [(one, Any, default) for one, default in (defaults | {"random_state": 0}).items()],
        bases=(_Named,),
        namespace={"__module__": __name__, "__doc__": about, "_model": name},
        eq=False,
        repr=False,
        kw_only=True,
    )


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def __getattr__(title: str) -> Any:
    """Return the class of a model by its own name, by which a pickle finds it."""
    for name in MODELS:
        if _title(name) == title:
            return _class_of(name, MODELS[name].settings)
    raise AttributeError(f"module {__name__!r} has no attribute {title!r}")
