"""How long a sweep takes: from timed steps of some configurations, and from what ran lately."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import train_folds
from lvh.runs.cache_key import deciding, fold_keys
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.search.racing import Floats, share_trained, usual_shares
from lvh.search.space import Point, StudyPlan
from lvh.search.study import OUTCOME, Study
from lvh.tracking.fold_store import FoldStore
from lvh.validation.splits import Split

Timed = Mapping[str, tuple[float, float]]
"""By the place of a configuration: s of all its folds, and the share of them that is not stored."""

_TIMED = "timed"  # attribute of a study
_MOST_TIMED, _MOST_PLACES = 12, 1000
_SHARE, _LEAST = 0.05, 1.0  # of the expected time, and s, that timing may take
_TRAINED = (TrialState.COMPLETE, TrialState.PRUNED)
_OVERHEAD = 0.5  # s; of a configuration, apart from its training
_LATEST = 5  # trials that say how fast the machine is now
_USUAL = 4  # trials: weight of what a budget usually saves, against what it has saved


def begin(study: Study, at_once: int, settings_at: Callable[[Point], RunSettings]) -> str:
    """Time steps of some configurations, once in a study; return what the sweep will take.

    Nothing is timed where that would take as long as the training.
    """
    plan = study.plan
    if study.attribute(_TIMED) is not None or plan.search.sampler != "grid":
        return ""
    study.set_attribute(_TIMED, {})  # one that kills its process is not timed again
    costs, started, epochs = dict[str, tuple[float, float]](), time.perf_counter(), 1
    spread = np.linspace(0, plan.total - 1, min(_MOST_TIMED, plan.total)).round().astype(int)
    for place in sorted(spread.tolist(), key=lambda at: at not in (0, plan.total - 1)):
        with suppress(Exception):  # its trial reports it
            settings = settings_at(plan.space.at(place))
            data, epochs = load_data(settings), settings.train.epochs
            if not settings.is_network and plan.total * len(data.splits) < 40:
                break
            keys = fold_keys(deciding(settings), data.cohort.fingerprint, data.splits)
            n_stored = FoldStore(Path(settings.store)).count_of(list(keys.values()))
            left = 1 - n_stored / len(keys) if settings.resume else 1.0
            costs[str(place)] = (timed_steps(settings, data) if left else 0.0), left
        expected = sum(cost for cost, _ in costs.values()) / max(1, len(costs)) * plan.total
        spent = time.perf_counter() - started
        if len(costs) > 1 and spent > max(_LEAST, _SHARE * expected):  # both ends, at least
            break
    study.set_attribute(_TIMED, costs)
    if not any(cost for cost, _ in costs.values()):
        return ""
    whole = replace(plan, search=replace(plan.search, budget="full", race=False))
    left, of_whole = (
        seconds_left(one, study.configurations(), costs, epochs=epochs, at_once=at_once)
        for one in (plan, whole)
    )
    text = f"training takes about {_duration(of_whole)}"
    saving = ["racing"] * plan.search.races + ["halving"] * plan.search.halves
    if saving:
        text += f", with {' and '.join(saving)} about {_duration(left)}"
    return f"{text} (timed steps of {len(costs)} of {plan.total} configurations)"


def left_text(study: Study, at_once: int, epochs: int) -> str:
    """Return how much time a study takes from now, with a comma before it, if that is known."""
    costs = study.attribute(_TIMED) or {}
    left = seconds_left(study.plan, study.configurations(), costs, epochs=epochs, at_once=at_once)
    return "" if math.isnan(left) else f", about {_duration(left)} left"


def timed_steps(settings: RunSettings, data: ExperimentData) -> float:
    """Return about how many seconds the folds of a configuration train, from a few timed steps.

    A classifier is fitted on one fold.
    """

    def seconds(epochs: int, splits: Sequence[Split]) -> float:
        train = replace(settings.train, epochs=epochs, patience=None)
        trainer = new_trainer(replace(settings, train=train), data.features, data.cohort.fs)
        folds = train_folds(data.features, splits, trainer, seed=settings.seed)
        return sum(fold.seconds for fold in folds)

    folds, batch = data.splits, settings.train.batch_size
    n_trainings = len(folds) * (1 + settings.cv.permutations)
    if not settings.is_network:
        first = seconds(1, folds[:1])  # includes what a library does only once
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
    n_steps = np.mean(sizes) / batch if together == 1 else math.ceil(max(sizes) / batch)
    step = max(0.0, more) / n_more
    return float(step * n_steps * settings.train.epochs * n_trainings / together)


def seconds_left(
    plan: StudyPlan, trials: Mapping[int, FrozenTrial], costs: Timed, *, epochs: int, at_once: int
) -> float:
    """Return about how many seconds a study takes from now; NaN where nothing is known.

    A configuration with all its folds and epochs costs what its timed steps say, or those of
    others, multiplied by taken/expected of the latest trials. Where no steps were timed it costs
    what the others took. Under a budget it takes its usual share of that, corrected by what the
    budget has saved so far.

    `trials` are those that have begun, by their place; one that is not stopped has all `epochs`.
    """
    rungs = plan.search.rungs(epochs)
    usual = usual_shares(plan.search, rungs, plan.n_folds, min(plan.total, _MOST_PLACES))
    places = range(0, plan.total, max(1, plan.total // _MOST_PLACES))  # of very many, some
    ended = [at for at, one in trials.items() if one.state in _TRAINED and _seconds(one)]
    ended.sort(key=lambda at: trials[at].datetime_complete or datetime.max)
    share = np.array([share_trained(trials[at], rungs, plan.n_folds) for at in ended])
    took = np.array([_seconds(trials[at]) for at in ended]) / share
    each, pace = np.full(len(places), np.mean(took) if ended else math.nan), took[:0]
    if any(cost for cost, _ in costs.values()):
        each, full = _by_timed_steps(plan, costs, [places, ended[-_LATEST:]])
        pace = took[-_LATEST:] / full
    elif not ended:
        return math.nan
    of_others = np.mean([left for _, left in costs.values()] or [1.0])
    each = each * [costs.get(str(place), (0, of_others))[1] for place in places]
    # seconds around a training; those of first trials are left out, which import
    around = [_seconds_in_all(trials[at]) - _seconds(trials[at]) for at in ended][at_once:]
    last = len(usual) - 1
    saved = (_USUAL + share.sum()) / (_USUAL + sum(usual[min(at, last)] for at in ended))
    each *= _latest(pace, 1.0) * saved * usual[np.minimum(places, last)]
    each += max(0.0, _latest(around, _OVERHEAD))
    for at, trial in enumerate(map(trials.get, places)):
        if trial is not None:
            left = each[at] * (1 - share_trained(trial, rungs, plan.n_folds))
            if trial.state == TrialState.RUNNING:
                left = min(left, max(0.0, each[at] - _seconds_in_all(trial)))
            each[at] = 0.0 if trial.state.is_finished() else left
    return float(max(each.sum() * plan.total / len(places) / at_once, each.max()))


def _by_timed_steps(plan: StudyPlan, costs: Timed, of: Sequence[Sequence[int]]) -> list[Floats]:
    """Return seconds of places: as timed, else by a ridge regression on those that are timed."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    def inputs(place: int) -> dict[str, float | str]:
        values: dict[str, float | str] = {"": ""}
        for name, value in plan.space.at(place).items():
            if isinstance(value, int) and value > 0 and name != "seed":
                values[name] = math.log(value)
            elif not isinstance(value, float) and name != "seed":
                values[name] = str(value)
        return values

    timed = {int(place): cost for place, (cost, _) in costs.items() if cost}
    y = np.log(np.maximum([*timed.values()], 1e-6))
    model = make_pipeline(DictVectorizer(sparse=False), Ridge(alpha=0.01))
    model.fit([*map(inputs, timed)], y)

    def seconds(places: Sequence[int]) -> Floats:
        predicted = model.predict([*map(inputs, places)]) if places else np.zeros(0)
        predicted = np.exp(np.clip(predicted, y.mean() - 5, y.mean() + 5))  # 150 times the mean
        return np.array([timed.get(at, of) for at, of in zip(places, predicted, strict=True)])

    return [*map(seconds, of)]


def _seconds(trial: FrozenTrial) -> float:
    folds = trial.user_attrs.get(OUTCOME, {}).get("folds", ())
    return float(sum(fold["seconds"] for fold in folds))


def _seconds_in_all(trial: FrozenTrial) -> float:
    """Return how long a trial has run, from its start to its end."""
    now = datetime.now()
    return ((trial.datetime_complete or now) - (trial.datetime_start or now)).total_seconds()


def _latest(values: Sequence[float], usual: float) -> float:
    return float(np.median(values[-_LATEST:])) if len(values) else usual


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
