"""How long a sweep takes: a cost for each configuration, from timed steps and from what ran."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from lvh.config.run_settings import RunSettings
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.results import Plain
from lvh.runs.cache_key import deciding, fold_keys
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.search.racing import Floats, share_trained, usual_shares
from lvh.search.space import Point, StudyPlan
from lvh.search.storage import OWNER
from lvh.search.study import OUTCOME, Study
from lvh.tracking.fold_store import FoldStore

Kind = tuple[tuple[str, Plain], ...]
"""What decides the cost of a configuration: its values that are whole numbers or words."""
Timed = Mapping[str, tuple[float, float]]
"""By the place of a configuration: s of all its folds, and the share of them that is not stored."""

_TIMED = "timed"  # attribute of a study
_MOST_TIMED, _MOST_POINTS = 12, 1000
_SHARE, _LEAST = 0.05, 1.0  # of the expected time, and s, that timing may take
_TRAINED = (TrialState.COMPLETE, TrialState.PRUNED)
_OVERHEAD = 0.5  # s; of a configuration, apart from its training, until it is known
_USUAL = 4  # trials: weight of what a budget usually saves, against what it has saved


def timed_steps(settings: RunSettings, data: ExperimentData) -> float:
    """Return about how many seconds the folds of a configuration train, from a few timed steps.

    A classifier is fitted on one fold.
    """

    def seconds(epochs: int, splits: Iterable[object]) -> float:
        train = replace(settings.train, epochs=epochs, patience=None)
        trainer = new_trainer(replace(settings, train=train), data.features, data.cohort.fs)
        folds = train_folds(data.features, tuple(splits), trainer, seed=settings.seed)  # type: ignore[arg-type]
        return sum(fold.seconds for fold in folds)

    folds, batch = data.splits, settings.train.batch_size
    n_trainings = len(folds) * (1 + settings.cv.permutations)
    if not settings.is_network:
        one = seconds(1, folds[:1])  # with what a library does but once
        return (one if one > _LEAST else seconds(1, folds[:1])) * n_trainings
    sizes = [len(split.train) for split in folds]
    # a trial that may stop after any fold trains one at a time
    first = sizes[:1] if settings.search.stops_at_folds else sizes
    together = new_trainer(settings, data.features, data.cohort.fs).max_parallel(first)
    nothing = folds[0].train[:0]
    short = [
        replace(split, train=split.train[:batch], validation=nothing, test=split.test[:1])
        for split in folds[:together]
    ]

    def fastest(epochs: int) -> float:  # of two, since other programs may use the machine
        return min(seconds(epochs, short) for _ in range(2))

    seconds(1, short)  # builds and traces
    once, n_more = fastest(1), 1
    while (more := fastest(1 + n_more) - once) < 0.2 and n_more < 200:
        n_more *= 4  # until the steps take longer than all that surrounds them
    step = max(0.0, more) / n_more
    n_steps = np.mean(sizes) / batch if together == 1 else math.ceil(max(sizes) / batch)
    return float(step * n_steps * settings.train.epochs * n_trainings / together)


def begin(study: Study, at_once: int, settings_at: Callable[[Point], RunSettings]) -> str:
    """Time steps of some configurations, once in a study; return what the sweep will take.

    Nothing is timed where that would take as long as the training.
    """
    plan = study.plan
    if study.attribute(_TIMED) is not None or plan.search.sampler != "grid":
        return ""
    study.set_attribute(_TIMED, {})  # one that kills its process is not timed again
    costs, started, epochs = dict[str, tuple[float, float]](), time.perf_counter(), 1
    examples, n_least = _examples(plan)
    for place in examples:
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
        if len(costs) >= n_least and spent > max(_LEAST, _SHARE * expected):
            break
    study.set_attribute(_TIMED, costs)
    if not any(cost for cost, _ in costs.values()):
        return ""
    full = replace(plan, search=replace(plan.search, budget="full", race=False))
    left, in_full = (
        seconds_left(budgeted, study.configurations(), costs, epochs=epochs, at_once=at_once)
        for budgeted in (plan, full)
    )
    text = f"training takes about {duration(in_full)}"
    saving = ["racing"] * plan.search.races + ["halving"] * plan.search.halves
    if saving:
        text += f", with {' and '.join(saving)} about {duration(left)}"
    return f"{text} (timed steps of {len(costs)} of {plan.total} configurations)"


def left_text(study: Study, at_once: int, epochs: int) -> str:
    """Return how much time a study takes from now, with a comma before it, if that is known."""
    costs = study.attribute(_TIMED) or {}
    left = seconds_left(study.plan, study.configurations(), costs, epochs=epochs, at_once=at_once)
    return "" if math.isnan(left) else f", about {duration(left)} left"


def seconds_left(
    plan: StudyPlan, trials: Mapping[int, FrozenTrial], costs: Timed, *, epochs: int, at_once: int
) -> float:
    """Return about how many seconds a study takes from now; NaN where nothing is known.

    A configuration with all its folds and epochs costs what equal ones took last; else its timed
    steps, multiplied by taken/timed in the later half of the training so far; else what a
    regression of the logarithm of the cost on the logarithms of the swept numbers says. Under a
    budget it takes its usual share of that, corrected by what the budget has saved so far.

    `trials` are those that have begun, by their place; one that is not stopped has all `epochs`.
    """
    rungs = plan.search.rungs(epochs)
    usual = usual_shares(plan.search, rungs, plan.n_folds, min(plan.total, _MOST_POINTS))
    ended = [at for at, trial in trials.items() if trial.state in _TRAINED and _seconds(trial)]
    ended.sort(key=lambda at: trials[at].datetime_complete or datetime.max)
    kind_of = _kinds(plan)
    timed = {kind_of(plan.space.at(int(place))): one for place, one in costs.items()}
    share = np.array([share_trained(trials[at], rungs, plan.n_folds) for at in ended])
    known = _known(
        [kind_of(trials[at].params) for at in ended],
        np.array([_seconds(trials[at]) for at in ended]) / share,
        {kind: cost for kind, (cost, _) in timed.items() if cost},
    )
    if not known:
        return math.nan
    places = _places(plan)
    each = np.full(len(places), np.mean([*known.values()]))  # of points that are unknown
    if plan.search.sampler == "grid":
        kinds = [kind_of(plan.space.at(place)) for place in places]
        unknown = [kind for kind in dict.fromkeys(kinds) if kind not in known]
        known |= zip(unknown, _regressed(unknown, known), strict=True)
        of_others = np.mean([left for _, left in timed.values()] or [1.0])
        each = np.array([known[kind] * timed.get(kind, (0, of_others))[1] for kind in kinds])
    last = len(usual) - 1
    saved = (_USUAL + share.sum()) / (_USUAL + sum(usual[min(at, last)] for at in ended))
    each = each * usual[np.minimum(places, last)] * saved + _overhead(trials, ended)
    for at, trial in enumerate(map(trials.get, places)):
        if trial is not None:
            left = each[at] * (1 - share_trained(trial, rungs, plan.n_folds))
            if trial.state == TrialState.RUNNING and trial.datetime_start:
                passed = (datetime.now() - trial.datetime_start).total_seconds()
                left = min(left, max(0.0, each[at] - passed))
            each[at] = 0.0 if trial.state.is_finished() else left
    return float(max(each.sum() * plan.total / len(places) / at_once, each.max()))


def _seconds(trial: FrozenTrial) -> float:
    folds = trial.user_attrs.get(OUTCOME, {}).get("folds", ())
    return float(sum(fold["seconds"] for fold in folds))


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


def _overhead(trials: Mapping[int, FrozenTrial], ended: list[int]) -> float:
    """Return seconds of a trial apart from its training; the first one of a process imports."""
    seconds, seen = [], set[str]()
    for trial in map(trials.__getitem__, ended):
        owner = trial.user_attrs.get(OWNER, "")
        if owner in seen and trial.duration:
            seconds.append(max(0.0, trial.duration.total_seconds() - _seconds(trial)))
        seen.add(owner)
    return median(seconds) if seconds else _OVERHEAD


def _places(plan: StudyPlan) -> range:
    """Return the places of a study, or some of very many, evenly between."""
    return range(0, plan.total, max(1, plan.total // _MOST_POINTS))


def _examples(plan: StudyPlan) -> tuple[list[int], int]:
    """Return places of different kinds, and how many a regression on them needs.

    First come those that differ from the very first in one value, at the other end of its numbers
    or another word; then others with the least or largest of each number.
    """
    kinds, kind_of = dict[Kind, int](), _kinds(plan)
    for place in _places(plan):
        kinds.setdefault(kind_of(plan.space.at(place)), place)
    values = defaultdict[str, list[int]](list)
    for name, value in (pair for kind in kinds for pair in kind):
        if isinstance(value, int):
            values[name].append(value)
    ends = {name: (min(of), max(of)) for name, of in values.items()}
    corners, others, first = list[int](), list[int](), {*next(iter(kinds))}
    n_changed = {kind: len({*kind} - first) for kind in kinds}
    for kind in sorted(kinds, key=lambda kind: n_changed[kind]):
        is_corner = all(value in ends.get(name, (value,)) for name, value in kind)
        (corners if is_corner else others).append(kinds[kind])
    n_least = sum(n_changed[kind] <= 1 for kind in kinds if kinds[kind] in corners)
    n = min(len(others), max(0, _MOST_TIMED - len(corners)))
    between = np.linspace(0, len(others) - 1, n).round().astype(int)
    return [*corners[:_MOST_TIMED], *(others[at] for at in between)], n_least


def _kinds(plan: StudyPlan) -> Callable[[Mapping[str, Plain]], Kind]:
    """Return a function from a point to its kind."""
    names = set[str]()
    for name, dimension in plan.space.dimensions.items():
        values = dimension.values()
        is_real = values is None or any(isinstance(one, float) for one in values[:_MOST_POINTS])
        names |= set() if is_real or name == "seed" else {name}
    return lambda point: tuple(sorted(one for one in point.items() if one[0] in names))


def _regressed(kinds: list[Kind], known: Mapping[Kind, float]) -> list[float]:
    """Return seconds of some kinds by a ridge regression over kinds that are known."""
    if not kinds:
        return []
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    def inputs(kind: Kind) -> dict[str, float | str]:
        values = dict([("", ""), *kind])
        return {
            name: math.log(value) if isinstance(value, int) and value > 0 else str(value)
            for name, value in values.items()
        }

    y = np.log(np.maximum([*known.values()], 1e-6))
    model = make_pipeline(DictVectorizer(sparse=False), Ridge(alpha=0.01))
    predicted = model.fit([*map(inputs, known)], y).predict([*map(inputs, kinds)])
    return [*np.exp(np.clip(predicted, y.mean() - 5, y.mean() + 5))]  # at most 150 times the mean


def duration(seconds: float) -> str:
    """Return seconds as a user reads them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
