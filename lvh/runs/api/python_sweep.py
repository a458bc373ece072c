"""A sweep from Python: a space as a dict, the samplers of the command, and nothing on disk."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from numbers import Integral, Real
from tempfile import TemporaryDirectory
from typing import Any

from lvh.config.run_settings import search_from
from lvh.errors import InputError, LvhError, excerpt, warn_renamed
from lvh.evaluation.cv_result import CVResult, Summary, baseline_summaries
from lvh.evaluation.results import Plain
from lvh.reports.result_views import StudyResult, predictions_of
from lvh.runs.api.inputs import TrainingData, cross_validated, training_data
from lvh.runs.api.learners import Learner, Train, check_scores, learner_of
from lvh.runs.worker import Follower, WorkerResult, ended_by
from lvh.search import SearchSettings
from lvh.search.plan import StudyPlan, decided
from lvh.search.results import FoldScore, Outcome, objective_values
from lvh.search.space import Choice, Condition, Dimension, Numbers, Space
from lvh.search.storage import Storage
from lvh.search.study import OpenTrial, open_study, result_of


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
    candidates = _Candidates(estimator, train, space)
    cv = list(cv) if isinstance(cv, Iterator) else cv
    data = {
        name: training_data(one, X, y, groups, features=features, cv=cv)
        for name, one in candidates.learners.items()
    }
    first = next(iter(data.values()))
    for name, one in data.items():  # a splitter without a seed would draw other folds for each
        if one.features.records == first.features.records:
            data[name] = replace(one, splits=first.splits)
    plan = _plan(candidates.space, data, {**search, "n_trials": n_trials})
    for learner in candidates.learners.values():
        check_scores(learner, plan.search.objectives)
    baselines = {
        name: cache(partial(baseline_summaries, one.features, one.splits, one.cv.threshold))
        for name, one in data.items()
    }
    training = _Training(plan, candidates.at, data, baselines, seed)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        storage = Storage(f"sqlite:///{folder}/studies.db")
        stack.callback(storage.optuna.engine.dispose)
        stack.callback(storage.optuna.remove_session)
        study = open_study(storage, "python", plan, again=False)
        study.optimize(training)
        found = result_of(study, folder)
    errors = [trial.error for trial in found.trials if trial.state == "failed"]
    if len(errors) == len(found.trials):
        raise LvhError(f"every trial failed, the first so: {errors[0]}")
    predictions = {number: predictions_of(one) for number, one in training.results.items()}
    return StudyResult.of(found, predictions=predictions)


class _Candidates:
    """One estimator, under no name, or several, and the space of their parameters."""

    def __init__(self, estimator: Any, train: Train, space: Mapping[str, Any]) -> None:
        named: Mapping[str, Any] = {"": estimator}
        if isinstance(estimator, Mapping):
            named, space = estimator, _of_several(estimator, space)
        # of several, it is for the networks; where there is none, it is refused
        networks = [name for name, one in named.items() if learner_of(one).is_network] or [*named]
        self._of = {
            name: partial(learner_of, one, train if name in networks else None)
            for name, one in named.items()
        }
        self.learners = {name: of() for name, of in self._of.items()}
        self.space, self._objects = space_from(space)
        for name in self.space.names:  # each is refused before any training
            self.at(next(point for point in self.space.probes() if name in point))

    def at(self, point: Mapping[str, Plain]) -> tuple[str, Learner]:
        """Return the estimator of a point, by name and with its parameters."""
        params = params_of(point, self._objects)
        name = "" if "" in self.learners else params.pop("model")
        own = {one.removeprefix(f"{name}."): value for one, value in params.items()}
        return name, self._of[name](own)


def _of_several(estimators: Mapping[str, Any], space: Any) -> dict[str, Any]:
    """Return a choice of an estimator, under which its own parameters are."""
    spaces = dict(space) if isinstance(space, Mapping) else {"space": space}
    is_named = all(isinstance(name, str) and name for name in estimators)
    is_nested = all(isinstance(inner, Mapping) for inner in spaces.values())
    if len(estimators) < 2 or not is_named or {*spaces} - {*estimators} or not is_nested:
        raise InputError(
            "estimator and space: expected two names or more, and a dict for each in the space. "
            f"Received: {excerpt(estimators)} and {excerpt(space)}"
        )

    def prefixed(name: str, inner: Any) -> Any:
        if not isinstance(inner, Mapping):
            return inner
        return {
            f"{name}.{one}": {option: prefixed(name, under) for option, under in of.items()}
            if isinstance(of, Mapping)
            else of
            for one, of in inner.items()
        }

    return {"model": {name: prefixed(name, spaces.get(name, {})) for name in estimators}}


@dataclass(frozen=True, slots=True)
class _Training:
    """Trains one trial of a study after the other, and keeps the results of complete ones."""

    plan: StudyPlan
    learner_at: Callable[[Mapping[str, Plain]], tuple[str, Learner]]
    data: Mapping[str, TrainingData]
    baselines: Mapping[str, Callable[[], Mapping[str, Summary]]]
    seed: int
    results: dict[int, CVResult] = field(default_factory=dict)

    def __call__(self, trial: OpenTrial) -> Outcome:
        """Train a trial; its failure is its own."""
        search, scores = self.plan.search, list[FoldScore]()
        try:
            name, learner = self.learner_at(trial.point)
            check_scores(learner, search.objectives)
            data = self.data[name]
            follower = Follower(trial, data.features.records, search.objectives[0], WorkerResult())
            scores = follower.scores
            result = cross_validated(
                learner,
                data,
                self.seed,
                splits=[data.splits[at] for at in self.plan.fold_order(len(data.splits))],
                callbacks=[follower],
                check_after=search.burn_in if search.may_stop else None,
                baselines=self.baselines[name],
            )
        except Exception as error:
            is_bad = isinstance(error, InputError) and search.sampler != "grid"
            return ended_by(error, is_bad=is_bad, folds=tuple(scores))
        if leakage := data.cv.leakage:
            return Outcome("leaking", folds=tuple(scores), error=f"not honest: {leakage}")
        self.results[trial.number] = result
        baselines = {one: of.as_baseline() for one, of in result.baselines.items()}
        values = objective_values(
            search.objectives,
            mean=asdict(result.scores.mean),
            std=asdict(result.scores.std),
            pooled={name: one.estimate for name, one in result.scores.pooled.items()},
            seconds=sum(fold.seconds for fold in result.folds),
        )
        return Outcome("complete", values, tuple(scores), baselines=baselines)


def _plan(space: Space, data: Mapping[str, TrainingData], search: dict[str, Any]) -> StudyPlan:
    if search.get("race"):
        warn_renamed("race=True", 'budget="race"')
    objectives = search.get("objectives", SearchSettings().objectives)
    search["objectives"] = [objectives] if isinstance(objectives, str) else objectives
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


def space_from(space: Any) -> tuple[Space, dict[str, Mapping[Plain, Any]]]:
    """Read a space, see `sweep`, and what the values of its choices stand for."""
    dimensions: dict[str, Dimension] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    objects: dict[str, Mapping[Plain, Any]] = {}

    def read(inner: Any, under: tuple[Condition, ...]) -> None:
        place = "".join(f" under {one.parent}={one.texts[0]}" for one in under)
        if not isinstance(inner, Mapping):
            raise InputError(f"space: expected a dict{place}. Received: {excerpt(inner)}")
        for name, value in inner.items():
            options = value if isinstance(value, Mapping) else {}
            dimension = _dimension(str(name), [*value] if options else value)
            before = conditions.get(name, ())
            is_shared = bool(before and under) and before[:-1] == under[:-1]
            is_shared = is_shared and before[-1].parent == under[-1].parent
            is_known = name in dimensions
            if not isinstance(name, str) or (
                is_known and not (is_shared and dimension == (dimensions[name], objects[name]))
            ):
                raise InputError(
                    "space: expected names, each once, or with the same values under options of "
                    f"the same choice. Received: {excerpt(name)}"
                )
            dimensions[name], objects[name] = dimension
            if is_known:
                texts = (*before[-1].texts, *under[-1].texts)
                conditions[name] = (*under[:-1], Condition(under[-1].parent, texts))
            elif under:
                conditions[name] = under
            for option, of in options.items():
                read(of, (*under, Condition(name, (repr(option),))))

    read(space, ())
    if not dimensions:
        raise InputError("space: expected one parameter or more. Received: none")
    return Space(dimensions, conditions), objects


def params_of(
    point: Mapping[str, Plain], objects: Mapping[str, Mapping[Plain, Any]]
) -> dict[str, Any]:
    """Return what the values of a point stand for."""
    return {name: objects[name].get(value, value) for name, value in point.items()}


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
        choice = Choice(tuple(repr(one) for one in value))
        if len({*choice.texts}) == len(choice.values()) == len(value):
            return choice, dict(zip(choice.values(), value, strict=True))
    raise InputError(
        "space: expected a list of values that do not look the same, a range (low, high) or "
        f'(low, high, "log"), or a dict, of {name}. Received: {excerpt(value)}'
    )
