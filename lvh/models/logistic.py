"""`logistic`: logistic regression on standardized inputs."""

from dataclasses import dataclass
from typing import Any, Literal

from lvh.validation.bounds import Positive
from lvh.validation.inner_splits import Subjects

_ITERATIONS = 10_000  # a weak penalty needs more than scikit-learn's 100


@dataclass(frozen=True, slots=True)
class LogisticSettings:
    """Settings of the logistic regression.

    Attributes:
        C: Inverse strength of the squared penalty on the weights.
    """

    name: Literal["logistic"] = "logistic"
    C: Positive = 1.0


def build(
    settings: LogisticSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier; it needs no random state."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=settings.C, max_iter=_ITERATIONS)
    return make_pipeline(StandardScaler(), regression)
