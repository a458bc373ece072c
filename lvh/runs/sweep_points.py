"""The points of a sweep: all are checked before any of them is trained."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from itertools import islice

from lvh.config.command_line import CommandLine
from lvh.config.run_settings import RunSettings
from lvh.config.sweep_space import point_settings
from lvh.data.cohort import fingerprint
from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.runs.cache_key import RESULTS_VERSION, deciding, run_key
from lvh.runs.experiment_data import ExperimentData, load_data
from lvh.search.space import Choice, Point, Space, StudyPlan, decided

_RECORDS = ("data", "external")
"""Groups that decide which records there are."""
_UNSWEPT = (
    *("backend", "hydra", "resume", "search", "store", "tracking"),
    *("train.threads", "data.label", "external.label", "cv.recalibrate", "cv.refits"),
)
"""Groups and settings that do not change the model, or change the question."""
_MOST = 1000  # points that are looked at to find one that can run; values of a dimension
_PATIENCE = 4.0  # s of a processor, after which no further point is checked

_Key = tuple[tuple[str, Plain], ...]


class SweepPoints:
    """The points of a sweep: the `first` that can run, with its `settings` and `data`."""

    def __init__(self, command: CommandLine, space: Space) -> None:
        """Find the first point that can run; raise InputError where there is none."""
        _check_swept(space)
        self.space, self.settings_at, self._label = space, point_settings(command, space), ""
        self._run_keys: dict[_Key, str] = {}  # of the points that can run
        refused: dict[str, Point] = {}
        for point in islice(space.probes(), _MOST):
            if not (fault := self._fault(point)):
                break
            refused.setdefault(fault, point)
        else:
            message, point = next(iter(refused.items()))
            if len(refused) > 1:
                message = f"{shown(point)}: {message.rstrip('.')}. No point can run"
            raise InputError(message)
        self.first, self.settings = point, self.settings_at(point)
        self.data = load_data(self.settings)
        self._label = self.data.cohort.label_name
        self.plan = _plan(space, self.settings, self.data)

    def check(self, done: Callable[[], Collection[Mapping[str, Plain]]] = list) -> str:
        """Return how many points can run; raise InputError where one cannot that is not `done`."""
        is_grid, total = self.plan.search.sampler == "grid", self.plan.total
        faults, counted = self._faults(is_grid), f"{total} points"
        if is_grid and len(faults) < total:
            counted = f"the {len(faults)} points that were checked, of {counted},"
        if not is_grid:  # each value has to fit to some others
            faults_of = dict[tuple[str, Plain], list[str]]()
            for point, fault in faults:
                for value in point.items():
                    faults_of.setdefault(value, []).append(fault)
            faults = [(dict([value]), min(faults_of[value])) for value in faults_of]
            counted = f"{len(faults)} values"
        refused = [(point, fault) for point, fault in faults if fault]
        is_whole = is_grid and len(self._run_keys) == total == self.space.size
        without_effect = self._without_effect() if is_whole else ""
        known = done() if refused or without_effect else ()
        if without_effect and not known:
            raise InputError(
                f"{without_effect}: expected a setting that changes the results of some point. "
                "Received: values with which all results are the same"
            )
        left = [one for one in refused if one[0] not in known and (is_grid or not known)]
        if not left:
            return counted
        point, fault = left[0]
        where = shown(point)
        named = fault if fault.startswith(f"{where}: ") else f"{where}: {fault}"
        raise InputError(
            f"{named.rstrip('.')}. {len(left)} of {counted} cannot run, so nothing was trained"
        )

    def study_name(self) -> str:
        """Return the name of the study: equal for equal questions, and for no others."""
        search, data, space = self.plan.search, self.data, self.space
        probed = [self.first]
        for name, dimension in space.dimensions.items():
            is_group = isinstance(dimension, Choice) and "." not in name
            if is_group or _group_of(name) in _RECORDS:
                values, start = dimension.values() or dimension.ends(), self._point_with(name)
                probed += [space.present({**start, name: one}) for one in islice(values, _MOST)]
        digest = fingerprint(
            data.cohort.fingerprint,
            [(split.train.tolist(), split.test.tolist()) for split in data.splits],
            [self._decision(point) for point in probed],
            (search.objectives, search.races, search.pruner, search.burn_in, search.seed),
            *([(search.reduction, search.min_epochs)] if search.halves else []),
            search.sampler == "grid",  # it gives the points in their order
            asdict(space),
        )
        swept = "-".join(re.sub(r"\W", "", name.rpartition(".")[2]) for name in space.names)
        return f"{swept[:60]}-{digest[:12]}"

    def _faults(self, is_grid: bool) -> list[tuple[Point, str]]:
        """Return points, each with its fault or an empty text: first every value once, then all."""
        space, total, ends_at = self.space, self.plan.total, time.process_time() + _PATIENCE
        faults = dict[_Key, str]()
        for name, one in space.dimensions.items() if total == space.size or not is_grid else ():
            start = {other: of.ends()[0] for other, of in space.dimensions.items()}
            start |= self._point_with(name)
            for value in islice(one.values() if isinstance(one, Choice) else one.ends(), _MOST):
                point = space.present({**start, name: value})
                faults[tuple(point.items())] = self._fault(point)
        others = islice(space.points(), total) if is_grid else space.probes()
        for point in others if is_grid or any(faults.values()) else ():
            key = tuple(point.items())
            if key not in faults:
                faults[key] = self._fault(point)
            if time.process_time() > ends_at:
                break
        return [(dict(key), fault) for key, fault in faults.items()]

    def _fault(self, point: Point) -> str:
        try:
            settings = self.settings_at(point)
            data = load_data(settings)
            check_label(data.cohort.label_name, self._label or data.cohort.label_name)
            key = run_key(settings, data.cohort.fingerprint, data.splits)
        except InputError as error:
            return str(error)
        self._run_keys[tuple(point.items())] = key
        return ""

    def _without_effect(self) -> str:
        """Return a dimension whose values all give the same results, whatever the others are."""
        for name in self.space.names:
            pairs = {
                (tuple(one for one in point if one[0] != name), key)
                for point, key in self._run_keys.items()
            }
            if len(pairs) == len({rest for rest, _ in pairs}) < len(self._run_keys):
                return name
        return ""

    def _point_with(self, name: str) -> Point:
        """Return a point that has a dimension: the first that can run, if that has it."""
        return self.first if name in self.first else self.space.having(name)

    def _decision(self, point: Point) -> str:
        try:
            settings = self.settings_at(point)
            is_swept = any(_group_of(name) in _RECORDS for name in self.space.names)
            data = load_data(settings).cohort.fingerprint if is_swept else ""
        except InputError:  # the value may fit to another point
            return "refused"
        # these change no run; a leak is a part of the protocol
        cv = replace(settings.cv, allow_leakage=False, recalibrate="none", refits=0)
        return repr([deciding(settings), asdict(cv), RESULTS_VERSION, data])


def shown(point: Mapping[str, Plain]) -> str:
    """Return the values of a point as they are typed."""
    return " ".join(f"{name}={value}" for name, value in point.items())


def check_label(received: str, expected: str) -> None:
    """Refuse data of another label."""
    if received.casefold() != expected.casefold():
        raise InputError(
            f"data.label: expected {expected}, for scores of two labels cannot be compared. "
            f"Received: {received}"
        )


def _group_of(name: str) -> str:
    return name.lstrip("+~").partition(".")[0].partition("/")[0]


def _check_swept(space: Space) -> None:
    if not space.dimensions:
        raise InputError("expected something to sweep, such as kernel=250,400")
    for name in space.names:
        if {_group_of(name), name.lstrip("+")} & {*_UNSWEPT}:
            raise InputError(
                f"{name}: cannot be swept: it does not change the model, or it changes the "
                "question. Start one sweep for each value"
            )


def _plan(space: Space, settings: RunSettings, data: ExperimentData) -> StudyPlan:
    search = decided(settings.search, space)
    unequal = {name for name in space.names if _group_of(name) in ("cv", *_RECORDS)}
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
