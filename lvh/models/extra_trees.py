"""`extra_trees`: extremely randomized trees (Geurts et al., Machine Learning 63, 2006)."""

from dataclasses import dataclass
from typing import Any, Literal

from lvh.validation.bounds import Count, Part
from lvh.validation.inner_splits import Subjects


@dataclass(frozen=True, slots=True)
class ExtraTreesSettings:
    """Settings of the trees.

    Attributes:
        trees: How many vote.
        min_samples_leaf: Records in a leaf, at least.
        max_features: Share of the inputs that each split may choose from; None for their square
            root.
    """

    name: Literal["extra_trees"] = "extra_trees"
    trees: Count = 500
    min_samples_leaf: Count = 1
    max_features: Part | None = None


def build(
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
