"""Hydra's loader, used directly: it composes in any process, also where Hydra runs already."""

import os
from functools import cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig

from lvh.config.command_line import CommandLine
from lvh.config.groups import conf_dir
from lvh.errors import InputError


def config_of(command: CommandLine) -> DictConfig:
    """Compose a command line with Hydra's own node `hydra`, without any check of ours.

    Raises:
        Exception: Of Hydra or OmegaConf; `lvh.config.messages.explained` says what is wrong.
    """
    loader = loader_of(command)
    return loader.load_configuration(command.config_name, list(command.overrides), RunMode.RUN)


def loader_of(command: CommandLine) -> ConfigLoaderImpl:
    """Return Hydra's loader of the folders that a command line names."""
    return _loader(command.config_path or str(conf_dir()), command.config_dir)


@cache
def _loader(path: str, config_dir: str | None) -> ConfigLoaderImpl:
    setup_globals()  # Hydra's resolvers, which its own entry registers too
    search_path = create_config_search_path(f"file://{path}" if "://" not in path else path)
    if config_dir is not None:
        if not os.path.isdir(config_dir):
            raise InputError(f"--config-dir: expected a folder. Received: {config_dir}")
        search_path.prepend(
            "command-line", f"file://{os.path.abspath(config_dir)}", SearchPathQuery("schema", None)
        )
    return ConfigLoaderImpl(search_path)
