"""How long a sweep takes: a cost for each configuration, from timed steps and from what ran."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from statistics import median

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from lvh.config.run_settings import RunSettings
from lvh.evaluation.fold_training import train_folds
from lvh.evaluation.results import Plain
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.search.plan import StudyPlan
from lvh.search.racing import Floats, share_trained
from lvh.search.space import Point
from lvh.search.study import Study

Kind = tuple[tuple[str, Plain], ...]
"""What decides the cost of a configuration: its values that are whole numbers or words."""
Timed = Mapping[str, float]
"""By the place of a configuration: s of all its folds."""

_TIMED = "timed_steps"  # attribute of a study
_MOST_TIMED, _MOST_POINTS = 12, 1000
_SHARE, _LEAST = 0.05, 1.0  # of the expected time, and s, that timing may take
_TRAINED = (TrialState.COMPLETE, TrialState.PRUNED)


def timed_steps(settings: RunSettings, data: ExperimentData) -> float:
    """Return about how many seconds the folds of a configuration train, from a few timed steps."""

    def seconds(epochs: int, splits: Iterable[object]) -> float:
        train = replace(settings.train, epochs=epochs, patience=None)
        trainer = new_trainer(replace(settings, train=train), data.features, data.cohort.fs)
        folds = train_folds(data.features, tuple(splits), trainer, seed=settings.seed)  # type: ignore[arg-type]
        return sum(fold.seconds for fold in folds)

    folds, batch = data.splits, settings.train.batch_size
    n_trainings = len(folds) * (1 + settings.cv.permutations)
    if not settings.is_network:
        first = seconds(1, folds[:1])  # with what a library does but once
        return (first if first > _LEAST else seconds(1, folds[:1])) * n_trainings
    sizes = [len(split.train) for split in folds]
    together = new_trainer(settings, data.features, data.cohort.fs).max_parallel(sizes)
    nothing = folds[0].train[:0]
    short = [
        replace(split, train=split.train[:batch], validation=nothing, test=split.test[:1])
        for split in folds[:together]
    ]
    seconds(1, short)  # builds and traces
    once, n_more = seconds(1, short), 1
    while (more := seconds(1 + n_more, short) - once) < 0.2 and n_more < 200:
        n_more *= 4  # until the steps take longer than all that surrounds them
    step = max(0.0, more) / n_more
    n_steps = np.mean(sizes) / batch if together == 1 else math.ceil(max(sizes) / batch)
    return float(step * n_steps * settings.train.epochs * n_trainings / together)


def begin(study: Study, at_once: int, settings_at: Callable[[Point], RunSettings]) -> str:
    """Time steps of some configurations, once in a study; return what the sweep will take."""
    plan = study.plan
    if study.attribute(_TIMED) is not None or plan.search.sampler != "grid":
        return ""
    study.set_attribute(_TIMED, {})  # one that kills its process is not timed again
    costs, started, epochs = dict[str, float](), time.perf_counter(), 1
    for place in _examples(plan):
        with suppress(Exception):  # its trial reports it
            settings = settings_at(plan.space.at(place))
            data, epochs = load_data(settings), settings.train.epochs
            if not settings.is_network and plan.total * len(data.splits) < 40:
                break
            costs[str(place)] = timed_steps(settings, data)
        expected = sum(costs.values()) / max(1, len(costs)) * plan.total
        spent = time.perf_counter() - started
        if len(costs) > 1 and spent > max(_LEAST, _SHARE * expected):  # both ends, at least
            break
    study.set_attribute(_TIMED, costs)
    if not any(costs.values()):
        return ""
    left = seconds_left(plan, study.configurations(), costs, epochs=epochs, at_once=at_once)
    text = f"training takes about {_duration(left)}, less where trials are stopped"
    text = text if plan.search.may_stop else text.partition(",")[0]
    return f"{text} (timed steps of {len(costs)} of {plan.total} configurations)"


def left_text(study: Study, at_once: int, epochs: int) -> str:
    """Return how much time a study takes from now, with a comma before it, if that is known."""
    costs = study.attribute(_TIMED) or {}
    left = seconds_left(study.plan, study.configurations(), costs, epochs=epochs, at_once=at_once)
    return "" if math.isnan(left) else f", about {_duration(left)} left"


def seconds_left(
    plan: StudyPlan, trials: Mapping[int, FrozenTrial], costs: Timed, *, epochs: int, at_once: int
) -> float:
    """Return about how many seconds a study takes from now; NaN where nothing is known.

    A configuration costs what equal ones took last; else its timed steps, by taken/timed in the
    later half of the training so far; else what a regression on the logarithms of the swept numbers
    says. Under a budget it takes the share of that which trials have had so far.
    """
    rungs = plan.search.rungs(epochs)
    shares = {at: share_trained(trial, rungs, plan.n_folds) for at, trial in trials.items()}
    ended = [at for at in trials if trials[at].state in _TRAINED and trials[at].intermediate_values]
    ended.sort(key=lambda at: trials[at].datetime_complete or datetime.max)
    timed = {_kind(plan.space.at(int(place))): cost for place, cost in costs.items() if cost}
    share = np.array([shares[at] for at in ended])
    known = _known(
        [_kind(trials[at].params) for at in ended],
        np.array([_seconds(trials[at]) for at in ended]) / share,
        timed,
    )
    if not known:
        return math.nan
    places = range(0, plan.total, max(1, plan.total // _MOST_POINTS))
    each = np.full(len(places), np.mean([*known.values()]))  # of points that are unknown
    if plan.search.sampler == "grid":
        kinds = [_kind(plan.space.at(place)) for place in places]
        unknown = [kind for kind in dict.fromkeys(kinds) if kind not in known]
        known |= zip(unknown, _regressed(unknown, known), strict=True)
        each = np.array([known[kind] for kind in kinds])
    each = each * (1 + share.sum()) / (1 + len(ended))
    for at, place in enumerate(places):
        if (trial := trials.get(place)) is not None:
            left = 0.0 if trial.state.is_finished() else each[at] * (1 - shares[place])
            each[at] = max(0.0, min(left, each[at] - _seconds(trial)))
    return float(max(each.sum() * plan.total / len(places) / at_once, each.max()))


def _seconds(trial: FrozenTrial) -> float:
    """Return how long a trial took, or takes so far."""
    start, end = trial.datetime_start, trial.datetime_complete or datetime.now()
    return (end - start).total_seconds() if start else 0.0


def _known(kinds: list[Kind], took: Floats, timed: Mapping[Kind, float]) -> dict[Kind, float]:
    """Return seconds of the kinds that have run, by the order in which they did, or were timed."""
    of_kind = defaultdict[Kind, list[float]](list)
    for kind, seconds in zip(kinds, took.tolist(), strict=True):
        of_kind[kind].append(seconds)
    is_late = np.cumsum(took) > took.sum() / 2
    late = [at for at, kind in enumerate(kinds) if kind in timed and is_late[at]]
    pace = sum(took[at] for at in late) / sum(timed[kinds[at]] for at in late) if late else 1.0
    known = {kind: pace * seconds for kind, seconds in timed.items()}
    return known | {kind: median(seconds[-5:]) for kind, seconds in of_kind.items()}


def _examples(plan: StudyPlan) -> list[int]:
    """Return places to time: the ends first, then evenly between."""
    places = sorted({*np.linspace(0, plan.total - 1, _MOST_TIMED).round().astype(int).tolist()})
    return [places[0], *places[1:][-1:], *places[1:-1]]


def _kind(point: Mapping[str, Plain]) -> Kind:
    values = sorted(point.items())
    return tuple(one for one in values if not isinstance(one[1], float) and one[0] != "seed")


def _regressed(kinds: list[Kind], known: Mapping[Kind, float]) -> list[float]:
    """Return seconds of some kinds by a ridge regression over kinds that are known."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    def inputs(kind: Kind) -> dict[str, float | str]:
        return {"": ""} | {
            name: math.log(value) if isinstance(value, int) and value > 0 else str(value)
            for name, value in kind
        }

    y = np.log(np.maximum([*known.values()], 1e-6))
    model = make_pipeline(DictVectorizer(sparse=False), Ridge(alpha=0.01)).fit(
        [*map(inputs, known)], y
    )
    predicted = model.predict([*map(inputs, kinds)]) if kinds else np.zeros(0)
    return [*np.exp(np.clip(predicted, y.mean() - 5, y.mean() + 5))]  # at most 150 times the mean


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
