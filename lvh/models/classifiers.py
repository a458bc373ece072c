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

_ITERATIONS = 10_000  # of a logistic regression; a weak penalty needs more than scikit-learn's 100
_CALIBRATION_FOLDS = 5


@dataclass(frozen=True, slots=True)
class LogisticSettings:
    """Settings of `logistic`, on standardized inputs; C is the inverse of the squared penalty."""

    name: Literal["logistic"] = "logistic"
    C: Positive = 1.0


def build_logistic(
    settings: LogisticSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier; it needs no random state."""
    from sklearn.linear_model import LogisticRegression

    return _standardized(LogisticRegression(C=settings.C, max_iter=_ITERATIONS))


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


def build_svm(
    settings: SvmSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier, whose margins become probabilities as in Platt (1999).

    A sigmoid is fitted to the margins of training records in five stratified folds that keep
    subjects whole: a machine is surer of subjects that it knows than of new ones.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    machine = _standardized(SVC(C=settings.C, gamma=settings.gamma or "scale"))
    folds = InnerFolds(
        _CALIBRATION_FOLDS,
        random_state,
        subjects,
        field="model=svm",
        remedy="Choose another model",
    )
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False)


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


def build_boosting(
    settings: BoostingSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier; the random state draws the inputs that a split may choose from."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=settings.trees,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        max_features=settings.max_features,
        early_stopping=False,
        random_state=random_state,
    )


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


def build_extra_trees(
    settings: ExtraTreesSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier; the random state draws inputs and thresholds of every split."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(
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
