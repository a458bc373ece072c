"""A sweep: one study, trained by one process or many, and shown as one table."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lvh.config.command_line import CommandLine
from lvh.config.groups import param_name
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.data.cohort_summary import summarize_cohort
from lvh.data.labels import LVH
from lvh.errors import EnvironmentFault, InputError, LvhError, warn_renamed
from lvh.evaluation.results import Plain
from lvh.files import write_text
from lvh.models import MODELS
from lvh.models.backends import cores
from lvh.models.trainers import automatic_threads
from lvh.reports import leaderboard
from lvh.reports.study_report import run_folders, show_sweep
from lvh.reports.terminal import near, say, show_facts
from lvh.runs.experiment_data import ExperimentData
from lvh.runs.hints import say_hints, say_next, say_where
from lvh.runs.result_page import write_page
from lvh.runs.sweep_points import SweepPoints, shown
from lvh.runs.worker import Worker, WorkerResult
from lvh.search.results import StudyResult
from lvh.search.space import Choice, Space
from lvh.search.storage import Storage, repeated
from lvh.search.study import OUTCOME, Study, attempts, open_study, result_of
from lvh.tracking import TrackingSettings
from lvh.tracking.fold_store import store_of
from lvh.tracking.run_dir import STUDY, link_latest
from lvh.tracking.run_record import DataRecord, RunRecord, SweepLink, SweepRecord, load_run, save
from lvh.tracking.tracker import Tracker

_BETWEEN_LOOKS = 2.0  # s, at what other processes have done
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
    settings = points.settings
    if settings.search.race:
        warn_renamed("search.race=true", "search.budget=race")
    name = points.study_name()
    points.check(partial(_done, name, settings))
    storage = Storage(settings.search.storage)
    study = open_study(storage, name, points.plan, again=not settings.resume)
    store, page_folder = store_of(study.name, settings.store), sweep.folder / "report"
    write_text(sweep.folder / STUDY, f"{study.name}\n")
    link_latest(sweep.folder)
    with Tracker(settings.tracking) as tracker:
        _track(study, tracker, store)
        _announce(study, sweep.workers, points.data)
        with _tracked_as_they_end(study, tracker, store) if sweep.is_local else nullcontext():
            done = _train(sweep, study, settings, tracker=tracker, store=store)
        result = result_of(study, store)
        page = write_page(result, page_folder, run_folders(result, settings.store))
        show_sweep(result)
        failed = [trial for trial in result.trials if trial.state == "failed"]
        for trial in failed:
            say(f"FAILED {shown(trial.params)}: {trial.error}", style="red")
        n_trained = sum(worker.trained for worker in done)
        say(f"{n_trained} folds trained now", f"page: {page}", link=page)
        say_hints(settings, points.data)
        _track(study, tracker, store, result, page_folder)
        faults = dict.fromkeys(fault.rstrip(".") for worker in done for fault in worker.faults)
        if faults or not study.finished:
            message = "; ".join(faults or ["some trials are not done"])
            raise EnvironmentFault(f"{message}. The same command continues where this one ended")
    if tracker.page:
        say_where(settings.tracking, tracker.page)
    if failed:
        raise LvhError(f"{len(failed)} of {len(result.trials)} configurations failed")
    say_next("export", study=study.name, storage=settings.search.storage)


def _done(name: str, settings: RunSettings) -> list[Mapping[str, Plain]]:
    """Return the points that a sweep of before has, which this one continues."""
    with suppress(InputError):  # there is no sweep
        storage = Storage(settings.search.storage, to_read=True)
        if settings.resume and (before := attempts(storage, name)):
            return [one.params for one in Study(storage, before[-1]).configurations().values()]
    return []


def _announce(study: Study, workers: int | None, data: ExperimentData) -> None:
    plan, trials = study.plan, study.configurations().values()
    at_once = "one after another" if workers is None else f"{workers} at a time"
    ended = sum(trial.state.is_finished() for trial in trials)
    done = f"{ended} trials are done already, {len(trials) - ended} were begun"
    facts = {
        **summarize_cohort(data.cohort).facts(),
        "training": f"{plan.n_folds} folds each, {plan.search.sampler} sampler, {at_once}",
        "study": f"{study.name} in {near(study.storage.shown)}",
        "done": done if trials else "",
        "note": plan.note,
    }
    show_facts(facts, plan.title)
    if plan.search.stops_at_folds and plan.search.burn_in >= plan.n_folds:
        of = f"search.burn_in={plan.search.burn_in} with {plan.n_folds} folds"
        say(f"hint: no trial is stopped between its folds, by {of}: docs/sweeps.md")


def _train(
    sweep: Sweep, study: Study, settings: RunSettings, *, tracker: Tracker, store: Path
) -> list[WorkerResult]:
    """Let processes train until nothing is left; start them again if some of them die."""
    if study.finished:
        say("nothing to train: all trials of this study are done (resume=false starts another)")
        return []
    n_workers, threads = sweep.workers or 1, None
    if sweep.is_local:
        automatic = automatic_threads(MODELS[settings.model.name])
        threads = min(settings.train.threads or automatic, max(1, cores() // n_workers))
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


def _tracked_as_they_end(
    study: Study, tracker: Tracker, store: Path
) -> AbstractContextManager[None]:
    """Have the runs of other processes tracked while these train; the sweep tracks what is left."""
    sent = set[str]()

    def track() -> None:
        for trial in study.configurations().values():
            key = trial.user_attrs.get(OUTCOME, {}).get("run_key", "")
            path = store / "runs" / f"{key}.json"
            if key not in sent and path.exists():
                sent.add(key)
                tracker.track(load_run(path))

    return repeated(_BETWEEN_LOOKS, track)


def _track(
    study: Study,
    tracker: Tracker,
    store: Path,
    result: StudyResult | None = None,
    folder: Path | str = "",
) -> None:
    """Record the sweep, and those of its runs that are not in the tracking store yet."""
    plan, trials = study.plan, (result or result_of(study, store)).trials
    files = {one.number: store / "runs" / f"{one.run_key or one.number}.json" for one in trials}
    for trial in trials:
        if trial.state == "failed" and not files[trial.number].exists():
            # before its training, or with its process
            record = RunRecord(
                key=fingerprint(study.name, trial.number),
                name=shown(trial.params),
                params=trial.params,
                data=DataRecord("", "", plan.note, 0, plan.label_name),
                status="failed",
                error=trial.error,
                sweep=SweepLink(study.name, trial.number),
                root=str(store),
            )
            save(record)
            tracker.track(record)
    label = "" if plan.label_name == LVH else f", {plan.label_name}"
    values = {
        param_name(name.lstrip("+")): one.values() if isinstance(one, Choice) else one.ends()
        for name, one in plan.space.dimensions.items()
    }
    sweep = SweepRecord(
        study=study.name,
        title=plan.title.partition(" on ")[0] + label,
        sentences=tuple(leaderboard.facts(result).values()) if result is not None else (),
        runs=tuple(str(file) for file in files.values() if file.exists()),
        complete=result is not None and study.finished,
        dimensions={
            name: all(isinstance(value, (int, float)) for value in some)
            for name, some in values.items()
        },
        folder=str(folder),
        root=str(store),
    )
    save(sweep)
    tracker.track(sweep)
