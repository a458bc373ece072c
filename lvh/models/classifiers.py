"""Classifiers on tabular inputs: scikit-learn's, several as one, and clinical criteria.

`voting` averages classifiers, and `nested_selection` chooses one inside every training fold: so a
cross-validation of it is nested (Varma and Simon, BMC Bioinformatics 7, 91, 2006).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.errors import InputError, excerpt, warn_renamed
from lvh.features.criteria import CRITERIA, Criterion
from lvh.validation.bounds import Count, NotNegative, Part, Positive
from lvh.validation.inner_splits import InnerFolds, Subjects
from lvh.validation.metrics import THRESHOLD, Floats, Labels, mean_and_std, score

if TYPE_CHECKING:
    CriterionName = str
else:
    CriterionName = Literal["any", *CRITERIA]

MODEL_ALIASES = {"average": "voting", "chosen": "nested_selection", "trees": "extra_trees"}
"""Old names of models, which command lines and lists of candidates may still use."""
_JUST_ABOVE = np.nextafter(THRESHOLD, 1)


def current_name(name: str) -> str:
    """Return the name of a model; an old name gives a warning that says the new one."""
    if name in MODEL_ALIASES:
        warn_renamed(f"model={name}", f"model={MODEL_ALIASES[name]}")
    return MODEL_ALIASES.get(name, name)


@dataclass(frozen=True, slots=True)
class LogisticSettings:
    """Settings of `logistic`, on standardized inputs; C is the inverse of the squared penalty."""

    name: Literal["logistic"] = "logistic"
    C: Positive = 1.0


@dataclass(frozen=True, slots=True)
class SvmSettings:
    """Settings of `svm`, a support vector machine with a radial kernel on standardized inputs.

    Attributes:
        C: Inverse strength of the penalty.
        gamma: Of the kernel exp(-gamma |x - x'|^2); None for 1 / (n_inputs x variance) of the
            training records, scikit-learn's `scale`.
    """

    name: Literal["svm"] = "svm"
    C: Positive = 1.0
    gamma: Positive | None = None


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """Settings of `boosting`, gradient boosted trees on binned inputs; none stops them early.

    `max_features` is the share of the inputs that each split may choose from.
    """

    name: Literal["boosting"] = "boosting"
    trees: Count = 100
    learning_rate: Positive = 0.1
    max_leaf_nodes: Annotated[int, Strict(), Field(ge=2, le=1_000_000)] = 31
    min_samples_leaf: Count = 20
    l2: NotNegative = 0.0
    max_features: Part = 1.0


@dataclass(frozen=True, slots=True)
class ExtraTreesSettings:
    """Settings of `extra_trees`, extremely randomized trees (Geurts et al., 2006).

    `max_features` is that of `boosting`; None for the square root of the number of inputs.
    """

    name: Literal["extra_trees"] = "extra_trees"
    trees: Count = 500
    min_samples_leaf: Count = 1
    max_features: Part | None = None


CLASSIFIERS = {
    "boosting": BoostingSettings,
    "logistic": LogisticSettings,
    "svm": SvmSettings,
    "extra_trees": ExtraTreesSettings,
}


def build(settings: Any, names: tuple[str, ...], random_state: int, subjects: Subjects) -> Any:
    """Build a classifier; the random state draws what a split of a tree may choose from."""
    from sklearn import calibration, ensemble, linear_model, pipeline, preprocessing, svm

    scaler = preprocessing.StandardScaler()
    if isinstance(settings, LogisticSettings):
        model = linear_model.LogisticRegression(C=settings.C, max_iter=10_000)
        return pipeline.make_pipeline(scaler, model)
    if isinstance(settings, SvmSettings):
        # margins become probabilities as in Platt (1999), in folds that keep subjects whole
        machine = pipeline.make_pipeline(
            scaler, svm.SVC(C=settings.C, gamma=settings.gamma or "scale")
        )
        remedy = "Choose another model"
        folds = InnerFolds(5, random_state, subjects, field="model=svm", remedy=remedy)
        return calibration.CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    if isinstance(settings, BoostingSettings):
        return ensemble.HistGradientBoostingClassifier(
            max_iter=settings.trees,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.max_leaf_nodes,
            min_samples_leaf=settings.min_samples_leaf,
            l2_regularization=settings.l2,
            max_features=settings.max_features,
            early_stopping=False,
            random_state=random_state,
        )
    return ensemble.ExtraTreesClassifier(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=settings.max_features or "sqrt",
        random_state=random_state,
    )


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
        values: dict[str, Any] = {"name": name}
        for pair in pairs:
            key, _, value = pair.partition(":")
            with suppress(ValueError):
                value = json.loads(value)
            values[key] = value
        names = [setting.name for setting in fields(CLASSIFIERS[name])]
        expected = " ".join([name, *(f"{one}:..." for one in names if one != "name")])
        if {*values} == {*names}:
            try:
                return TypeAdapter(CLASSIFIERS[name]).validate_python(values)
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
    is the text of the candidate that was fitted. All candidates have the same random state.
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


@dataclass(frozen=True, slots=True)
class CriteriaSettings:
    """Settings: a name in `lvh.features.criteria.CRITERIA`, or `any`: positive where one is."""

    name: Literal["criteria"] = "criteria"
    criterion: CriterionName = "cornell"


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores records by criteria, above .5 exactly where `Criterion.positive` says yes.

    Nothing is learned, and the scores are no probabilities. The inputs are `male` and values of
    the criteria, by `names`.
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


def build_criteria(
    settings: CriteriaSettings, names: tuple[str, ...], random_state: int, subjects: Subjects
) -> Judge:
    """Build the judge; nothing in it is random. InputError without the inputs that it needs."""
    name = settings.criterion
    criteria = tuple(CRITERIA.values()) if name == "any" else (CRITERIA[name],)
    needed = ["male", *(one.name for one in criteria)]
    if not {*needed} <= {*names}:
        raise InputError(
            f"model.criterion: expected the inputs {', '.join(needed)}, of features=voltage. "
            f"Received: {excerpt(names)}"
        )
    return Judge(criteria, names)
