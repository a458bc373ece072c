"""A sweep: one study, trained by one process or many, and shown as one table."""

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

from lvh.config.command_line import CommandLine
from lvh.config.composition import compose
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, InputError, LvhError
from lvh.models.backends import cores
from lvh.models.trainers import automatic_threads
from lvh.reports.progress import compare_hint, console, say
from lvh.reports.study_report import table, write
from lvh.reports.verdict import sentences
from lvh.runs.cache_key import RESULTS_VERSION, deciding
from lvh.runs.run import ExperimentData, load_data
from lvh.runs.worker import Worker, WorkerResult
from lvh.search.plan import StudyPlan, sampler_for
from lvh.search.results import Objective, StudyResult, Trial, store_of
from lvh.search.space import Choice, Point, Space
from lvh.search.storage import Storage
from lvh.search.study import Study, open_study
from lvh.search.study_results import result_of
from lvh.tracking.run_names import sweep_name
from lvh.tracking.run_record import DataRecord, RunRecord, SweepLink, SweepRecord, save
from lvh.tracking.tracker import Tracker

_RECORDS = ("data", "external")  # groups that decide which records there are
_DEFAULT_TRIALS = 50
_TRIED = 1000
"""Points that are looked at to find a valid one."""
_RELAUNCHES = 30


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a person asked for.

    Attributes:
        command: As typed, with the sweep of its recipe.
        space: What it sweeps.
        launch: Starts a task function as often as a number says, and returns their results.
        workers: How many run at once in processes of their own; None for this process.
        is_local: Whether these share the cores of this machine.
        folder: Of the sweep's files.
    """

    command: CommandLine
    space: Space
    launch: Callable[[Worker, int], list[WorkerResult]]
    workers: int | None
    is_local: bool
    folder: Path

    def settings_at(self, point: Mapping[str, object]) -> RunSettings:
        """Compose and check the settings of a point.

        Raises:
            InputError: They do not fit together.
        """
        return compose(self.command.at(self.space.texts(point))).settings  # type: ignore[arg-type]


def run_sweep(sweep: Sweep) -> None:
    """Train what is left of a study, alone or with other commands, and show the result.

    Raises:
        InputError: Not one point is valid, or the backend is swept.
        LvhError: Some configuration failed; the table has been shown.
        EnvironmentFault: Something could not be written or tracked; the table has been shown.
    """
    if not sweep.space.dimensions:
        raise InputError("expected something to sweep, such as kernel=250,400")
    if any(_group(name) == "backend" for name in sweep.space.names):
        raise InputError(
            "backend: expected one for a whole sweep, for a process cannot change it. "
            "Start a sweep for each"
        )
    point, settings, data = _first_valid(sweep)
    plan = _plan(sweep, settings, data)
    name = _study_name(sweep, plan, point, settings, data)
    storage = Storage(settings.search.storage)
    study = open_study(storage, name, plan, again=not settings.resume)
    store = store_of(study.name, settings.store)
    tracker = Tracker(settings.tracking)
    try:
        _track(study, tracker, store)
        _announce(study, sweep.workers)
        done = _train(sweep, study, settings, tracker=tracker, store=store)
        result = result_of(study, store)
        _show(result, done, sweep.folder / "report", settings.store)
        _record_failures(result, tracker, store)
        _track(study, tracker, store, result, sweep.folder / "report")
    finally:
        unrecorded = tracker.close()
    if tracker.page:
        say(compare_hint(settings.tracking, tracker.page))
    faults = dict.fromkeys([*(fault for one in done for fault in one.faults), *unrecorded])
    if faults:
        message = "; ".join(fault.rstrip(".") for fault in faults)
        raise EnvironmentFault(f"{message}. The same command continues where this one ended")
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        raise LvhError(f"{failed} of {len(result.trials)} configurations failed")


def _first_valid(sweep: Sweep) -> tuple[Point, RunSettings, ExperimentData]:
    """Return the first point whose settings fit together and to the data."""
    refused: InputError | None = None
    for point in islice(sweep.space.probes(), _TRIED):
        try:
            settings = sweep.settings_at(point)
            return point, settings, load_data(settings)
        except InputError as error:
            refused = refused or error
    raise refused or InputError("expected one valid point")


def _plan(sweep: Sweep, settings: RunSettings, data: ExperimentData) -> StudyPlan:
    search, space = settings.search, sweep.space
    sampler = sampler_for(search.sampler, space, search.n_trials)
    if sampler == "grid" and space.size == float("inf"):
        raise InputError(
            "search.sampler: grid needs choices, ranges or whole numbers; an interval of others "
            "cannot be listed"
        )
    n_trials = search.n_trials or (int(space.size) if sampler == "grid" else _DEFAULT_TRIALS)
    stops = search.race or search.pruner != "none"
    if stops and any(_group(name) in ("cv", *_RECORDS) for name in space.names):
        raise InputError(
            "search.race and search.pruner compare trials fold by fold: they cannot be used "
            "where folds or data are swept"
        )
    swept = " x ".join(name.rpartition(".")[2] for name in space.names)
    n_runs = int(min(n_trials, space.size))
    return StudyPlan(
        title=f"{swept}, {n_runs} {'run' if n_runs == 1 else 'runs'} on {data.cohort.name}",
        note=data.cohort.note,
        objectives=tuple(Objective(name) for name in search.objectives),
        space=space,
        sampler=sampler,
        n_trials=n_trials,
        seed=search.seed,
        n_folds=len(data.splits),
        race=search.race,
        pruner=search.pruner,
        burn_in=search.burn_in,
    )


def _study_name(
    sweep: Sweep, plan: StudyPlan, point: Point, settings: RunSettings, data: ExperimentData
) -> str:
    """Return the name of the study: equal for equal questions, and for no others.

    How many trials and processes there are, and where it or its data are kept, does not count.
    """
    search = settings.search
    digest = fingerprint(
        _fingerprints(sweep, data),
        [(split.train.tolist(), split.test.tolist()) for split in data.splits],
        _decisions(sweep, point, settings),
        (search.objectives, search.race, search.pruner, search.burn_in, search.seed),
        plan.sampler == "grid",  # it gives the points in their order
        plan.space.dump(),
    )
    swept = "-".join(re.sub(r"\W", "", name.rpartition(".")[2]) for name in sweep.space.names)
    return f"{swept[:60]}-{digest[:12]}"


def _decisions(sweep: Sweep, point: Point, settings: RunSettings) -> list[object]:
    """Return what decides a run at a point, and at the options of each dimension.

    What an option of a group says is a file that may change, while its name stays: all options
    are looked at. Of other dimensions the first and the last value are.

    Raises:
        InputError: A dimension makes no difference to any run.
    """
    decisions: list[object] = [_decision(settings)]
    for name, dimension in sweep.space.dimensions.items():
        is_group = isinstance(dimension, Choice) and "." not in name
        values = (dimension.values() or ()) if is_group else dimension.ends()
        start = point if name in point else _point_with(sweep.space, name)
        found, data = [], []
        for value in dict.fromkeys(values):
            try:
                other = sweep.settings_at(sweep.space.present({**start, name: value}))
            except InputError:  # does not go with the rest of this point; maybe with another's
                found.append(f"refused {value}")
                data.append(repr(value))
                continue
            found.append(repr(_decision(other)))
            data.append(repr((other.data, other.external)))
        if len(found) > 1 and len(set(zip(found, data, strict=True))) == 1:
            raise InputError(
                f"{name}: expected something that makes a difference to a run, of data, external, "
                "features, model, cv, train or seed. Its values here make none"
            )
        decisions.append(found)
    return decisions


def _point_with(space: Space, name: str) -> Point:
    """Return the first point that has a conditional dimension."""
    return next(point for point in space.probes() if name in point)


def _decision(settings: RunSettings) -> dict[str, object]:
    # to allow leakage changes no run; what leaks stands in the protocol
    cv = replace(settings.cv, allow_leakage=False)
    return {**deciding(settings), "cv": asdict(cv), "version": RESULTS_VERSION}


def _group(name: str) -> str:
    return name.lstrip("+~").partition(".")[0]


def _fingerprints(sweep: Sweep, data: ExperimentData) -> list[str]:
    """Return the fingerprint of every cohort that is swept."""
    fingerprints = [data.cohort.fingerprint]
    swept = [name for name in sweep.space.names if _group(name) in _RECORDS]
    if not swept or sweep.space.size == float("inf"):
        return fingerprints
    seen = set()
    for point in islice(sweep.space.points(), _TRIED):
        key = tuple(point.get(name) for name in swept)
        if key in seen:
            continue
        seen.add(key)
        try:
            fingerprints.append(load_data(sweep.settings_at(point)).cohort.fingerprint)
        except InputError:
            continue  # refused when its turn comes
    return fingerprints


def _announce(study: Study, workers: int | None) -> None:
    plan = study.plan
    at_once = "one after another" if workers is None else f"{workers} at a time"
    say(
        f"{plan.title}: {plan.n_folds} folds each, {plan.sampler} sampler, {at_once}",
        f"study {study.name} in {study.storage.shown}",
    )
    trials = study.configurations().values()
    if trials:
        ended = sum(study.is_done(one) for one in trials)
        say(f"{ended} trials are done already, {len(trials) - ended} were begun")


def _train(
    sweep: Sweep, study: Study, settings: RunSettings, *, tracker: Tracker, store: Path
) -> list[WorkerResult]:
    """Let processes train until nothing is left; start them again if some of them die.

    After a death what was being trained is trained alone, so that a trial that takes its process
    with it takes no other trial with it again.
    """
    if study.finished:
        say("nothing to train: all trials of this study are done (resume=false starts another)")
        return []
    n_workers = sweep.workers or 1
    threads = None
    if sweep.is_local:
        share = max(1, cores() // n_workers)
        threads = min(settings.train.threads or automatic_threads(settings.model.name), share)
    worker = Worker(
        storage=study.storage.address,
        study=study.name,
        command=sweep.command,
        folder=sweep.folder,
        store=store.absolute(),
        tracking=settings.tracking,
        verbosity="bar" if sweep.workers is None else "line",
        threads=threads,
        main_process=os.getpid(),
        tracker=tracker if sweep.workers is None else None,
    )
    results: list[WorkerResult] = []
    has_died = False
    for _ in range(_RELAUNCHES):
        try:
            if has_died:
                results += sweep.launch(replace(worker, only_retries=True), 1)
                has_died = False
            return results + sweep.launch(worker, n_workers)
        except Exception as error:
            if not isinstance(error, BrokenExecutor) and not study.take_back():
                raise
            has_died = True
            say("a process of this sweep died: killed, or out of memory; going on", style="red")
    raise EnvironmentFault("the processes of this sweep die again and again; is memory short?")


def _show(result: StudyResult, done: list[WorkerResult], folder: Path, store: str) -> None:
    page = write(result, folder, store)
    console().print(table(result))
    say(*sentences(result))
    for trial in result.trials:
        if trial.state == "failed":
            say(f"FAILED {_point(trial)}: {trial.error}", style="red")
    if result.note:
        say(result.note, style="yellow")
    say(f"{sum(one.trained for one in done)} folds trained now; page: {page}")


def _record_failures(result: StudyResult, tracker: Tracker, store: Path) -> None:
    """Record the configurations that failed before their training, or with their process."""
    for trial in result.trials:
        if trial.state == "failed" and not (trial.run_key and _record(store, trial).exists()):
            record = RunRecord(
                key=fingerprint(result.name, trial.number),
                name=_point(trial),
                params=trial.params,
                data=DataRecord("", "", result.note, 0),
                status="failed",
                error=trial.error,
                sweep=SweepLink(result.name, trial.number),
                root=str(store),
            )
            save(record)
            tracker.track(record)


def _track(
    study: Study,
    tracker: Tracker,
    store: Path,
    result: StudyResult | None = None,
    folder: Path | None = None,
) -> None:
    """Record the sweep, and those of its runs that are not in the tracking store yet."""
    trials = (result or result_of(study, store)).trials
    runs = [_record(store, trial) for trial in trials if trial.run_key]
    record = SweepRecord(
        study=study.name,
        title=sweep_name(study.plan.title),
        sentences=tuple(sentences(result)) if result is not None else (),
        runs=tuple(str(path) for path in runs if path.exists()),
        complete=result is not None and study.finished,
        folder=str(folder or ""),
        root=str(store),
    )
    save(record)
    tracker.track(record)


def _record(store: Path, trial: Trial) -> Path:
    return store / "runs" / f"{trial.run_key}.json"


def _point(trial: Trial) -> str:
    return " ".join(f"{name}={value}" for name, value in trial.params.items())
