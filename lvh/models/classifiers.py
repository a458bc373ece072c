"""Classifiers of scikit-learn on tabular inputs, by their settings, and baselines for a score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, Strict

from lvh.validation.bounds import Count, NotNegative, Part, Positive
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import Floats, Labels
from lvh.validation.random_ranking import NO_SKILL

Baseline = Callable[[Floats, Labels, Floats], Floats]


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

    Attributes:
        learning_rate: What each tree counts.
        l2: Penalty on the values of the leaves.
        max_features: Share of the inputs that each split may choose from.
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

    Attributes:
        max_features: Share of the inputs that each split may choose from; None for their square
            root.
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
    from sklearn import calibration, ensemble, linear_model, svm

    if isinstance(settings, LogisticSettings):
        return _standardized(linear_model.LogisticRegression(C=settings.C, max_iter=10_000))
    if isinstance(settings, SvmSettings):
        # margins become probabilities as in Platt (1999), in folds that keep subjects whole
        machine = _standardized(svm.SVC(C=settings.C, gamma=settings.gamma or "scale"))
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


def no_skill(X: Floats, y: Labels, X_scored: Floats) -> Floats:
    """Give every record the prevalence of the training records."""
    return np.full(len(X_scored), np.mean(y))


def age_and_sex(X: Floats, y: Labels, X_scored: Floats) -> Floats:
    """Score by a logistic regression on age in years and 1 for male, shape (n_records, 2)."""
    from sklearn.linear_model import LogisticRegression

    model = _standardized(LogisticRegression()).fit(X, y)
    return np.asarray(model.predict_proba(X_scored)[:, 1])


def _standardized(model: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model)


BASELINES: dict[str, Baseline] = {NO_SKILL: no_skill, "age + sex": age_and_sex}
"""What a score has to beat: knowing nothing, and knowing age and sex alone."""
