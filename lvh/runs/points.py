"""The points of a sweep: all are checked before any of them is trained."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from lvh.config.command_line import CommandLine
from lvh.config.run_settings import RunSettings
from lvh.config.sweep_space import point_settings
from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.runs.cache_key import deciding, fold_keys
from lvh.runs.experiment_data import ExperimentData, load_data
from lvh.search.space import Choice, Point, Space, StudyPlan, decided

RECORDS = ("data", "external")
"""Groups that decide which records there are."""
_UNSWEPT = (
    *("backend", "hydra", "resume", "search", "store", "tracking"),
    *("train.threads", "data.label", "external.label", "cv.recalibrate", "cv.refits"),
)
"""Groups and settings that do not change the model, or change the question."""
_TRIED = 1000  # points that are looked at to find one that can run
_PATIENCE = 4.0  # s of a processor, after which no further point is checked

_Key = frozenset[tuple[str, Plain]]


def group_of(name: str) -> str:
    """Return the group of a swept override."""
    return name.lstrip("+~").partition(".")[0].partition("/")[0]


class SweepPoints:
    """The points of a sweep: the `first` that can run, with its `settings` and `data`."""

    def __init__(self, command: CommandLine, space: Space) -> None:
        """Find the first point that can run; raise InputError where there is none."""
        _check_swept(space)
        self.space, self.settings_at = space, point_settings(command, space)
        self._label = ""
        self._results: dict[_Key, str] = {}
        refused: dict[str, Point] = {}
        for point in islice(space.probes(), _TRIED):
            if (fault := self._fault(point)) is None:
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
        """Return how many points can run; raise InputError where one cannot that is not `done`."""
        is_grid, total = self.plan.search.sampler == "grid", self.plan.total
        faults: dict[_Key, InputError | None] = {}
        ends_at = time.process_time() + _PATIENCE
        for name, point in self._to_check(is_grid):
            key = frozenset(point.items() if is_grid else {(name, point[name])})
            if key not in faults:
                faults[key] = self._fault(point)
            if faults[key] and not is_grid:  # it may fit to other values of the others
                probes = islice(self.space.probes(), _TRIED)
                others = (one for one in probes if one.get(name) == point[name])
                if any(time.process_time() > ends_at or not self._fault(one) for one in others):
                    faults[key] = None
            if not name and time.process_time() > ends_at:
                break
        counted = f"{total} points" if is_grid else f"{len(faults)} values"
        if is_grid and len(faults) < total:
            counted = f"the {len(faults)} points that were checked, of {counted},"
        refused = {key: fault for key, fault in faults.items() if fault is not None}
        idle = self._idle() if is_grid and len(self._results) == total == self.space.size else []
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
        """Return why a point cannot run."""
        try:
            settings = self.settings_at(point)
            data = load_data(settings)
            check_label(data.cohort.label_name, self._label or data.cohort.label_name)
            keys = fold_keys(deciding(settings), data.cohort.fingerprint, data.splits)
            same = repr((*keys.values(), settings.cv.permutations))
        except InputError as error:
            return error
        self._results[frozenset(point.items())] = same
        return None

    def _idle(self) -> list[str]:
        """Return dimensions whose values all give the same results, whatever the others are."""
        idle = []
        for name in self.space.names:
            pairs = {
                (frozenset(one for one in key if one[0] != name), result)
                for key, result in self._results.items()
            }
            if len(pairs) == len({rest for rest, _ in pairs}) < len(self._results):
                idle.append(name)
        return idle

    def _to_check(self, is_grid: bool) -> Iterator[tuple[str, Point]]:
        """Yield each value, by its name, at a point that can run, and all points of a grid."""
        space, total = self.space, self.plan.total
        usual = {name: one.ends()[0] for name, one in space.dimensions.items()} | self.first
        for name, one in space.dimensions.items() if total == space.size or not is_grid else ():
            start = usual
            if name not in space.present(usual):  # it exists under other options
                start = usual | next(probe for probe in space.probes() if name in probe)
            for value in islice(one.values() if isinstance(one, Choice) else one.ends(), _TRIED):
                yield name, space.present({**start, name: value})
        for point in islice(space.points(), total) if is_grid else ():
            yield "", point


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
        if {group_of(name), name.lstrip("+")} & {*_UNSWEPT}:
            raise InputError(
                f"{name}: cannot be swept: it does not change the model, or it changes the "
                "question. Start one sweep for each value"
            )


def _plan(space: Space, settings: RunSettings, data: ExperimentData) -> StudyPlan:
    search = decided(settings.search, space)
    unequal = {name for name in space.names if group_of(name) in ("cv", *RECORDS)}
    unequal |= {"train.epochs"} & {*space.names} if search.halves else set()
    if search.may_stop and unequal:
        raise InputError(
            "search.budget and search.pruner: expected trials of the same folds, data and epochs. "
            f"Received: a sweep of {', '.join(sorted(unequal))}"
        )
    swept = " x ".join(name.rpartition(".")[2] for name in space.names)
    cohort = data.cohort
    plan = StudyPlan(space, search, "", cohort.note, len(data.splits), cohort.label_name)
    runs = f"{plan.total} {'run' if plan.total == 1 else 'runs'}"
    return replace(plan, title=f"{swept}, {runs} on {cohort.name}")
