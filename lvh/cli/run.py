"""The entry: configuration in, a record's way walked once, exit code out."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lvh.cli import usage
from lvh.cli.command import ended
from lvh.config.messages import explained
from lvh.config.run_settings import quoted
from lvh.errors import InputError, masked
from lvh.models.backends.imports import collect_seldom

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings
    from lvh.reports.progress import Shown
    from lvh.runs.worker import Work


class _Masking(logging.Formatter):
    """Keeps passwords out of what any library warns of."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def main() -> int:
    """Run what the command line says and return the exit code."""
    collect_seldom()
    _log_masked()
    return ended(_run, explained)


def _run() -> None:
    from lvh.config.run_settings import conf_dir

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, instead of ending with 1
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
        return
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    sys.argv[1:] = quoted(sys.argv[1:])
    entry(task)()
    if failures:
        raise failures[0]


def job(config: DictConfig) -> "Work | None":
    """Run one configuration; or, in a sweep, trials of its study until none is left."""
    from lvh.config.run_settings import plain, settings_from
    from lvh.runs.evaluate import Place, evaluate, prepare

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
    from lvh.config.run_settings import plain, search_from, settings_from
    from lvh.data.processes import follow
    from lvh.runs.worker import Work, work
    from lvh.search.storage import Storage

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
    logging.getLogger("lvh.data").setLevel(logging.INFO)  # what takes minutes is told


if __name__ == "__main__":
    # under its own name, so that parallel workers find `job` by import
    from lvh.cli.run import main as imported_main

    sys.exit(imported_main())
