"""Models: networks that Keras trains, and estimators. A new one adds a line to `MODELS`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lvh.features import FORMS, Kind
from lvh.models import classifiers, networks
from lvh.models.classifiers import MODEL_ALIASES, current_name
from lvh.validation.inner_splits import Subjects

if TYPE_CHECKING:
    import keras

__all__ = [
    "MODELS",
    "MODEL_ALIASES",
    "Architecture",
    "Estimator",
    "current_name",
    "forms_of",
]


class Architecture(NamedTuple):
    """A network: its settings and what they decide for one input shape."""

    settings: type
    build: Callable[[Any, tuple[int, ...]], "keras.Model"]
    inputs: Kind | None
    """None for any."""
    check: Callable[[Any, tuple[int, ...]], None] = lambda settings, input_shape: None
    """Raises InputError where the shape does not fit, before anything is built."""
    is_own: bool = True
    """Whether a seed draws the weights of its known layers; a plugin's is built again each time."""


class Estimator(NamedTuple):
    """A model on tabular inputs that is not a network."""

    settings: type
    build: Callable[[Any, tuple[str, ...], int, Subjects], Any]
    """Takes the names of the inputs, the random state and the subjects of the training records.

    Returns a classifier with scikit-learn's `fit` and `predict_proba`.
    """
    form: str | None = None
    """The only feature form that it takes; None for every tabular one."""
    inputs: Kind | None = "tabular"
    takes_any: bool = False
    """Whether it gets inputs as a user gave them, tables and missing values too."""


MODELS: dict[str, Architecture | Estimator] = {
    "boosting": Estimator(classifiers.BoostingSettings, classifiers.build),
    "cnn": Architecture(networks.CnnSettings, networks.build_cnn, "signal", networks.check_cnn),
    "criteria": Estimator(classifiers.CriteriaSettings, classifiers.build_criteria, form="voltage"),
    "dnn": Architecture(networks.DnnSettings, networks.build_dnn, "tabular"),
    "extra_trees": Estimator(classifiers.ExtraTreesSettings, classifiers.build),
    "logistic": Estimator(classifiers.LogisticSettings, classifiers.build),
    "nested_selection": Estimator(classifiers.NestedSelectionSettings, classifiers.NestedSelection),
    "resnet": Architecture(
        networks.ResnetSettings, networks.build_resnet, "signal", networks.check_residual
    ),
    "svm": Estimator(classifiers.SvmSettings, classifiers.build),
    "two_branch": Architecture(
        networks.TwoBranchSettings, networks.build_two_branch, "mixed", networks.check_residual
    ),
    "voting": Estimator(classifiers.VotingSettings, classifiers.build_voting),
}


def forms_of(entry: Architecture | Estimator) -> list[str]:
    """Return the feature forms that a model takes."""
    if isinstance(entry, Estimator) and entry.form is not None:
        return [entry.form]
    return [name for name, form in FORMS.items() if form.kind == entry.inputs]
