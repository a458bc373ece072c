"""`chosen`: the best of several classifiers, chosen anew inside every training fold.

Under a cross-validation this is a nested one: its outer folds estimate what the whole way of
choosing is worth (Varma and Simon, BMC Bioinformatics 7, 91, 2006).
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.errors import InputError
from lvh.inner import InnerFolds, Subjects
from lvh.metrics import Metrics, mean_and_std, score
from lvh.models import boosting, logistic, svm, trees

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

_KNOWN = {
    "boosting": (boosting.BoostingSettings, boosting.build),
    "logistic": (logistic.LogisticSettings, logistic.build),
    "svm": (svm.SvmSettings, svm.build),
    "trees": (trees.TreesSettings, trees.build),
}
_WORDS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ChosenSettings:
    """Settings of the choice.

    Attributes:
        candidates: Each a model with all its settings, such as `svm C:1 gamma:null`.
        folds: Of the cross-validation inside the training records.
        choose_by: Score of which the mean over these folds decides; the first of equals wins.
    """

    name: Literal["chosen"]
    candidates: Annotated[tuple[str, ...], Field(min_length=2)]
    folds: Annotated[int, Strict(), Field(ge=2)]
    choose_by: Literal["ap", "roc_auc", "accuracy"]

    def __post_init__(self) -> None:
        """Read the candidates.

        Raises:
            InputError: One is no model with all its settings, or stands there twice.
        """
        read = [parsed(text) for text in self.candidates]
        for at, candidate in enumerate(read):
            if any(candidate.settings == other.settings for other in read[:at]):
                raise InputError(
                    f"model.candidates: expected different ones. Received: {candidate.text!r} twice"
                )


class Candidate(NamedTuple):
    """One of those to choose from.

    Attributes:
        text: As it was typed.
        settings: Of its model.
        build: Makes its classifier.
    """

    text: str
    settings: Any
    build: Any


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
    """

    candidates: tuple[Candidate, ...]
    settings: ChosenSettings
    names: tuple[str, ...]
    random_state: int
    subjects: Subjects
    chosen: str = ""
    _model: Any = field(default=None)

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
        self.chosen, self._model = best.text, self._fitted(best, X, y, np.arange(len(y)))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        return np.asarray(self._model.predict_proba(X))

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
    settings: ChosenSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Chooser:
    """Build what chooses; the random state draws its folds and is that of every candidate."""
    candidates = tuple(parsed(text) for text in settings.candidates)
    return Chooser(candidates, settings, names, random_state, subjects)


def parsed(text: str) -> Candidate:
    """Read a candidate.

    Args:
        text: A model and each of its settings with a colon and a value, such as `logistic C:0.1`.

    Raises:
        InputError: Says what was expected of it.
    """
    name, *given = text.split() or [""]
    if name not in _KNOWN:
        raise InputError(
            f"model.candidates: expected one of {', '.join(_KNOWN)}, and its settings. "
            f"Received: {text!r}"
        )
    settings, build_ = _KNOWN[name]
    pairs = dict(pair.split(":", 1) for pair in given if ":" in pair)
    expected = [one.name for one in fields(settings) if one.name != "name"]
    if sorted(pairs) != sorted(expected) or len(pairs) < len(given):
        wanted = " ".join(f"{one}:..." for one in expected)
        raise InputError(f"model.candidates: expected {name} {wanted}. Received: {text!r}")
    values = {key: _value(value) for key, value in pairs.items()}
    try:
        return Candidate(
            text, TypeAdapter(settings).validate_python({"name": name, **values}), build_
        )
    except ValidationError as error:
        first = error.errors()[0]
        expectation = first["msg"].replace("Input should be", "expected")
        place = f"{name} {first['loc'][-1]}"
        raise InputError(f"model.candidates: {place}: {expectation}. Received: {text!r}") from None


def _value(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
