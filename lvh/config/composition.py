"""One composition a configuration: from a command line to checked settings, by Hydra."""

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lvh.config.command_line import CommandLine, in_plain_words, read_arguments
from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import masked

_CHECKED: dict[str, RunSettings] = {}
"""Settings whose folder has a name already, by what they were checked from."""


@dataclass(frozen=True, slots=True)
class Composed:
    """Checked settings, and the same as YAML for the run's folder, without passwords."""

    settings: RunSettings
    yaml: str


def compose(command: CommandLine) -> Composed:
    """Compose and check the configuration of a command line; any process can do so."""
    return composed_from(command.load())


def settings_of(*overrides: str) -> RunSettings:
    """Return the settings that `python -m lvh.run OVERRIDES` would have.

    >>> lvh.settings("data=synthetic", "model=svm", "features=voltage", "model.C=3").model.C
    3.0
    """
    command, _ = read_arguments(overrides)
    return compose(command).settings


def composed_from(config: DictConfig) -> Composed:
    """Check what Hydra composed."""
    resolved = plain(config)
    settings = _CHECKED.pop(repr(resolved), None) or settings_from(resolved)
    if plugins := settings.plugins:  # for a reader: nothing loads them from here
        resolved["plugins"] = {option: asdict(plugin) for option, plugin in plugins.items()}
    return Composed(settings, masked(OmegaConf.to_yaml(OmegaConf.create(resolved))))


def recipe_params(hydra: Any) -> dict[str, Any]:
    """Return what the recipe in Hydra's own node of a configuration sweeps; often nothing."""
    params = hydra.sweeper.get("params") or {}
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(params)))


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a composed configuration into plain containers, without Hydra's own node."""
    groups = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    holder = HydraConfig.instance()
    before = holder.cfg
    if "hydra" in config:  # ${hydra:...} means this configuration, not that of the process
        holder.set_config(config)
    try:
        with in_plain_words():
            return cast(dict[str, Any], OmegaConf.to_container(groups, resolve=True))
    finally:
        holder.cfg = before


def _folder_name(kind: str, *, _root_: DictConfig) -> str:
    """Return what the folder of a run, a recipe or a sweep is called, after the time."""
    name = kind
    with suppress(Exception):  # a folder has to have some name
        if kind == "run":
            resolved = plain(_root_)
            settings = settings_from(resolved)
            name = settings.name
            _CHECKED.clear()
            _CHECKED[repr(resolved)] = settings
        elif recipe := _root_.hydra.runtime.choices.get("experiment"):
            name = f"{kind}-{recipe}"
        else:
            typed = OverridesParser.create().parse_overrides([*_root_.hydra.overrides.task])
            swept = [one.key_or_group for one in typed if one.is_sweep_override()]
            name = "-".join([kind, *(key.rpartition(".")[2] for key in swept)])
    return re.sub(r"[^\w.-]+", "-", name)[:80]


OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
