"""A sweep: one study, trained by one process or many, and shown as one table."""

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from lvh.config.command_line import CommandLine
from lvh.config.groups import param_name
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.data.cohort_summary import CohortSummary, summarize_cohort
from lvh.data.labels import LVH
from lvh.errors import EnvironmentFault, InputError, LvhError, warn_renamed
from lvh.evaluation.results import Plain
from lvh.files import write_text
from lvh.models import MODELS
from lvh.models.backends import cores
from lvh.models.training import automatic_threads
from lvh.reports.study_report import run_folders, show_sweep
from lvh.reports.terminal import near, say, show_facts
from lvh.reports.verdict import sentences
from lvh.runs.cache_key import RESULTS_VERSION, deciding
from lvh.runs.experiment_data import load_data
from lvh.runs.hints import say_hints, say_next, say_where
from lvh.runs.points import RECORDS, SweepPoints, group_of
from lvh.runs.result_page import write_page
from lvh.runs.worker import Worker, WorkerResult, tracked_as_they_end
from lvh.search.results import StudyResult, Trial
from lvh.search.space import Choice, Point, Space
from lvh.search.storage import Storage
from lvh.search.study import Study, attempts, open_study, result_of
from lvh.tracking.address import TrackingSettings
from lvh.tracking.fold_store import store_of
from lvh.tracking.run_dir import STUDY, link_latest
from lvh.tracking.run_record import (
    DataRecord,
    RunRecord,
    SweepLink,
    SweepRecord,
    save,
)
from lvh.tracking.tracker import Tracker

_MOST_VALUES = 1000  # of a group, that decide which study it is
_RELAUNCHES = 30


@dataclass(frozen=True, slots=True)
class Sweep:
    """The sweep that a user asked for; `launch` starts a task a number of times."""

    command: CommandLine  # with the sweep of its recipe
    space: Space
    launch: Callable[[Worker, int], list[WorkerResult]]
    workers: int | None  # processes at once; None for this process
    is_local: bool  # whether they share the cores of this machine
    folder: Path


def run_sweep(sweep: Sweep) -> None:
    """Train the trials that are left, alone or with other commands, and show the result."""
    points = SweepPoints(sweep.command, sweep.space)
    settings, data = points.settings, points.data
    if settings.search.race:
        warn_renamed("search.race=true", "search.budget=race")
    name = _study_name(points)
    points.check(partial(_done, name, settings))
    storage = Storage(settings.search.storage)
    study = open_study(storage, name, points.plan, again=not settings.resume)
    store = store_of(study.name, settings.store)
    write_text(sweep.folder / STUDY, f"{study.name}\n")
    link_latest(sweep.folder)
    with Tracker(settings.tracking) as tracker:
        _track(study, tracker, store)
        _announce(study, sweep.workers, summarize_cohort(data.cohort))
        with tracked_as_they_end(study, tracker, store) if sweep.is_local else nullcontext():
            done = _train(sweep, study, settings, tracker=tracker, store=store)
        result = result_of(study, store)
        _show(result, done, sweep.folder / "report", settings.store)
        say_hints(settings, data)
        _track(study, tracker, store, result, sweep.folder / "report")
        faults = [fault for worker in done for fault in worker.faults]
        if not faults and not study.finished:
            faults = ["some trials are not done"]
        if faults:
            message = "; ".join(fault.rstrip(".") for fault in dict.fromkeys(faults))
            raise EnvironmentFault(f"{message}. The same command continues where this one ended")
    if tracker.page:
        say_where(settings.tracking, tracker.page)
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        raise LvhError(f"{failed} of {len(result.trials)} configurations failed")
    say_next("export", study=study.name, storage=settings.search.storage)


def _done(name: str, settings: RunSettings) -> list[Mapping[str, Plain]]:
    """Return the points that a sweep of before has, which this one continues."""
    with suppress(InputError):  # there is no sweep
        storage = Storage(settings.search.storage, to_read=True)
        if settings.resume and (before := attempts(storage, name)):
            return [one.params for one in Study(storage, before[-1]).configurations().values()]
    return []


def _study_name(points: SweepPoints) -> str:
    """Return the name of the study: equal for equal questions, and for no others."""
    search, data, space = points.plan.search, points.data, points.space
    probed = [points.first]
    for name, dimension in space.dimensions.items():
        is_group = isinstance(dimension, Choice) and "." not in name
        if is_group or group_of(name) in RECORDS:
            start = points.first
            if name not in start:  # it exists under other options
                start = next(probe for probe in space.probes() if name in probe)
            values = islice(dimension.values() or dimension.ends(), _MOST_VALUES)
            probed += [space.present({**start, name: value}) for value in values]
    digest = fingerprint(
        data.cohort.fingerprint,
        [(split.train.tolist(), split.test.tolist()) for split in data.splits],
        [_decision(points, point) for point in probed],
        (search.objectives, search.races, search.pruner, search.burn_in, search.seed),
        *([(search.reduction, search.min_epochs)] if search.halves else []),
        search.sampler == "grid",  # it gives the points in their order
        asdict(space),
    )
    swept = "-".join(re.sub(r"\W", "", name.rpartition(".")[2]) for name in space.names)
    return f"{swept[:60]}-{digest[:12]}"


def _decision(points: SweepPoints, point: Point) -> str:
    try:
        settings = points.settings_at(point)
        is_swept = any(group_of(name) in RECORDS for name in points.space.names)
        data = load_data(settings).cohort.fingerprint if is_swept else ""
    except InputError:  # does not go with the rest of this point; maybe with another's
        return "refused"
    # these change no run; what leaks stands in the protocol
    cv = replace(settings.cv, allow_leakage=False, recalibrate="none", refits=0)
    return repr([deciding(settings), asdict(cv), RESULTS_VERSION, data])


def _announce(study: Study, workers: int | None, data: CohortSummary) -> None:
    plan = study.plan
    at_once = "one after another" if workers is None else f"{workers} at a time"
    trials = study.configurations().values()
    ended = sum(trial.state.is_finished() for trial in trials)
    done = f"{ended} trials are done already, {len(trials) - ended} were begun"
    facts = {
        **data.facts(),
        "training": f"{plan.n_folds} folds each, {plan.search.sampler} sampler, {at_once}",
        "study": f"{study.name} in {near(study.storage.shown)}",
        "done": done if trials else "",
        "note": plan.note,
    }
    show_facts(facts, plan.title)


def _train(
    sweep: Sweep, study: Study, settings: RunSettings, *, tracker: Tracker, store: Path
) -> list[WorkerResult]:
    """Let processes train until nothing is left; start them again if some of them die."""
    if study.finished:
        say("nothing to train: all trials of this study are done (resume=false starts another)")
        return []
    n_workers = sweep.workers or 1
    threads = None
    if sweep.is_local:
        share = max(1, cores() // n_workers)
        automatic = automatic_threads(MODELS[settings.model.name])
        threads = min(settings.train.threads or automatic, share)
    worker = Worker(
        storage=study.storage.address,
        study=study.name,
        command=sweep.command,
        folder=sweep.folder,
        store=store.absolute(),
        # this process tracks for those that it starts: one import of MLflow, not one for each
        tracking=TrackingSettings("off") if sweep.is_local else settings.tracking,
        verbosity="bar" if sweep.workers is None else "line",
        threads=threads,
        main_process=os.getpid(),
        at_once=n_workers,
        tracker=tracker if sweep.workers is None else None,
    )
    results: list[WorkerResult] = []
    has_died = False
    for _ in range(_RELAUNCHES):
        try:
            if has_died:  # alone, for it may take its process with it again
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
    page = write_page(result, folder, run_folders(result, store))
    show_sweep(result)
    for trial in result.trials:
        if trial.state == "failed":
            say(f"FAILED {_point(trial)}: {trial.error}", style="red")
    say(f"{sum(worker.trained for worker in done)} folds trained now", f"page: {page}", link=page)


def _track(
    study: Study,
    tracker: Tracker,
    store: Path,
    result: StudyResult | None = None,
    folder: Path | str = "",
) -> None:
    """Record the sweep, and those of its runs that are not in the tracking store yet."""
    plan, trials = study.plan, (result or result_of(study, store)).trials
    files = [store / "runs" / f"{trial.run_key or trial.number}.json" for trial in trials]
    records: list[RunRecord | SweepRecord] = [
        RunRecord(  # before its training, or with its process
            key=fingerprint(study.name, trial.number),
            name=_point(trial),
            params=trial.params,
            data=DataRecord("", "", plan.note, 0, plan.label_name),
            status="failed",
            error=trial.error,
            sweep=SweepLink(study.name, trial.number),
            root=str(store),
        )
        for trial, file in zip(trials, files, strict=True)
        if trial.state == "failed" and not file.exists()
    ]
    label = "" if plan.label_name == LVH else f", {plan.label_name}"
    values = {
        param_name(name.lstrip("+")): one.values() if isinstance(one, Choice) else one.ends()
        for name, one in plan.space.dimensions.items()
    }
    sweep = SweepRecord(
        study=study.name,
        title=plan.title.partition(" on ")[0] + label,
        sentences=tuple(sentences(result)) if result is not None else (),
        runs=tuple(str(file) for file in files if file.exists()),
        complete=result is not None and study.finished,
        dimensions={
            name: all(isinstance(value, (int, float)) for value in some)
            for name, some in values.items()
        },
        folder=str(folder),
        root=str(store),
    )
    for record in [*records, sweep]:
        save(record)
        tracker.track(record)


def _point(trial: Trial) -> str:
    return " ".join(f"{name}={value}" for name, value in trial.params.items())
