"""`nested_selection`: the best of several classifiers, chosen inside every training fold.

Under a cross-validation this is a nested one: its outer folds estimate what the whole way of
choosing is worth (Varma and Simon, BMC Bioinformatics 7, 91, 2006).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from lvh.models.candidates import Candidate, parsed
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import Metrics, mean_and_std, score

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NestedSelectionSettings:
    """Settings of the choice.

    Attributes:
        candidates: Each a model with all its settings, such as `svm C:1 gamma:null`.
        folds: Of the cross-validation inside the training records.
        choose_by: Score of which the mean over these folds decides; the first of equals wins.
    """

    name: Literal["nested_selection"] = "nested_selection"
    candidates: Annotated[tuple[str, ...], Field(min_length=2)] = (
        "logistic C:0.01",
        "logistic C:0.1",
        "logistic C:1",
        "svm C:0.3 gamma:null",
        "svm C:1 gamma:null",
        "svm C:3 gamma:null",
        "svm C:10 gamma:null",
        "svm C:3 gamma:0.003",
        "svm C:10 gamma:0.003",
        "extra_trees trees:300 min_samples_leaf:1 max_features:null",
        "extra_trees trees:300 min_samples_leaf:3 max_features:0.3",
    )
    folds: Annotated[int, Strict(), Field(ge=2)] = 5
    choose_by: Literal["ap", "roc_auc", "accuracy"] = "ap"

    def __post_init__(self) -> None:
        """Read the candidates.

        Raises:
            InputError: One is no model with all its settings, or stands there twice.
        """
        parsed("model.candidates", self.candidates)


@dataclass(slots=True)
class Chooser:
    """Compares candidates on folds of the records it learns from, and fits the best to all.

    These folds keep subjects whole: else the choice would favour what knows subjects again.
    Missing values were filled from all training records, before the folds were drawn, which does
    not touch the estimate: its records have no part in the choice.

    Attributes:
        candidates: To choose from.
        settings: How.
        names: Of the inputs.
        random_state: Of the folds, and of every candidate.
        subjects: Of the records that it learns from.
        chosen: The one that was fitted; empty before.
        fitted: Its model; None before.
    """

    candidates: tuple[Candidate, ...]
    settings: NestedSelectionSettings
    names: tuple[str, ...]
    random_state: int
    subjects: Subjects
    chosen: str = ""
    fitted: Any = None

    def fit(self, X: Floats, y: Labels) -> "Chooser":
        """Choose, and fit the chosen one to all records."""
        settings = self.settings
        folds = InnerFolds(
            *(settings.folds, self.random_state, self.subjects),
            field="model.folds",
            remedy="Choose fewer",
        )
        splits = list(folds.split(X, y))
        means = [self._mean(candidate, X, y, splits) for candidate in self.candidates]
        values = [getattr(mean, settings.choose_by) for mean in means]
        best = self.candidates[int(np.argmax(values))]
        self.chosen, self.fitted = best.text, self._fitted(best, X, y, np.arange(len(y)))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        return np.asarray(self.fitted.predict_proba(X))

    def _mean(self, candidate: Candidate, X: Floats, y: Labels, splits: list[Any]) -> Metrics:
        found = []
        for train, scored in splits:
            model = self._fitted(candidate, X, y, train)
            found.append(score(y[scored], model.predict_proba(X[scored])[:, 1]))
        mean, _ = mean_and_std(found)
        return mean

    def _fitted(self, candidate: Candidate, X: Floats, y: Labels, train: Indices) -> Any:
        given = (candidate.settings, self.names, self.random_state, self.subjects[train])
        return candidate.build(*given).fit(X[train], y[train])


def build(
    settings: NestedSelectionSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Chooser:
    """Build what chooses; the random state draws its folds and is that of every candidate."""
    candidates = parsed("model.candidates", settings.candidates)
    return Chooser(candidates, settings, names, random_state, subjects)
