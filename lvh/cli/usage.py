"""What `--help` shows. Hydra's own help asks every group of Hydra too, which takes a second."""

import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from omegaconf import OmegaConf

from lvh.config.run_settings import conf_dir

_FLAGS = {"--help", "-h"}


def is_asked(arguments: Sequence[str]) -> bool:
    """Say whether a command line asks for help on our own configuration, not another folder's."""
    elsewhere = any(re.match("--config|-c[pnd]", one) for one in arguments)
    return not elsewhere and not _FLAGS.isdisjoint(arguments)


def text() -> str:
    """Fill the groups and their options into the text of `config.yaml`."""
    folder = conf_dir()
    groups = sorted(one for one in folder.iterdir() if any(one.glob("*.yaml")))
    listed = "".join(f"{one.name}: {', '.join(_options(one))}\n" for one in groups)
    template = OmegaConf.load(folder / "config.yaml").hydra.help.template
    return Template(template).substitute(APP_CONFIG_GROUPS=listed)


def _options(group: Path) -> list[str]:
    names = [file.stem for file in group.glob("*.yaml")]
    return sorted(names, key=lambda name: (int(name) if name.isdecimal() else 0, name))
