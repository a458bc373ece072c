"""Several classifiers as one: `voting` averages them, `nested_selection` chooses the best.

Selection happens inside every training fold, so a cross-validation of it is nested (Varma and
Simon, BMC Bioinformatics 7, 91, 2006).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.errors import InputError, warn_renamed
from lvh.models.classifiers import CLASSIFIERS, build
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import Floats, Labels, mean_and_std, score

MODEL_ALIASES = {"average": "voting", "chosen": "nested_selection", "trees": "extra_trees"}
"""Old names of models, which command lines and lists of candidates may still use."""


def current_name(name: str) -> str:
    """Return the name of a model; an old name gives a warning that says the new one."""
    if name in MODEL_ALIASES:
        warn_renamed(f"model={name}", f"model={MODEL_ALIASES[name]}")
    return MODEL_ALIASES.get(name, name)


def parse_candidates(field: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the settings of candidates, by texts such as `logistic C:0.1`.

    InputError where one is no model with all its settings, or stands there twice.
    """
    candidates = {text: _parsed(field, text) for text in texts}
    if len({*candidates.values()}) < len(texts):
        raise InputError(f"{field}: expected different ones. Received: {', '.join(texts)}")
    return candidates


def _parsed(field: str, text: str) -> Any:
    name, *pairs = text.split() or [""]
    name = MODEL_ALIASES.get(name, name)
    expected = f"one of {', '.join(CLASSIFIERS)}, and its settings"
    if name in CLASSIFIERS:
        settings = CLASSIFIERS[name]
        values: dict[str, Any] = {"name": name}
        for pair in pairs:
            key, _, value = pair.partition(":")
            with suppress(ValueError):
                value = json.loads(value)
            values[key] = value
        names = [setting.name for setting in fields(settings)]
        expected = " ".join([name, *(f"{one}:..." for one in names if one != "name")])
        if sorted(values) == sorted(names):
            try:
                return TypeAdapter(settings).validate_python(values)
            except ValidationError as error:
                first = error.errors()[0]
                expected = f"{first['msg'].replace('Input should be ', '')} for {first['loc'][-1]}"
    raise InputError(f"{field}: expected {expected}. Received: {text!r}")


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
        (f"{number} {text}", build(member, names, random_state, subjects))
        for number, (text, member) in enumerate(candidates.items(), start=1)
    ]
    return VotingClassifier(members, voting="soft")


@dataclass(frozen=True, slots=True)
class NestedSelectionSettings:
    """Settings of the choice among candidates, such as `svm C:1 gamma:null`.

    The mean of a score (`choose_by`) over folds inside the training records decides.
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

    These folds keep subjects whole: else the choice would favour what recognizes subjects. `chosen`
    is the text of the candidate that was fitted.
    """

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

        def fitted(candidate: Any, train: Labels) -> Any:
            model = build(candidate, self.names, self.random_state, self.subjects[train])
            return model.fit(X[train], y[train])

        values = []
        candidates = parse_candidates("model.candidates", self.settings.candidates)
        for candidate in candidates.values():
            scores = [
                score(y[test], fitted(candidate, train).predict_proba(X[test])[:, 1])
                for train, test in splits
            ]
            values.append(getattr(mean_and_std(scores)[0], self.settings.choose_by))
        self.chosen = [*candidates][int(np.argmax(values))]
        self.fitted = fitted(candidates[self.chosen], np.arange(len(y)))
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Return the probabilities of the labels 0 and 1, shape (n_records, 2)."""
        return np.asarray(self.fitted.predict_proba(X))


def build_nested_selection(
    settings: NestedSelectionSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> NestedSelection:
    """Build the selection; the random state draws its folds and is that of every candidate."""
    return NestedSelection(settings, names, random_state, subjects)
