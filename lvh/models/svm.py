"""`svm`: a support vector machine with a radial kernel on standardized inputs."""

from dataclasses import dataclass
from typing import Any, Literal

from lvh.validation.bounds import Positive
from lvh.validation.inner_splits import InnerFolds, Subjects

_CALIBRATION_FOLDS = 5


@dataclass(frozen=True, slots=True)
class SvmSettings:
    """Settings of the support vector machine.

    Attributes:
        C: Inverse strength of the penalty.
        gamma: Of the kernel exp(-gamma |x - x'|^2); None for 1 / (n_inputs x variance) of the
            training records, scikit-learn's `scale`.
    """

    name: Literal["svm"] = "svm"
    C: Positive = 1.0
    gamma: Positive | None = None


def build(
    settings: SvmSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier, whose margins become probabilities as in Platt (1999).

    A sigmoid is fitted to the margins of training records that a machine of the other
    training records gives, in five stratified folds. These keep subjects whole: a machine
    is surer of subjects that it knows than of those to come.

    Args:
        settings: See `SvmSettings`.
        names: Of the inputs; of no account.
        random_state: Of these folds.
        subjects: Of the training records.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    gamma = "scale" if settings.gamma is None else settings.gamma
    machine = make_pipeline(StandardScaler(), SVC(C=settings.C, gamma=gamma))
    folds = InnerFolds(
        *(_CALIBRATION_FOLDS, random_state, subjects),
        field="model=svm",
        remedy="Choose another model",
    )
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False)
