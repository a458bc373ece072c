"""The entry `python -m lvh.run`: one configuration, or with -m a sweep."""

import argparse
import logging
import os
import signal
import sys
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lvh.cli.command import exit_code_of, say_help
from lvh.config.command_line import CommandLine, explained, in_plain_words, read_arguments
from lvh.config.composition import composed_from, plain, recipe_params
from lvh.config.groups import conf_dir
from lvh.config.run_settings import search_from
from lvh.errors import InputError, masked
from lvh.models.backends import cores
from lvh.reports.terminal import say
from lvh.runs.experiment_data import load_data
from lvh.runs.hints import say_hints, say_next, say_where
from lvh.runs.run import run_configuration
from lvh.tracking.run_dir import link_latest
from lvh.tracking.tracker import Tracker


class _Masking(logging.Formatter):
    """Keeps passwords out of the warnings of every library."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def main() -> int:
    """Run what the command line says and return the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lvh.data").setLevel(logging.INFO)  # such as a download of minutes
    code = exit_code_of(_run, explained)
    if code == 128 + signal.SIGINT:
        say("hint: finished folds are stored, so the same command continues")
    return code


def _run() -> int:
    version.setbase("1.3")
    command, flags = read_arguments(sys.argv[1:])
    asked = (flags.help, flags.hydra_help, flags.cfg, flags.resolve, flags.info)
    if flags.help:
        command.load()  # refuses code, which Hydra would run to show the help too
    if any((*asked, flags.shell_completion)):
        return _show(flags)
    if flags.multirun:
        _sweep(command)
        return 0
    config = command.load()
    context = HydraContext(command.loader, Callbacks())
    done = run_job(run_once, config, "hydra.run.dir", None, context)
    if done.status == JobStatus.FAILED:
        raise done._return_value  # `return_value` would log a line of Hydra's too
    return 0


def _show(flags: argparse.Namespace) -> int:
    """Let Hydra print what its flags ask for."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of ending with 1
    printed = StringIO()
    try:
        with redirect_stdout(printed) if flags.help else nullcontext():
            _run_hydra(flags, get_args_parser(), run_once, str(conf_dir()), "config")
        return 0
    except SystemExit as end:  # by --help, or for a --package that does not exist
        if flags.help:
            say_help(printed.getvalue())
        return 2 if end.code else 0


def run_once(config: DictConfig) -> None:
    """Run one configuration."""
    running = HydraConfig.get()
    if running.mode == RunMode.MULTIRUN:
        raise InputError("hydra.mode: expected -m for a sweep. Received: MULTIRUN")
    if recipe_params(running):
        raise InputError("experiment: this is the recipe of a sweep. Add -m")
    composed = composed_from(config)
    data, folder = load_data(composed.settings), Path(running.runtime.output_dir)
    link_latest(folder)
    with Tracker(composed.settings.tracking) as tracker:
        record = run_configuration(composed, data, folder, tracker=tracker)
    say_hints(composed.settings, data, record)
    if tracker.page:
        say_where(composed.settings.tracking, tracker.page)
    say_next("report", folder)


def _sweep(command: CommandLine) -> None:
    """Search the space of the swept overrides, in processes that Hydra's launcher starts."""
    from lvh.config.sweep_space import space_of, with_recipe
    from lvh.runs.sweep import Sweep, run_sweep

    command = with_recipe(command)
    space = space_of(command)
    config = command.at(space.texts(next(space.probes()))).load()
    hydra = config.hydra
    if hydra.runtime.choices["hydra/sweeper"] != "lvh":  # a file chose another one
        raise InputError("hydra/sweeper: expected lvh, which alone runs sweeps here")
    OmegaConf.set_readonly(hydra, False)
    hydra.overrides.task = [*command.overrides]  # the name of the folder says what is swept
    with in_plain_words():
        folder = Path(hydra.sweep.dir)
    # Hydra composes again for its launcher, which makes this folder too
    name = QuotedString(str(folder), Quote.single).with_quotes()
    hydra.overrides.hydra.append(f"hydra.sweep.dir={name}")

    def launch(task: TaskFunction, n_processes: int) -> list[Any]:
        launcher = Plugins.instance().instantiate_launcher(
            HydraContext(command.loader, Callbacks()), task_function=task, config=config
        )
        jobs: list[list[str]] = [[] for _ in range(n_processes)]
        return [job.return_value for job in launcher.launch(jobs, initial_job_idx=0)]

    is_local = "n_jobs" in hydra.launcher
    run_sweep(Sweep(command, space, launch, _workers(config), is_local, folder))


def _workers(config: DictConfig) -> int | None:
    """Return how many processes a launcher starts: on this machine at most one a core."""
    launcher = config.hydra.launcher
    wanted = launcher.get("n_jobs")
    if wanted is not None:
        launcher.n_jobs = cores() if wanted < 1 else min(wanted, cores())
        return int(launcher.n_jobs)
    workers = search_from(plain(config)).workers
    if workers is not None and "BasicLauncher" in launcher._target_:
        raise InputError(
            "search.workers: needs a launcher that starts processes, such as "
            f"hydra/launcher=joblib. Received: {workers}"
        )
    return workers


if __name__ == "__main__":
    sys.exit(main())
