"""The points of a sweep: all are checked before any of them is trained."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice, product, takewhile
from typing import Any

from lvh.config.command_line import CommandLine
from lvh.config.run_settings import RunSettings
from lvh.config.sweep_space import PointSettings
from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.runs.cache_key import deciding
from lvh.runs.experiment_data import ExperimentData, check_model, load_data, load_features
from lvh.search.plan import StudyPlan, decided
from lvh.search.space import Choice, Point, Space

RECORDS = ("data", "external")
"""Groups that decide which records there are."""
_UNSWEPT = ("backend", "hydra", "resume", "search", "store", "tracking")
_TRIED = 1000
"""Points that are looked at to find one that can run; values of a dimension that are checked."""
_PATIENCE = 2.0
"""Seconds of a processor after which no further combination of values is checked."""
_CORNERS = 64
"""Combinations of first and last values that are checked before all others."""

_Key = frozenset[tuple[str, Plain]]


def group_of(name: str) -> str:
    """Return the group of a swept override."""
    return name.lstrip("+~").partition(".")[0].partition("/")[0]


@dataclass(frozen=True, slots=True)
class _Records:
    """What the points need to know of records, their features and their splits."""

    input_shape: tuple[int, ...]
    label: str
    digest: str


class SweepPoints:
    """The points of a sweep.

    Attributes:
        space: What they span.
        settings_at: Returns the settings of a point; it raises InputError if they are refused.
        first: The first point that can run, with its `settings` and `data`.
        plan: The plan of the study.
    """

    def __init__(self, command: CommandLine, space: Space) -> None:
        """Find the first point that can run.

        Raises:
            InputError: There is none, or a setting cannot be swept.
        """
        _check_swept(space)
        self.space = space
        self.settings_at = PointSettings(command, space).at
        self._known: dict[Any, _Records | InputError] = {}
        self._results: dict[_Key, str] = {}
        self._label: str | None = None
        refused: dict[str, Point] = {}
        for point in islice(space.probes(), _TRIED):
            fault = self._fault(point)
            if fault is None:
                break
            refused.setdefault(str(fault), point)
        else:
            message, point = next(iter(refused.items()))
            if len(refused) > 1:
                message = f"{self._shown(point.items())}: {message.rstrip('.')}. No point can run"
            raise InputError(message)
        self.first, self.settings = point, self.settings_at(point)
        self.data = load_data(self.settings)
        self._label = self.data.cohort.label_name
        self.plan = _plan(space, self.settings, self.data)

    def check(self, done: Callable[[], Collection[Mapping[str, Plain]]] = list) -> str:
        """Return how many points can run; raise InputError where one cannot.

        Of a grid each point is checked; of a large one each value, and then as many points as can
        be in two seconds. In a space that is drawn from, each choice and both ends of a range have
        to fit to some point. `done` gives the points that the study has: these have run already.
        """
        is_grid = self.plan.search.sampler == "grid"
        refused, counted = self._refused_points() if is_grid else self._refused_values()
        is_whole = is_grid and len(self._results) == self.plan.total == self.space.size
        idle = self._idle() if is_whole else []
        known = {frozenset(point.items()) for point in done()} if refused or idle else set()
        if idle and not known:
            raise InputError(
                f"{idle[0]}: expected a setting that changes the results of some point. Received: "
                "values with which all results are the same"
            )
        left = [key for key in refused if key not in known and (is_grid or not known)]
        if not left:
            return counted
        where, fault = self._shown(left[0]), str(refused[left[0]]).rstrip(".")
        named = fault if fault.startswith(f"{where}: ") else f"{where}: {fault}"
        raise InputError(f"{named}. {len(left)} of {counted} cannot run, so nothing was trained")

    def _shown(self, values: Iterable[tuple[str, Plain]]) -> str:
        """Return values as they are typed, in the order typed."""
        places = sorted(values, key=lambda one: self.space.names.index(one[0]))
        return " ".join(f"{name}={value}" for name, value in places)

    def _fault(self, point: Point) -> InputError | None:
        """Return why a point cannot run; what the data say is asked once for each data."""
        try:
            one = self.settings_at(point)
            key = (one.data, one.external, one.features, one.cv, one.model.name)
            if key not in self._known:
                self._known[key] = _records_of(one)
            if isinstance(known := self._known[key], InputError):
                return known
            check_model(one, known.input_shape)
            check_label(known.label, self._label or known.label)
            same = repr((deciding(one), known.digest, one.cv.permutations))
        except InputError as error:
            return error
        self._results[frozenset(point.items())] = same
        return None

    def _idle(self) -> list[str]:
        """Return dimensions whose values all give the same results, whatever the others are."""
        idle = []
        for name in self.space.names:
            of_rest: dict[_Key, list[str]] = {}
            for key, result in self._results.items():
                rest = frozenset(one for one in key if one[0] != name)
                if rest != key:
                    of_rest.setdefault(rest, []).append(result)
            several = [one for one in of_rest.values() if len(one) > 1]
            if several and all(len({*one}) == 1 for one in several):
                idle.append(name)
        return idle

    def _refused_points(self) -> tuple[dict[_Key, InputError], str]:
        """Return the points of a grid that cannot run, and how many were checked."""
        space, total, ends_at = self.space, self.plan.total, time.process_time() + _PATIENCE
        values: Iterator[Point] = iter(())
        points: Iterator[Point] = islice(space.points(), total)
        if total == space.size:
            values = (point for point, _ in self._each_value())
            corners = product(*(one.ends() for one in space.dimensions.values()))
            ends = (space.present(dict(zip(space.names, one, strict=True))) for one in corners)
            points = chain(islice(ends, _CORNERS), points)
        in_time = takewhile(lambda _: time.process_time() < ends_at, points)
        faults: dict[_Key, InputError | None] = {}
        for point in chain(values, in_time):
            if (key := frozenset(point.items())) not in faults:
                faults[key] = self._fault(point)
        n, shown = len(faults), f"{total} points"
        refused = {key: fault for key, fault in faults.items() if fault is not None}
        return refused, shown if n == total else f"the {n} points that were checked, of {shown},"

    def _refused_values(self) -> tuple[dict[_Key, InputError], str]:
        """Return values with which no point can run, and how many were checked."""
        values, ends_at = [*self._each_value()], time.process_time() + _PATIENCE
        refused: dict[_Key, InputError] = {}
        for point, name in values:
            fault = self._fault(point)
            if fault is None:
                continue
            for number, other in enumerate(self.space.probes()):
                has_ended = number > _TRIED or time.process_time() > ends_at
                is_it = other.get(name) == point[name]
                if has_ended or (is_it and self._fault(other) is None):
                    break
            else:
                refused[frozenset({(name, point[name])})] = fault
        return refused, f"{len(values)} values"

    def _each_value(self) -> Iterator[tuple[Point, str]]:
        """Yield a point for each choice and both ends of a range, and what it is that differs."""
        probes = self.space.probes
        usual = {name: one.ends()[0] for name, one in self.space.dimensions.items()} | self.first
        for name, one in self.space.dimensions.items():
            start = usual
            if name not in self.space.present(usual):  # it exists under other options
                start = usual | next(probe for probe in probes() if name in probe)
            for value in islice(one.values() if isinstance(one, Choice) else one.ends(), _TRIED):
                yield self.space.present({**start, name: value}), name


def _records_of(settings: RunSettings) -> _Records | InputError:
    try:
        data = load_features(settings)
    except InputError as error:
        return error
    parts = [part.tolist() for one in data.splits for part in (one.train, one.validation, one.test)]
    digest = fingerprint(data.cohort.fingerprint, parts)
    return _Records(data.features.input_shape, data.cohort.label_name, digest)


def check_label(received: str, expected: str) -> None:
    """Refuse data of another label."""
    if received.casefold() != expected.casefold():
        raise InputError(
            f"data.label: expected {expected}, for scores of two labels cannot be compared. "
            f"Received: {received}"
        )


def _check_swept(space: Space) -> None:
    if not space.dimensions:
        raise InputError("expected something to sweep, such as kernel=250,400")
    for name in space.names:
        alone = ("train.threads", "data.label", "external.label", "cv.recalibrate", "cv.refits")
        if group_of(name) in _UNSWEPT or name.lstrip("+") in alone:
            raise InputError(
                f"{name}: cannot be swept: it does not change the model, or it changes the "
                "question. Start one sweep for each value"
            )


def _plan(space: Space, settings: RunSettings, data: ExperimentData) -> StudyPlan:
    search = decided(settings.search, space)
    if search.may_stop and any(group_of(name) in ("cv", *RECORDS) for name in space.names):
        raise InputError(
            "search.budget and search.pruner compare trials fold by fold: they cannot be used "
            "where folds or data are swept"
        )
    if search.halves and "train.epochs" in space.names:
        raise InputError(
            "search.budget: halving decides the epochs. Expected train.epochs not to be swept"
        )
    swept = " x ".join(name.rpartition(".")[2] for name in space.names)
    plan = StudyPlan(
        space=space,
        search=search,
        title="",
        note=data.cohort.note,
        n_folds=len(data.splits),
        label_name=data.cohort.label_name,
    )
    runs = f"{plan.total} {'run' if plan.total == 1 else 'runs'}"
    return replace(plan, title=f"{swept}, {runs} on {data.cohort.name}")
