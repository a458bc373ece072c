"""`criteria`: a clinical criterion by its published threshold; nothing is learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from lvh.features.criteria import CRITERIA, Criterion
from lvh.validation.inner_splits import Subjects
from lvh.validation.metrics import THRESHOLD

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal["any", *CRITERIA]

_JUST_ABOVE = np.nextafter(THRESHOLD, 1)


@dataclass(frozen=True, slots=True)
class CriteriaSettings:
    """Settings of the judgement.

    Attributes:
        criterion: A name in `lvh.features.criteria.CRITERIA`, or `any`: positive where one is.
    """

    name: Literal["criteria"] = "criteria"
    criterion: Name = "cornell"


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores records by criteria, above .5 exactly where `Criterion.positive` says yes.

    The scores rank records and are no probabilities: do not compare their loss or Brier score.

    Attributes:
        criteria: The one to judge by, or all.
        names: Of the inputs: `male` and the values of the criteria.
    """

    criteria: tuple[Criterion, ...]
    names: tuple[str, ...]

    def fit(self, X: Floats, y: npt.NDArray[np.int64]) -> "Judge":
        """Learn nothing."""
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return scores of not LVH and of LVH, shape (n_records, 2)."""
        male = X[:, self.names.index("male")] > 0
        # as they were measured: `positive` compares in float32
        values = [X[:, self.names.index(one.name)].astype(np.float32) for one in self.criteria]
        if len(self.criteria) == 1:
            scores = graded(self.criteria[0], values[0], male)
        else:
            judged = zip(self.criteria, values, strict=True)
            said = [criterion.positive(of_one, male) for criterion, of_one in judged]
            scores = (1 + np.mean(said, axis=0)) / 2
        return np.column_stack([1 - scores, scores])


def graded(criterion: Criterion, values: npt.NDArray[np.float32], male: Bools) -> Floats:
    """Map values to (0, 1), in their order and above .5 exactly where they are positive.

    Both arrays have the shape (n_records,); each sex is measured by its own threshold.
    """
    threshold = np.where(male, criterion.men, criterion.women)
    scores = 1 / (1 + np.exp(1 - values / threshold))
    positive = criterion.positive(values, male)
    return np.where(positive, np.maximum(scores, _JUST_ABOVE), np.minimum(scores, THRESHOLD))


def build(
    settings: CriteriaSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Judge:
    """Build the judge; nothing in it is random."""
    one = settings.criterion
    chosen = tuple(CRITERIA.values()) if one == "any" else (CRITERIA[one],)
    return Judge(chosen, names)
