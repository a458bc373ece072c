"""Several classifiers as one: `voting` averages them, `nested_selection` chooses the best.

The configuration lists each as a model with its settings. Selection happens inside every training
fold, so a cross-validation of it is nested: its outer folds estimate what the whole way of choosing
is worth (Varma and Simon, BMC Bioinformatics 7, 91, 2006).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.errors import InputError, warn_renamed
from lvh.models import classifiers
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import Floats, Labels, mean_and_std, score

MODEL_ALIASES = {"average": "voting", "chosen": "nested_selection", "trees": "extra_trees"}
"""Old names of models, which command lines and lists of candidates may still use."""


def current_name(name: str) -> str:
    """Return the name of a model; an old name gives a warning that says the new one."""
    if name in MODEL_ALIASES:
        warn_renamed(f"model={name}", f"model={MODEL_ALIASES[name]}")
    return MODEL_ALIASES.get(name, name)


_Build = Callable[[Any, tuple[str, ...], int, Subjects], Any]
_KNOWN: dict[str, tuple[Any, _Build]] = {
    "boosting": (classifiers.BoostingSettings, classifiers.build_boosting),
    "logistic": (classifiers.LogisticSettings, classifiers.build_logistic),
    "svm": (classifiers.SvmSettings, classifiers.build_svm),
    "extra_trees": (classifiers.ExtraTreesSettings, classifiers.build_extra_trees),
}
_WORDS = {"null": None, "true": True, "false": False}


class Candidate(NamedTuple):
    """A model with its settings, and the text that names them."""

    text: str
    settings: Any
    build: _Build


def parse_candidates(field: str, texts: Sequence[str]) -> tuple[Candidate, ...]:
    """Read candidates, each a model with all its settings, such as `logistic C:0.1`.

    Raises:
        InputError: One is no model with all its settings, or stands there twice.
    """
    candidates = tuple(_parsed(field, text) for text in texts)
    for at, one in enumerate(candidates):
        if any(one.settings == other.settings for other in candidates[:at]):
            raise InputError(f"{field}: expected different ones. Received: {one.text!r} twice")
    return candidates


def _parsed(field: str, text: str) -> Candidate:
    name, *texts = text.split() or [""]
    name = MODEL_ALIASES.get(name, name)
    if name not in _KNOWN:
        raise InputError(
            f"{field}: expected one of {', '.join(_KNOWN)}, and its settings. Received: {text!r}"
        )
    settings, build = _KNOWN[name]
    pairs = dict(pair.split(":", 1) for pair in texts if ":" in pair)
    expected = [setting.name for setting in fields(settings) if setting.name != "name"]
    if sorted(pairs) != sorted(expected) or len(pairs) < len(texts):
        wanted = " ".join(f"{setting}:..." for setting in expected)
        raise InputError(f"{field}: expected {name} {wanted}. Received: {text!r}")
    values = {key: _value(value) for key, value in pairs.items()}
    try:
        checked = TypeAdapter(settings).validate_python({"name": name, **values})
    except ValidationError as error:
        first = error.errors()[0]
        expectation = first["msg"].replace("Input should be", "expected")
        place = f"{name} {first['loc'][-1]}"
        raise InputError(f"{field}: {place}: {expectation}. Received: {text!r}") from None
    return Candidate(text, checked, build)


def _value(text: str) -> object:
    for number in (_WORDS.__getitem__, int, float):
        with suppress(KeyError, ValueError):
            return number(text)
    return text


@dataclass(frozen=True, slots=True)
class VotingSettings:
    """Settings of the average of members, such as `svm C:1 gamma:null`."""

    name: Literal["voting"] = "voting"
    members: Annotated[tuple[str, ...], Field(min_length=2)] = (
        "logistic C:0.1",
        "svm C:3 gamma:null",
        "extra_trees trees:300 min_samples_leaf:3 max_features:0.3",
    )

    def __post_init__(self) -> None:
        """Refuse what `parse_candidates` refuses."""
        parse_candidates("model.members", self.members)


def build_voting(
    settings: VotingSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Any:
    """Build the mean of the members' probabilities; each member has the same random state."""
    from sklearn.ensemble import VotingClassifier

    candidates = parse_candidates("model.members", settings.members)
    members = [
        (f"{at} {member.text}", member.build(member.settings, names, random_state, subjects))
        for at, member in enumerate(candidates, start=1)
    ]
    return VotingClassifier(members, voting="soft")


@dataclass(frozen=True, slots=True)
class NestedSelectionSettings:
    """Settings of the choice.

    Attributes:
        candidates: Each a model with all its settings, such as `svm C:1 gamma:null`.
        folds: Inside the training records.
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
        """Refuse what `parse_candidates` refuses."""
        parse_candidates("model.candidates", self.candidates)


@dataclass(slots=True)
class NestedSelection:
    """Compares candidates on folds of the training records, and fits the best to all of them.

    These folds keep subjects whole: else the choice would favour what recognizes subjects.

    Attributes:
        random_state: Of the folds, and of every candidate.
        subjects: Of the training records.
        chosen: The text of the candidate that was fitted; empty before.
        fitted: Its classifier; None before.
    """

    candidates: tuple[Candidate, ...]
    settings: NestedSelectionSettings
    names: tuple[str, ...]
    random_state: int
    subjects: Subjects
    chosen: str = ""
    fitted: Any = None

    @property
    def folds(self) -> InnerFolds:
        """The folds on which it compares."""
        n_folds, state = self.settings.folds, self.random_state
        return InnerFolds(n_folds, state, self.subjects, field="model.folds", remedy="Choose fewer")

    def fit(self, X: Floats, y: Labels) -> "NestedSelection":
        """Choose, and fit the chosen one to all records."""
        splits = list(self.folds.split(X, y))
        values = []
        for candidate in self.candidates:
            scores = [
                score(y[test], self._fitted(candidate, X, y, train).predict_proba(X[test])[:, 1])
                for train, test in splits
            ]
            values.append(getattr(mean_and_std(scores)[0], self.settings.choose_by))
        best = self.candidates[int(np.argmax(values))]
        self.chosen, self.fitted = best.text, self._fitted(best, X, y, np.arange(len(y)))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        return np.asarray(self.fitted.predict_proba(X))

    def _fitted(self, candidate: Candidate, X: Floats, y: Labels, train: Labels) -> Any:
        subjects = self.subjects[train]
        model = candidate.build(candidate.settings, self.names, self.random_state, subjects)
        return model.fit(X[train], y[train])


def build_nested_selection(
    settings: NestedSelectionSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> NestedSelection:
    """Build the selection; the random state draws its folds and is that of every candidate."""
    candidates = parse_candidates("model.candidates", settings.candidates)
    return NestedSelection(candidates, settings, names, random_state, subjects)
