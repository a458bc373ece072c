"""Classifiers of scikit-learn on tabular inputs, by their settings."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from lvh.validation.bounds import Count, NotNegative, Part, Positive
from lvh.validation.inner_splits import InnerFolds, Subjects


@dataclass(frozen=True, slots=True)
class LogisticSettings:
    """Settings of `logistic`, on standardized inputs; C is the inverse of the squared penalty."""

    name: Literal["logistic"] = "logistic"
    C: Positive = 1.0


@dataclass(frozen=True, slots=True)
class SvmSettings:
    """Settings of `svm`, a support vector machine with a radial kernel on standardized inputs.

    Attributes:
        C: Inverse strength of the penalty.
        gamma: Of the kernel exp(-gamma |x - x'|^2); None for 1 / (n_inputs x variance) of the
            training records, scikit-learn's `scale`.
    """

    name: Literal["svm"] = "svm"
    C: Positive = 1.0
    gamma: Positive | None = None


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """Settings of `boosting`, gradient boosted trees on binned inputs; none stops them early.

    `max_features` is the share of the inputs that each split may choose from.
    """

    name: Literal["boosting"] = "boosting"
    trees: Count = 100
    learning_rate: Positive = 0.1
    max_leaf_nodes: Annotated[int, Strict(), Field(ge=2, le=1_000_000)] = 31
    min_samples_leaf: Count = 20
    l2: NotNegative = 0.0
    max_features: Part = 1.0


@dataclass(frozen=True, slots=True)
class ExtraTreesSettings:
    """Settings of `extra_trees`, extremely randomized trees (Geurts et al., 2006).

    `max_features` is that of `boosting`; None for the square root of the number of inputs.
    """

    name: Literal["extra_trees"] = "extra_trees"
    trees: Count = 500
    min_samples_leaf: Count = 1
    max_features: Part | None = None


CLASSIFIERS = {
    "boosting": BoostingSettings,
    "logistic": LogisticSettings,
    "svm": SvmSettings,
    "extra_trees": ExtraTreesSettings,
}


def build(settings: Any, names: tuple[str, ...], random_state: int, subjects: Subjects) -> Any:
    """Build a classifier; the random state draws what a split of a tree may choose from."""
    from sklearn import calibration, ensemble, linear_model, pipeline, preprocessing, svm

    scaler = preprocessing.StandardScaler()
    if isinstance(settings, LogisticSettings):
        model = linear_model.LogisticRegression(C=settings.C, max_iter=10_000)
        return pipeline.make_pipeline(scaler, model)
    if isinstance(settings, SvmSettings):
        # margins become probabilities as in Platt (1999), in folds that keep subjects whole
        machine = pipeline.make_pipeline(
            scaler, svm.SVC(C=settings.C, gamma=settings.gamma or "scale")
        )
        remedy = "Choose another model"
        folds = InnerFolds(5, random_state, subjects, field="model=svm", remedy=remedy)
        return calibration.CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    if isinstance(settings, BoostingSettings):
        return ensemble.HistGradientBoostingClassifier(
            max_iter=settings.trees,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.max_leaf_nodes,
            min_samples_leaf=settings.min_samples_leaf,
            l2_regularization=settings.l2,
            max_features=settings.max_features,
            early_stopping=False,
            random_state=random_state,
        )
    return ensemble.ExtraTreesClassifier(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=settings.max_features or "sqrt",
        random_state=random_state,
    )
