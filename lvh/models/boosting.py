"""`boosting`: gradient boosted trees on binned inputs, by scikit-learn."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from lvh.validation.bounds import Count, NotNegative, Part, Positive
from lvh.validation.inner_splits import Subjects


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """Settings of the boosted trees.

    Attributes:
        trees: How many are added, one after another; none stops them early.
        learning_rate: What each counts.
        max_leaf_nodes: Leaves of a tree, at most.
        min_samples_leaf: Records in a leaf, at least.
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


def build(
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
