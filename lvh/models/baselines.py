"""What a score has to beat: knowing nothing, and knowing age and sex alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Baseline = Callable[[Floats, Labels, Floats], Floats]


def no_skill(X: Floats, y: Labels, X_scored: Floats) -> Floats:
    """Give every record the prevalence of the training records."""
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier(strategy="prior").fit(X, y)
    return np.asarray(model.predict_proba(X_scored)[:, 1])


def age_and_sex(X: Floats, y: Labels, X_scored: Floats) -> Floats:
    """Score by a logistic regression on age and sex, standardized on the training records.

    Args:
        X: Age in years and 1 for male, shape (n_records, 2), of the training records.
        y: Their labels.
        X_scored: The same two columns of the records to score.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    return np.asarray(model.predict_proba(X_scored)[:, 1])


BASELINES: dict[str, Baseline] = {"no skill": no_skill, "age + sex": age_and_sex}
