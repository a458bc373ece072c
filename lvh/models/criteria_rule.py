"""`criteria`: a clinical criterion by its published threshold; nothing is learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lvh.features.criteria import CRITERIA, Criterion
from lvh.validation.inner_splits import Subjects
from lvh.validation.metrics import THRESHOLD, Floats, Labels

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal["any", *CRITERIA]

_JUST_ABOVE = np.nextafter(THRESHOLD, 1)


@dataclass(frozen=True, slots=True)
class CriteriaSettings:
    """Settings: a name in `lvh.features.criteria.CRITERIA`, or `any`: positive where one is."""

    name: Literal["criteria"] = "criteria"
    criterion: Name = "cornell"


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores records by criteria, above .5 exactly where `Criterion.positive` says yes.

    The scores are no probabilities. The inputs are `male` and values of the criteria, by `names`.
    """

    criteria: tuple[Criterion, ...]
    names: tuple[str, ...]

    def fit(self, X: Floats, y: Labels) -> "Judge":
        """Learn nothing."""
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return scores of not LVH and of LVH, shape (n_records, 2)."""
        male = X[:, self.names.index("male")] > 0
        # as they were measured: `positive` compares in float32
        values = [X[:, self.names.index(one.name)].astype(np.float32) for one in self.criteria]
        judged = [one.positive(own, male) for one, own in zip(self.criteria, values, strict=True)]
        if len(judged) > 1:
            scores = (1 + np.mean(judged, axis=0)) / 2
        else:
            # in the order of the values, each sex measured by its own threshold
            threshold = np.where(male, self.criteria[0].men, self.criteria[0].women)
            scores = 1 / (1 + np.exp(1 - values[0] / threshold))
            above, below = np.maximum(scores, _JUST_ABOVE), np.minimum(scores, THRESHOLD)
            scores = np.where(judged[0], above, below)
        return np.column_stack([1 - scores, scores])


def build(
    settings: CriteriaSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Judge:
    """Build the judge; nothing in it is random."""
    name = settings.criterion
    return Judge(tuple(CRITERIA.values()) if name == "any" else (CRITERIA[name],), names)
