"""A command line, checked and written as Hydra needs it."""

import argparse
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig

from lvh.config.groups import (
    CONVOLUTION,
    conf_dir,
    hydra_loader,
    in_order,
    param_name,
    register_options,
)
from lvh.config.plugins.loading import Plugin, ensure, load
from lvh.errors import InputError, excerpt
from lvh.models import MODEL_ALIASES, current_name

_GROUP = re.compile(
    r"[+~]*(data|external|features|model|kernel|stride|cv|train|search|tracking|experiment|budget)"
    r"(?:@[^=]*)?=([^{].*)?",
    re.DOTALL,
)
_CONDITION = re.compile(r"""([+]*(?:data|external)\.where=)((?!['"]|choice\().*)""", re.DOTALL)
_REFUSED = {
    r"[+~]*(?:[=@].*)?": "expected GROUP=OPTION or FIELD=VALUE",
    r"[+~]*hydra([./](callbacks|hydra_logging\.|job_logging\.).*)?=.*|.*(?<!\w)_target_(?!\w).*": (
        "expected a setting or an option, not one by which Hydra would run any code that it names"
    ),
    r"[+~]*plugins([=@.].*)?": (
        "expected plugins=[MODULE] or --plugin FILE.py, typed; code that a file names is not run"
    ),
    r"[+~]*hydra/sweeper=(?!lvh$).*": (
        "lvh has a sweeper of its own, which uses Optuna; leave this out, search.sampler chooses"
    ),
    r".*[\d_]{4300}.*": "expected numbers of fewer than 4300 digits",
}
"""Overrides that Hydra would take, or refuse in words of its own, and what the message says."""
_NO_OPTION = re.compile(r"^\[|\b(?:interval|range)\(|[/\\]|\$\{|[\w.-]{200}")
"""A list, a range, a path, an interpolation, or what is too long for the name of a file."""
_NOT_A_WORD = re.compile(
    r"(?<![\w'\".+-])(?:[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan)|null|true|false)(?![\w'\".])",
    re.IGNORECASE,
)
_ALIAS = re.compile(rf"(?<![\w.])({'|'.join(MODEL_ALIASES)})(?![\w.])")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line as Hydra takes it, with quoted options; any process can compose it."""

    overrides: tuple[str, ...] = ()
    config_name: str = "config"
    config_dir: str | None = None
    config_path: str | None = None
    plugins: tuple[Plugin, ...] = ()

    def __post_init__(self) -> None:
        """Check the overrides, and quote the numbers that choose an option of a group."""
        names = {override.partition("=")[0].lstrip("+~") for override in self.overrides}
        for name in names:
            if (short := param_name(name)) != name and short in names:
                raise InputError(f"{short}: sets {name}, which is given too. Expected one of them")
        object.__setattr__(self, "overrides", tuple(map(_checked, self.overrides)))

    @property
    def loader(self) -> ConfigLoaderImpl:
        """Hydra's loader of the folders: it works in any process, also where Hydra runs already."""
        ensure(self.plugins)
        register_options()
        return hydra_loader(self.config_path or str(conf_dir()), self.config_dir)

    def load(self) -> DictConfig:
        """Compose, with Hydra's own node `hydra`; `explained` says its errors in plain words."""
        return self.loader.load_configuration(self.config_name, [*self.overrides], RunMode.RUN)

    def parsed(self) -> list[Override]:
        """Parse every override, in the order typed."""
        return OverridesParser.create(self.loader).parse_overrides([*self.overrides])

    def at(self, point: Mapping[str, str]) -> "CommandLine":
        """Return the command line of a point, as without `-m`, with the values that it has."""
        overrides = []
        for text, override in zip(self.overrides, self.parsed(), strict=True):
            name = override.get_key_element()
            if not override.is_sweep_override():
                overrides.append(text)
            elif name in point:
                overrides.append(f"{name}={point[name]}")
        return replace(self, overrides=tuple(overrides))

    def with_recipe(self, params: Mapping[str, object]) -> "CommandLine":
        """Put a recipe's overrides before those that were typed, but those that are typed too."""
        recipe = CommandLine(tuple(_param(name, value) for name, value in params.items()))
        typed = {(param_name(name), *rest) for name, *rest in map(target, self.parsed())}
        others = [
            text
            for text, override in zip(recipe.overrides, recipe.parsed(), strict=True)
            if (param_name(override.key_or_group), *target(override)[1:]) not in typed
        ]
        return replace(self, overrides=(*others, *self.overrides))


def target(override: Override) -> tuple[str, str | None, bool]:
    """Return what an override sets: name, package, and whether it merges fields into a group."""
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return override.key_or_group, override.package, any(isinstance(value, dict) for value in values)


def read_plugins(arguments: Sequence[str]) -> tuple[list[str], tuple[Plugin, ...]]:
    """Load the plugins that arguments name; return the other arguments, and the plugins."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--plugin", action="append", default=[])
    parser.error = _refuse  # type: ignore[assignment, method-assign]
    known, others = parser.parse_known_args(list(arguments))
    names: list[str] = known.plugin
    for argument in [one for one in others if one.startswith("plugins=")]:
        others.remove(argument)
        names += argument.removeprefix("plugins=").strip("[]").split(",")
    plugins = load([name.strip() for name in names if name.strip()])
    register_options()
    return others, plugins


def _refuse(message: str) -> None:
    raise InputError(f"{message}. Expected flags as --hydra-help lists them")


def read_arguments(arguments: Sequence[str]) -> tuple[CommandLine, list[str]]:
    """Return the command line with its plugins, and Hydra's flags, which may stand anywhere."""
    arguments, plugins = read_plugins(arguments)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[assignment, method-assign]
    typed = parser.parse_intermixed_args(list(arguments))
    if typed.experimental_rerun is not None:
        raise InputError("--experimental-rerun: a pickle may hold code. Type the command again")
    flags = list(arguments)
    for override in reversed(typed.overrides):
        del flags[len(flags) - 1 - flags[::-1].index(override)]
    command = CommandLine(
        overrides=tuple(typed.overrides),
        config_name=typed.config_name or "config",
        config_dir=typed.config_dir and os.path.abspath(typed.config_dir),
        config_path=typed.config_path and os.path.abspath(typed.config_path),
        plugins=plugins,
    )
    return command, flags


def _checked(argument: str) -> str:
    for pattern, expected in _REFUSED.items():
        if re.fullmatch(pattern, argument, re.DOTALL):
            raise InputError(f"{excerpt(argument)}: {expected}")
    if condition := _CONDITION.fullmatch(argument):  # `>` and `(` are no part of Hydra's grammar
        quoted = QuotedString(condition[2].replace("${", r"\${"), Quote.double).with_quotes()
        return condition[1] + quoted
    match = _GROUP.fullmatch(argument)
    if match is None or not match[2]:
        return argument
    group, options = match.groups()
    if _NO_OPTION.search(options):
        names = in_order(hydra_loader(str(conf_dir()), None).get_group_options(group))
        message = (
            f"{group}: expected one of {', '.join(names)}, or several in a sweep: "
            f"-m {group}={','.join(names[:2])}. Received: {excerpt(options)}"
        )
        if "(" in options and (field := CONVOLUTION.get(group)):
            message += f". A sweep over other numbers: -m {shlex.quote(f'{field}={options}')}"
        raise InputError(message)
    # Hydra reads stride=10 as a number, which it refuses as the name of an option
    options = _NOT_A_WORD.sub(lambda word: f"'{word[0]}'", options)
    if group == "model":
        options = _ALIAS.sub(lambda alias: current_name(alias[0]), options)
    return argument[: match.start(2)] + options


def _param(name: str, value: Any) -> str:
    """Write an entry of `hydra.sweeper.params` as an override; a text is in its grammar already."""
    if isinstance(value, Mapping) or value == []:
        raise InputError(
            f"hydra.sweeper.params.{name}: expected values to sweep, such as 0.1,1 or [0.1, 1]. "
            f"Received: {excerpt(value)}"
        )
    values = value if isinstance(value, list) else [value]
    texts = [v if isinstance(v, str) else Override._get_value_element_as_str(v) for v in values]
    is_one = isinstance(value, list) and len(texts) == 1
    return f"{name}=choice({texts[0]})" if is_one else f"{name}={','.join(texts)}"
