"""The adapter between Hydra's sweeper interface and `lvh.runs.sweep`.

Hydra imports every plugin at every start, so nothing heavy may be imported up here.
"""

import copy
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

ConfigStore.instance().store(
    group="hydra/sweeper",
    name="lvh",
    # params: swept overrides of a recipe; the command line goes before them
    node={"_target_": "hydra_plugins.lvh_sweeper.sweeper.LvhSweeper", "params": {}},
)


class LvhSweeper(Sweeper):
    """Searches the space of the swept overrides."""

    def __init__(self, params: DictConfig) -> None:
        """Take what Hydra gives; `command_of` reads the swept overrides of a recipe."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take Hydra's context, as its interface asks."""
        self._typed = getattr(task_function, "overrides", None)
        self._plugins = getattr(task_function, "plugins", ())
        self._context = hydra_context
        self._config = copy.deepcopy(config)
        self._workers = _limit_workers(self._config)

    def sweep(self, arguments: list[str]) -> Any:
        """Search the space that the overrides span."""
        from lvh.config.composition import command_of
        from lvh.config.sweep_space import space_of
        from lvh.errors import masked
        from lvh.files import write_text
        from lvh.runs.sweep import Sweep, run_sweep

        command = command_of(self._config, self._typed or arguments, self._plugins)
        space = space_of(command)
        folder = Path(self._config.hydra.sweep.dir)
        first = command.at(space.texts(next(space.probes()))).load()
        write_text(folder / "multirun.yaml", masked(OmegaConf.to_yaml(first)))
        # Hydra composes again for its launcher, which makes this folder too
        name = QuotedString(str(folder), Quote.single).with_quotes()
        overrides = self._config.hydra.overrides.hydra
        with read_write(overrides):
            overrides.append(f"hydra.sweep.dir={name}")
        is_local = "n_jobs" in self._config.hydra.launcher
        run_sweep(Sweep(command, space, self._launch, self._workers, is_local, folder))

    def _launch(self, task: TaskFunction, n_processes: int) -> list[Any]:
        """Start a task function, which brings all that it needs, in processes of the launcher."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._context, task_function=task, config=self._config
        )
        jobs: list[list[str]] = [[] for _ in range(n_processes)]
        return [job.return_value for job in launcher.launch(jobs, initial_job_idx=0)]


def _limit_workers(config: DictConfig) -> int | None:
    """Keep a parallel launcher from starting more processes than there are cores."""
    from lvh.config.composition import plain
    from lvh.config.run_settings import search_from
    from lvh.errors import InputError
    from lvh.models.backends import cores

    wanted = config.hydra.launcher.get("n_jobs")
    if wanted is None:
        workers = search_from(plain(config)).workers
        if workers is not None and "BasicLauncher" in config.hydra.launcher._target_:
            raise InputError(
                "search.workers: needs a launcher that starts processes, such as "
                f"hydra/launcher=joblib. Received: {workers}"
            )
        return workers
    allowed = cores() if wanted < 1 else min(wanted, cores())
    with read_write(config), open_dict(config):
        config.hydra.launcher.n_jobs = allowed
    return int(allowed)
