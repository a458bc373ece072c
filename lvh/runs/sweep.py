"""A sweep: one study, trained by one process or many, all below one tracked run."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import uuid4

from lvh.config.run_settings import RunSettings
from lvh.data.cohort import fingerprint
from lvh.errors import EnvironmentFault, InputError, LvhError
from lvh.evaluation.results import Plain
from lvh.models.backends import cores
from lvh.reports.progress import compare_hint, console, say
from lvh.reports.study import sentences, table, write
from lvh.runs.cache_key import RESULTS_VERSION, deciding
from lvh.runs.evaluate import Prepared, automatic_threads, prepare
from lvh.runs.worker import Compose, Work
from lvh.search.description import Description, chosen_sampler
from lvh.search.results import Objective, StudyResult
from lvh.search.space import Choice, Dimension, Point, Space, overrides, points, size
from lvh.search.storage import Storage
from lvh.search.study_results import result_of
from lvh.search.trials import Study, create
from lvh.tracking import RunKey, Tracked, tracked_run, warm_up

_RECORDS = ("data", "external")  # groups that decide which records there are
_DEFAULT_TRIALS = 50
_TRIED = 1000
"""Points that are looked at to find a valid one."""

_RELAUNCHES = 30
_ENDING, _POLL = 30.0, 0.2  # s


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a person asked for.

    Attributes:
        space: The swept overrides.
        compose: Makes settings of a point; raises InputError.
        launch: Starts as many processes as there are lists of overrides, and returns what
            each has done.
        workers: How many run at once in processes of their own; None for this process.
        is_local: Whether these share the cores of this machine.
        folder: Of the sweep's files.
    """

    space: Space
    compose: Compose
    launch: Callable[[list[list[str]]], list[Work]]
    workers: int | None
    is_local: bool
    folder: Path


def run_sweep(sweep: Sweep) -> None:
    """Train what is left of a study, alone or beside other commands, and show what it came to.

    Raises:
        InputError: Not one point is valid, or the backend is swept.
        LvhError: Some configuration failed; the table has been shown.
        EnvironmentFault: Something could not be written or tracked; the table has been shown.
    """
    if not sweep.space:
        raise InputError("expected something to sweep, such as kernel=250,400")
    if any(_group(name) == "backend" for name in sweep.space):
        raise InputError(
            "backend: expected one for a whole sweep, for a process cannot change it. "
            "Start a sweep for each"
        )
    point, settings, prepared = _first_valid(sweep)
    description = _described(sweep, settings, prepared)
    name = _identity(sweep, point, settings, prepared)
    storage = Storage(settings.search.storage)
    study = create(storage, name, description, anew=not settings.resume)
    key, owner = RunKey(study.name), f"{os.getpid()}-{uuid4().hex}"
    short = description.title.partition(" on ")[0]  # the data stand in the runs below
    warm_up(settings.tracking)
    with ExitStack() as stack:
        with storage.exclusive():  # of commands that start at once one makes the run
            tracked = stack.enter_context(
                tracked_run(settings.tracking, "sweep", short, {}, {}, key)
            )
            opened = tracked.opened
        _announce(study, storage, sweep.workers)
        try:
            done = _trained(sweep, study, settings, tracked, owner)
        except BaseException:
            with suppress(LvhError):  # the interruption is what is to be told
                _close_interrupted(study, tracked, owner)
            raise
        result = result_of(study, settings.store)
        _show(result, done, sweep.folder / "report")
        tracked.log_folder(sweep.folder / "report")
        tracked.set_tag("mlflow.note.content", "\n\n".join(sentences(result)))
        if opened is not None:
            say(compare_hint(settings.tracking, opened))
        _close_interrupted(study, tracked, owner)
        if tracked.leaves_running:
            say("other processes still train trials of this study")
        faults = dict.fromkeys(fault for one in done for fault in one.faults)
        if faults:
            raise EnvironmentFault(
                f"{'; '.join(faults)}. The same command goes on where this one ended"
            )
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        raise LvhError(f"{failed} of {len(result.trials)} configurations failed")


def _first_valid(sweep: Sweep) -> tuple[Point, RunSettings, Prepared]:
    """Return the first point whose settings fit together and to the data."""
    refused: InputError | None = None
    for point in islice(_candidates(sweep.space), _TRIED):
        try:
            settings, _ = sweep.compose(overrides(sweep.space, point))
            return point, settings, prepare(settings)
        except InputError as error:
            refused = refused or error
    raise refused or InputError("expected one valid point")


def _candidates(space: Space) -> Iterator[Point]:
    """Yield points to try: all, or both ends and the middle of what cannot be listed."""
    if size(space) < float("inf"):
        yield from points(space)
        return
    for share in (0.0, 1.0, 0.5, 0.25, 0.75):
        yield {name: _at(dimension, share) for name, dimension in space.items()}


def _at(dimension: Dimension, share: float) -> Plain:
    if isinstance(dimension, Choice):
        values = dimension.values()
        return values[round(share * (len(values) - 1))]
    return dimension.at(share)


def _described(sweep: Sweep, settings: RunSettings, prepared: Prepared) -> Description:
    search = settings.search
    sampler = chosen_sampler(search.sampler, sweep.space, search.n_trials)
    n_points = size(sweep.space)
    if sampler == "grid" and n_points == float("inf"):
        raise InputError(
            "search.sampler: grid needs choices, ranges or whole numbers; an interval of others "
            "cannot be listed"
        )
    n_trials = search.n_trials or (int(n_points) if sampler == "grid" else _DEFAULT_TRIALS)
    stops = search.race or search.pruner != "none"
    if stops and any(_group(name) in ("cv", *_RECORDS) for name in sweep.space):
        raise InputError(
            "search.race and search.pruner compare trials fold by fold: they cannot be used "
            "where folds or data are swept"
        )
    swept = " x ".join(name.rpartition(".")[2] for name in sweep.space)
    n_runs = int(min(n_trials, n_points))
    return Description(
        title=f"{swept}, {n_runs} {'run' if n_runs == 1 else 'runs'} on {prepared.cohort.name}",
        note=prepared.cohort.note,
        objectives=tuple(Objective(name) for name in search.objectives),
        space=sweep.space,
        sampler=sampler,
        n_trials=n_trials,
        seed=search.seed,
        n_folds=len(prepared.splits),
        race=search.race,
        pruner=search.pruner,
        burn_in=search.burn_in,
    )


def _identity(sweep: Sweep, point: Point, settings: RunSettings, prepared: Prepared) -> str:
    """Return the name of the study: equal for equal questions, and for no others.

    What it may have more of later (trials, processes), and where it or its data are kept, does
    not count.
    """
    search = settings.search
    question = (search.objectives, search.race, search.pruner, search.burn_in, search.seed)
    digest = fingerprint(
        _fingerprints(sweep, prepared),
        [(split.train.tolist(), split.scored.tolist()) for split in prepared.splits],
        _options(sweep, point, settings),
        question,
        list(sweep.space.items()),
    )
    swept = "-".join(re.sub(r"\W", "", name.rpartition(".")[2]) for name in sweep.space)
    return f"{swept[:60]}-{digest[:12]}"


def _options(sweep: Sweep, point: Point, settings: RunSettings) -> list[object]:
    """Return what decides a run at a point, and at each option of each dimension from there.

    What an option says is a file that may change, while its name stays.

    Raises:
        InputError: A dimension makes no difference to any run.
    """
    decisions: list[object] = [_decision(settings)]
    for name, dimension in sweep.space.items():
        values = dimension.values() if isinstance(dimension, Choice) else None
        shares = (dimension.low, dimension.high) if not isinstance(dimension, Choice) else ()
        found, data = [], []
        for value in values or shares:
            try:
                other, _ = sweep.compose(overrides(sweep.space, {**point, name: value}))
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


def _decision(settings: RunSettings) -> dict[str, object]:
    # to allow leakage changes no run; what leaks stands in the protocol
    cv = replace(settings.cv, allow_leakage=False)
    return {**deciding(settings), "cv": asdict(cv), "version": RESULTS_VERSION}


def _group(name: str) -> str:
    return name.lstrip("+~").partition(".")[0]


def _fingerprints(sweep: Sweep, prepared: Prepared) -> list[str]:
    """Return the fingerprint of every cohort that is swept."""
    found = [prepared.cohort.fingerprint]
    swept = {name: one for name, one in sweep.space.items() if _group(name) in _RECORDS}
    if swept and size(swept) < float("inf"):
        others = {name: _at(one, 0.0) for name, one in sweep.space.items() if name not in swept}
        for point in points(swept):
            try:
                settings, _ = sweep.compose(overrides(sweep.space, {**others, **point}))
                found.append(prepare(settings).cohort.fingerprint)
            except InputError:
                continue  # refused when its turn comes
    return found


def _announce(study: Study, storage: Storage, workers: int | None) -> None:
    description = study.description
    trials = study.trials()
    ended = sum(one.state.is_finished() for one in trials)
    at_once = "one after another" if workers is None else f"{workers} at a time"
    say(
        f"{description.title}: {description.n_folds} folds each, {description.sampler} sampler, "
        f"{at_once}",
        f"study {study.name} in {storage.shown}",
    )
    if trials:
        say(f"{ended} trials are done already, {len(trials) - ended} were begun")


def _trained(
    sweep: Sweep, study: Study, settings: RunSettings, tracked: Tracked, owner: str
) -> list[Work]:
    """Let processes train until nothing is left; start them again if some of them die."""
    n_workers = sweep.workers or 1
    given = [f"search.study='{study.name}'", f"search.owner={owner}"]
    given += [f"tracking.parent={tracked.opened.run_id if tracked.opened else 'null'}"]
    if sweep.is_local:
        share = max(1, cores() // n_workers)
        threads = settings.train.threads or automatic_threads(settings)
        given += [f"train.threads={min(threads, share)}"]
    for _ in range(_RELAUNCHES):
        if study.finished and not study.untracked():
            say("nothing to train: all trials of this study are done (resume=false starts anew)")
            return []
        try:
            return sweep.launch([given for _ in range(n_workers)])
        except BrokenExecutor:
            say("a process of this sweep died: killed, or out of memory; going on", style="red")
            for number, error in study.count_deaths(owner).items():
                say(f"FAILED trial {number}: {error}", style="red")
                if run_id := study.runs().get(number):
                    tracked.close(run_id, error)
    raise EnvironmentFault("the processes of this sweep die again and again; is memory short?")


def _close_interrupted(study: Study, tracked: Tracked, owner: str) -> None:
    """End the runs of trials that no living process trains any more.

    Processes of this command that are being ended are waited for: they may have the time to
    record it themselves.
    """
    deadline = time.monotonic() + _ENDING
    while study.at_work(owner) and time.monotonic() < deadline:
        time.sleep(_POLL)
    if study.at_work():  # others go on: only what is known to be free is closed
        tracked.leave("RUNNING")
        runs = study.runs()
        for number in study.free_open():
            if number in runs:
                tracked.close(runs[number])
    else:
        tracked.close_below()


def _show(result: StudyResult, done: list[Work], folder: Path) -> None:
    page = write(result, folder)
    console().print(table(result))
    say(*sentences(result))
    for trial in result.trials:
        if trial.state == "failed":
            where = _params(trial.params)
            say(f"FAILED {where}: {trial.error}", style="red")
    if result.note:
        say(result.note, style="yellow")
    say(f"{sum(one.trained for one in done)} folds trained now; page: {page}")


def _params(params: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
