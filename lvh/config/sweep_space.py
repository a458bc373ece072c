"""Hydra's sweep grammar as a space: one dimension for each swept override, and its conditions."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import cache
from itertools import islice
from random import Random
from typing import Any, get_args, get_type_hints

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from lvh.config.command_line import CommandLine, in_plain_words, target
from lvh.config.composition import plain, recipe_params
from lvh.config.groups import CONVOLUTION, ENTRIES, SETTINGS, param_name
from lvh.config.run_settings import RunSettings, settings_from
from lvh.errors import InputError, LvhError, excerpt
from lvh.models import MODEL_ALIASES
from lvh.search.space import Choice, Condition, Dimension, Numbers, Point, Space

_MOST_VALUES = 100_000
"""Largest number of values of one dimension."""
_MOST_PROBES = 1000


def space_of(command: CommandLine) -> Space:
    """Return the space that the swept overrides span; each option is composed, so it is right."""
    swept = _swept(command)
    choices = _choices(command, swept)
    options = {
        name: texts for name, texts in choices.items() if name.lstrip("+") not in CONVOLUTION
    }
    # every option once, where all other groups have their first
    first = {name: texts[0] for name, texts in options.items()}
    points = [first | {name: text} for name, texts in options.items() for text in texts[1:]]
    composed = [(point, command.at(point).load()) for point in (first, *points)]
    _check_recipes(command, [recipe_params(config.hydra) for _, config in composed])
    dimensions: dict[str, Dimension] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    for name, override in swept.items():
        having = composed
        if name not in options and not override.is_add() and not override.is_force_add():
            field = CONVOLUTION.get(override.key_or_group, override.key_or_group)
            having = [pair for pair in composed if _exists(pair[1], field)] or composed
        point, config = having[0]
        texts = choices.get(name)
        dimension = Choice(texts) if texts else _dimension(override, config)
        if name not in options:  # a wrong name, or a wrong option of kernel or stride, ends here
            for text in texts or [dimension.text(dimension.ends()[0])]:
                command.at({**point, name: text}).load()
        dimensions[name] = dimension
        if len(having) < len(composed):
            conditions[name] = _conditions(options, [point for point, _ in having])
    return Space(dimensions, conditions)


def one_point(command: CommandLine) -> CommandLine:
    """Return the first point of a sweep whose settings are accepted; where none is, the first."""
    space = space_of(command)
    settings_at = point_settings(command, space)
    for point in islice(space.probes(), _MOST_PROBES):
        with suppress(LvhError):
            settings_at(point)
            return command.at(space.texts(point))
    return command.at(space.texts(next(space.probes())))


def with_recipe(command: CommandLine) -> CommandLine:
    """Put what a recipe sweeps before the overrides, except settings that are typed too."""
    parsed, choices = command.parsed(), _choices(command, _swept(command))
    first = {name: texts[0] for name, texts in choices.items() if "experiment" not in name}
    params = recipe_params(command.at(first).load().hydra)
    recipe = CommandLine(tuple(_param(name, value) for name, value in params.items()))
    typed = {(param_name(name), *rest) for name, *rest in map(target, parsed)}
    others = [
        text
        for text, override in zip(recipe.overrides, recipe.parsed(), strict=True)
        if (param_name(override.key_or_group), *target(override)[1:]) not in typed
    ]
    return replace(command, overrides=(*others, *command.overrides))


def _param(name: str, value: Any) -> str:
    """Write an entry of `hydra.sweeper.params` as an override; a text is in its grammar already."""
    values = value if isinstance(value, list) else [value]
    texts = [v if isinstance(v, str) else Override._get_value_element_as_str(v) for v in values]
    return f"{name}=choice({','.join(texts)})" if values is value else f"{name}={texts[0]}"


def point_settings(command: CommandLine, space: Space) -> Callable[[Point], RunSettings]:
    """Return a function from a point to its settings; it composes the same options only once."""
    keys = {one.get_key_element(): one.key_or_group for one in command.parsed()}
    # a mapping may set what is swept
    is_plain = not any(isinstance(one.value(), dict) or target(one)[2] for one in command.parsed())
    is_group = command.loader.get_group_options
    fields = {name for name in space.names if is_plain and not is_group(keys[name])}

    @cache
    def composed(options: frozenset[tuple[str, str]]) -> DictConfig:
        return command.at(dict(options)).load()

    def settings_at(point: Point) -> RunSettings:
        texts = space.texts(point)
        options = frozenset((name, text) for name, text in texts.items() if name not in fields)
        typed = [f"{name}={text}" for name, text in texts.items() if name in fields]
        config = copy.deepcopy(composed(options))
        with in_plain_words():
            overrides = OverridesParser.create().parse_overrides(typed)
            ConfigLoaderImpl._apply_overrides_to_config(overrides, config)
        return settings_from(plain(config))

    return settings_at


def _choices(command: CommandLine, swept: Mapping[str, Override]) -> dict[str, tuple[str, ...]]:
    """Return the options of groups that are swept."""
    is_group = command.loader.get_group_options
    return {
        name: _texts(one)
        for name, one in swept.items()
        if is_group(one.key_or_group) and not target(one)[2]
    }


def _conditions(
    options: Mapping[str, Sequence[str]], having: Sequence[Mapping[str, str]]
) -> tuple[Condition, ...]:
    """Return which option of which group a setting needs, from the points that have it."""
    first = {name: texts[0] for name, texts in options.items()}
    needed = {
        group: tuple(text for text in texts if first | {group: text} in having)
        for group, texts in options.items()
    }
    return tuple(
        Condition(group, texts)
        for group, texts in needed.items()
        if 0 < len(texts) < len(options[group])
    )


def _swept(command: CommandLine) -> dict[str, Override]:
    """Return the swept overrides by name; of two that set the same the later one counts."""
    last = {target(override): override for override in command.parsed()}
    swept: dict[str, Override] = {}
    for override in last.values():
        if not override.is_sweep_override():
            continue
        if override.get_key_element() in swept:
            raise InputError(
                f"{override.key_or_group}: expected one sweep of its options, and others of "
                f"single fields. Received: {override.input_line}"
            )
        swept[override.get_key_element()] = override
    return swept


def _check_recipes(command: CommandLine, recipes: Sequence[Mapping[str, object]]) -> None:
    """Refuse a swept recipe whose own sweep the command line does not repeat: it would be lost."""
    typed = {override.key_or_group for override in command.parsed()}
    for recipe in recipes:
        if names := {name.lstrip("+~") for name in recipe} - typed:
            raise InputError(
                f"experiment: the recipe of a sweep, of {', '.join(sorted(names))}, needs -m and "
                "cannot be swept over. Start a sweep for each"
            )


def _exists(config: DictConfig, field: str) -> bool:
    node, _, name = field.rpartition(".")
    parent = OmegaConf.select(config, node) if node else config
    return isinstance(parent, DictConfig) and name in parent


def _dimension(override: Override, config: DictConfig) -> Dimension:
    """Return the dimension of a field, whose type says whether an interval has real numbers."""
    value, key = override.value(), override.key_or_group
    if isinstance(value, IntervalSweep):
        low, high, log = float(value.start or 0), float(value.end or 0), "log" in value.tags
        if not low < high < math.inf or low == -math.inf or (log and low <= 0):
            raise InputError(
                f"{key}: expected interval(low, high) with {'0 < ' if log else ''}low < high. "
                f"Received: {override.input_line}"
            )
        if _is_whole(config, key) and low.is_integer() and high.is_integer():
            return Numbers(int(low), int(high), 1, log=log)
        return Numbers(low, high, log=log)
    texts = _texts(override)
    if isinstance(value, RangeSweep) and not value.shuffle:
        listed = value.range()
        if isinstance(listed, range) and listed.step > 0:
            return Numbers(listed[0], listed[-1], listed.step, is_listed=True)
    return Choice(texts)


def _is_whole(config: DictConfig, key: str) -> bool:
    """Return whether a setting takes no real numbers; its value may be null, or 1 for 1.0."""
    group, *names = key.split(".")
    option = str(OmegaConf.select(config, f"{group}.name") if names else "")
    entry = ENTRIES.get(group, {}).get(MODEL_ALIASES.get(option, option))
    of: Any = RunSettings
    if names:
        of = entry.settings if entry else SETTINGS.get(group)
    for name in names or [group]:
        of = get_type_hints(of).get(name) if is_dataclass(of) else None
    return float not in (of, *get_args(of))


def _texts(override: Override) -> tuple[str, ...]:
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = float(value.start or 0), float(value.stop or 0), float(value.step)
        if not (step and math.isfinite(step) and abs(stop - start) / abs(step) <= _MOST_VALUES):
            raise InputError(
                f"{override.key_or_group}: expected range(start, stop, step) with a step other "
                f"than 0 and at most {_MOST_VALUES} values. "
                f"Received: {excerpt(override.input_line)}"
            )
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if isinstance(value, (ChoiceSweep, RangeSweep)) and value.shuffle:
        # Hydra draws another order each time, and the same command continues its study
        texts = tuple(Random(override.input_line).sample(sorted(texts), len(texts)))
    if not texts:
        raise InputError(f"{override.input_line}: expected one value or more")
    return texts
