"""The entry: configuration in, a record's way walked once, exit code out."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import hydra
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lvh import usage
from lvh.config import quoted
from lvh.errors import InputError, masked
from lvh.hydra_errors import explained
from lvh.imports import collect_seldom

if TYPE_CHECKING:
    from lvh.config import RunSettings
    from lvh.console import Shown
    from lvh.worker import Work


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Masking(logging.Formatter):
    """Keeps passwords out of what any library warns of."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class Interrupted(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def main() -> int:
    """Run what the command line says and return the exit code."""
    from lvh.config import conf_dir

    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of ending with 1
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    _log_masked()
    collect_seldom()
    failures: list[Exception] = []

    def task(config: DictConfig) -> "Work | None":
        try:
            return job(config)
        except Exception as error:
            if HydraConfig.get().mode != RunMode.RUN:
                raise
            failures.append(error)  # raised below: Hydra would add a line of its own
            return None

    if usage.is_asked(sys.argv[1:]):
        print(usage.text(), end="")
        return 0
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    try:
        sys.argv[1:] = quoted(sys.argv[1:])
        entry(task)()
        if failures:
            raise failures[0]
    except Interrupted as interruption:
        return _fail(str(interruption), interruption.exit_code)
    except Exception as error:
        if wants_traceback:
            print(masked(traceback.format_exc()), file=sys.stderr, end="")
        told = explained(error)
        return _fail(str(told), told.exit_code)
    return 0


def job(config: DictConfig) -> "Work | None":
    """Run one configuration; or, in a sweep, trials of its study until none is left."""
    from lvh.config import plain, settings_from
    from lvh.evaluation import Place, evaluate, prepare

    running = HydraConfig.get()
    if running.mode == RunMode.RUN:
        if running.sweeper.get("params"):
            raise InputError("experiment: this is the recipe of a sweep. Add -m")
        settings = settings_from(plain(config))
        place = Place(Path(running.runtime.output_dir), _yaml(config), "full")
        evaluate(settings, prepare(settings), place)
        return None
    return _work(config, running)


def _work(config: DictConfig, running: HydraConf) -> "Work":
    from lvh.config import plain, search_from, settings_from
    from lvh.processes import follow
    from lvh.search.storage import Storage
    from lvh.worker import Work, work

    search = search_from(plain(config))
    loader = GlobalHydra.instance().config_loader()
    fixed = [*running.overrides.hydra, *running.overrides.task]

    def compose(point: Sequence[str]) -> "tuple[RunSettings, str]":
        try:
            overrides = quoted([*fixed, *point])
            composed = loader.load_configuration("config", overrides, RunMode.RUN)
            return settings_from(plain(composed)), _yaml(composed)
        except Exception as error:
            raise explained(error) from None

    folder = Path(running.sweep.dir)
    shown: Shown = "line" if "n_jobs" in running.launcher else "bar"
    if os.getppid() == (main_process := int(str(search.owner).partition("-")[0])):
        collect_seldom()
        follow(main_process)  # whoever types the command again takes over the trial
    try:
        storage = Storage(search.storage)
        return work(storage, str(search.study), str(search.owner), compose, folder, shown)
    except Exception as error:  # Hydra would print it, with every override
        return Work(0, (str(explained(error)),))


def _yaml(config: DictConfig) -> str:
    groups = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return masked(OmegaConf.to_yaml(groups, resolve=True))


def _log_masked() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lvh.sources").setLevel(logging.INFO)  # what takes minutes is told


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:  # once is enough: what is done has still to be recorded
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(number)


def _fail(message: str, exit_code: int) -> int:
    print(f"lvh: {masked(message)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    # under its own name, so that parallel workers find `job` by import
    from lvh.run import main as imported_main

    sys.exit(imported_main())
