"""How long a sweep takes: a cost for each configuration, from timed steps and from what ran."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from lvh.config.run_settings import RunSettings
from lvh.evaluation.fold_training import train_folds
from lvh.evaluation.results import Plain
from lvh.runs.cache_key import deciding, fold_keys
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.search.space import Point
from lvh.search.study import OUTCOME, Study
from lvh.tracking.fold_store import FoldStore

Kind = tuple[tuple[str, Plain], ...]
"""What decides the cost of a configuration: its values that are whole numbers or words."""

_COSTS = "costs"  # attribute of a study: seconds of each configuration that was timed, by its place
_MOST_TIMED, _MOST_POINTS = 12, 1000
_SHARE, _LEAST = 0.05, 1.0  # of the expected time, and s, that timing may take
_OVERHEAD = 0.5  # s; of a configuration, apart from its training, until one has been trained
_RACED = {7: 0.8, 10: 0.75, 21: 0.64, 35: 0.52}
"""Share of the training that racing leaves, by folds: mean of experiments/racing/results.csv."""


def timed(settings: RunSettings, data: ExperimentData) -> float:
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


class Forecast:
    """The time that the trials of a study take which are not done; for one of its processes."""

    def __init__(self, study: Study, at_once: int) -> None:
        """Take the study, and how many processes train it."""
        self._study, self._at_once = study, at_once
        self._overheads: list[float] = []

    def begin(self, settings_at: Callable[[Point], RunSettings]) -> str:
        """Time steps of some configurations, once in a study; return what the sweep will take.

        Nothing is timed where that would take as long as the training.
        """
        study, plan = self._study, self._study.plan
        if study.attribute(_COSTS) is not None or plan.search.sampler != "grid":
            return ""
        study.set_attribute(_COSTS, {})  # one that kills its process is not timed again
        costs, started = dict[str, float](), time.perf_counter()
        for place in self._examples():
            with suppress(Exception):  # its trial reports it
                settings = settings_at(plan.space.at(place))
                data = load_data(settings)
                if not settings.is_network and plan.total * len(data.splits) < 40:
                    break
                keys = fold_keys(deciding(settings), data.cohort.fingerprint, data.splits)
                n_stored = FoldStore(Path(settings.store)).count_of(list(keys.values()))
                left = 1 - n_stored / len(keys) if settings.resume else 1.0
                costs[str(place)] = left and left * timed(settings, data)
            expected = sum(costs.values()) / max(1, len(costs)) * plan.total
            spent = time.perf_counter() - started
            if len(costs) > 1 and spent > max(_LEAST, _SHARE * expected):  # both ends, at least
                break
        study.set_attribute(_COSTS, costs)
        if not any(costs.values()):
            return ""
        text = f"training takes about {duration(self.left(races=False))}"
        if plan.search.races:
            text += f", with racing about {duration(self.left())}"
        return f"{text} (timed steps of {len(costs)} of {plan.total} configurations)"

    def add(self, wall: float, trained: float) -> None:
        """Take the seconds of a trial of this process, and those of its training among them."""
        self._overheads.append(max(0.0, wall - trained))

    def left(self, *, races: bool = True) -> float:
        """Return about how many seconds the study takes from now; NaN where nothing is known.

        The cost of a configuration is the measured time of equal ones; else its timed steps,
        multiplied by measured/timed so far; else a regression of the logarithm of the cost on the
        logarithms of the swept numbers.
        """
        plan, trials = self._study.plan, self._study.configurations()
        ran = defaultdict[Kind, list[float]](list)
        for trial in trials.values():
            folds = trial.user_attrs.get(OUTCOME, {}).get("folds")
            if trial.state.is_finished() and folds:
                ran[_kind(trial.params)].append(sum(fold["seconds"] for fold in folds))
        known = {kind: median(seconds) for kind, seconds in ran.items()}
        costs = self._study.attribute(_COSTS) or {}
        of_kind = {_kind(plan.space.at(int(place))): cost for place, cost in costs.items()}
        factors = [known[kind] / cost for kind, cost in of_kind.items() if cost and kind in known]
        if not factors:  # else what racing saves is in them
            raced = races and plan.search.races
            factors = [np.interp(plan.n_folds, [*_RACED], [*_RACED.values()]) if raced else 1.0]
        known = {kind: median(factors) * cost for kind, cost in of_kind.items()} | known
        if not known:
            return math.nan
        places = range(0, plan.total, max(1, plan.total // _MOST_POINTS))
        each = np.full(len(places), np.mean([*known.values()]))  # of points that are unknown
        if plan.search.sampler == "grid":
            kinds = [_kind(plan.space.at(place)) for place in places]
            unknown = [kind for kind in dict.fromkeys(kinds) if kind not in known]
            known |= zip(unknown, _regressed(unknown, known), strict=True)
            each = np.array([known[kind] for kind in kinds])
        each += median(self._overheads) if self._overheads else _OVERHEAD
        for at, planned in enumerate(map(trials.get, places)):
            if planned is not None:  # how much of it is to be trained
                done = 0 if plan.search.halves else len(planned.intermediate_values) / plan.n_folds
                each[at] *= 0 if planned.state.is_finished() else 1 - done
        return float(max(each.sum() * plan.total / len(places) / self._at_once, each.max()))

    def _examples(self) -> list[int]:
        """Return places of different kinds that are not done: the ends first, evenly between."""
        plan, done = self._study.plan, self._study.configurations()
        kinds: dict[Kind, int] = {}
        for place in range(0, plan.total, max(1, plan.total // _MOST_POINTS)):
            if place not in done:
                kinds.setdefault(_kind(plan.space.at(place)), place)
        places = list(kinds.values())
        at = np.linspace(0, len(places) - 1, min(_MOST_TIMED, len(places))).round().astype(int)
        order = sorted(range(len(at)), key=lambda number: number not in (0, len(at) - 1))
        return [places[at[number]] for number in order]


def _kind(point: Mapping[str, Plain]) -> Kind:
    values = sorted(point.items())
    return tuple(one for one in values if not isinstance(one[1], float) and one[0] != "seed")


def _regressed(kinds: list[Kind], known: Mapping[Kind, float]) -> list[float]:
    """Return seconds of some kinds by a ridge regression over kinds that are known."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    def inputs(kind: Kind) -> dict[str, float | str]:
        values = dict([("", ""), *kind])
        return {
            name: math.log(value) if isinstance(value, int) and value > 0 else str(value)
            for name, value in values.items()
        }

    if not kinds:
        return []
    y = np.log(np.maximum([*known.values()], 1e-6))
    model = make_pipeline(DictVectorizer(sparse=False), Ridge(alpha=0.01))
    predicted = model.fit([*map(inputs, known)], y).predict([*map(inputs, kinds)])
    return [*np.exp(np.clip(predicted, y.mean() - 5, y.mean() + 5))]  # at most 150 times the mean


def duration(seconds: float) -> str:
    """Return seconds as a user reads them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
