"""`lda`: linear discriminant analysis with a shrunk covariance (Ledoit and Wolf, 2004)."""

from dataclasses import dataclass
from typing import Any, Literal

from lvh.validation.bounds import Part
from lvh.validation.inner_splits import Subjects


@dataclass(frozen=True, slots=True)
class LdaSettings:
    """Settings of the discriminant analysis.

    Attributes:
        shrinkage: Of the covariance towards its diagonal mean; None for Ledoit and Wolf's.
    """

    name: Literal["lda"]
    shrinkage: Part | None = None


def build(
    settings: LdaSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the classifier; nothing in it is random."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shrinkage = "auto" if settings.shrinkage is None else settings.shrinkage
    analysis = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    return make_pipeline(StandardScaler(), analysis)
