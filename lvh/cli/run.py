"""The entry `python -m lvh.run`: one configuration, or with -m a sweep."""

import logging
import os
import signal
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lvh.cli.command import exit_code_of, say_help
from lvh.config.command_line import CommandLine, read_arguments
from lvh.config.composition import composed_from, recipe_params
from lvh.config.groups import CHOICES, conf_dir
from lvh.config.messages import explained
from lvh.errors import InputError, masked
from lvh.reports.terminal import say
from lvh.runs.experiment_data import load_data
from lvh.runs.hints import say_hints, say_next, say_where
from lvh.runs.run import run_configuration
from lvh.tracking.run_dir import link_latest
from lvh.tracking.tracker import Tracker

MULTIRUN = ("-m", "--multirun")


class _Masking(logging.Formatter):
    """Keeps passwords out of the warnings of every library."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def main() -> int:
    """Run what the command line says and return the exit code."""
    _log_masked()
    code = exit_code_of(_run, explained)
    if code == 128 + signal.SIGINT:
        say("hint: finished folds are stored, so the same command continues")
    return code


def _run() -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of ending with 1
    command, flags = read_arguments(sys.argv[1:])
    overrides = command.overrides
    failures: list[Exception] = []

    def task(config: DictConfig) -> None:
        try:
            run_once(config)
        except Exception as error:  # raised below: Hydra would add a line of its own
            failures.append(error)

    task.overrides = overrides  # type: ignore[attr-defined] # the sweeper reads it, and plugins
    task.plugins = command.plugins  # type: ignore[attr-defined]
    try:
        if any(flag in MULTIRUN for flag in flags):
            overrides = _of_every_point(command)
        sys.argv[1:] = [*overrides, *flags]
        start = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
        if {"-h", "--help"} & {*flags}:
            with redirect_stdout(StringIO()) as help_text, suppress(SystemExit):
                start(task)()
            say_help(help_text.getvalue())
            return 0
        start(task)()
        if failures:
            raise failures[0]
        return 0
    except SystemExit as end:  # Hydra, which has printed that there is no such --package
        return 2 if end.code else 0
    except BrokenPipeError:
        raise
    except Exception as error:
        raise explained(error, command) from error


def run_once(config: DictConfig) -> None:
    """Run one configuration."""
    running = HydraConfig.get()
    if running.mode != RunMode.RUN:
        raise InputError("hydra/sweeper: expected lvh, which alone runs sweeps here")
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


def _of_every_point(command: CommandLine) -> tuple[str, ...]:
    """Leave out fields of swept options: Hydra composes for its sweeper without what is swept."""
    return tuple(
        text
        for text, override in zip(command.overrides, command.parsed(), strict=True)
        if override.is_sweep_override()
        or not (
            override.key_or_group.partition(".")[0] in CHOICES
            and ("." in override.key_or_group or isinstance(override.value(), dict))
        )
    )


def _log_masked() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lvh.data").setLevel(logging.INFO)  # such as a download of minutes


if __name__ == "__main__":
    sys.exit(main())
