"""A sweep over a grid: every point a tracked configuration, all below one tracked run."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from rich.console import Console

from lvh.config import RunSettings
from lvh.console import Outcome, compare_hint, sweep_table
from lvh.errors import InputError, LvhError
from lvh.tracking import TrackingSettings, tracked_run

Point = list[str]


def run_sweep(
    points: Sequence[Point],
    check: Callable[[Point], RunSettings],
    launch: Callable[[list[Point]], list[Outcome]],
    workers: int | None,
    console: Console,
) -> list[Outcome]:
    """Run every point and show the table; a point that fails does not stop the others.

    Args:
        points: Overrides of each configuration.
        check: Turns one into settings, or raises InputError; trains nothing.
        launch: Runs points and returns an outcome for each, in order.
        workers: How many run at once in processes of their own; None for one after another.
        console: Where the table goes.

    Returns:
        An outcome for each point.

    Raises:
        InputError: Not one point is valid.
        LvhError: Some configuration failed; the table has been shown.
    """
    points = [list(point) for point in dict.fromkeys(map(tuple, points))]
    settings, refused = _checked(points, check)
    tracking = next(iter(settings.values())).tracking
    name = f"{' x '.join(_swept(points))}, {len(points)} runs"
    with tracked_run(tracking, "sweep", name, {}, {}) as tracked:
        opened = tracked.opened
        parent = None if opened is None else opened.run_id
        of_sweep = replace(tracking, parent=parent)
        for at, error in refused.items():
            record_failure(of_sweep, points[at], error)
        threads = _threads(workers, len(settings))
        added = [f"tracking.parent={parent or 'null'}"]
        added += [] if threads is None else [f"train.threads={threads}"]
        at_once = "in turn" if workers is None else f"{workers} at a time"
        console.print(f"sweep of {len(points)} configurations, {at_once}")
        launched = launch([points[at] + added for at in settings])
        by_point = dict(zip(settings, launched, strict=True))
        by_point |= {at: Outcome("", str(error)) for at, error in refused.items()}
        outcomes = [by_point[at] for at in range(len(points))]
        choices = _choices(points)
        console.print(sweep_table(choices, outcomes))
        if opened is not None:
            hint = compare_hint(tracking, opened)
            console.print(hint, markup=False, highlight=False, soft_wrap=True)
        _report_failures(choices, outcomes, console)
    return outcomes


def record_failure(tracking: TrackingSettings, overrides: Sequence[str], error: LvhError) -> None:
    """Track a configuration that failed before it could start."""
    kept = [override for override in overrides if not override.startswith("tracking.")]
    params = _params(kept)
    with suppress(LvhError), tracked_run(tracking, "configuration", _name(params), params, {}):
        raise error


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def _checked(
    points: Sequence[Point], check: Callable[[Point], RunSettings]
) -> tuple[dict[int, RunSettings], dict[int, InputError]]:
    settings: dict[int, RunSettings] = {}
    refused: dict[int, InputError] = {}
    for at, point in enumerate(points):
        try:
            settings[at] = check(point)
        except InputError as error:
            refused[at] = error
    if not settings:
        raise next(iter(refused.values()))
    return settings, refused


def _threads(workers: int | None, n_points: int) -> int | None:
    """Share the cores among the processes that run at once."""
    return None if workers is None else max(1, cores() // min(workers, n_points))


def _choices(points: Sequence[Point]) -> list[dict[str, str]]:
    """Return of each point the overrides that not all points share."""
    common = set(points[0]).intersection(*points) if len(points) > 1 else set()
    return [_params([one for one in point if one not in common]) for point in points]


def _swept(points: Sequence[Point]) -> list[str]:
    """Return the names of the overrides that vary, the last part of each."""
    keys = dict.fromkeys(key for choice in _choices(points) for key in choice)
    return [key.rpartition(".")[2] for key in keys]


def _params(overrides: Sequence[str]) -> dict[str, str]:
    """Split overrides into names and values, without signs and quotes of Hydra's grammar."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: value.strip("'\"") for key, _, value in pairs}


def _report_failures(
    choices: Sequence[dict[str, str]], outcomes: Sequence[Outcome], console: Console
) -> None:
    failed = 0
    for choice, outcome in zip(choices, outcomes, strict=True):
        if outcome.error:
            failed += 1
            told = f"FAILED {_name(choice)}: {outcome.error}"
            console.print(told, style="red", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise LvhError(f"{failed} of {len(outcomes)} configurations failed")


def _name(params: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in params.items())
