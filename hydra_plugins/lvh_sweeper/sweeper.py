"""The adapter between Hydra's sweeper interface and `lvh.runs.sweep`.

Hydra imports every plugin at every start, so nothing heavy may be imported up here.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from lvh.search.space import Dimension


@dataclass
class SweeperConf:
    """Hydra's configuration of the sweeper.

    Attributes:
        params: Swept overrides of a recipe; the command line goes before them.
    """

    _target_: str = "hydra_plugins.lvh_sweeper.sweeper.LvhSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="lvh", node=SweeperConf)


class LvhSweeper(Sweeper):
    """Searches the space of the swept overrides."""

    def __init__(self, params: DictConfig) -> None:
        """Take the swept overrides of a recipe."""
        self._params = {str(name): str(value) for name, value in params.items()}

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
        """Search the space that the overrides span.

        Raises:
            LvhError: No point is valid, or some configuration failed.
        """
        from lvh.errors import masked
        from lvh.files import write_text
        from lvh.runs.sweep import Sweep, run_sweep

        parsed = self._parsed(arguments)
        self._fixed = [_text(one) for one in parsed if not one.is_sweep_override()]
        base = self._composed(self._fixed)
        swept = [one for one in parsed if one.is_sweep_override()]
        space = {one.get_key_element(): _dimension(one, base) for one in swept}
        for name, dimension in space.items():
            self._check_options(name, dimension)
        folder = Path(self._config.hydra.sweep.dir)
        write_text(folder / "multirun.yaml", masked(OmegaConf.to_yaml(self._config)))
        is_local = "n_jobs" in self._config.hydra.launcher
        run_sweep(Sweep(space, self._settings, self._launch, self._workers, is_local, folder))

    def _parsed(self, arguments: list[str]) -> list[Override]:
        """Return each override once: the last one of the same name, in the order of the first."""
        from lvh.config.run_settings import quoted

        recipe = quoted([f"{name}={value}" for name, value in self._params.items()])
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        last = {one.get_key_element(): one for one in parser.parse_overrides([*recipe, *arguments])}
        return list(last.values())

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        from lvh.config.run_settings import quoted

        name = self._config.hydra.job.config_name
        of_hydra = OmegaConf.to_container(self._config.hydra.overrides.hydra)
        given = quoted([*of_hydra, *overrides])  # type: ignore[misc]
        return self._context.config_loader.load_configuration(name, given, RunMode.RUN)

    def _check_options(self, name: str, dimension: "Dimension") -> None:
        """Refuse an option that its group does not have, before anything is trained."""
        from lvh.search.space import Choice

        if isinstance(dimension, Choice) and self._context.config_loader.get_group_options(name):
            for text in dimension.texts:
                self._composed_or_told([f"{name}={text}"])

    def _settings(self, point: Sequence[str]) -> Any:
        from lvh.config.run_settings import plain, settings_from

        return settings_from(plain(self._composed_or_told([*self._fixed, *point]))), ""

    def _composed_or_told(self, overrides: Sequence[str]) -> DictConfig:
        from lvh.config.messages import explained

        try:
            return self._composed(overrides)
        except Exception as error:
            raise explained(error) from None

    def _launch(self, of_workers: list[list[str]]) -> list[Any]:
        jobs = [[*self._fixed, *given] for given in of_workers]
        returns = self._launcher.launch(jobs, initial_job_idx=0)
        return [one.return_value for one in returns]


def _text(override: Override) -> str:
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def _dimension(override: Override, base: DictConfig) -> "Dimension":
    """Read Hydra's sweep grammar.

    A range of whole numbers keeps its order and distance; an interval is of whole numbers where
    the field is one, and contains both ends.
    """
    from lvh.errors import InputError
    from lvh.search.space import Choice, Integers, Reals

    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high = float(value.start or 0), float(value.end or 0)
        log = "log" in value.tags
        if low >= high or (log and low <= 0):
            what = "0 < low < high" if log else "low < high"
            raise InputError(
                f"{override.key_or_group}: expected interval(low, high) with {what}. "
                f"Received: {override.input_line}"
            )
        now = OmegaConf.select(base, override.key_or_group)
        whole = low.is_integer() and high.is_integer()
        if whole and (now is None or (isinstance(now, int) and not isinstance(now, bool))):
            return Integers(int(low), int(high), log=log)
        return Reals(low, high, log)
    if isinstance(value, RangeSweep) and not value.shuffle:
        listed = value.range()
        if isinstance(listed, range) and len(listed) and listed.step > 0:
            return Integers(listed[0], listed[-1], listed.step, listed=True)
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not texts:
        raise InputError(f"{override.input_line}: expected one value or more")
    return Choice(texts)


def _limit_workers(config: DictConfig) -> int | None:
    """Keep a parallel launcher from starting more processes than there are cores."""
    from lvh.config.run_settings import plain, search_from
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
