"""Hydra's sweep grammar as a space: one dimension for each swept override, and its conditions."""

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from lvh.config.command_line import CommandLine, target
from lvh.config.consistency import SHORT_NAMES
from lvh.config.composition import recipe_params
from lvh.config.hydra_loader import config_of, loader_of
from lvh.config.messages import explained
from lvh.errors import InputError, excerpt
from lvh.search.space import Choice, Condition, Dimension, Integers, Reals, Space

_MOST_VALUES = 100_000
"""Of one dimension."""
_MOST_COMBINATIONS = 256
"""Of options of swept groups that are composed to find where a setting exists."""
_FIELDS = {short: f"model.{field}" for field, short in SHORT_NAMES.items()}
"""Groups that set one field of another group: they exist where it does."""


def space_of(command: CommandLine) -> Space:
    """Return the space that the swept overrides of a command line span.

    A range of whole numbers keeps its order and distance; an interval is of whole numbers where
    the field is one, and contains both ends. A setting that only some options of a swept group
    have gets the condition that one of them is chosen. All options are composed, so a wrong one
    is refused here.

    Args:
        command: With the sweep of its recipe, as `lvh.config.composition.command_of` makes it.

    Raises:
        InputError: A sweep without values, an option that does not exist, a recipe that is a
            sweep itself, or a setting that no option has.
    """
    try:
        return _space_of(command)
    except Exception as error:
        raise explained(error, command) from None


def _space_of(command: CommandLine) -> Space:
    swept = _swept(command)
    groups = {
        name: Choice(_texts(override))
        for name, override in swept.items()
        if loader_of(command).get_group_options(override.key_or_group)
        and not target(override)[2]
    }
    options = {name: choice.texts for name, choice in groups.items()}
    combinations = _combinations(command, swept, options)
    dimensions: dict[str, Dimension] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    for name, override in swept.items():
        field = _FIELDS.get(override.key_or_group, override.key_or_group)
        if name in groups and override.key_or_group not in _FIELDS:
            dimensions[name] = groups[name]
            continue
        having = [at for at, config in combinations if override.is_add() or _exists(config, field)]
        if not having:
            raise _no_such_setting(command, swept, name)
        dimension = groups.get(name) or _dimension(override, dict(combinations), having)
        dimensions[name] = dimension
        if needed := _conditions(name, options, having, [at for at, _ in combinations]):
            conditions[name] = needed
    return Space(dimensions, conditions)
