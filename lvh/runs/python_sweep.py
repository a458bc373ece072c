"""A sweep from Python: a space as a dict, the samplers of the command, and nothing on disk."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from numbers import Integral, Real
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lvh.config.run_settings import search_from
from lvh.errors import InputError, LvhError, excerpt, warn_renamed
from lvh.evaluation.cv_result import CVResult
from lvh.evaluation.results import Plain
from lvh.reports.result_views import StudyResult, fold_scores, predictions_of
from lvh.runs import python_inputs
from lvh.runs.experiment_data import baselines_of
from lvh.runs.python_inputs import Learner, Train, TrainingData, check_scores, learner_of
from lvh.runs.worker import Follower, WorkerResult, ended_by
from lvh.search import SearchSettings
from lvh.search.results import FoldScore, Outcome
from lvh.search.space import Choice, Condition, Dimension, Numbers, Space, StudyPlan, decided
from lvh.search.storage import Storage
from lvh.search.study import OpenTrial, open_study, result_of
from lvh.validation.bounds import checked_seed


def sweep(
    estimator: Any,
    X: Any,
    y: Any = None,
    groups: Any = None,
    *,
    space: Mapping[str, Any],
    n_trials: int | None = None,
    features: Any = None,
    cv: Any = None,
    seed: int = 0,
    train: Train = None,
    **search: Any,
) -> StudyResult:
    """Cross-validate the points of a space, and rank them; nothing is stored.

    Args:
        estimator: As of `cross_validate`; or several by name, such as
            `{"svm": SVC(), "forest": RandomForestClassifier()}`, of which `space` has a dict each.
        X: As, with all that is not named below, of `cross_validate`.
        y: See X.
        groups: See X.
        space: Values by parameter. `(0.01, 100, "log")` or `(1, 9)` is a range with both ends, of
            whole numbers where both are whole; a list or a `range` is a choice. A dict is a choice
            too: its values are the spaces of what exists under one option only, such as
            `{"kernel": {"rbf": {"gamma": (0.001, 1, "log")}, "linear": {}}}`. Parameters are those
            of scikit-learn's `set_params`, settings of a model of lvh, or further arguments of a
            function; of a network also settings of the training, such as `train.learning_rate`.
        n_trials: How many points are tried; None for every point of a space that can be listed,
            or 50.
        features: See X.
        cv: See X.
        seed: See X.
        train: See X.
        **search: Further settings of `lvh.search.SearchSettings`, such as `sampler="random"`,
            `objectives=["roc_auc"]` or `budget="race"`.

    Raises:
        InputError: An argument is not as above; or the first trial is refused.

    >>> import numpy as np
    >>> y = np.tile([0, 1], 40)
    >>> X = y[:, None] + np.random.default_rng(0).normal(size=(80, 3))
    >>> study = lvh.sweep("logistic", X, y, space={"C": [0.01, 1.0]}, cv=3)
    >>> study.dimensions, [trial.state for trial in study.trials]
    (('C',), ['complete', 'complete'])
    """
    training = _Training(estimator, train, space, seed)
    cv = list(cv) if isinstance(cv, Iterator) else cv
    for name, learner in training.learners.items():
        given = python_inputs.training_data(learner, X, y, groups, features=features, cv=cv)
        first = next(iter(training.data.values()), given)
        if given.features.records == first.features.records:
            given = replace(given, splits=first.splits)  # a splitter may draw others each time
        training.data[name] = given
    training.plan = plan = _plan(training.space, training.data, {**search, "n_trials": n_trials})
    for learner in training.learners.values():
        check_scores(learner, plan.search.objectives)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        storage = Storage(f"sqlite:///{folder}/studies.db")
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        study = open_study(storage, "python", plan, again=False)
        study.optimize(training)
        found = result_of(study, folder)
    errors = [trial.error for trial in found.trials if trial.state == "failed"]
    if len(errors) == len(found.trials):
        raise LvhError(f"every trial failed, the first so: {errors[0]}")
    predictions = {number: predictions_of(one) for number, one in training.results.items()}
    return StudyResult.of(found, predictions=predictions)


class _Training:
    """Trains the trials of a study, of one estimator (its name is empty) or of several."""

    plan: StudyPlan

    def __init__(self, estimator: Any, train: Train, space: Any, seed: int) -> None:
        several = isinstance(estimator, Mapping)
        estimators: Mapping[str, Any] = estimator if several else {"": estimator}
        is_odd = not isinstance(space, Mapping) or not {*space} <= {*estimators}
        if several and (is_odd or not all(estimators)):
            raise InputError(
                "estimator and space: expected names, and a dict for each in the space. "
                f"Received: {excerpt(estimator)} and {excerpt(space)}"
            )
        # of several, only networks get `train`; if none is a network, all get it and refuse it
        networks = [name for name, one in estimators.items() if learner_of(one).is_network]
        self._of = {
            name: partial(learner_of, one, train if name in (networks or estimators) else None)
            for name, one in estimators.items()
        }
        self.learners = {name: of() for name, of in self._of.items()}
        chosen = {"model": {name: space.get(name, {}) for name in estimators}} if several else space
        self.space, self._objects = space_from(chosen, prefixes=several)
        for name in self.space.names:  # each is refused before any training
            self._learner_at(self.space.having(name))
        self.data: dict[str, TrainingData] = {}
        self.results: dict[int, CVResult] = {}  # of complete trials
        self._seed = checked_seed(seed)

    def _learner_at(self, point: Mapping[str, Plain]) -> tuple[str, Learner]:
        """Return the estimator of a point, by name and with its parameters."""
        params = {name: self._objects[name].get(value, value) for name, value in point.items()}
        name = "" if "" in self.learners else params.pop("model")
        return name, self._of[name]({one.removeprefix(f"{name}."): params[one] for one in params})

    def __call__(self, trial: OpenTrial) -> Outcome:
        """Train a trial; its failure is its own."""
        search, scores = self.plan.search, list[FoldScore]()
        try:
            name, learner = self._learner_at(trial.point)
            check_scores(learner, search.objectives)
            data = self.data[name]
            follower = Follower(trial, data.features, search.objectives[0], WorkerResult())
            scores = follower.scores
            result = python_inputs.cross_validated(
                learner,
                data,
                self._seed,
                splits=[data.splits[at] for at in self.plan.fold_order(len(data.splits))],
                callbacks=[follower],
                check_after=search.burn_in if search.may_stop else None,
                baselines=partial(baselines_of, data, data.cv.threshold),
            )
        except Exception as error:
            is_bad = isinstance(error, InputError) and search.sampler != "grid"
            return ended_by(error, is_bad=is_bad, folds=tuple(scores))
        if leakage := data.cv.leakage:
            return Outcome("leaking", folds=tuple(scores), error=f"not honest: {leakage}")
        self.results[trial.number] = result
        baselines = {one: of.as_baseline() for one, of in result.baselines.items()}
        known = asdict(result.scores.mean) | {"seconds": sum(fold.seconds for fold in result.folds)}
        known |= {f"std_{name}": one for name, one in asdict(result.scores.std).items()}
        known |= {f"pooled_{name}": one.estimate for name, one in result.scores.pooled.items()}
        values = tuple(known.get(name, math.nan) for name in search.objectives)
        return Outcome("complete", values, fold_scores(result), baselines=baselines)


def _plan(space: Space, data: Mapping[str, TrainingData], search: dict[str, Any]) -> StudyPlan:
    if search.get("race"):
        warn_renamed("race=True", 'budget="race"')
    if isinstance(search.get("objectives"), str):
        search["objectives"] = [search["objectives"]]
    checked = search_from({"search": {**asdict(SearchSettings()), **search}})
    if checked.halves or checked.storage or checked.workers:
        raise InputError(
            "budget, storage and workers: expected no halving, and neither of the others; lvh "
            f"sweep has them, also for models of a plugin. Received: {excerpt(search)}"
        )
    sizes = {len(one.splits) for one in data.values()}
    if len(sizes) > 1 and checked.may_stop:
        raise InputError("race and pruner: expected the same folds of every estimator")
    names, label = " x ".join(space.names), next(iter(data.values())).features.label_name
    plan = StudyPlan(space, decided(checked, space), "", "", max(sizes), label)
    return replace(plan, title=f"{names}, {plan.total} {'run' if plan.total == 1 else 'runs'}")


def space_from(space: Any, prefixes: bool = False) -> tuple[Space, dict[str, Mapping[Plain, Any]]]:
    """Read a space as `sweep` takes it; return also the object that each text of a choice means.

    With `prefixes` the names under an option of the outermost choice begin with that option.
    """
    dimensions: dict[str, Dimension] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    objects: dict[str, Mapping[Plain, Any]] = {}

    def read(inner: Any, under: tuple[Condition, ...], prefix: str) -> None:
        if not isinstance(inner, Mapping):
            place = "".join(f" under {one.parent}={one.texts[0]}" for one in under)
            raise InputError(f"space: expected a dict{place}. Received: {excerpt(inner)}")
        for key, value in inner.items():
            name, here = f"{prefix}{key}", under
            dimension, own = _dimension(name, [*value] if isinstance(value, Mapping) else value)
            if name in dimensions:  # an option of the same choice may have it too
                before = conditions.get(name, ())
                same = (before[:-1], dimensions[name], objects[name])
                if not (under and before and same == (under[:-1], dimension, own)) or (
                    before[-1].parent != under[-1].parent
                ):
                    raise InputError(
                        "space: expected names, each once, or with the same values under options "
                        f"of the same choice. Received: {excerpt(key)}"
                    )
                texts = (*before[-1].texts, *under[-1].texts)
                here = (*under[:-1], Condition(under[-1].parent, texts))
            dimensions[name], objects[name] = dimension, own
            if here:
                conditions[name] = here
            for option, of in value.items() if isinstance(value, Mapping) else ():
                begins = f"{option}." if prefixes and not under else prefix
                read(of, (*under, Condition(name, (_text(option),))), begins)

    read(space, (), "")
    if not dimensions:
        raise InputError("space: expected one parameter or more. Received: none")
    return Space(dimensions, conditions), objects


def _dimension(name: str, value: Any) -> tuple[Dimension, Mapping[Plain, Any]]:
    if isinstance(value, tuple) and len(value) in (2, 3) and value[2:] in ((), ("log",)):
        low, high = value[:2]
        is_number = all(isinstance(end, Real) and not isinstance(end, bool) for end in (low, high))
        if is_number and low < high < float("inf") and low > (0 if value[2:] else -float("inf")):
            if isinstance(low, Integral) and isinstance(high, Integral):
                return Numbers(int(low), int(high), 1, log=bool(value[2:])), {}
            return Numbers(float(low), float(high), log=bool(value[2:])), {}
    if isinstance(value, range) and len(value) and value.step > 0:
        return Numbers(value[0], value[-1], value.step, is_listed=True), {}
    if isinstance(value, list) and value:
        choice = Choice(tuple(map(_text, value)))
        if len({*choice.texts}) == len(choice.values()) == len(value):
            return choice, dict(zip(choice.values(), value, strict=True))
    raise InputError(
        "space: expected a list of values that do not look the same, a range (low, high) or "
        f'(low, high, "log"), or a dict, of {name}. Received: {excerpt(value)}'
    )


def _text(value: Any) -> str:
    """Return a value as tables show it: one of NumPy's as Python's."""
    return repr(value.item() if isinstance(value, np.generic) else value)
