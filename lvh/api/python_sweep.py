"""A sweep from Python: the study, the samplers and the stores of the command."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lvh.api.code_identity import identity
from lvh.api.dict_space import PythonSpace, space_from
from lvh.api.inputs import TrainingData, training_data
from lvh.api.learners import Learner, Train, check_scores, learner_of
from lvh.config.messages import suggestion
from lvh.config.run_settings import search_from
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, InputError, LvhError, as_lvh_error, excerpt
from lvh.evaluation.cross_validation import StopCrossValidation, cross_validate
from lvh.evaluation.cv_result import CVResult, FoldResult, Summary, baseline_summaries
from lvh.features import FeatureSet
from lvh.models.classifiers import BASELINES
from lvh.reports.result_views import StudyResult
from lvh.runs.cache_key import RESULTS_VERSION
from lvh.runs.worker import Follower, WorkerResult
from lvh.search import SearchSettings
from lvh.search.plan import StudyPlan, decided
from lvh.search.results import Outcome
from lvh.search.storage import Storage
from lvh.search.study import OpenTrial, Study, open_study, result_of
from lvh.tracking.fold_store import FoldStore


def sweep(
    estimator: Any,
    X: Any,
    y: Any = None,
    groups: Any = None,
    *,
    space: Mapping[str, Any],
    n_trials: int | None = None,
    storage: str | None = None,
    store: str | Path = "outputs/folds",
    features: Any = None,
    cv: Any = None,
    seed: int = 0,
    train: Train = None,
    **search: Any,
) -> StudyResult:
    """Cross-validate the points of a space, and rank them.

    Args:
        estimator: As of `cross_validate`; or several by name, such as
            `{"svm": SVC(), "forest": RandomForestClassifier()}`, of which `space` has a dict each.
        X: As, with all that is not named below, of `cross_validate`.
        y: See X.
        groups: See X.
        space: Values by parameter. `(0.01, 100, "log")` or `(1, 9)` is a range with both ends, of
            whole numbers where both are whole; a list is a choice. A dict is a choice too: its
            values are the spaces of what exists under one option only, such as
            `{"kernel": {"rbf": {"gamma": (0.001, 1, "log")}, "linear": {}}}`. Parameters are those
            of scikit-learn's `set_params`, settings of a model of lvh, or further arguments of a
            function; of a network also settings of the training, such as `train.learning_rate`.
        n_trials: How many trials there are to be, with those that `storage` has; None for every
            point of a space that can be listed, or 50.
        storage: Database of the study, such as `sqlite:///studies.db`: the same call resumes it,
            in any process. None: nothing stays.
        store: Folder of finished folds, with a `storage`.
        features: See X.
        cv: See X.
        seed: See X.
        train: See X.
        **search: Further settings of `lvh.search.SearchSettings`, such as `sampler="random"`,
            `objectives=["roc_auc"]` or `race=True`.

    Raises:
        InputError: An argument is not as above; or the first trial is refused.

    >>> import numpy as np
    >>> y = np.tile([0, 1], 40)
    >>> X = y[:, None] + np.random.default_rng(0).normal(size=(80, 3))
    >>> study = lvh.sweep("logistic", X, y, space={"C": [0.01, 1.0]}, cv=3)
    >>> study.dimensions, [trial.state for trial in study.trials]
    (('C',), ['complete', 'complete'])
    """
    learners, swept = _learners(estimator, train, space)
    for name in swept.space.names:
        _check_name(name, learners)
    _with_point(learners, swept.params(next(swept.space.probes())))
    cv = list(cv) if isinstance(cv, Iterator) else cv
    data = {
        name: training_data(learner, X, y, groups, features=features, cv=cv)
        for name, learner in learners.items()
    }
    first = next(iter(data.values()))
    for name, one in data.items():  # a splitter without a seed would draw other folds for each
        if one.features.records == first.features.records:
            data[name] = replace(one, folds=first.folds)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory()) if storage is None else ""
        opened = Storage(storage or f"sqlite:///{folder}/studies.db")
        stack.callback(opened.optuna.engine.dispose)
        stack.callback(opened.optuna.remove_session)
        plan = _plan(swept, data, {**search, "n_trials": n_trials})
        for learner in learners.values():
            check_scores(learner, plan.search.objectives)
        parts = () if folder else (learners, swept.objects)
        study = open_study(opened, _study_name(plan, data, seed, parts), plan, again=False)
        own_store = FoldStore(Path(folder or store))
        own_store.check()
        training = _Training(
            study=study,
            learners=learners,
            data=data,
            swept=swept,
            store=own_store,
            seed=seed,
            is_resumable=bool(storage),
            baselines={name: cache(partial(_baselines, one)) for name, one in data.items()},
        )
        study.optimize(training)
        result = StudyResult.of(result_of(study, Path(folder or store)))
    errors = [trial.error for trial in result.trials if trial.state == "failed"]
    if len(errors) == len(result.trials):
        raise LvhError(f"every trial failed, the first so: {errors[0]}")
    return result


@dataclass(frozen=True, slots=True)
class _Training:
    """Trains one trial of a study after the other."""

    study: Study
    learners: Mapping[str, Learner]
    data: Mapping[str, TrainingData]
    swept: PythonSpace
    store: FoldStore
    seed: int
    is_resumable: bool
    baselines: Mapping[str, Callable[[], Mapping[str, Summary]]]

    def __call__(self, trial: OpenTrial) -> Outcome:
        """Train a trial; its failure is its own."""
        plan = self.study.plan
        follower: _Keeper | None = None
        try:
            name, learner = _with_point(self.learners, self.swept.params(trial.point))
            data = self.data[name]
            keys = self._keys(trial, learner, data)
            loaded = [self.store.load(keys[one.number], one) for one in data.folds.splits]
            follower = _Keeper(trial, data.features, plan.objectives[0].name, self.store, keys)
            result = cross_validate(
                data.features,
                [data.folds.splits[at] for at in plan.fold_order(len(data.folds.splits))],
                partial(learner.trainer, data.features, data.fs),
                seed=self.seed,
                known={fold.split.number: fold for fold in loaded if fold is not None},
                callbacks=[follower],
                protocol=data.folds.protocol,
                threshold=data.folds.threshold,
                check_after=plan.search.burn_in if plan.search.may_stop else None,
                baselines=self.baselines[name],
            )
        except EnvironmentFault:
            raise
        except StopCrossValidation as stop:
            return Outcome("stopped", **_done(follower), error=stop.reason)
        except Exception as error:
            # a point that a person listed has failed; one that a sampler proposed was a bad one
            is_bad = isinstance(error, InputError) and plan.search.sampler != "grid"
            state: Any = "stopped" if is_bad else "failed"
            return Outcome(state, **_done(follower), error=str(as_lvh_error(error)))
        if leakage := data.folds.protocol.leakage:
            return Outcome("leaking", **_done(follower), error=f"not honest: {leakage}")
        return Outcome(
            "complete",
            values=_values(result, plan.search.objectives),
            **_done(follower),
            baselines={one: asdict(baseline.mean) for one, baseline in result.baselines.items()},
        )

    def _keys(
        self, trial: OpenTrial, learner: Learner, data: TrainingData
    ) -> dict[tuple[int, int], str]:
        """Return a key for each fold, equal for equal results; else one of this trial alone."""
        parts: tuple[Any, ...] = (self.study.name, trial.number)
        if self.is_resumable:
            folds = data.folds
            of_folds = (asdict(folds.protocol), folds.threshold)
            parts = (learner.identity(), self.seed, of_folds, data.fingerprint)
        return {
            one.number: fingerprint(
                "python", RESULTS_VERSION, parts, one.number, one.train, one.validation, one.test
            )
            for one in data.folds.splits
        }


class _Keeper(Follower):
    """Stores each fold before it is reported."""

    def __init__(
        self,
        trial: OpenTrial,
        features: FeatureSet,
        objective: str,
        store: FoldStore,
        keys: Mapping[tuple[int, int], str],
    ) -> None:
        super().__init__(trial, features.records, objective, WorkerResult())
        self._features, self._store, self._keys = features, store, keys
        self.fold_keys: list[str] = []

    def on_fold(self, fold: FoldResult, known: bool) -> None:
        """Store and report a fold."""
        key = self._keys[fold.split.number]
        if not known:
            self._store.save(key, self._features, fold, {"from": "python"})
        self.fold_keys.append(key)
        super().on_fold(fold, known)


def _baselines(data: TrainingData) -> dict[str, Summary]:
    return baseline_summaries(
        data.features, data.folds.splits, BASELINES, threshold=data.folds.threshold
    )


def _done(follower: _Keeper | None) -> dict[str, Any]:
    if follower is None:
        return {}
    return {"folds": tuple(follower.scores), "fold_keys": tuple(follower.fold_keys)}


def _learners(
    estimator: Any, train: Train, space: Mapping[str, Any]
) -> tuple[dict[str, Learner], PythonSpace]:
    """Return the learners by name, one alone under no name, and the space with their names."""
    if not isinstance(space, Mapping):
        raise InputError(f"space: expected a dict. Received: {excerpt(space)}")
    if not isinstance(estimator, Mapping):
        return {"": learner_of(estimator, train)}, space_from(space)
    if len(estimator) < 2 or not all(isinstance(name, str) and name for name in estimator):
        raise InputError(
            f"estimator: expected two names or more in a dict. Received: {excerpt(estimator)}"
        )
    for name, inner in space.items():
        if name not in estimator or not isinstance(inner, Mapping):
            raise InputError(
                f"space: expected a dict for each of {', '.join(estimator)}"
                f"{suggestion(str(name), estimator)}. Received: {excerpt({name: inner})}"
            )
    named = {name: _prefixed(name, space.get(name, {})) for name in estimator}
    learners = {
        name: learner_of(one, train if _has_epochs(one) else None)
        for name, one in estimator.items()
    }
    if train is not None and not any(one.has_epochs for one in learners.values()):
        raise InputError("train: expected None, for no estimator is a network")
    return learners, space_from({"model": named})


def _has_epochs(estimator: Any) -> bool:
    return learner_of(estimator).has_epochs


def _prefixed(prefix: str, space: Mapping[str, Any]) -> dict[str, Any]:
    """Put the name of an estimator before its parameters."""
    return {
        f"{prefix}.{name}": {option: _prefixed(prefix, inner) for option, inner in value.items()}
        if isinstance(value, Mapping)
        else value
        for name, value in space.items()
    }


def _check_name(name: str, learners: Mapping[str, Learner]) -> None:
    if "" not in learners and name == "model":
        return
    owner, parameter = ("", name) if "" in learners else name.split(".", 1)
    known = learners[owner].parameters
    if parameter not in known and parameter.partition("__")[0] not in known:
        raise InputError(
            f"space: {learners[owner].name} has no parameter {parameter}"
            f"{suggestion(parameter, known)}. Expected some of {excerpt(', '.join(known))}"
        )


def _with_point(learners: Mapping[str, Learner], params: Mapping[str, Any]) -> tuple[str, Learner]:
    """Return the learner that a point chooses, with its parameters."""
    if "" in learners:
        return "", learners[""].with_params(params)
    name = params["model"]
    own = {one.split(".", 1)[1]: value for one, value in params.items() if one != "model"}
    return name, learners[name].with_params(own)


def _plan(
    swept: PythonSpace, data: Mapping[str, TrainingData], search: Mapping[str, Any]
) -> StudyPlan:
    for name in {"storage", "workers"} & {*search}:
        raise InputError(f"{name}: expected none. Received: {excerpt(search[name])}")
    objectives = search.get("objectives", SearchSettings().objectives)
    given = {**search, "objectives": [objectives] if isinstance(objectives, str) else objectives}
    checked = search_from({"search": {**asdict(SearchSettings()), **given}})
    sizes = {len(one.folds.splits) for one in data.values()}
    if len(sizes) > 1 and checked.may_stop:
        raise InputError("race and pruner: expected the same folds of every estimator")
    plan = StudyPlan(
        space=swept.space,
        search=decided(checked, swept.space),
        title="",
        note="",
        n_folds=max(sizes),
    )
    runs = f"{plan.total} {'run' if plan.total == 1 else 'runs'}"
    return replace(plan, title=f"{' x '.join(swept.space.names)}, {runs}")


def _study_name(
    plan: StudyPlan, data: Mapping[str, TrainingData], seed: int, parts: tuple[Any, ...]
) -> str:
    """Return the name of the study: equal for equal questions, and for no others."""
    search = plan.search
    digest = ""
    if parts:
        learners, objects = parts
        digest = fingerprint(
            RESULTS_VERSION,
            [(name, one.identity()) for name, one in learners.items()],
            identity(objects),
            asdict(plan.space),
            [(name, one.fingerprint, _places(one)) for name, one in data.items()],
            (search.objectives, search.race, search.pruner, search.burn_in, search.seed),
            (search.sampler == "grid", seed),
        )
    swept = "-".join(re.sub(r"\W", "", name.rpartition(".")[2]) for name in plan.space.names)
    return f"{swept[:60]}-{digest[:12] or 'python'}"


def _places(data: TrainingData) -> list[Any]:
    folds = data.folds
    splits = [
        (one.train.tolist(), one.validation.tolist(), one.test.tolist()) for one in folds.splits
    ]
    return [splits, asdict(folds.protocol), folds.threshold]


def _values(result: CVResult, objectives: Sequence[str]) -> tuple[float, ...]:
    scores, values = result.scores, {"seconds": sum(fold.seconds for fold in result.folds)}
    values |= asdict(scores.mean)
    values |= {f"std_{name}": value for name, value in asdict(scores.std).items()}
    values |= {f"pooled_{name}": one.estimate for name, one in scores.pooled.items()}
    return tuple(values.get(name, math.nan) for name in objectives)
