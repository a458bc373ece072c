"""The adapter between Hydra's sweeper interface and `lvh.sweep`.

Hydra imports every plugin at every start, so nothing heavy may be imported up here.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


@dataclass
class GridSweeperConf:
    """Hydra's configuration of the sweeper: it has nothing to choose."""

    _target_: str = "hydra_plugins.lvh_grid_sweeper.grid_sweeper.GridSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="lvh_grid", node=GridSweeperConf)


class GridSweeper(Sweeper):
    """Runs every combination of the swept overrides."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take Hydra's context, as its interface asks."""
        self._context = hydra_context
        self._config = copy.deepcopy(config)
        self._workers = _limit_workers(self._config)
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=self._config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Expand the overrides, run all points, and return their outcomes.

        Raises:
            LvhError: No point is valid, or some configuration failed.
        """
        from lvh.console import console
        from lvh.files import write_text
        from lvh.sweep import run_sweep
        from lvh.tracking import masked

        points = self._points(arguments)
        file = Path(self._config.hydra.sweep.dir) / "multirun.yaml"
        write_text(file, masked(OmegaConf.to_yaml(self._config)))
        return run_sweep(points, self._check, self._launch, self._workers, console())

    def _points(self, arguments: list[str]) -> list[list[str]]:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        batches = BasicSweeper.split_arguments(parser.parse_overrides(arguments), None)
        return [point for batch in batches for point in batch]

    def _check(self, point: list[str]) -> Any:
        from lvh.config import plain, settings_from

        loader = self._context.config_loader
        return settings_from(plain(loader.load_sweep_config(self._config, point)))

    def _launch(self, points: list[list[str]]) -> list[Any]:
        returns = self._launcher.launch(points, initial_job_idx=0)
        return [one.return_value for one in returns]


def _limit_workers(config: DictConfig) -> int | None:
    """Keep a parallel launcher from starting more processes than there are cores."""
    from lvh.sweep import cores

    wanted = config.hydra.launcher.get("n_jobs")
    if wanted is None:
        return None
    allowed = cores() if wanted < 1 else min(wanted, cores())
    with read_write(config), open_dict(config):
        config.hydra.launcher.n_jobs = allowed
    return int(allowed)
